"""Manifests, indexes and configurations of any content are read as far as they can be understood, and can be stored."""

from __future__ import annotations

import json

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from console.registry.index import parse
from console.repositories.models import Document, Manifest
from tests.fuzz import seeds, wild
from tests.fuzz.budget import examples
from tests.fuzz.checks import MEDIA_TYPES, check_config, check_manifest
from tests.support.factories import ImageFactory

DESCRIPTORS = wild.nearly(
    mediaType=st.sampled_from(["application/vnd.oci.image.config.v1+json", "x" * 300, "\0"]),
    digest=st.just(seeds.DIGEST) | wild.DIGESTS,
    size=st.integers(0, 5000) | wild.NUMBERS,
    platform=wild.nearly(
        os=st.sampled_from(["linux", "unknown", ""]) | wild.TEXTS,
        architecture=st.sampled_from(["amd64", "unknown"]) | wild.TEXTS,
        variant=st.just("v8") | wild.TEXTS,
    ),
    annotations=st.dictionaries(
        st.sampled_from(["vnd.docker.reference.type", "vnd.docker.reference.digest"]) | wild.TEXTS,
        wild.TEXTS,
        max_size=2,
    ),
)
GOOD = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": seeds.DIGEST, "size": 7}
PARTS = DESCRIPTORS.map(lambda part: {**GOOD, **part}) | st.just(GOOD) | DESCRIPTORS
MANIFESTS = wild.nearly(
    config=PARTS,
    layers=st.lists(PARTS, max_size=3),
    manifests=st.lists(PARTS, max_size=3),
    subject=PARTS,
    artifactType=wild.TEXTS,
    annotations=st.dictionaries(wild.TEXTS, wild.TEXTS, max_size=2),
)
MANY = st.lists(wild.TEXTS, max_size=3) | st.just(["x" * 5000] * 600)
MOMENTS = st.sampled_from(["2026-01-02T03:04:05Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
CONFIGURATIONS = wild.nearly(
    os=wild.TEXTS, architecture=wild.TEXTS, variant=wild.TEXTS, author=wild.TEXTS,
    created=MOMENTS | wild.TEXTS,
    config=wild.nearly(
        User=wild.TEXTS, Env=MANY, Cmd=MANY | wild.TEXTS, Entrypoint=MANY, WorkingDir=wild.TEXTS, StopSignal=wild.TEXTS,
        Labels=st.dictionaries(wild.TEXTS, wild.TEXTS, max_size=3),
        ExposedPorts=st.dictionaries(wild.TEXTS, wild.ANYTHING, max_size=3), Volumes=wild.ANYTHING,
    ),
    history=st.lists(wild.nearly(created=wild.TEXTS, created_by=wild.TEXTS, empty_layer=wild.LEAVES), max_size=3),
)  # fmt: skip


# Right but for one thing: what bounds a size or a text is seen only where everything else is right.
LONG = st.integers(80, 400).map(lambda length: "x" * length)
PLATFORMS = st.tuples(st.sampled_from(["os", "architecture", "variant"]), wild.TEXTS | LONG).map(
    lambda pair: {"platform": {"os": "linux", "architecture": "amd64", pair[0]: pair[1]}}
)
BENT = st.builds(
    lambda bent: {"config": GOOD, "layers": [{**GOOD, **bent}], "manifests": [{**GOOD, **bent}]},
    wild.NUMBERS.map(lambda number: {"size": number}) | PLATFORMS,
)


@st.composite
def encoded(draw, documents):
    """As JSON, in one of the ways to write it, at times with a key twice."""
    text = json.dumps(draw(documents), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()) and text.startswith('{"'):
        text = '{"config": null, "size": 1e999, ' + text[1:]
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-8-sig"])), "surrogatepass")


CONTENTS = encoded(MANIFESTS) | encoded(BENT) | st.sampled_from(seeds.MANIFEST_BODIES) | st.binary(max_size=30)
KINDS = st.sampled_from(MEDIA_TYPES) | st.just("x" * 500)


@given(KINDS, CONTENTS)
@examples(300)
def test_manifests(cases, media_type, content):
    cases("manifest")
    check_manifest(media_type, content)


@given(encoded(CONFIGURATIONS) | st.sampled_from(seeds.CONFIGURATIONS))
@examples(200)
def test_configurations(cases, content):
    cases("image configuration")
    check_config(content)


@pytest.fixture
def image(db):
    return ImageFactory()


@given(KINDS, CONTENTS, encoded(CONFIGURATIONS))
@examples(80)
def test_the_database_takes_it(cases, image, media_type, content, configuration):
    """Columns have lengths, ``bigint`` has an end, and ``jsonb`` has no NUL."""
    cases("manifest in the database")
    found = check_manifest(media_type, content)
    parse.add_config(found, configuration)
    with transaction.atomic():
        Document.objects.create(
            digest=found.digest, media_type=found.media_type, content=found.content, config=found.config
        )
        row = Manifest.objects.create(
            image=image, digest=found.digest, media_type=found.media_type, kind=found.kind, size=found.size,
            platforms=found.platforms, blobs=found.blobs, children=found.children, artifact_type=found.artifact_type,
            subject=found.subject, created_at=found.created_at,
        )  # fmt: skip
        stored = Manifest.objects.get(pk=row.pk)
        assert (stored.size, stored.platforms, stored.children) == (found.size, found.platforms, found.children)
        assert Document.objects.get(digest=found.digest).config == found.config
        transaction.set_rollback(True)
