"""What one account pushes has bounds in what is read, held and stored of it, and is still listed and deleted whole."""

import json

import psycopg
import pytest
from django.db import OperationalError
from django.urls import reverse

from console.jobs.outages import is_database_outage
from console.registry import copying
from console.registry.connection import at_once, registry
from console.registry.deletion import removal, tags
from console.registry.deletion.images import run_image_deletion
from console.registry.index import hints, parse, store, tree
from console.registry.index.hints import Notice
from console.registry.index.sync import TagSync
from console.registry.index.tag_rows import Outcome
from console.repositories.failures import MOST_TRIES
from console.repositories.models import Image, ImageDeletion, Manifest, WorkFailure
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, BlobUnknown, RegistryClient, RegistryError
from tests.index.documents import blob, index, oci, on, put
from tests.support.factories import ImageFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import present

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

GONE = "sha256:" + "1" * 64


@pytest.fixture
def image():
    return ImageFactory()


@pytest.fixture
def asked(monkeypatch):
    """What was read from the registry since, each as often as it was."""
    found = []
    real = RegistryClient.content_of

    def content_of(client, repository, digest, *arguments, **options):
        found.append(digest)
        return real(client, repository, digest, *arguments, **options)

    monkeypatch.setattr(RegistryClient, "content_of", content_of)
    return found


def push(image, number):
    return put(image.repository, None, oci(image.repository, layers=(b"layer %d" % number,)))


def row_of(image, tag="1"):
    return image.tags.select_related("manifest").get(name=tag).manifest


def delete(image):
    Image.objects.filter(pk=image.pk).update(state=Image.State.DELETING)
    ImageDeletion.objects.create(image=image, requested_by="x", requested_at=image.created_at)
    run_image_deletion(Image.objects.get(pk=image.pk))


class TestChildren:
    def test_those_after_the_first_thousand_are_listed_and_not_read(self, image, monkeypatch, asked):
        monkeypatch.setattr(tree, "_MOST_CHILDREN", 2)
        children = [push(image, number) for number in range(3)]
        put(image.repository, "1", index(*children), OCI_INDEX)
        reread_tag(image.repository, "1")
        row = row_of(image)
        assert [(child["digest"], "skipped" in child) for child in row.children] == [
            (one["digest"], number == 2) for number, one in enumerate(children)
        ]
        known = Manifest.objects.filter(image=image, digest__in=row.child_digests)
        assert row.size == sum(one.size for one in known) and known.count() == 2
        assert store.is_read(image, row.digest) and store.incomplete(image) == set()
        asked.clear()
        assert reread_tag(image.repository, "1") is Outcome.SAME
        assert asked == []
        delete(image)
        assert not any(present(registry(), image.repository, one["digest"]) for one in children)

    def test_so_many_in_all_are_read(self, image, monkeypatch):
        monkeypatch.setattr(tree, "_MOST_MANIFESTS", 4)
        inner = [
            put(image.repository, None, index(push(image, 2 * number), push(image, 2 * number + 1)), OCI_INDEX)
            for number in range(3)
        ]
        put(image.repository, "1", index(*inner), OCI_INDEX)
        reread_tag(image.repository, "1")
        assert Manifest.objects.filter(image=image).count() == 4
        assert ["skipped" in child for child in row_of(image).children] == [False, True, True]
        assert store.incomplete(image) == set()

    def test_a_chain_that_is_too_long(self, image, monkeypatch, asked):
        monkeypatch.setattr(tree, "_DEEPEST", 2)
        below = push(image, 0)
        for _ in range(3):
            below = put(image.repository, None, index(below), OCI_INDEX)
        put(image.repository, "1", index(below), OCI_INDEX)
        reread_tag(image.repository, "1")
        assert store.incomplete(image) == set()
        asked.clear()
        assert reread_tag(image.repository, "1") is Outcome.SAME
        assert asked == []

    def test_one_that_is_named_often_is_stored_once(self, image):
        child = push(image, 0)
        put(image.repository, "1", index(*[child] * 500, on("arm64", child), child), OCI_INDEX)
        reread_tag(image.repository, "1")
        row = row_of(image)
        assert row.children == [{"digest": child["digest"], "platform": "linux/arm64"}]
        assert row.size == Manifest.objects.get(image=image, digest=child["digest"]).size
        assert store.is_read(image, row.digest) and store.incomplete(image) == set()

    def test_a_tag_of_an_index_that_is_known_reads_nothing(self, image, asked):
        document = index(*[push(image, number) for number in range(3)])
        for tag in ("1", "2"):
            put(image.repository, tag, document, OCI_INDEX)
        reread_tag(image.repository, "1")
        assert len(asked) == 3
        reread_tag(image.repository, "2")
        assert len(asked) == 3
        assert row_of(image, "1") == row_of(image, "2")

    def test_of_an_incomplete_one_only_what_is_missing_is_asked_for(self, image, asked):
        children = [push(image, number) for number in range(3)]
        put(image.repository, "1", index(*children), OCI_INDEX)
        registry().delete_manifest(image.repository, children[2]["digest"])
        reread_tag(image.repository, "1")
        asked.clear()
        reread_tag(image.repository, "1")
        assert asked == [children[2]["digest"]]
        push(image, 2)
        reread_tag(image.repository, "1")
        assert store.incomplete(image) == set()
        assert row_of(image).size == sum(
            one.size for one in Manifest.objects.filter(image=image).exclude(pk=row_of(image).pk)
        )

    def test_an_incomplete_one_is_read_once_for_all_tags(self, image, asked):
        children = [push(image, number) for number in range(2)]
        tags = [str(number) for number in range(5)]
        for tag in tags:
            put(image.repository, tag, index(*children), OCI_INDEX)
        registry().delete_manifest(image.repository, children[1]["digest"])
        hints.remember([Notice(image.repository, tag) for tag in tags])
        assert hints.sync_repository(image.repository) == 5
        assert sorted(asked) == sorted(one["digest"] for one in children)
        assert image.tags.count() == 5

    def test_claims_of_size_change_nothing_that_is_read(self, image):
        child = push(image, 0)
        put(image.repository, "1", index({**child, "size": (1 << 63) - 1}), OCI_INDEX)
        reread_tag(image.repository, "1")
        assert row_of(image).size == Manifest.objects.get(digest=child["digest"]).size


class TestPieces:
    def test_it_comes_to_the_same(self, image, monkeypatch):
        document = index(*[push(image, number) for number in range(5)])
        put(image.repository, "1", document, OCI_INDEX)
        monkeypatch.setattr(store, "MOST_BYTES", 1)
        pieces = []
        real = store.store_all
        monkeypatch.setattr(store, "store_all", lambda some: pieces.append(list(some)) or real(pieces[-1]))
        reread_tag(image.repository, "1")
        assert max(map(len, pieces)) == 1
        assert Manifest.objects.filter(image=image, is_child=True).count() == 5
        assert row_of(image).size == sum(one.size for one in Manifest.objects.filter(image=image, is_child=True))

    def test_a_deletion_that_begins_in_between_gets_no_rows(self, image, monkeypatch):
        put(image.repository, "1", index(*[push(image, number) for number in range(3)]), OCI_INDEX)
        monkeypatch.setattr(store, "MOST_BYTES", 1)
        real = store.store_all

        def and_delete(some):
            real(some)
            Image.objects.filter(pk=image.pk).update(state=Image.State.DELETING)

        monkeypatch.setattr(store, "store_all", and_delete)
        assert TagSync(image.repository).sync_tag("1") is Outcome.IGNORED
        assert Manifest.objects.filter(image=image).count() == 1
        assert not image.tags.exists()

    def test_a_statement_has_a_bound(self, image, monkeypatch):
        monkeypatch.setattr(store, "MOST_BYTES", 1000)
        readings = [(image.pk, parse.Reading(f"d{n}", OCI_MANIFEST, b"x" * 400)) for n in range(7)]
        assert [len(piece) for piece in store._pieces(readings)] == [2, 2, 2, 1]


class TestShown:
    def test_platforms(self, image):
        child = push(image, 0)
        others = [put(image.repository, None, oci(image.repository, layers=(b"%d" % n,))) for n in range(150)]
        put(image.repository, "1", index(child, *[on(f"a{n}", one) for n, one in enumerate(others)]), OCI_INDEX)
        reread_tag(image.repository, "1")
        assert len(row_of(image).platforms) == parse.MOST_PLATFORMS == 100
        assert len(row_of(image).children) == 151

    @pytest.mark.parametrize(
        "document",
        [
            {"config": {"Labels": {f"{number} {'k' * 2000}": "v" * 4096 for number in range(500)}, "User": "kept"}},
            {"config": {"User": "kept"}, "history": [{"created_by": "\u4e00" * 4096}] * 500},
            {"config": {"User": "kept", "Env": ["E" * 4096] * 500, "Cmd": ["C" * 4096] * 500}},
        ],
    )
    def test_of_a_configuration(self, document):
        found = parse.Reading("", OCI_MANIFEST, b"")
        parse.add_config(found, json.dumps(document).encode())
        assert len(json.dumps(found.config)) <= parse.MOST_SHOWN
        assert found.config["user"] == "kept" and len(found.config) > 1

    def test_a_configuration_that_is_larger_than_it_says(self, image):
        config = blob(image.repository, json.dumps({"os": "linux", "x": "y" * 1000}).encode(), OCI_CONFIG)
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {**config, "size": 10}, "layers": []}
        for tag in ("1", "2"):
            put(image.repository, tag, document)
        hints.remember([Notice(image.repository, tag) for tag in ("1", "2")])
        hints.sync_repository(image.repository)
        assert row_of(image).platforms == [] and image.tags.count() == 2


class TestTooManyValues:
    @pytest.fixture
    def pushed(self, image):
        config = blob(image.repository, b"{}", OCI_CONFIG)
        layers = [blob(image.repository, b"layer %d" % number, OCI_LAYER) for number in range(3)]
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers * 6000}
        put(image.repository, "1", document)
        hints.remember([Notice(image.repository, "1")])
        hints.sync_repository(image.repository)
        return [config["digest"], *(layer["digest"] for layer in layers)]

    def test_it_is_listed_as_unreadable(self, client, image, pushed):
        row = row_of(image)
        assert (row.kind, row.size, sorted(row.blobs)) == (Manifest.Kind.OTHER, 0, sorted(pushed))
        assert not hints.Hint.objects.exists() and not WorkFailure.objects.exists()
        client.force_login(image.namespace.owner)
        page = client.get(reverse("tag", args=[image.repository, "1"])).content.decode()
        assert "This manifest can’t be read." in page

    def test_it_is_not_copied(self, image, pushed):
        other = ImageFactory(namespace=image.namespace)
        with pytest.raises(copying.CannotCopy, match="too large to be copied"):
            copying.copy_manifest(image.repository, other.repository, row_of(image).digest, "1")

    @pytest.mark.parametrize("indexed", [True, False])
    def test_it_is_deleted_with_all_that_it_names(self, image, pushed, indexed):
        digest = row_of(image).digest
        if not indexed:
            Manifest.objects.filter(image=image).update(blobs=[])
        delete(image)
        assert not present(registry(), image.repository, digest)
        for one in pushed:
            with pytest.raises(BlobUnknown):
                registry().stat_blob(image.repository, one)


def test_calls_that_wait_are_not_all_held():
    begun = []

    def items():
        for number in range(1000):
            begun.append(number)
            yield number

    found = at_once(lambda number: (number, len(begun)), items())
    assert [number for number, _ in found] == list(range(1000))
    assert all(waiting <= (number // 200 + 1) * 200 for number, waiting in found)


def too_long(*_arguments, **_options):
    raise OperationalError("invalid memory alloc request size") from psycopg.errors.ProgramLimitExceeded("no")


class TestDeletions:
    def test_of_many_tags_what_each_names_is_not_held(self, image):
        put(image.repository, "1", index(push(image, 0)), OCI_INDEX)
        reread_tag(image.repository, "1")
        held = tags._with_digests(image.tags.all()).get().manifest
        assert held.get_deferred_fields() == {"platforms", "blobs", "children"}

    def test_no_more_blobs_are_held_than_there_is_room_for(self, image, monkeypatch):
        monkeypatch.setattr(removal, "MOST_DIGESTS", 5)
        pushed = [oci(image.repository, layers=(b"a%d" % n, b"b%d" % n)) for n in range(6)]
        for number, document in enumerate(pushed):
            put(image.repository, str(number), document)
        hints.remember([Notice(image.repository, str(number)) for number in range(6)])
        hints.sync_repository(image.repository)
        removed = []
        real = removal.Removal.remove

        def remove(self, manifests, blobs):
            blobs = list(blobs)
            removed.append((len(list(manifests)), len(blobs)))
            real(self, manifests, blobs)

        monkeypatch.setattr(removal.Removal, "remove", remove)
        delete(image)
        assert len(removed) == 6 and max(blobs for _, blobs in removed) <= 5
        for document in pushed:
            with pytest.raises(BlobUnknown):
                registry().stat_blob(image.repository, document["layers"][1]["digest"])


class TestStatementsThatAreRefused:
    def test_they_are_no_outage(self):
        with pytest.raises(OperationalError) as error:
            too_long()
        assert not is_database_outage(error.value)
        assert is_database_outage(OperationalError("the connection is closed"))

    def test_the_work_is_given_up(self, image, monkeypatch):
        put(image.repository, "1", index(push(image, 0)), OCI_INDEX)
        hints.remember([Notice(image.repository, "1")])
        monkeypatch.setattr(tree, "read_whole", too_long)
        for _ in range(MOST_TRIES - 1):
            with pytest.raises((OperationalError, RegistryError)):
                hints.sync_repository(image.repository)
        assert hints.sync_repository(image.repository) == 1
        assert WorkFailure.objects.get().given_up_at is not None
