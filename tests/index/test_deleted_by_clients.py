"""What a client deletes with the registry's own DELETE, by digest."""

import datetime
import importlib

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from console.registry.connection import registry
from console.registry.index import hints, reconcile
from console.registry.index.hints import Notice
from console.registry.index.models import Hint
from console.repositories.models import Manifest, Tag
from console.repositories.pushed_digests import remember
from tests.support import tags
from tests.support.factories import ImageFactory
from tests.support.pushed_artifacts import push_artifact
from tests.support.pushed_images import push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team)


@pytest.fixture
def deleted(client, image):
    """Delete digests as a client does, and let the console take in what the registry tells of that."""

    def delete(*digests, really=True):
        events = []
        for digest in digests:
            names = list(Tag.objects.filter(image=image, manifest__digest=digest).values_list("name", flat=True))
            if really:
                registry().delete_manifest(image.repository, digest)
            for target in ({"digest": digest}, *({"tag": name} for name in names)):
                target = {"repository": image.repository, **target}
                events.append({"id": "x", "action": "delete", "target": target, "actor": {"name": "ann"}})
        answer = client.post(
            reverse("notifications"),
            {"events": events},
            content_type="application/json",
            headers={"Authorization": f"Bearer {settings.KEYS.notification_secret}"},
        )
        assert answer.status_code == 200
        hints.sync_repository(image.repository)
        image.refresh_from_db()

    return delete


def status(client, image, digest):
    return client.get(reverse("manifest", args=[image.repository, digest])).status_code


def test_its_page_is_gone_at_once(client, image, deleted):
    one, other = tags.push(image, "v1"), tags.push(image, "v2")
    tags.tag_again(image, "same", one)
    tags.indexed(image)
    assert status(client, image, one.digest) == 200
    deleted(one.digest)
    assert status(client, image, one.digest) == 404
    assert status(client, image, other.digest) == 200
    assert (image.tag_count, image.size) == (1, other.size)
    assert not Hint.objects.exists()


def test_one_without_a_tag(client, image, deleted):
    old = tags.push(image, "v1")
    tags.indexed(image)
    tags.push(image, "v1")
    tags.indexed(image)
    assert status(client, image, old.digest) == 200
    deleted(old.digest)
    assert status(client, image, old.digest) == 404
    assert image.tag_count == 1


def test_the_registry_is_asked_first(client, image, deleted):
    """An event may be late: what was pushed again is there."""
    pushed = tags.push(image, "v1")
    tags.indexed(image)
    deleted(pushed.digest, really=False)
    assert status(client, image, pushed.digest) == 200
    assert image.tag_count == 1


def test_a_registry_that_does_not_know_the_repository_proves_nothing(client, image, deleted):
    from tests.support import disk

    pushed = tags.push(image, "v1")
    tags.indexed(image)
    disk.lose(image.repository)
    deleted(pushed.digest, really=False)
    assert status(client, image, pushed.digest) == 200


def test_an_index_leaves_its_platforms_as_manifests_of_their_own(client, image, deleted):
    children = [tags.push(image), tags.push(image)]
    index = push_index(registry(), image.repository, "multi", children)
    tags.indexed(image)
    deleted(index.digest)
    assert status(client, image, index.digest) == 404
    assert image.manifests.filter(is_child=False).count() == 2 == image.manifests.count()
    assert (image.tag_count, image.size) == (0, 0)
    assert reconcile.found_in_order(reconcile.resume(reconcile.begin([image.repository])))


def test_a_platform_of_an_index_that_stays(client, image, deleted):
    children = [tags.push(image), tags.push(image)]
    push_index(registry(), image.repository, "multi", children)
    tags.indexed(image)
    deleted(children[0].digest)
    assert status(client, image, children[0].digest) == 404
    assert "not in the registry" in client.get(reverse("tag", args=[image.repository, "multi"])).content.decode()
    assert image.size == children[1].size


def test_what_is_about_it_stands_in_the_list_again(image, deleted):
    """A tag that is about something is shown under it as long as that is there."""
    pushed = tags.push(image, "v1")
    push_artifact(registry(), image.repository, "sbom", pushed)
    tags.indexed(image)
    image.refresh_from_db()
    assert (image.tag_count, image.attachment_count) == (1, 1)
    deleted(pushed.digest)
    assert (image.tag_count, image.attachment_count) == (1, 0)


def test_something_attached(client, image, deleted):
    pushed = tags.push(image, "v1")
    tags.indexed(image)
    made = push_artifact(registry(), image.repository, None, pushed)
    hints.remember([Notice(image.repository, made.digest, timezone.now(), "ann", made.digest)])
    hints.sync_repository(image.repository)
    assert Manifest.objects.filter(digest=made.digest).exists()
    deleted(made.digest)
    assert not Manifest.objects.filter(digest=made.digest).exists()
    assert "Attached" not in client.get(reverse("tag", args=[image.repository, "v1"])).content.decode()


def test_what_the_index_never_had(image, deleted):
    deleted("sha256:" + "f" * 64, really=False)
    assert not Hint.objects.exists()


def test_a_push_and_a_deletion_of_one_digest_told_together(client, image):
    """They are one hint, which says the push."""
    made = tags.push(image, "v1")
    tags.indexed(image)
    registry().delete_manifest(image.repository, made.digest)
    hints.remember([Notice(image.repository, made.digest, timezone.now(), "ann", made.digest)])
    hints.remember([Notice(image.repository, made.digest)])
    hints.sync_repository(image.repository)
    assert status(client, image, made.digest) == 404
    assert not image.tags.exists()


@pytest.mark.parametrize(("minutes", "doomed"), [(-1, False), (1, True), (None, False)])
def test_only_a_push_after_the_request_keeps_what_is_being_deleted(image, minutes, doomed):
    made = tags.push(image, "v1")
    tags.indexed(image)
    moment = timezone.now()
    requested = moment + datetime.timedelta(minutes=minutes) if minutes else None
    image.manifests.update(doomed=True, doomed_at=requested)
    hints.remember([Notice(image.repository, made.digest, moment, "ann", made.digest)])
    hints.sync_repository(image.repository)
    assert image.manifests.get().doomed is doomed


def test_what_an_earlier_version_did_not_index_is_hinted_at_once(image):
    """The migration may be run again."""
    subject = tags.push(image, "v1")
    tags.indexed(image)
    about = push_artifact(registry(), image.repository, None, subject)
    remember([(image.repository, about.digest), (image.repository, subject.digest), ("nobody/app", about.digest)])
    migration = importlib.import_module("console.registry.index.migrations.0006_hints_of_pushed_digests").Migration
    # The column has another name since.
    statement = migration.operations[0].sql.replace("told_at", "notified_at")
    for _twice in range(2):
        with connection.cursor() as cursor:
            cursor.execute(statement)
    assert list(Hint.objects.values_list("repository", "tag")) == [(image.repository, about.digest)]
    hints.sync_repository(image.repository)
    assert image.manifests.get(digest=about.digest).subject == subject.digest
