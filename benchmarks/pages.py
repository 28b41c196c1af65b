"""Server time of each page, with a thousand images, and with a hundred thousand images and a million tags.

The pages are requested like by a browser, with compression, from Django in this process with production settings: the
figures are the server's own time, without network and queueing. "CPU" is the CPU time of Python and PostgreSQL, which
is more reliable than the wall-clock time on a busy machine. For comparison: the time to query the same data from the
registry, like a registry browser without an index.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.deletes import Storage
from benchmarks.seed import FAST, Plan, create_account, emptied, seed, tidy
from benchmarks.tools import installation, say, stopwatch, table
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.registry.connection import registry
from console.repositories.models import Image, Tag
from registry_client import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

ROUNDS = 15
SIZES = (1000, 100_000)
_WARM = 3
_COLUMNS = ("Page", "median ms", "p95 ms", "CPU ms", "queries", "bytes")


@dataclass(frozen=True)
class Figure:
    """Measurements of a page."""

    milliseconds: list[float]
    cpu: list[float]
    queries: int
    size: int

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return statistics.quantiles(self.milliseconds, n=20, method="inclusive")[-1]


def measure(client: Client, address: str, rounds: int = ROUNDS) -> Figure:
    """Request a page repeatedly.

    :raises RuntimeError: when it is not shown.
    """
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address)
    if response.status_code != 200:
        raise RuntimeError(f"{address} answers {response.status_code}")
    asked = len(queries)
    for _ in range(_WARM):
        client.get(address)
    taken, cpu = [], []
    for _ in range(rounds):
        begun, worked = time.perf_counter(), _work()
        client.get(address)
        taken.append((time.perf_counter() - begun) * 1000)
        cpu.append(_work() - worked)
    return Figure(taken, cpu, asked, len(response.content))


def _work() -> float:
    """CPU milliseconds of this process and its PostgreSQL process so far."""
    backend = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return time.process_time() * 1000 + int(backend.read_text().split()[0]) / 1e6


def list_pages(images: int, namespace: str) -> Iterator[tuple[str, str]]:
    """The measured pages of the list of images: name and URL."""
    yield "list, first page", "/images/"
    yield "list, 100 rows", "/images/?size=100"
    yield "list, middle page", f"/images/?page={max(1, images // 40)}"
    yield "list, last page", f"/images/?page={max(1, -(-images // 20))}"
    yield "list, last page of 100 rows", f"/images/?size=100&page={max(1, -(-images // 100))}"
    for text, what in (
        ("gatew", "beginning of a word"), ("atewa", "inside a word"), ("ay", "two letters"), ("a", "one letter"),
        ("team-1 pay api", "three words"), (f"{namespace}/web", "namespace and name"), ("ortfol", "nothing"),
    ):  # fmt: skip
        yield f"search “{text}”, {what}", f"/images/?q={text}"
    yield "search “a”, last page by name", f"/images/?q=a&sort=name&page={max(1, images // 20)}"
    for sort in ("name", "type", "namespace", "tags", "size", "pushed", "created"):
        yield f"sort by {sort}, ascending", f"/images/?sort={sort}"
        yield f"sort by {sort}, descending", f"/images/?sort=-{sort}"
        yield f"sort by {sort}, middle page", f"/images/?sort={sort}&page={max(1, images // 40)}"
    for text, what in (
        ("gatew", "beginning of a word"), ("ay", "two letters"), ("latest", "tag of all images"), ("ortfol", "nothing"),
        (f"{namespace}/web:1", "namespace, name and tag"), ("what for", "words of descriptions"),
    ):  # fmt: skip
        yield f"search everywhere “{text}”, {what}", f"/search/?q={text}"
    yield "one namespace", f"/images/?namespace={namespace}"
    yield "public", "/images/?type=public"
    yield "one namespace, private, search, by size", f"/images/?namespace={namespace}&type=private&q=work&sort=-size"
    yield "is there news?", "/images/-/version/"
    yield "Create Image", "/images/-/create/"
    yield "Usage guide", "/images/-/guide/"
    yield "namespaces", "/namespaces/"
    yield "namespaces by storage", "/namespaces/?sort=-storage&size=100"
    yield "storage of a namespace", f"/images/-/storage/{namespace}/"


def image_pages(image: Image) -> Iterator[tuple[str, str]]:
    """The measured pages of an image: name and URL."""
    start = f"/images/{image.repository}/"
    tag = Tag.objects.filter(image=image, subject="").order_by("pk").first()
    if tag is None:
        raise RuntimeError(f"{image.repository} has no tag")
    tags = f"{start}-/tags/"
    yield "overview", start
    yield "tags", tags
    yield "tags, 100 rows", f"{tags}?size=100"
    yield "tags, last page", f"{tags}?last=1"
    for sort in ("name", "size", "pushed", "pulls", "last-pull"):
        yield f"tags by {sort}, ascending", f"{tags}?sort={sort}"
        yield f"tags by {sort}, descending", f"{tags}?sort=-{sort}"
        yield f"tags by {sort}, last page", f"{tags}?sort={sort}&last=1"
    yield "search in tags", f"{tags}?q=9"
    yield "a tag", f"{start}-/tags/{tag.name}/"
    yield "settings", f"{start}-/settings/"
    yield "commands", f"{start}-/commands/"
    yield "is there news?", f"{start}-/version/"
    yield "Delete", f"{start}-/delete/"


def report(
    title: str, client: Client, pages: Iterable[tuple[str, str]], rounds: int, notes: Sequence[str] = ()
) -> dict[str, Figure]:
    """Measure pages and print them as a table; returns the figures by name."""
    rows, figures = [], {}
    for label, address in pages:
        figure = figures[label] = measure(client, address, rounds)
        cpu = statistics.median(figure.cpu)
        rows.append((label, figure.median, figure.p95, cpu, figure.queries, figure.size))
    table(title, _COLUMNS, rows, notes)
    return figures


def signed_in(account: Account) -> Client:
    """A client with a session of the account."""
    client = Client(headers={"Accept-Encoding": "gzip"}, SERVER_NAME="127.0.0.1")
    client.force_login(account)
    return client


def hand_out(accounts: Sequence[Account]) -> None:
    """Distribute the namespaces to these accounts, in turn."""
    for number, namespace in enumerate(Namespace.objects.order_by("pk")):
        owner = accounts[number % len(accounts)]
        if namespace.owner_id != owner.pk:
            Namespace.objects.filter(pk=namespace.pk).update(owner=owner)
    tidy()


# --- what it is compared with ---------------------------------------------------------------------------------------


def fill_registry(images: int, tags: int) -> list[str]:
    """Push so many small images with so many tags each to the registry; returns the repositories' names."""
    names = []
    for number in range(images):
        name = f"sample/app{number}"
        storage = Storage(name)
        layer = {"mediaType": DOCKER_LAYER, "digest": storage.put_blob(b"layer"), "size": 5}
        for tag in range(tags):
            config = json.dumps({"os": "linux", "architecture": "amd64", "n": [number, tag]}).encode()
            manifest = {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": {"mediaType": DOCKER_CONFIG, "digest": storage.put_blob(config), "size": len(config)},
                "layers": [layer],
            }
            storage.put_manifest(json.dumps(manifest).encode(), f"v{tag}")
        names.append(name)
    return names


ALL_NAMES = "all names, as a list or a search needs them"
TAG_NUMBERS = "numbers of tags of 20 images"
TAGS_PAGE = "20 tags with size and platform"


def ask_registry(images: int, tags: int, rounds: int) -> dict[str, float]:
    """Measure how long it takes to query the data of one page from the registry, and print it as a table.

    :return: the medians in milliseconds, by query.
    """
    names = fill_registry(images, tags)
    client, one = registry(), f"sample/app{images - 1}"
    if sorted(client.catalog()) != sorted(names):
        raise RuntimeError("the registry does not show what was put into it")

    def tags_of(repositories: Sequence[str]) -> None:
        for name in repositories:
            client.tags(name)

    def heads(repositories: Sequence[str], most: int) -> None:
        for name in repositories:
            for tag in client.tags(name)[:most]:
                client.resolve(name, tag)

    def tags_page() -> None:
        for tag in client.tags(one)[:20]:
            manifest = client.manifest(one, tag)
            client.read_blob(one, json.loads(manifest.content)["config"]["digest"], 1 << 20)

    shown = names[:20]
    measured: list[tuple[str, int, Callable[[], object], int]] = [
        (ALL_NAMES, -(-images // 1000), lambda: list(client.catalog()), rounds),
        (TAG_NUMBERS, 20, lambda: tags_of(shown), rounds),
        ("20 images with a HEAD for each tag", 20 * (1 + tags), lambda: heads(shown, tags), 3),
        ("all images with a HEAD for each tag, as a sort by size needs them", images * (1 + tags),
         lambda: heads(names, tags), 1),
        (TAGS_PAGE, 1 + 2 * min(20, tags), tags_page, rounds),
    ]  # fmt: skip
    rows = []
    for label, requests, call, times in measured:
        call()
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            call()
            taken.append((time.perf_counter() - begun) * 1000)
        rows.append((label, requests, statistics.median(taken)))
    table(
        f"The same, asked of the registry: {images:,} images with {tags} tags each",
        ("What is learnt", "requests", "median ms"),
        rows,
        [
            "One request after another on one open connection, without a page being made of the answers. The sample is"
            " small: the first figure and the fourth grow with the number of images, and the other tables have many"
            " times as many."
        ],
    )
    return {label: median for label, _requests, median in rows}


# --- the run --------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> dict[int, dict[str, Figure]]:
    """Seed, measure, print; returns the pages' figures by number of images."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=SIZES, help="one size after the other")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    found: dict[int, dict[str, Figure]] = {}
    with installation(options=FAST):
        call_command("collectstatic", interactive=False, verbosity=0)
        for images in given.images:
            found[images] = _one_size(images, len(given.images) > 1, given.rounds)
        if len(found) > 1:
            flat(found)
        ask_registry(500, 20, given.rounds)
    return found


def _one_size(images: int, fresh: bool, rounds: int) -> dict[str, Figure]:
    if fresh:
        emptied()
    everything = Account.objects.filter(name="Ann").first() or _seed(images)
    hand_out([everything])
    images, tags = Image.objects.count(), Tag.objects.count()
    wide = Image.objects.get(name="wide")
    ordinary = Image.objects.filter(tag_count__gt=0).exclude(pk=wide.pk).order_by("pk")[images // 2]
    size = f"{images:,} images, {tags:,} tags"
    client = signed_in(everything)
    figures = report(f"{size}, all of one account", client, list_pages(images, "team-0"), rounds)
    report(f"An image with {wide.tag_count:,} tags, of {size}", client, image_pages(wide), rounds)
    title = f"An image with {ordinary.tag_count} tags, of {size}"
    for label, figure in report(title, client, image_pages(ordinary), rounds).items():
        figures[f"image: {label}"] = figure
    say("Handing the namespaces out ...")
    others = [create_account(f"Account {number}") for number in range(Namespace.objects.count())]
    hand_out(others)
    account = others[1]
    own = Image.objects.filter(owner=account).count()
    report(
        f"{size}, spread over {len(others)} accounts; one that has {own:,} images",
        signed_in(account),
        list_pages(own, "team-1"),
        rounds,
    )
    return figures


def flat(found: dict[int, dict[str, Figure]]) -> None:
    """Print the growth of the pages' times from the smallest to the largest size."""
    least, most = min(found), max(found)
    rows = []
    for label in found[least]:
        small, large = found[least][label].median, found[most][label].median
        rows.append((label, small, large, large / small))
    table(
        f"Flat from {least:,} to {most:,} images",
        ("Page", f"{least:,}: median ms", f"{most:,}: median ms", "ratio"),
        rows,
        [f"One account has all images. Reference: the same page with {least:,} images; a ratio of 1 is flat."],
    )


def _seed(images: int) -> Account:
    with stopwatch() as seconds:
        account = create_account("Ann")
        seed(account.pk, Plan(images))
        say(f"Seeded in {seconds():.0f} s.")
    return account


if __name__ == "__main__":
    main()
