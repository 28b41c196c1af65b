"""Pushes and pulls: My Images compared with its registry alone, behind the edge, and with a password file.

``python -m benchmarks.push_pull``: three shapes of images pushed and pulled with skopeo, then many concurrent pulls;
``--docker`` adds a Docker Engine. The four registries are the same program with the same storage settings on the same
disk, measured in turn. Each image is new, so that no registry has its blobs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import FOLDER, GIVEN, pulls
from benchmarks.clients import Client, Engine, Skopeo
from benchmarks.registries import BEHIND_EDGE, HTPASSWD, MY_IMAGES, OPEN, Registry, four
from benchmarks.relay import Traffic, counting
from benchmarks.tools import say, stopwatch, table
from tests.support.docker_engine import Docker

ALONE = "no registry"
_COLUMNS = (
    "What", "registry", "median s", "least s", "most s", f"to {OPEN}", f"to {BEHIND_EDGE}", f"to {HTPASSWD}", "MB/s",
    "MB on the wire", "requests", "of a token",
)  # fmt: skip
_MB = 1_000_000


@dataclass(frozen=True)
class Shape:
    """The shape of an image: number and size of its layers."""

    layers: int
    size: int

    def __str__(self) -> str:
        size = f"{self.size // _MB} MB" if self.size >= _MB else f"{self.size // 1000} kB"
        return f"{self.layers} × {size}"


FULL = (Shape(1, 100 * _MB), Shape(10, 10 * _MB), Shape(100, 100_000))
SMALL = (Shape(1, _MB), Shape(10, 100_000), Shape(20, 10_000))
MANY = Shape(10, 100_000)


@dataclass
class Figure:
    """An operation at a registry: seconds of each repetition, and the network traffic of another one."""

    what: str
    registry: str
    size: int
    seconds: list[float] = field(default_factory=list)
    traffic: Traffic | None = None

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)


class Figures:
    """All figures, in order of their first measurement."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Figure] = {}

    def of(self, what: str, registry: str, size: int = 0) -> Figure:
        """The figure; created if missing."""
        return self.rows.setdefault((what, registry), Figure(what, registry, size))

    def by_what(self) -> Iterator[list[Figure]]:
        """The figures grouped by operation."""
        for what in dict.fromkeys(figure.what for figure in self.rows.values()):
            yield [figure for figure in self.rows.values() if figure.what == what]


def timed(figure: Figure, action: Callable[..., object], *arguments: object) -> None:
    """Time an action, after syncing earlier writes to the disk."""
    os.sync()
    with stopwatch() as seconds:
        action(*arguments)
    figure.seconds.append(seconds())


def push_and_pull(
    client: Client, label: str, shape: Shape, registries: Sequence[Registry], repeat: int, figures: Figures
) -> None:
    """Push a new image to each registry and pull it again: first through the relay, then timed."""
    push, pull, image = f"{label}push {shape}", f"{label}pull {shape}", f"image{shape.layers}"
    for registry in registries:
        size = client.make(shape.layers, shape.size)
        for what in (push, pull):
            with counting(registry) as (counted, traffic):
                client.log_in(counted)
                if what == push:
                    client.load(counted, image, "counted")
                    client.push(counted, image, "counted")
                else:
                    client.pull(counted, image, "counted")
            client.forget()
            figures.of(what, registry.name, size).traffic = traffic
            registry.settle(image, "counted")
    for number in range(repeat):
        say(f"{push}: {number + 1} of {repeat}")
        for registry in registries:
            client.make(shape.layers, shape.size)
            client.log_in(registry)
            client.load(registry, image, f"v{number}")
            timed(figures.of(push, registry.name), client.push, registry, image, f"v{number}")
            client.forget()
            registry.settle(image, f"v{number}")
        for registry in registries:
            client.log_in(registry)
            timed(figures.of(pull, registry.name), client.pull, registry, image, f"v{number}")
            client.forget()


def alone(skopeo: Skopeo, shape: Shape, repeat: int, figures: Figures) -> None:
    """The time of skopeo itself: a copy from one folder to another."""
    for _ in range(repeat):
        size = skopeo.make(shape.layers, shape.size)
        target = f"dir:{skopeo.folder / 'pulled'}"
        timed(figures.of(f"folder to folder {shape}", ALONE, size), skopeo.copy, f"dir:{skopeo.source}", target)
        skopeo.forget()


def pull_at_once(skopeo: Skopeo, registries: Sequence[Registry], clients: int, repeat: int, figures: Figures) -> None:
    """Concurrent pulls of one image."""
    image, tag = "shared", "v1"
    size = skopeo.make(MANY.layers, MANY.size)
    for registry in registries:
        skopeo.log_in(registry)
        skopeo.push(registry, image, tag)
        registry.settle(image, tag)
    light, heavy = (f"{clients} pulls at once {MANY}, {how}" for how in ("light client", "skopeo"))
    for registry in registries:
        with counting(registry) as (counted, traffic):
            pulls.at_once(counted, image, tag, clients)
        figures.of(light, registry.name, clients * size).traffic = traffic
        with counting(registry) as (counted, traffic):
            skopeo.log_in(counted)
            skopeo.forget()
            skopeo.pull_at_once(counted, image, tag, clients)
        figures.of(heavy, registry.name, clients * size).traffic = traffic
    for number in range(repeat):
        say(f"{clients} pulls at once: {number + 1} of {repeat}")
        for registry in registries:
            timed(figures.of(light, registry.name), pulls.at_once, registry, image, tag, clients)
            skopeo.log_in(registry)
            skopeo.forget()
            timed(figures.of(heavy, registry.name), skopeo.pull_at_once, registry, image, tag, clients)
    skopeo.forget()


def run(shapes: Sequence[Shape], clients: int, repeat: int, cost: int, docker: bool) -> Figures:
    """Measure everything. Each shape has fresh registries, so that the disk only has images of one shape."""
    figures, skopeo = Figures(), Skopeo(FOLDER / "skopeo")
    try:
        for shape in shapes:
            with four(cost) as registries:
                push_and_pull(skopeo, "skopeo: ", shape, registries, repeat, figures)
                alone(skopeo, shape, repeat, figures)
        with four(cost) as registries:
            pull_at_once(skopeo, registries, clients, repeat, figures)
        if docker:
            engine = Docker()
            try:
                engine.start()
                with four(cost) as registries:
                    push_and_pull(Engine(engine), "docker: ", shapes[-1], registries, repeat, figures)
            finally:
                engine.stop()
    finally:
        shutil.rmtree(skopeo.folder, ignore_errors=True)
        if not GIVEN:
            shutil.rmtree(FOLDER, ignore_errors=True)
    return figures


def report(figures: Figures, repeat: int, cost: int) -> None:
    """Print the table."""
    rows = []
    for group in figures.by_what():
        medians = {figure.registry: figure.median for figure in group}
        for figure in group:
            traffic = figure.traffic
            rows.append(
                [
                    figure.what,
                    figure.registry,
                    figure.median,
                    min(figure.seconds),
                    max(figure.seconds),
                    *(
                        f"{figure.median / medians[name]:.2f}" if name in medians else "–"
                        for name in (OPEN, BEHIND_EDGE, HTPASSWD)
                    ),
                    figure.size / figure.median / _MB,
                    *(
                        (f"{traffic.bytes / _MB:,.3f}", traffic.requests, traffic.token_requests)
                        if traffic
                        else ("–", "–", "–")
                    ),
                ]
            )
    table(
        "Pushes and pulls",
        _COLUMNS,
        rows,
        [
            f"{repeat} repetitions, the registries in turn. All four are the same program with the same settings on "
            f"one disk. {OPEN}: the reference; it lets everybody in. {BEHIND_EDGE}: with the same reverse proxy in "
            f"front. {HTPASSWD}: a password file with bcrypt, cost "
            f"{cost or '5, which is what htpasswd -B makes'}. {MY_IMAGES}: started as make run starts it, with the "
            "console, PostgreSQL, notifications and the index.",
            "Every image is new and random; its layers are gzip already for skopeo; Docker compresses. MB/s: "
            "bytes of blobs, for many pulls at once those of all of them. Folder to folder: what skopeo takes for "
            "itself.",
            "Wire, requests: one more run, not timed, through a relay that counts the bytes of HTTP with headers, in "
            "both directions, to the registry and to the token server; requests are those to the registry.",
            "The light client does what an engine does for a pull, from the challenge to the last blob, without "
            "unpacking: it is the one to compare by. 64 processes of skopeo spend most of the time on themselves.",
        ],
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push_pull", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="how often each is timed")
    parser.add_argument("--clients", type=int, default=64, help="how many pull at once")
    parser.add_argument("--cost", type=int, default=0, help="of bcrypt in the password file; htpasswd's own when 0")
    parser.add_argument("--small", action="store_true", help="small images, for a quick look")
    parser.add_argument("--docker", action="store_true", help="a Docker Engine too, for the image of many layers")
    given = parser.parse_args()
    figures = run(SMALL if given.small else FULL, given.clients, given.repeat, given.cost, given.docker)
    report(figures, given.repeat, given.cost)


if __name__ == "__main__":
    main()
