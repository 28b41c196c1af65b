"""``python -m console.local``: the whole of My Images on this machine, in the foreground."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from console.installation.environment import BASE_DIR, Environment, EnvironmentProblem, load
from console.installation.files import remove_stale_drafts, replace_file
from console.installation.keys import Keys, ensure_keys, renew_bundle
from console.local import gunicorn, hub_configuration, linux, orphans, ports, registry
from console.local.children import LOOK_AGAIN_SIGNAL, Child
from console.local.log import LOG, say
from console.local.postgres import Postgres
from console.local.problems import Problem
from console.local.storage import Guard
from console.local.supervisor import RECOVERY_SECONDS, Stopped, Supervisor

# What the parts write of every day's work: a start, a client that has no token yet, a manifest that is not there.
_POSTGRES_ROUTINE = re.compile(r"^LOG:  |^FATAL:  the database system is |^DETAIL:  Consistent recovery state")
_REGISTRY_ROUTINE = re.compile(r"http\.response\.status=4\d\d|authorization token required")


def main() -> int:
    """Start everything, run until told to stop; the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m console.local", description=__doc__)
    arguments.add_argument("--stop-with-parent", action="store_true", help="stop when the parent process dies")
    if arguments.parse_args().stop_with_parent:
        linux.stop_with_parent(signal.SIGTERM)
    try:
        environment = load()
        os.umask(0o077)
        with orphans.lock(environment.data_dir / "run"):
            keep_private(environment.data_dir)
            LOG.keep(environment.data_dir / "log", environment.log_files_mb * 1_000_000)
            return _run(environment)
    except (Problem, EnvironmentProblem) as problem:
        say(str(problem))
        return 1
    except OSError as error:
        say(f"My Images cannot start: {error}.")
        return 1
    except Exception:
        # Not by the interpreter alone, on standard error: the log's files have to say it.
        say(f"My Images stops because of an internal error.\n{traceback.format_exc().rstrip()}")
        return 1


def keep_private(data_dir: Path) -> None:
    """Let no other user of this machine into the data folder and what is in it.

    An earlier version made folders that everybody could read. PostgreSQL's own user is let in where its server is
    prepared (``Postgres.initialise``). A folder that is not ours (``lost+found``, a volume of another user) stays as it
    is, and this is said where it is the data folder itself.
    """
    for folder in (data_dir, *(entry for entry in data_dir.iterdir() if entry.is_dir() and not entry.is_symlink())):
        if os.geteuid() in (0, folder.stat().st_uid):
            folder.chmod(0o700)
        elif folder == data_dir:
            say(f"{data_dir} belongs to another user. Its permissions decide whether others can read it.")


def _run(environment: Environment) -> int:
    run = environment.data_dir / "run"
    os.environ.update(orphans.mark(run))
    killed = orphans.was_killed(run)
    left = orphans.clear(run)
    if left:
        say(f"Removed leftovers of an earlier run: {', '.join(left)}.")
    for host in gunicorn.hosts(environment):
        ports.check(host, environment.console_port, "CONSOLE_PORT", "the console")
    if environment.registry_is_ours:
        ports.check("127.0.0.1", environment.registry_port, "REGISTRY_PORT", "the registry")
    keys = ensure_keys(environment.data_dir)
    renew_bundle(keys)
    for folder in (run, environment.data_dir / "registry", environment.data_dir / "dockerhub"):
        remove_stale_drafts(folder)
    for file in (environment.restart_request, *_run_files(environment)):
        file.unlink(missing_ok=True)
    supervisor = Supervisor(run)
    supervisor.listen()
    code = 0
    try:
        look = _start(supervisor, environment, keys, killed=killed)
        say("")
        say(f"My Images is ready at {environment.console_url}")
        say(f"Registry address: {environment.registry_address}")
        if environment.dockerhub_inner_file.exists():
            say(f"Docker Hub's official images: {environment.dockerhub_address}/library")
        elif environment.dockerhub:
            say("Docker Hub's official images: off (see the lines above)")
        supervisor.watch(look)
        say("Stopping.")
    except Stopped:
        say("Stopping.")
    except Problem as problem:
        say(str(problem))
        code = 1
    finally:
        supervisor.stop()
        for file in _run_files(environment):
            file.unlink(missing_ok=True)
    say("My Images has stopped.")
    return code


def _run_files(environment: Environment) -> list[Path]:
    """What is true while this run lasts, for the console and for commands started beside it."""
    return [environment.inner_registry_file, environment.dockerhub_inner_file, environment.dockerhub_missing_file]


def _start(supervisor: Supervisor, environment: Environment, keys: Keys, *, killed: bool) -> Callable[[], bool]:
    """Start everything; what is to be looked after from then on, again and again (``Supervisor.watch``).

    :param killed: whether the last run was not stopped in good order.
    """
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings", "PYTHONUNBUFFERED": "1"}
    # Only the cache talks to Docker Hub as somebody.
    variables.pop("DOCKERHUB_PASSWORD", None)
    if environment.registry_is_ours or environment.dockerhub:
        registry.prepare(environment, lambda: bool(supervisor.signals))
    bundled, guard = _registries(environment, keys, killed=killed)
    hub = _hub(environment, keys) if environment.dockerhub else []
    # The inner one is waited for, which asks nobody; the other has to do with the Internet, and the start has not.
    bundled += hub[:1]
    if environment.embedded_database:
        server = Postgres(environment.data_dir / "postgres", environment.socket_dir, environment.postgres_options)
        if not server.is_made:
            say("Creating the database, which takes a few seconds ...")
        server.initialise()
        database = Child(
            "postgres",
            server.command,
            registry.clean_environment(os.environ),
            server.is_ready,
            stop_signal=signal.SIGINT,
            user=server.owner,
            silent=_POSTGRES_ROUTINE,
        )
        supervisor.start(database)
    for child in [*bundled, *hub[1:]]:
        supervisor.start(child)
    if environment.embedded_database:
        supervisor.wait_for(database.ready, [database], RECOVERY_SECONDS)
    say("Preparing the database's tables and the pages' files ...")
    prepare = [sys.executable, str(BASE_DIR / "manage.py"), "prepare"]
    supervisor.run_once(Child("prepare", prepare, variables, lambda: True, plain=("Account ID: ", "Password: ")))
    console = Child("console", gunicorn.command(environment), variables, lambda: _answers(_health(environment), {200}))
    worker = Child("worker", [sys.executable, str(BASE_DIR / "manage.py"), "worker"], variables, lambda: True)
    supervisor.start(console)
    supervisor.start(worker)
    waited_for = [*bundled, console, worker]
    supervisor.wait_for(lambda: all(child.ready() for child in waited_for), waited_for)

    return _look_after(supervisor, guard, worker)


def _look_after(supervisor: Supervisor, guard: Guard | None, worker: Child) -> Callable[[], bool]:
    """What looks after the storage in each round; the worker hears of every registry that is started anew."""

    def look_again() -> None:
        # What the registry had not told yet is gone with its memory.
        worker.send(LOOK_AGAIN_SIGNAL)

    def look() -> bool:
        if guard is None or not guard.look():
            return False
        look_again()
        return True

    supervisor.keys_read = look_again
    return look


def _registries(environment: Environment, keys: Keys, *, killed: bool) -> tuple[list[Child], Guard | None]:
    """The bundled registry and the inner one over the same storage, with what looks after that.

    There are none when one running elsewhere was named.

    :param killed: whether the last run was not stopped in good order.
    """
    folder = environment.data_dir / "registry"
    if not environment.registry_is_ours:
        path = registry.write_config(folder / "external.yml", registry.external_snippet(environment, keys))
        say(f"The registry at {environment.registry_url} needs the settings in {path}.")
        say(f"They are explained in {BASE_DIR / 'docs' / 'registry.md'}")
        return [], None
    inner_port = ports.free()
    children, reading = [], []
    for name, file, whole, port, variables in (
        ("registry", "config", registry.configuration(environment, keys), environment.registry_port, {}),
        (
            "inner registry",
            "inner",
            registry.inner_configuration(environment, keys, inner_port),
            inner_port,
            registry.FEWER_COLLECTIONS,
        ),
    ):
        # Both are written now: later there may be no room for it.
        read_only = registry.write_config(folder / f"{file}-reading.yml", registry.reading_only(whole))
        config = registry.write_config(folder / f"{file}.yml", whole)
        program = registry.choose(environment, config, name)
        children.append(_registry_child(name, program, port, variables))
        reading.append([str(read_only) if part == str(config) else part for part in program.command])
    replace_file(environment.inner_registry_file, f"http://127.0.0.1:{inner_port}".encode())
    guard = Guard(folder / "data", children, reading)
    guard.begin(killed=killed)
    return children, guard


def _hub(environment: Environment, keys: Keys) -> list[Child]:
    """A plain registry over the cache of Docker Hub's images, for the console's own questions, and the cache itself.

    Nothing else needs the cache, so what it lacks does not stop the start: then there are none, this is said, and the
    console finds the reason in ``dockerhub_missing_file``.
    """
    missing = "port"
    try:
        ports.check("127.0.0.1", environment.dockerhub_port, "DOCKERHUB_PORT", "the cache of Docker Hub's images")
        missing = "files"
        port = ports.free()
        configuration = hub_configuration.plain(environment, keys, port, environment.dockerhub_inner_service)
        config = registry.write_config(hub_configuration.folder(environment) / "inner.yml", configuration)
        missing = "program"
        program = registry.choose(environment, config, "inner hub")
    except (Problem, OSError) as problem:
        reason = str(problem)
        say(f"My Images starts without the cache of Docker Hub's images: {reason[:1].lower()}{reason[1:]}")
        replace_file(environment.dockerhub_missing_file, missing.encode())
        return []
    replace_file(environment.dockerhub_inner_file, f"http://127.0.0.1:{port}".encode())
    inner = _registry_child("inner hub", program, port)
    command = [sys.executable, "-m", "console.local.hub"]
    return [inner, Child("hub", command, os.environ, lambda: True, silent=_REGISTRY_ROUTINE, reads_keys=True)]


def _registry_child(
    name: str, program: registry.Program, port: int, variables: Mapping[str, str] = MappingProxyType({})
) -> Child:
    address = f"http://127.0.0.1:{port}/v2/"
    return Child(
        name,
        program.command,
        registry.clean_environment({**variables, **os.environ}),
        lambda: _answers(address, {200, 401}),
        silent=_REGISTRY_ROUTINE,
        reads_keys=True,
    )


def _health(environment: Environment) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(environment.console_host, environment.console_host)  # noqa: S104  # nosec B104
    return f"http://{host}:{environment.console_port}/healthz"


def _answers(address: str, codes: set[int]) -> bool:
    """Whether ``address`` answers with one of ``codes``, asked directly and not through any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as response:
            return response.status in codes
    except urllib.error.HTTPError as error:
        return error.code in codes
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
