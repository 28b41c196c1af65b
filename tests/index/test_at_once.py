"""Hints at many tags of one image are followed with a few statements, and come to the same as one by one."""

import datetime
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.registry.index import sync
from console.registry.index.hints import Notice, remember, sync_repository
from console.registry.index.models import Hint
from console.registry.tombstone import TOMBSTONE
from console.repositories.models import Image, Manifest, Tag
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, RegistryError
from tests.index.documents import index
from tests.index.test_served import fake
from tests.support.factories import ImageFactory
from tests.support.http_servers import Reply, error_reply
from tests.support.pushed_images import digest_of

__all__ = ["fake"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def image():
    return ImageFactory()


@pytest.fixture
def serve(fake):
    """Lets the registry have an ordinary image under a tag; how large the image is."""

    def serve(tag, layers=1):
        config = json.dumps({"os": "linux", "architecture": "amd64", "tag": tag}).encode()
        fake.blobs[digest_of(config)] = Reply(200, config, {"Content-Type": "application/octet-stream"})
        layer = {"mediaType": OCI_LAYER, "digest": digest_of(b"layer"), "size": 5}
        document = {
            "schemaVersion": 2,
            "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [layer] * layers,
        }
        fake.serve(tag, document)
        return len(config) + 5 * layers

    return serve


def hint(image, *tags):
    remember([Notice(image.repository, tag, timezone.now() - datetime.timedelta(minutes=1), "ann") for tag in tags])


def indexed(image):
    return set(image.tags.values_list("name", flat=True))


def test_the_number_of_statements_does_not_grow_with_the_tags(image, serve):
    def count(tags):
        for tag in tags:
            serve(tag)
        hint(image, *tags)
        with CaptureQueriesContext(connection) as queries:
            assert sync_repository(image.repository) == len(tags)
        assert indexed(image) >= set(tags)
        return len(queries)

    assert count(["a1", "a2"]) == count([f"b{number}" for number in range(20)])
    image.refresh_from_db()
    assert image.tag_count == 22
    assert set(image.tags.values_list("pushed_by", flat=True)) == {"ann"}


def test_what_is_out_of_the_ordinary_among_them(image, serve, fake):
    fake.serve("list", index(), OCI_INDEX)
    fake.serve("tombstone", TOMBSTONE)
    fake.manifests["broken"] = error_reply(500, "UNKNOWN")
    serve("large", layers=2000)
    for tag in ("one", "two", "gone"):
        serve(tag)
    hint(image, "gone")
    sync_repository(image.repository)
    del fake.manifests["gone"]
    hint(image, "one", "gone", "list", "tombstone", "broken", "large", "never", "two")
    with pytest.raises(RegistryError):
        sync_repository(image.repository)
    assert indexed(image) == {"one", "two", "list", "large"}
    assert [left.tag for left in Hint.objects.all()] == ["broken"]
    image.refresh_from_db()
    assert image.tag_count == 4


@pytest.mark.parametrize("reply", [error_reply(403, "DENIED"), error_reply(404, "BLOB_UNKNOWN"), Reply(200, b"[")])
def test_a_configuration_that_cannot_be_read_holds_up_no_other(image, serve, fake, reply):
    serve("good")
    serve("bad")
    fake.blobs[list(fake.blobs)[-1]] = reply
    hint(image, "bad", "good")
    try:
        sync_repository(image.repository)
    except RegistryError:
        assert Hint.objects.get().tag == "bad"
    assert "good" in indexed(image)


def during(monkeypatch, act):
    """Do something when the registry was asked and nothing is written down yet."""
    read_before = sync.store.read_before

    def first(*arguments):
        monkeypatch.setattr(sync.store, "read_before", read_before)
        act()
        return read_before(*arguments)

    monkeypatch.setattr(sync.store, "read_before", first)


def test_a_tag_that_was_written_down_meanwhile_is_read_again(image, serve, monkeypatch):
    before = serve("moved")
    serve("other")
    hint(image, "moved", "other")

    def move():
        serve("moved", layers=2)
        sync.TagSync(image.repository).sync_tag("moved", pushed_at=timezone.now(), pushed_by="bob")

    during(monkeypatch, move)
    sync_repository(image.repository)
    assert Tag.objects.get(name="moved").manifest.size > before
    assert indexed(image) == {"moved", "other"}


def test_an_image_that_is_being_deleted_meanwhile_gets_no_rows(image, serve, monkeypatch):
    serve("one")
    hint(image, "one")
    during(monkeypatch, lambda: Image.objects.update(state=Image.State.DELETING))
    sync_repository(image.repository)
    assert indexed(image) == set()


def test_a_push_that_is_told_meanwhile_is_looked_at_again(image, serve, monkeypatch):
    before = serve("one")
    hint(image, "one")
    during(monkeypatch, lambda: (serve("one", layers=3), hint(image, "one")))
    sync_repository(image.repository)
    assert Tag.objects.get().manifest.size > before
    assert not Hint.objects.exists()


def test_a_manifest_that_vanished_meanwhile_is_read_again(image, serve, monkeypatch):
    serve("one")
    hint(image, "one")
    sync_repository(image.repository)
    serve("two")
    hint(image, "one", "two")

    def vanish():
        Tag.objects.all().delete()
        Manifest.objects.all().delete()

    during(monkeypatch, vanish)
    sync_repository(image.repository)
    assert indexed(image) == {"one", "two"}


def test_a_hint_that_changes_nothing_tells_no_open_page(image, serve):
    serve("one")
    hint(image, "one")
    sync_repository(image.repository)
    before = Image.objects.get().changed_at
    remember([Notice(image.repository, "one")])
    sync_repository(image.repository)
    assert Image.objects.get().changed_at == before
