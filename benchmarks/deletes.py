"""Deletion of all tags of an image: the product's algorithm against deleting digests one by one.

``python -m benchmarks.deletes [TAGS …]``: images with so many tags (100, 1,000 and 10,000 by default), each tag with
its own manifest, config and layer, and a layer that all share. The data is written to the registry's storage, and read
back through its API before the measurement.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import random
import time
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from benchmarks import FOLDER, tools
from console.accounts.models import Account, RegistryCredential
from console.namespaces.models import Namespace
from console.registry.connection import registry
from console.repositories import services
from console.repositories.models import Image, ImageDeletion, Manifest, Tag
from registry_client import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

# Deleting 10,000 digests one by one takes most of an hour: so many are timed, the rest is extrapolated.
SAMPLE = 100
CHOSEN = 100
_LAYER_BYTES = 256
_ROWS_AT_ONCE = 2000


class Storage:
    """The registry's storage folder (Distribution, "storage driver paths"), written directly."""

    def __init__(self, repository: str) -> None:
        root = FOLDER / "registry" / "data" / "docker" / "registry" / "v2"
        self.blobs, self.repository = root / "blobs" / "sha256", root / "repositories" / repository

    def put_blob(self, content: bytes) -> str:
        """Store a blob with its link; returns its digest."""
        digest = self._store(content)
        _write(self.repository / "_layers" / "sha256" / digest / "link", f"sha256:{digest}".encode())
        return f"sha256:{digest}"

    def put_manifest(self, content: bytes, tag: str) -> str:
        """Store a manifest with a tag; returns its digest."""
        digest = self._store(content)
        link = f"sha256:{digest}".encode()
        manifests = self.repository / "_manifests"
        _write(manifests / "revisions" / "sha256" / digest / "link", link)
        _write(manifests / "tags" / tag / "current" / "link", link)
        _write(manifests / "tags" / tag / "index" / "sha256" / digest / "link", link)
        return f"sha256:{digest}"

    def _store(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        _write(self.blobs / digest[:2] / digest / "data", content)
        return digest


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def seed(namespace: Namespace, name: str, tags: int) -> Image:
    """Create an image with so many tags, in the registry and in the index."""
    image = Image.objects.create(namespace=namespace, name=name)
    storage = Storage(image.repository)
    shared = os.urandom(_LAYER_BYTES)
    base = {"mediaType": DOCKER_LAYER, "digest": storage.put_blob(shared), "size": len(shared)}
    now = timezone.now()
    manifests = []
    for number in range(tags):
        config = json.dumps({"os": "linux", "architecture": "amd64", "nonce": os.urandom(8).hex()}).encode()
        layer = os.urandom(_LAYER_BYTES)
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": DOCKER_CONFIG, "digest": storage.put_blob(config), "size": len(config)},
            "layers": [base, {"mediaType": DOCKER_LAYER, "digest": storage.put_blob(layer), "size": len(layer)}],
        }
        digest = storage.put_manifest(json.dumps(manifest).encode(), f"build-{number:06}")
        manifests.append(
            Manifest(
                image=image,
                digest=digest,
                media_type=DOCKER_MANIFEST,
                kind=Manifest.Kind.IMAGE,
                size=len(config) + 2 * _LAYER_BYTES,
                platforms=["linux/amd64"],
                blobs=[manifest["config"]["digest"], base["digest"], manifest["layers"][1]["digest"]],
            )
        )
    Manifest.objects.bulk_create(manifests, batch_size=_ROWS_AT_ONCE)
    Tag.objects.bulk_create(
        [
            Tag(
                image=image,
                manifest=manifest,
                name=f"build-{number:06}",
                pushed_at=now - datetime.timedelta(minutes=tags - number),
            )
            for number, manifest in enumerate(manifests)
        ],
        batch_size=_ROWS_AT_ONCE,
    )
    Image.objects.filter(pk=image.pk).update(tag_count=tags)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _check(image, tags)
    return image


def _check(image: Image, tags: int) -> None:
    """Check that the registry can read the written data."""
    assert len(registry().tags(image.repository)) == tags
    number = random.randrange(tags)
    manifest = registry().manifest(image.repository, f"build-{number:06}")
    for digest in manifest.references:
        assert b"".join(registry().blob(image.repository, digest))


def naive(image: Image, tags: int) -> tuple[float, int]:
    """Seconds for deleting digests one by one, and how many of them were timed."""
    sample = min(tags, SAMPLE)
    digests = list(Tag.objects.filter(image=image).order_by("name").values_list("manifest__digest", flat=True)[:sample])
    with tools.stopwatch() as seconds:
        for digest in digests:
            registry().delete_manifest(image.repository, digest)
    if sample == tags:
        return seconds(), sample
    # The registry reads all remaining tags for each: on average half of what the first deletions read.
    return seconds() / sample * tags * (tags / 2) / (tags - sample / 2), sample


def chosen(image: Image, owner: Account) -> tuple[float, int]:
    """Seconds for deleting some tags of the image with the product, and how often their number changed."""
    names = list(Tag.objects.filter(image=image).order_by("-name").values_list("name", flat=True)[:CHOSEN])
    seen: set[int] = set()
    with tools.worker(), tools.stopwatch() as seconds:
        services.mark_tags_for_deletion(owner, image, names)
        while left := Manifest.objects.filter(image=image).filter(Q(doomed=True) | Q(tags__name__in=names)).count():
            seen.add(left)
            time.sleep(0.1)
    assert not set(names) & set(registry().tags(image.repository))
    return seconds(), len(seen)


def product(image: Image, owner: Account) -> tuple[float, float, int]:
    """Seconds from the request until the image is gone, CPU seconds, and how often the progress changed."""
    seen: list[int] = []
    with tools.worker(), tools.stopwatch() as seconds:
        before = tools.cpu_seconds()
        services.mark_image_for_deletion(owner, image)
        while (deletion := ImageDeletion.objects.filter(image_id=image.pk).first()) is not None:
            if deletion.done not in seen:
                seen.append(deletion.done)
            time.sleep(0.1)
        used = tools.cpu_seconds() - before
    assert seen == sorted(seen), "the progress went back"
    assert registry().tags(image.repository) == []
    repository = Storage(image.repository).repository
    left = [link for folder in ("_layers", "_manifests") for link in (repository / folder).rglob("link")]
    assert not left, f"{len(left)} links were left, {left[0]} among them"
    return seconds(), used, len(seen)


def run(sizes: list[int]) -> None:
    """Measure each size and print the table."""
    rows = []
    with tools.installation():
        owner = Account.objects.create(name="Ann")
        RegistryCredential.objects.create(
            account=owner,
            username=owner.account_id,
            password=make_password(os.urandom(16).hex()),
            activated_at=timezone.now(),
        )
        namespace = Namespace.objects.create(owner=owner, name="team")
        for tags in sizes:
            tools.say(f"{tags} tags: writing them down ...")
            other, image = (seed(namespace, f"{name}-{tags}", tags) for name in ("naive", "product"))
            tools.say(f"{tags} tags: deleting ...")
            by_product, used, moves = product(image, owner)
            one_by_one, timed = naive(other, tags)
            some, steps = chosen(other, owner) if tags > 2 * CHOSEN else ("–", "–")
            rows.append(
                [tags, by_product, used, moves, one_by_one, timed, f"{one_by_one / by_product:.1f}", some, steps]
            )
    tools.table(
        "Deleting all tags of an image, each with a manifest of its own",
        [
            "tags",
            "My Images, s",
            "of processors, s",
            "progress moved",
            "digest by digest, s",
            "of these timed",
            "ratio",
            f"{CHOSEN} chosen tags, s",
            "progress moved",
        ],
        rows,
        [
            f"Digest by digest: {SAMPLE} deletions are timed at full size, one after another, and reckoned up to all "
            "of them, each costing in proportion to the tags that are left then, which is what the registry reads. "
            "Blobs stay linked, as they do for whoever deletes so.",
            "My Images: from the request to the end of the image's row, with the repository's links to the blobs. Its "
            "processor time is that of the worker, the registry and PostgreSQL together.",
        ],
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deletes", description=__doc__)
    parser.add_argument("tags", nargs="*", type=int, default=[100, 1_000, 10_000], help="how many tags an image has")
    run(parser.parse_args().tags)


if __name__ == "__main__":
    main()
