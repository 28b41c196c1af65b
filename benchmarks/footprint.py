"""Memory of an installation when idle and under load, and its start time.

The reference is the registry alone. Memory is PSS: memory shared by several processes is counted once.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil
from django.db import connections

from benchmarks import events, installed, tools
from console.installation.environment import BASE_DIR
from tests.support.stack import Stack

STARTS = 3
_SETTLED = 0.02
_POLL_SECONDS = 0.25
_MOST_SECONDS = 90


def pss(processes: Iterable[psutil.Process]) -> tuple[float, int, int]:
    """Megabytes, number of processes, and number of threads."""
    total, number, threads = 0, 0, 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
            threads += process.num_threads()
            number += 1
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total / 1e6, number, threads


def at_rest(stack: Stack) -> dict[str, tuple[float, int, int]]:
    """The idle memory of each part: when two measurements a second apart differ by less than 2 %."""
    before = 0.0
    end = time.monotonic() + _MOST_SECONDS
    while True:
        found = {name: pss(processes) for name, processes in installed.parts(stack).items()}
        total = sum(memory for memory, _, _ in found.values())
        if abs(total - before) < _SETTLED * total or time.monotonic() > end:
            return found
        before = total
        time.sleep(1)


def under_load(
    registry_port: int,
    headers: dict[str, str],
    seconds: float,
    parts: Callable[[], Mapping[str, Iterable[psutil.Process]]],
    console_port: int | None = None,
) -> dict[str, float]:
    """Peak megabytes of each part while eight clients push, eight list tags, and eight request a page.

    :param headers: authorization of the requests.
    :param parts: returns the current processes of each part.
    :param console_port: port of the console, if there is one.
    """
    repositories = events.names(installed.CLIENTS)
    images = installed.small_images(registry_port, headers, repositories, "load")
    end = time.monotonic() + seconds
    most: dict[str, float] = {}

    def ask(port: int, path: str, sent: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            connection.request("GET", path, headers=sent)
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=installed.push_for, args=(registry_port, headers, images, seconds))]
    for repository in repositories:
        path = f"/v2/{repository}/tags/list"
        threads.append(threading.Thread(target=ask, args=(registry_port, path, headers)))
        if console_port is not None:
            threads.append(threading.Thread(target=ask, args=(console_port, "/sign-in/", {})))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for name, processes in parts().items():
            most[name] = max(most.get(name, 0.0), pss(processes)[0])
        time.sleep(_POLL_SECONDS)
    return most


def seconds_to_ready(stack: Stack) -> float:
    """Start it; returns how long that took."""
    with tools.stopwatch() as seconds:
        stack.start()
        return seconds()


def seconds_of_make(stack: Stack) -> float | None:
    """Start time of ``make run``; ``None`` if there is no make, or it would install something first."""
    if not shutil.which("make"):
        return None
    plan = subprocess.run(["make", "-n", "run"], cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout
    if " pip " in plan:
        tools.say("“make run” would install something first: it is left out.")
        return None
    with tools.stopwatch() as seconds:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=BASE_DIR,
            env=stack.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        tools.wait(process, lambda: tools.answers(f"{stack.console_url}/healthz", {200}), "make run", _MOST_SECONDS)
        taken = seconds()
    process.terminate()
    process.wait(30)
    return taken


def registry_alone(load_seconds: float) -> tuple[float, float, int, int, float]:
    """Seconds to its first response; idle megabytes, processes and threads; peak megabytes under the same load."""
    with tools.stopwatch() as seconds, events.bare_registry() as port:
        taken = seconds()
        time.sleep(1)
        processes = [child for child in psutil.Process().children() if "serve" in " ".join(child.cmdline())]
        rest = pss(processes)
        load = under_load(port, {}, load_seconds, lambda: {"registry": processes})
        return taken, *rest, load["registry"]


def imports(command: Sequence[str], most: int = 12) -> list[list[object]]:
    """The slowest imports of a process at its start (``python -X importtime``), in milliseconds."""
    err = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings"},
    ).stderr
    rows = []
    for line in err.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[1].strip().isdigit():
            rows.append([parts[2].strip(), int(parts[1]) / 1000, int(parts[0]) / 1000])
    return sorted(rows, key=lambda row: -float(str(row[2])))[:most]


def run(seconds: float, starts: int) -> None:
    """Measure and print."""
    tools.say("The registry alone ...")
    alone, alone_memory, alone_processes, alone_threads, alone_load = registry_alone(seconds)
    stack = installed.make_stack()
    tools.say("The first start ...")
    first = seconds_to_ready(stack)
    installed.stop(stack)
    later = []
    for number in range(starts):
        tools.say(f"Start {number + 2} ...")
        later.append(seconds_to_ready(stack))
        if number < starts - 1:
            installed.stop(stack)
    rest = at_rest(stack)
    installed.owner()
    connections.close_all()
    tools.say("Under load ...")
    headers = events.headers_for(events.names(installed.CLIENTS))
    load = under_load(stack.registry_port, headers, seconds, lambda: installed.parts(stack), stack.console_port)
    installed.stop(stack)
    made = seconds_of_make(stack)
    rows: list[list[object]] = [
        [name, memory, load.get(name, 0.0), processes, threads]
        for name, (memory, processes, threads) in sorted(rest.items())
    ]
    total, total_load = sum(memory for memory, _, _ in rest.values()), sum(load.values())
    rows.append(["all", total, total_load, sum(one[1] for one in rest.values()), sum(one[2] for one in rest.values())])
    rows.append(["registry alone (reference)", alone_memory, alone_load, alone_processes, alone_threads])
    rows.append(["ratio, all to reference", total / alone_memory, total_load / alone_load, "–", "–"])
    tools.table(
        "Memory, processes, threads",
        ["part", "at rest, MB", "most under load, MB", "processes", "threads"],
        rows,
        [
            "PSS, 1 MB = 1,000,000 bytes. At rest: twice the same figure, a second apart. Load: pushes by "
            f"{installed.CLIENTS} clients, as many that ask for lists of tags, and as many that ask for a page;"
            " the most of each part, which need not be of the same moment.",
            "The registry alone: the same, less the pages.",
        ],
    )
    median = statistics.median(later)
    tools.table(
        "Seconds to ready",
        ["what", "seconds", "ratio"],
        [
            ["registry alone (reference), to its first answer", alone, 1.0],
            ["My Images, first start of all", first, first / alone],
            [f"My Images, later starts, median of {starts}", median, median / alone],
            ["make run, later start", made or "–", made / alone if made else "–"],
        ],
        ["My Images: from the command to the line that says it is ready; make run: to the console's first answer."],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load")
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--imports", action="store_true", help="instead print the slowest imports of a command")
    given = parser.parse_args(arguments)
    try:
        if given.imports:
            for row in imports(["manage.py", "check"]):
                print(row)
        else:
            run(given.seconds, given.starts)
    finally:
        for child in psutil.Process().children():
            child.terminate()
        installed.clean_up()


if __name__ == "__main__":
    main()
