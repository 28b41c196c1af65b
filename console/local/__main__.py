"""``python -m console.local``: run all of My Images on this machine, in the foreground."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from console.installation.environment import BASE_DIR, Environment, EnvironmentProblem, load
from console.installation.files import remove_stale_drafts, replace_file
from console.installation.keys import Keys, ensure_keys, renew_bundle
from console.local import (
    authority,
    edge,
    edge_configuration,
    gunicorn,
    health,
    hub_configuration,
    linux,
    orphans,
    ports,
    registry,
    sockets,
)
from console.local.children import RECONCILE_SIGNAL, Child
from console.local.edge import Edge
from console.local.log import LOG, say
from console.local.postgres import Postgres
from console.local.problems import Problem
from console.local.storage import Guard
from console.local.supervisor import RECOVERY_SECONDS, Stopped, Supervisor

# Routine log lines that are left out: of a start, a client without token, a missing manifest.
_POSTGRES_ROUTINE = re.compile(r"^LOG:  |^FATAL:  the database system is |^DETAIL:  Consistent recovery state")
_REGISTRY_ROUTINE = re.compile(r"http\.response\.status=4\d\d|authorization token required")


def main() -> int:
    """Start everything, and run until a signal to stop; returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m console.local", description=__doc__)
    arguments.add_argument("--stop-with-parent", action="store_true", help="stop when the parent process dies")
    if arguments.parse_args().stop_with_parent:
        linux.stop_with_parent(signal.SIGTERM)
    try:
        environment = load()
        os.umask(0o077)
        with orphans.lock(environment.data_dir / "run"):
            keep_private(environment.data_dir)
            LOG.add_files(environment.data_dir / "log", environment.log_files_mb * 1_000_000)
            return _run(environment)
    except (Problem, EnvironmentProblem) as problem:
        say(str(problem))
        return 1
    except OSError as error:
        say(f"My Images cannot start: {error}.")
        return 1
    except Exception:
        # Also written to the log files; the interpreter would print it only to standard error.
        say(f"My Images stops because of an internal error.\n{traceback.format_exc().rstrip()}")
        return 1


def keep_private(data_dir: Path) -> None:
    """Remove the permissions of other users on the data folder and the folders in it.

    Earlier versions created folders that everybody could read. PostgreSQL's own user gets access in
    ``Postgres.initialise``. Folders of another user (``lost+found``, a mounted volume) are not changed; if that is the
    data folder itself, a message is logged.
    """
    for folder in (data_dir, *(entry for entry in data_dir.iterdir() if entry.is_dir() and not entry.is_symlink())):
        if os.geteuid() in (0, folder.stat().st_uid):
            folder.chmod(0o700)
        elif folder == data_dir:
            say(f"{data_dir} belongs to another user: its mode decides whether others can read it.")


def _run(environment: Environment) -> int:
    run = environment.data_dir / "run"
    os.environ.update(orphans.mark(run))
    killed = orphans.was_killed(run)
    left = orphans.clear(run)
    if left:
        say(f"Stopped processes that an earlier run had left running: {', '.join(left)}.")
    warnings = edge.certificate_warnings(environment)
    edge.check_ports(environment)
    sockets.make_folder(environment)
    keys = ensure_keys(environment.data_dir)
    renew_bundle(keys)
    for folder in (run, *(environment.data_dir / name for name in ("registry", "dockerhub", "edge"))):
        remove_stale_drafts(folder)
    for file in (environment.restart_request, *_run_files(environment)):
        file.unlink(missing_ok=True)
    supervisor = Supervisor(run)
    supervisor.listen()
    code = 0
    try:
        check = _start(supervisor, environment, keys, killed=killed)
        say("")
        say(f"My Images is ready at {environment.console_url}")
        say(f"Registry address: {environment.registry_address}")
        if environment.authority_certificate:
            say(f"How clients trust the certificate: {environment.console_url}/help/certificate/")
            checksum = authority.checksum(environment.authority_certificate)
            say(f"Send your team this SHA-256 checksum of my-images-ca.crt with it: {checksum}")
        for warning in warnings:
            say(warning)
        if environment.dockerhub_inner_file.exists():
            say(f"Docker Hub's official images: {environment.dockerhub_address}/library")
        elif environment.dockerhub:
            say("Docker Hub's official images: off (see the lines above)")
        supervisor.watch(check)
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
    """Files that describe the running installation, for the console and management commands."""
    return [environment.inner_registry_file, environment.dockerhub_inner_file, environment.dockerhub_missing_file]


def _start(supervisor: Supervisor, environment: Environment, keys: Keys, *, killed: bool) -> Callable[[], bool]:
    """Start everything; returns the check that ``Supervisor.watch`` calls in each round.

    :param killed: whether the last run was killed (not stopped cleanly).
    """
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings", "PYTHONUNBUFFERED": "1"}
    # Only the cache uses credentials for Docker Hub.
    variables.pop("DOCKERHUB_PASSWORD", None)
    if environment.registry_is_ours or environment.dockerhub:
        registry.prepare(environment, lambda: bool(supervisor.signals))
    bundled, guard = _registries(environment, keys, killed=killed)
    hub = _hub(environment, keys) if environment.dockerhub else []
    # The start waits for the plain registry of the cache, but not for the caching one, which needs the Internet.
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
    say("Migrating the database and collecting static files ...")
    prepare = [sys.executable, str(BASE_DIR / "manage.py"), "prepare"]
    supervisor.run_once(Child("prepare", prepare, variables, lambda: True, plain=("Account ID: ", "Password: ")))
    console = Child("console", gunicorn.command(environment), variables, lambda: _console_answers(environment))
    worker = Child("worker", [sys.executable, str(BASE_DIR / "manage.py"), "worker"], variables, lambda: True)
    supervisor.start(console)
    supervisor.start(worker)
    waited_for = [*bundled, console, worker]
    supervisor.wait_for(lambda: all(child.ready() for child in waited_for), waited_for)
    # Last, so that clients meet a service that is not there rather than one that does not answer.
    hosts = edge.console_hosts(environment)
    front = Edge(environment, edge_configuration.configuration(environment, hosts, dockerhub=bool(hub)))
    outside = front.child()
    supervisor.start(outside)
    supervisor.wait_for(outside.ready, [outside])

    check = _storage_check(supervisor, guard, worker)

    def check_all() -> bool:
        front.check()
        return check()

    return check_all


def _console_answers(environment: Environment) -> bool:
    """Whether each of gunicorn's processes answers."""
    return all(health.socket_answers(path, "/healthz", {200}) for path in sockets.console(environment))


def _storage_check(supervisor: Supervisor, guard: Guard | None, worker: Child) -> Callable[[], bool]:
    """The check of the storage in each round; the worker is notified of every restart of a registry."""

    def reconcile() -> None:
        # A registry's pending notifications are lost with its memory.
        worker.send(RECONCILE_SIGNAL)

    def check() -> bool:
        if guard is None or not guard.check():
            return False
        reconcile()
        return True

    supervisor.keys_read = reconcile
    return check


def _registries(environment: Environment, keys: Keys, *, killed: bool) -> tuple[list[Child], Guard | None]:
    """The bundled registry and the inner one over the same storage, with the guard of the storage.

    There are none if an external registry is configured.

    :param killed: whether the last run was killed (not stopped cleanly).
    """
    folder = environment.data_dir / "registry"
    if not environment.registry_is_ours:
        path = registry.write_config(folder / "external.yml", registry.external_snippet(environment, keys))
        say(f"The registry at {environment.registry_url} needs the settings in {path}.")
        say(f"They are explained in {BASE_DIR / 'docs' / 'registry.md'}")
        if not environment.registry_has_gate:
            say(f"Clients call it at {environment.registry_address}, without the edge. Some promises do not hold then.")
        return [], None
    inner_port, socket = ports.free(), sockets.registry(environment)
    outer = registry.on_socket(registry.configuration(environment, keys), socket)
    inner = registry.inner_configuration(environment, keys, inner_port)
    children, reading = [], []
    for name, file, whole, ready, variables in (
        ("registry", "config", outer, lambda: health.socket_answers(socket, "/v2/", {401}), {}),
        ("inner registry", "inner", inner, lambda: _answers(inner_port), registry.FEWER_COLLECTIONS),
    ):
        # Both configurations are written now: later the disk may be full.
        read_only = registry.write_config(folder / f"{file}-reading.yml", registry.reading_only(whole))
        config = registry.write_config(folder / f"{file}.yml", whole)
        program = registry.choose(environment, config, name)
        children.append(_registry_child(name, program, ready, variables))
        reading.append([str(read_only) if part == str(config) else part for part in program.command])
    replace_file(environment.inner_registry_file, f"http://127.0.0.1:{inner_port}".encode())
    guard = Guard(folder / "data", children, reading)
    guard.begin(killed=killed)
    return children, guard


def _hub(environment: Environment, keys: Keys) -> list[Child]:
    """The cache of Docker Hub's images, and a plain registry over its storage for the console's own requests.

    The cache is optional, so a problem with it does not stop the start: it is logged, and written to
    ``dockerhub_missing_file`` for the console.
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
    inner = _registry_child("inner hub", program, lambda: _answers(port))
    command = [sys.executable, "-m", "console.local.hub"]
    return [inner, Child("hub", command, os.environ, lambda: True, silent=_REGISTRY_ROUTINE, reads_keys=True)]


def _registry_child(
    name: str,
    program: registry.Program,
    ready: Callable[[], bool],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Child:
    return Child(
        name,
        program.command,
        registry.clean_environment({**variables, **os.environ}),
        ready,
        silent=_REGISTRY_ROUTINE,
        reads_keys=True,
    )


def _answers(port: int) -> bool:
    """Whether a registry answers at a port of this machine, with or without authentication."""
    return health.answers(f"http://127.0.0.1:{port}/v2/", {200, 401})


if __name__ == "__main__":
    sys.exit(main())
