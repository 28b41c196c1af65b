"""Load test of the console with many concurrent users: pages per second, and latency.

Each user is a persistent connection with its own session, to the console as in production. First without think time:
each user requests the next page as soon as the last one has arrived, which is the maximum load of so many users. Then
with think time between pages. ``wrk`` generates the load and measures what its users see.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

from benchmarks import FOLDER
from benchmarks.pages import hand_out
from benchmarks.seed import FAST, Plan, create_account, seed
from benchmarks.tools import console, installation, say, stopwatch, table
from console.accounts.models import Account
from console.repositories.models import Image, Tag

USERS, ACCOUNTS, IMAGES, TAGS = 300, 100, 100, 50
SECONDS = 30
# Think time: milliseconds from a response to the next request, uniformly distributed.
THINKING = (1000, 5000)
# Rows per page, for the number of pages of an account.
_PAGE = 20
_HTML, _TEXT = "text/html", "text/plain"


@dataclass(frozen=True)
class Person:
    """The pages that an account can request."""

    images: Sequence[str]
    tags: int
    chance: random.Random

    @property
    def start(self) -> str:
        """The URL of a random image of the account."""
        return f"/images/{self.chance.choice(self.images)}/"

    def page_of(self, count: int) -> int:
        """A random page of a list with ``count`` rows, not the first if there are several."""
        return self.chance.randint(min(2, -(-count // _PAGE)), -(-count // _PAGE))

    @property
    def tag(self) -> str:
        """The name of a tag that every image has."""
        n = self.chance.randrange(self.tags)
        return f"{n // 100}.{n // 10 % 10}.{n % 10}" if n else "latest"


# Kind of page, weight, content type, URL.
MIX: Sequence[tuple[str, int, str, Callable[[Person], str]]] = (
    ("list", 20, _HTML, lambda one: "/images/"),
    ("list, another page", 10, _HTML, lambda one: f"/images/?page={one.page_of(len(one.images))}"),
    ("list, sorted", 10, _HTML, lambda one: f"/images/?sort={one.chance.choice(('name', '-size', '-pushed', 'tags'))}"),
    ("search", 15, _HTML, lambda one: f"/images/?q={one.chance.choice(('gate', 'api', 'work', 'pay', 'web/'))}"),
    ("tags", 20, _HTML, lambda one: f"{one.start}-/tags/"),
    ("tags, another page", 5, _HTML, lambda one: f"{one.start}-/tags/?page={one.page_of(one.tags)}"),
    ("a tag", 10, _HTML, lambda one: f"{one.start}-/tags/{one.tag}/"),
    ("is there news?", 10, _TEXT, lambda one: "/images/-/version/"),
)
LIST = MIX[:1]
# What an open page asks: each second while it is used, each half minute when it is idle (static/js/watch.js).
POLLS = MIX[-1:]
USED_SECONDS, IDLE_SECONDS = 1, 30
# Django answers without a session, without the database and without a page.
NOTHING = (("nothing", 1, _TEXT, lambda one: "/healthz"),)
# Number of random pages for each user; then they are repeated.
_DRAWN = 500
# The server is idle when so many consecutive responses are fast.
_QUICK_ANSWERS = 20


@dataclass
class Result:
    """Measurements of all users."""

    seconds: float
    # Milliseconds, by kind of page.
    taken: dict[str, list[float]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    # Milliseconds of unanswered requests at the end.
    waiting: list[float] = field(default_factory=list)
    # Number of responses of each user.
    each: list[int] = field(default_factory=list)

    @property
    def everything(self) -> list[float]:
        """Milliseconds of all kinds of pages."""
        return [one for kind in self.taken.values() for one in kind]

    @property
    def rate(self) -> float:
        """Successful responses per second."""
        return (len(self.everything) - self.refused.total()) / self.seconds

    @property
    def good(self) -> float:
        """Successful responses in per cent of all requests, including those with a closed connection."""
        asked = len(self.everything) + self.lost
        return 100 * (len(self.everything) - self.refused.total()) / max(1, asked)


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile."""
    if len(milliseconds) < 2:
        return (*(milliseconds or [float("nan")]),) * 3
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def fill(accounts: int, images: int, tags: int) -> list[Account]:
    """Create so many accounts with so many images each, each with so many tags."""
    with stopwatch() as seconds:
        people = [create_account(f"Account {number}") for number in range(accounts)]
        seed(people[0].pk, Plan(accounts * images, tags, documents=1, even=accounts))
        hand_out(people)
    shape = Image.objects.filter(owner=people[-1]).count(), Tag.objects.filter(subject="").count()
    if shape != (images, accounts * images * tags):
        raise RuntimeError(f"seeded {shape}")
    say(f"Seeded {shape[1]:,} tags in {seconds():.0f} s.")
    return people


@dataclass(frozen=True)
class User:
    """A user: the account, and the cookie of its session."""

    person: Person
    cookie: str


def sign_in(people: Sequence[Account], users: int, tags: int) -> list[User]:
    """Create a session for each user, with the accounts in turn."""
    found = []
    for number in range(users):
        account, client = people[number % len(people)], Client()
        client.force_login(account)
        client.get("/images/", headers={"host": settings.CONSOLE_URL.partition("//")[2]})
        # All cookies, like a browser.
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
        images = list(Image.objects.filter(owner=account).order_by("pk").values_list("full_name", flat=True))
        found.append(User(Person(images, tags, random.Random(number)), cookie))
    return found


def check(users: Sequence[User]) -> None:
    """Check that each kind of page is served.

    :raises RuntimeError: when one is not.
    """
    for kind, _weight, content, address in (*MIX, *NOTHING):
        path = address(users[-1].person)
        request = urllib.request.Request(settings.CONSOLE_URL + path, headers={"Cookie": users[-1].cookie})
        with urllib.request.urlopen(request, timeout=60) as response:
            if response.url != request.full_url or not response.headers["Content-Type"].startswith(content):
                raise RuntimeError(f"{kind}: {path} is not shown")


@contextmanager
def _scripts(users: Sequence[User], mix: Sequence[tuple[str, int, str, Callable[[Person], str]]]) -> Iterator[Path]:
    with TemporaryDirectory(dir=FOLDER, prefix="load-") as name:
        for number, user in enumerate(users, 1):
            drawn = user.person.chance.choices(range(len(mix)), [weight for _, weight, _, _ in mix], k=_DRAWN)
            lines = [f"{kind} {mix[kind][2]} {mix[kind][3](user.person)}" for kind in drawn]
            (Path(name) / str(number)).write_text("\n".join([user.cookie, *lines]))
        yield Path(name)


def run(
    users: Sequence[User],
    mix: Sequence[tuple[str, int, str, Callable[[Person], str]]],
    seconds: int,
    thinking: tuple[int, int] | None = None,
) -> Result:
    """Run the load of all users for so many seconds.

    :param thinking: minimum and maximum think time in milliseconds; none by default.
    """
    with _scripts(users, mix) as folder:
        count = str(len(users))
        command = [
            "wrk", "--threads", count, "--connections", count, "--duration", f"{seconds}s", "--timeout", "120s",
            "--script", str(Path(__file__).with_name("load.lua")), settings.CONSOLE_URL,
            "--", str(folder), *map(str, thinking or (0, 0)),
        ]  # fmt: skip
        _wait_until_idle()
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return _read(out, [kind for kind, *_ in mix], seconds)


def _wait_until_idle() -> None:
    """Wait until the last requests of the previous users are finished, although they have disconnected."""
    quick = 0
    while quick < _QUICK_ANSWERS:
        with stopwatch() as seconds, urllib.request.urlopen(f"{settings.CONSOLE_URL}/healthz", timeout=300):
            pass
        quick = quick + 1 if seconds() < 0.1 else 0


def _read(out: str, kinds: Sequence[str], seconds: int) -> Result:
    result = Result(seconds, {kind: [] for kind in kinds})
    lines = iter(out.splitlines())
    for line in lines:
        first, *rest = line.split()[:3] or [""]
        if first == "user":
            result.lost += int(rest[0])
            result.each.append(0)
            if int(rest[1]):
                result.waiting.append(int(rest[1]) / 1000)
        elif first.isdigit() and result.each:
            kind = kinds[int(first)]
            result.taken[kind].append(int(rest[1]) / 1000)
            result.refused[kind] += rest[0] == "0"
            result.each[-1] += 1
    return result


_COLUMNS = ("answers a second", "good %", "p50 ms", "p95 ms", "p99 ms")
_NOTES = (
    "Good: status 200 and the right content type; a connection that was closed in the middle is not.",
    "Of a user: the answers of the one who had fewest and of the one who had most. Unanswered: requests that were under"
    " way at the end, and how long the oldest had waited; they are in no other column.",
    "Reference: /healthz, which Django answers without a session, without the database and without a page, asked for by"
    " the same users in the same run.",
    "For this shape (300 users, 500,000 tags, nobody thinks) a well-known peer published 8.7 lists a second with a p95"
    " of 56 s: published by a well-known peer on its own hardware, not measured here.",
)


def summary(served: str, size: str, runs: Sequence[tuple[str, Result]]) -> None:
    """Print the results of all runs. The last one is the reference."""
    reference = runs[-1][1].rate or float("nan")
    rows = [
        (
            name, result.rate, f"{result.rate / reference:.3f}", result.good, *percentiles(result.everything),
            f"{min(result.each)}–{max(result.each)}",
            f"{len(result.waiting)}, {max(result.waiting, default=0) / 1000:.1f} s",
        )
        for name, result in runs
    ]  # fmt: skip
    columns = ("Load", _COLUMNS[0], "× reference", *_COLUMNS[1:], "of a user", "unanswered")
    table(f"{size}; served by {served}", columns, rows, _NOTES)


def by_kind(title: str, result: Result) -> None:
    """Print the latency of each kind of page."""
    rows = []
    for kind, taken in result.taken.items():
        if taken:
            good = len(taken) - result.refused[kind]
            rows.append((kind, good / result.seconds, 100 * good / len(taken), *percentiles(taken)))
    table(title, ("Page", *_COLUMNS), rows)


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, Result]]:
    """Seed, serve, measure; returns the runs by server configuration and kind of load."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--images", type=int, default=IMAGES, help="of each account")
    parser.add_argument("--tags", type=int, default=TAGS, help="of each image")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each run")
    parser.add_argument("--served", nargs="*", metavar="WORKERSxTHREADS", help="how; as an installation does by itself")
    parser.add_argument("--quick", action="store_true", help="only the list and the mix, without time to think")
    given = parser.parse_args(arguments)
    found: dict[str, dict[str, Result]] = {}
    with installation(registry=False, options=FAST):
        call_command("collectstatic", interactive=False, verbosity=0)
        users = sign_in(fill(given.accounts, given.images, given.tags), given.users, given.tags)
        connections.close_all()
        size = (
            f"{given.users} users of {given.accounts} accounts, with {given.images} images each,"
            f" with {given.tags} tags each"
        )
        for served in given.served or [""]:
            workers, _, threads = served.partition("x")
            variables = {"WEB_WORKERS": workers, "WEB_THREADS": threads} if served else {}
            name = f"{workers} processes of {threads} threads" if served else "as many processes as by itself"
            # The server's command is built from this process's environment variables.
            with console(**variables):
                check(users)
                say(f"{name} ...")
                found[name] = _all(users, given.seconds, given.quick)
            summary(name, size, list(found[name].items()))
            for title, result in found[name].items():
                if len(result.taken) > 1:
                    by_kind(f"{title}, {name}", result)
    return found


def _all(users: Sequence[User], seconds: int, quick: bool) -> dict[str, Result]:
    runs = {"the list, nobody thinks": run(users, LIST, seconds), "the mix, nobody thinks": run(users, MIX, seconds)}
    runs["polls of open pages"] = polls = run(users, POLLS, seconds)
    say(
        f"{polls.rate:.0f} polls a second: {polls.rate * USED_SECONDS:,.0f} open pages in use,"
        f" or {polls.rate * IDLE_SECONDS:,.0f} idle ones."
    )
    if not quick:
        thinking = f"think {THINKING[0] // 1000}–{THINKING[1] // 1000} s"
        runs[f"the list, {thinking}"] = run(users, LIST, seconds, THINKING)
        runs[f"the mix, {thinking}"] = run(users, MIX, seconds, THINKING)
    runs["reference: nothing, nobody thinks"] = run(users, NOTHING, max(2, seconds // 3))
    return runs


if __name__ == "__main__":
    main()
