"""Common tools of the benchmarks: servers, timing, and tables of results."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker

from benchmarks import FOLDER, GIVEN
from console.installation import environment
from console.installation.environment import BASE_DIR
from console.local import registry as bundled
from console.local.postgres import Postgres
from console.operations.worker import CONCURRENCY
from tests.support.edge import served

_START_SECONDS = 60
# The folder where the registry's program is unpacked once for all runs, if it is not installed.
CACHE = BASE_DIR / ".cache"


@contextmanager
def installation(*, registry: bool = True, options: Sequence[str] = ()) -> Iterator[Path]:
    """Run PostgreSQL with all tables, and the registry, during the block; yields the data folder.

    :param registry: whether to run the registry, too. It sends no notifications.
    :param options: settings of PostgreSQL, like ``fsync=off``, for a run that only seeds.
    """
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(_start_postgres(options))
        call_command("migrate", interactive=False, verbosity=0)
        if registry:
            children.append(_start_registry())
        yield FOLDER
    finally:
        connections.close_all()
        for child in reversed(children):
            child.send_signal(signal.SIGINT)
            child.wait(30)
        if not GIVEN:
            shutil.rmtree(FOLDER, ignore_errors=True)


def _start_postgres(options: Sequence[str]) -> subprocess.Popen[bytes]:
    server = Postgres(FOLDER / "postgres", settings.ENVIRONMENT.socket_dir, tuple(options))
    server.initialise()
    process = server.start()
    wait(process, server.is_ready, "PostgreSQL")
    return process


def _start_registry() -> subprocess.Popen[bytes]:
    configuration = bundled.configuration(settings.ENVIRONMENT, settings.KEYS)
    del configuration["notifications"]
    path = bundled.write_config(FOLDER / "registry" / "config.yml", configuration)
    with (FOLDER / "registry" / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(bundled.find_or_install(CACHE)), "serve", str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=bundled.clean_environment(os.environ),
        )
    wait(process, _registry_answers, "the registry")
    return process


@contextmanager
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """Run the product's worker during the block; waits until it is ready."""
    before = set(ProcrastinateWorker.objects.values_list("pk", flat=True))
    # It reconciles when it starts.
    reconciles = ProcrastinateJob.objects.filter(task_name="indexing.reconcile", status__in=["todo", "doing"])
    process = subprocess.Popen([sys.executable, str(BASE_DIR / "manage.py"), "worker"])
    try:
        wait(
            process,
            lambda: ProcrastinateWorker.objects.exclude(pk__in=before).count() == len(CONCURRENCY),
            "the worker",
        )
        wait(process, lambda: not reconciles.exists(), "the worker's first walk", 1200)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def console(application: str = "console.wsgi:application", **variables: str) -> Iterator[None]:
    """Run the console as in production, behind the edge, at ``settings.CONSOLE_URL``, during the block.

    :param application: the WSGI application for gunicorn.
    :param variables: further environment variables.
    """
    with served(environment.load({**os.environ, **variables}), application, variables):
        yield


def _registry_answers() -> bool:
    return answers(f"{settings.REGISTRY_URL}/v2/", {401})


def answers(address: str, codes: set[int]) -> bool:
    """Whether a server answers with one of these status codes."""
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return response.status in codes
    except urllib.error.HTTPError as error:
        return error.code in codes
    except OSError:
        return False


def wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], name: str, most: float = _START_SECONDS) -> None:
    """Wait until ``ready`` returns true.

    :raises RuntimeError: when the process exits, or after ``most`` seconds.
    """
    deadline = time.monotonic() + most
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not become ready")
        time.sleep(0.05)


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yields a function that returns the seconds since the block began; after its end, its duration."""
    begun = time.monotonic()
    ended: list[float] = []
    try:
        yield lambda: (ended[0] if ended else time.monotonic()) - begun
    finally:
        ended.append(time.monotonic())


def cpu_seconds() -> float:
    """CPU time of the servers and the worker so far: all processes that this one has started."""
    parents, used = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = int(fields[11]) + int(fields[12])
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(used[pid] for pid in mine - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], notes: Sequence[str] = ()) -> None:
    """Print a Markdown table: the first column left-aligned, figures right-aligned."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(columns), *texts]) for at in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        pairs = zip(cells, widths, strict=True)
        return f"| {' | '.join(cell.rjust(w) if at else cell.ljust(w) for at, (cell, w) in enumerate(pairs))} |"

    print(f"\n### {title}\n\n{machine()}\n")
    print(line(columns))
    print("|" + "|".join("-" * (width + 1) + ("-" if at == 0 else ":") for at, width in enumerate(widths)) + "|")
    for row in texts:
        print(line(row))
    for note in notes:
        print(f"\n{note}")
    sys.stdout.flush()


def machine() -> str:
    """Description of this machine."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}."


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 100 else f"{cell:,.1f}" if cell >= 10 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
