"""The worker's memory has a bound, whatever somebody pushes: measured in a process that indexes it."""

from __future__ import annotations

import datetime
import hashlib
import json
import os

import pytest
from django.db import connection
from django.utils import timezone

from console.registry.connection import registry
from console.registry.index.models import Hint
from console.repositories import pushed_digests
from console.repositories.models import Image, ImageDeletion, KeptManifest, Manifest, PushedDigest, Tag
from registry_client import DOCKER_FOREIGN_LAYER, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.index.documents import blob, index, oci, put
from tests.index.memory import measure
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.pushed_images import digest_of, present

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry_server")]

# With everything that the worker loads before its first job, and what it may take beyond that.
MOST = 300 << 20
GROWTH = 96 << 20
LARGEST = 4 << 20
# Before there was a bound, a hundred took 3.9 GB, and each of them 36 MB.
LARGE = 12


def image_named(name):
    return ImageFactory(namespace__name=f"memory-{os.urandom(4).hex()}", name=name)


def measured(work, action="look"):
    found = measure(connection.settings_dict["NAME"], work, action)
    print({key: f"{found[key] / 2**20:.0f} MiB" for key in ("before", "peak")}, found["errors"], found["log"][-300:])
    return found


def within(found, growth=GROWTH):
    assert found["peak"] < MOST
    assert found["peak"] - found["before"] < growth


def padded(document, size=LARGEST):
    """The manifest as bytes, with an annotation that makes it as large as the registry takes."""
    whole = json.dumps({**document, "annotations": {"padding": ""}}).encode()
    room = size - len(whole)
    return whole.replace(b'"padding": ""', b'"padding": "' + os.urandom(room // 2).hex().encode() + b'"')


def test_many_large_manifests_in_an_index(registry_server):
    image = image_named("large")
    document = oci(image.repository)
    children = [put(image.repository, None, padded(document)) for _ in range(LARGE)]
    put(image.repository, "1", index(*children), OCI_INDEX)

    found = measured({image.repository: ["1"]})

    assert found["errors"] == []
    assert Tag.objects.get(image=image).manifest.kind == Manifest.Kind.INDEX
    assert Manifest.objects.filter(image=image).count() == LARGE + 1
    within(found)

    other = ImageFactory(namespace=image.namespace).repository
    copied = measured({image.repository: [other, "1"]}, "copy")
    assert copied["errors"] == [] and present(registry(), other, "copy")
    within(copied)

    Image.objects.filter(pk=image.pk).update(state=Image.State.DELETING)
    ImageDeletion.objects.create(image=image, requested_by="x")
    deleted = measured({image.repository: []}, "delete")
    assert deleted["errors"] == [] and not Image.objects.filter(pk=image.pk).exists()
    within(deleted)


def test_many_of_the_largest_small_pushes(registry_server):
    image = image_named("many")
    hints = []
    for number in range(60):
        config = blob(image.repository, b"[" + b"[]," * 43000 + b"%d]" % number, OCI_CONFIG)
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [], "x": [[]] * 32000}
        raw = json.dumps(body, separators=(",", ":")).encode()
        put(image.repository, f"t{number}", raw)
        hints.append(Hint(repository=image.repository, tag=f"t{number}", digest=digest_of(raw)))
    Hint.objects.bulk_create(hints)

    found = measured({image.repository: []}, "follow")

    assert Tag.objects.filter(image=image).count() == 60
    within(found, 48 << 20)


def test_chains_of_indexes(registry_server):
    image = image_named("deep")
    below = put(image.repository, None, oci(image.repository))
    config = blob(image.repository, b"{}", OCI_CONFIG)
    for depth in range(16):
        children = [
            put(
                image.repository,
                None,
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_MANIFEST,
                    "config": config,
                    "layers": [],
                    "annotations": {"n": f"{depth} {number} " + "x" * 100_000},
                },
            )
            for number in range(12)
        ]
        below = put(image.repository, None, index(below, *children), OCI_INDEX)
    put(image.repository, "1", index(below), OCI_INDEX)

    found = measured({image.repository: ["1"]})

    assert found["errors"] == []
    within(found)


@pytest.mark.parametrize("raw", [b"[" * LARGEST, b"[" + b"[]," * ((LARGEST - 5) // 3) + b"1]"], ids=["[[[", "[],[],"])
def test_a_config_of_nothing_but_brackets(registry_server, raw):
    image = image_named("config")
    config = blob(image.repository, raw, OCI_CONFIG)
    put(image.repository, "1", {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []})

    found = measured({image.repository: ["1"]})

    assert found["errors"] == []
    within(found)


def test_as_many_layers_as_the_registry_takes(registry_server):
    repository, *others = repositories = [image_named(f"layers{number}").repository for number in range(4)]
    config = blob(repository, b"{}", OCI_CONFIG)
    layer = blob(repository, b"layer", OCI_LAYER)
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    room = LARGEST - len(json.dumps(body, separators=(",", ":")))
    short = {"digest": layer["digest"], "mediaType": OCI_LAYER, "size": 5}
    body["layers"] = [short] * (room // (len(json.dumps(short, separators=(",", ":"))) + 1))
    put(repository, "1", json.dumps(body, separators=(",", ":")).encode())
    for other in others:
        disk.copy(repository, other)

    found = measured({repository: ["1"] for repository in repositories})

    assert found["errors"] == []
    within(found)


# Manifests, layers of each: held together they took 111 MB more, and each further one 2 MB.
FOREIGN, FOREIGN_LAYERS = 40, 8600
CLEARING_GROWTH = 88 << 20


@pytest.fixture(scope="module")
def foreign(registry_server):
    """A repository with many manifests of many layers that need not be pushed, to be copied; and their digests."""
    repository = f"memory-{os.urandom(4).hex()}/foreign"
    config = blob(repository, b"{}", OCI_CONFIG)
    pushes = []
    for _ in range(FOREIGN):
        seed = os.urandom(8)
        layers = [
            {
                "mediaType": DOCKER_FOREIGN_LAYER,
                "digest": f"sha256:{hashlib.sha256(seed + b'%d' % number).hexdigest()}",
                "size": 1,
                "urls": ["https://mcr.microsoft.com/layer"],
            }
            for number in range(FOREIGN_LAYERS)
        ]
        document = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers}
        pushes.append(put(repository, None, json.dumps(document, separators=(",", ":")).encode(), DOCKER_MANIFEST))
    return repository, [one["digest"] for one in pushes]


def test_clearing_a_name_of_many_layers(foreign):
    image = image_named("cleared")
    repository = image.repository
    image.delete()
    pushed, digests = foreign
    disk.copy(pushed, repository)
    below = [{"mediaType": DOCKER_MANIFEST, "digest": digest, "size": 1} for digest in digests[FOREIGN // 2 :]]
    put(repository, "1", index(*below), OCI_INDEX)
    pushed_digests.remember((repository, digest) for digest in digests[: FOREIGN // 2])

    found = measured({repository: []}, "clear")

    assert found["errors"] == []
    assert not any(present(registry(), repository, digest) for digest in digests)
    assert not PushedDigest.objects.filter(repository=repository).exists()
    within(found, CLEARING_GROWTH)


def test_taking_back_many_layers_beside_many_that_stay(foreign):
    image = image_named("undone")
    repository = image.repository
    pushed, digests = foreign
    disk.copy(pushed, repository)
    stay, go = digests[: FOREIGN // 2], digests[FOREIGN // 2 :]
    since = timezone.now() - datetime.timedelta(hours=1)
    Hint.objects.bulk_create(Hint(repository=repository, tag=digest, digest=digest, pushed_at=since) for digest in stay)
    pushed_digests.remember((repository, digest) for digest in go)

    found = measured({repository: [since.isoformat()]}, "undo")

    assert found["errors"] == []
    assert all(present(registry(), repository, digest) for digest in stay)
    assert not any(present(registry(), repository, digest) for digest in go)
    assert not KeptManifest.objects.exists()
    within(found, CLEARING_GROWTH)
