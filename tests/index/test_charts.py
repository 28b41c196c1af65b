"""What is read of a Helm chart's configuration, and that charts of before are read again."""

import importlib
import json

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from console.registry.connection import registry
from console.registry.index import hints
from console.registry.index.hints import Notice, remember, sync_all
from console.registry.index.parse import CONFIG_LIMIT, Reading, add_config, shown_chart
from console.registry.index.reconcile_repository import reconcile_one
from console.repositories.media_types import HELM_CHART
from console.repositories.models import Document, Manifest
from registry_client import Descriptor
from tests.index.documents import oci, put
from tests.support.factories import ImageFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import push_blob

CHART = {
    "apiVersion": "v2", "name": "ledger", "version": "1.10.0+build.5", "appVersion": "2.1",
    "description": "Keeps books.", "type": "application", "kubeVersion": ">=1.25", "home": "https://example.com",
    "keywords": ["books", 7], "sources": ["https://example.com/source"], "icon": "https://example.com/icon.svg",
    "maintainers": [{"name": "Ann", "email": "ann@example.com"}, "Ben", {"email": "nobody"}],
    "dependencies": [{"name": "postgresql", "version": "15.x", "repository": "oci://example.com/charts", "tags": [1]}],
    "deprecated": True, "annotations": {"a": "b"},
}  # fmt: skip
SHOWN = {
    "name": "ledger", "version": "1.10.0+build.5", "app_version": "2.1", "description": "Keeps books.",
    "type": "application", "kube_version": ">=1.25", "home": "https://example.com", "keywords": ["books"],
    "sources": ["https://example.com/source"], "maintainers": [{"name": "Ann", "email": "ann@example.com"}],
    "dependencies": [{"name": "postgresql", "version": "15.x", "repository": "oci://example.com/charts"}],
    "deprecated": True,
}  # fmt: skip
MIGRATION = importlib.import_module("console.repositories.migrations.0008_read_charts_again")


@pytest.fixture
def image(registry_server, db):
    return ImageFactory()


def push(image, tag, config=None):
    content = json.dumps(CHART).encode() if config is None else config
    return put(image.repository, tag, oci(image.repository, config=content, config_type=HELM_CHART))


def config_of(tag, image):
    return Document.objects.get(digest=image.tags.get(name=tag).manifest.digest).config


def test_a_chart_read_by_itself_and_in_a_batch(image, monkeypatch):
    monkeypatch.setattr(hints, "_GATHERING_SECONDS", 0)
    push(image, "1.10.0_build.5")
    reread_tag(image.repository, "1.10.0_build.5")
    assert config_of("1.10.0_build.5", image) == {"chart": SHOWN}
    push(image, "2", json.dumps({**CHART, "name": "other"}).encode())
    remember([Notice(image.repository, "2", None, "ann")])
    left = []
    sync_all(left.append)
    assert left == []
    assert config_of("2", image) == {"chart": {**SHOWN, "name": "other"}}
    assert set(image.manifests.values_list("kind", "artifact_type")) == {("artifact", HELM_CHART)}


@pytest.mark.parametrize(
    "config",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": ["ledger"], "version": 7}',
        b'{"maintainers": {"name": "x"}, "keywords": "one", "dependencies": [[]], "description": null}',
        b'{"name": "\\u0000\\ud800", "description": "\\u0000"}',
        b'{"description": "' + b"x" * 100_000 + b'"}', b'{"deprecated": "yes"}', b'{"version": NaN}',
    ],
)  # fmt: skip
def test_configurations_of_every_kind(image, config):
    push(image, "v1", config)
    reread_tag(image.repository, "v1")
    manifest = image.tags.get(name="v1").manifest
    assert (manifest.kind, manifest.artifact_type) == ("artifact", HELM_CHART)
    assert len(json.dumps(config_of("v1", image))) < 10_000


def test_one_that_is_too_large_or_not_there(image):
    for tag, size in (("large", CONFIG_LIMIT + 1), ("small", 3)):
        manifest = oci(image.repository)
        manifest["config"] = {
            "mediaType": HELM_CHART,
            "digest": push_blob(registry(), image.repository, b"{}"),
            "size": size,
        }
        put(image.repository, tag, manifest)  # fmt: skip
        reread_tag(image.repository, tag)
        assert config_of(tag, image) == {}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*CHART, "other"]), json_values))
def test_any_json(document):
    reading = Reading("", "", b"", config_descriptor=Descriptor("sha256:" + "0" * 64, HELM_CHART, 2))
    add_config(reading, json.dumps(document).encode())
    assert reading.config in ({}, {"chart": shown_chart(document)})
    json.dumps(reading.config).encode()


def test_charts_of_before_are_read_again_once(image):
    push(image, "1")
    reread_tag(image.repository, "1")
    # As an earlier version wrote it.
    Document.objects.update(config={})
    assert not reconcile_one(image.repository).changed
    assert config_of("1", image) == {}, "what was read to its end is not read again"
    with connection.cursor() as cursor:
        cursor.execute(MIGRATION.AGAIN)
    assert image.manifests.get().kind == Manifest.Kind.UNREAD
    reconcile_one(image.repository)
    assert config_of("1", image) == {"chart": SHOWN}
    assert image.manifests.get().kind == Manifest.Kind.ARTIFACT
    with connection.cursor() as cursor:
        cursor.execute(MIGRATION.AGAIN)
        cursor.execute(MIGRATION.AS_IT_WAS)
    assert image.manifests.get().kind == Manifest.Kind.ARTIFACT
