"""Hints at tags of many repositories are followed together, and what takes more holds up no other."""

import json

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.jobs.queue import repository_lock
from console.operations.worker import run_worker
from console.registry import connection as console_registry
from console.registry.index import hints, jobs, store
from console.registry.index.hints import Notice, remember, sync_all
from console.registry.index.models import Hint
from console.registry.tombstone import TOMBSTONE
from console.repositories.models import Image, Tag
from console.repositories.totals import refresh_totals, refresh_totals_of
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, RegistryClient, RegistryUnavailable
from tests.index.documents import index
from tests.index.test_served import fake
from tests.support.factories import ImageFactory
from tests.support.http_servers import Reply, error_reply
from tests.support.pushed_images import digest_of

__all__ = ["fake"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody waits for more hints to come."""
    monkeypatch.setattr(hints, "_GATHERING_SECONDS", 0)


@pytest.fixture
def serve(fake):
    """Lets the registry have an ordinary image under a tag of any repository; its configuration's digest."""

    def serve(tag, layers=1, config=None):
        content = config or json.dumps({"os": "linux", "architecture": "amd64", "tag": tag}).encode()
        fake.blobs[digest_of(content)] = Reply(200, content, {"Content-Type": "application/octet-stream"})
        document = {
            "schemaVersion": 2,
            "config": {"mediaType": OCI_CONFIG, "digest": digest_of(content), "size": len(content)},
            "layers": [{"mediaType": OCI_LAYER, "digest": digest_of(b"layer"), "size": 5}] * layers,
            "annotations": {"tag": tag},
        }
        fake.serve(tag, document)
        return digest_of(content)

    return serve


def hint(image, *tags):
    remember([Notice(image.repository, tag, timezone.now(), "ann") for tag in tags])


def follow():
    """Follow all that can be followed together; the repositories whose own jobs are to do the rest."""
    left = []
    sync_all(left.append)
    return left


def indexed():
    return set(Tag.objects.values_list("image__full_name", "name"))


def waiting():
    return {(one.repository, one.tag, one.alone) for one in Hint.objects.all()}


def test_the_number_of_statements_grows_with_neither_tags_nor_images(serve):
    def count(images, tags):
        for tag in tags:
            serve(tag)
        for image in images:
            hint(image, *tags)
        with CaptureQueriesContext(connection) as queries:
            assert follow() == []
        assert indexed() >= {(image.repository, tag) for image in images for tag in tags}
        assert not Hint.objects.exists()
        return len(queries)

    images = [ImageFactory() for _ in range(9)]
    assert count(images[:2], ["a1", "a2"]) == count(images[2:], [f"b{number}" for number in range(5)])
    for image in images[2:]:
        image.refresh_from_db()
        size = sum(image.manifests.values_list("size", flat=True))
        assert (image.tag_count, image.size) == (5, size)
        assert image.last_push_at == max(image.tags.values_list("pushed_at", flat=True))
    assert set(Tag.objects.values_list("pushed_by", flat=True)) == {"ann"}
    assert set(Tag.objects.values_list("manifest__platforms", flat=True)[:1][0]) == {"linux/amd64"}


def test_what_takes_more_is_left_to_a_job_of_its_repository(serve, fake):
    good, odd, bad, going = (ImageFactory() for _ in range(4))
    Image.objects.filter(pk=going.pk).update(state=Image.State.DELETING)
    fake.serve("list", index(), OCI_INDEX)
    fake.serve("tombstone", TOMBSTONE)
    fake.manifests["broken"] = error_reply(500, "UNKNOWN")
    serve("large", layers=400)
    serve("one")
    hint(good, "one")
    hint(odd, "list", "tombstone", "large", "never", "one")
    hint(bad, "broken", "one")
    hint(going, "one")
    remember([Notice("nobody/new", "one")])
    serve("moving")
    remember([Notice(odd.repository, "moving", timezone.now(), "ann", digest_of(b"what is pushed now"))])
    assert set(follow()) == {odd.repository, bad.repository, going.repository, "nobody/new"}
    assert indexed() == {(image.repository, "one") for image in (good, odd, bad)}
    odds = ["list", "tombstone", "large", "never", "moving"]
    left = [*((odd, tag) for tag in odds), (bad, "broken"), (going, "one")]
    assert waiting() == {(image.repository, tag, True) for image, tag in left} | {("nobody/new", "one", True)}
    assert follow() == []  # they are not looked at again and again


@pytest.mark.parametrize("reply", [error_reply(403, "DENIED"), Reply(200, b"[")])
def test_a_configuration_that_cannot_be_read_spoils_no_other_repository(serve, fake, reply):
    good, bad = ImageFactory(), ImageFactory()
    serve("good")
    fake.blobs[serve("bad")] = reply
    hint(bad, "bad")
    hint(good, "good")
    follow()
    assert (good.repository, "good") in indexed()
    assert waiting() <= {(bad.repository, "bad", True)}


def test_a_repository_that_the_database_refuses_spoils_no_other(serve, monkeypatch):
    good, bad = ImageFactory(), ImageFactory()
    store_all = store.store_all

    def refuse(readings):
        readings = list(readings)
        store_all(readings)
        if any(image == bad.pk for image, _reading in readings):
            raise DataError("out of range")

    monkeypatch.setattr(store, "store_all", refuse)
    serve("one")
    hint(bad, "one")
    hint(good, "one")
    assert follow() == [bad.repository]
    assert indexed() == {(good.repository, "one")}
    assert waiting() == {(bad.repository, "one", True)}
    assert not bad.manifests.exists()


@pytest.mark.parametrize("status", ["todo", "doing"])
def test_a_repository_that_a_job_is_at_work_on_waits_for_it(serve, status):
    busy, free = ImageFactory(), ImageFactory()
    ProcrastinateJob.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status) VALUES ('work', 'x', %s, %s)",
            [repository_lock(busy.repository), status],
        )
    serve("one")
    hint(busy, "one")
    hint(free, "one")
    assert follow() == [busy.repository]
    assert indexed() == {(free.repository, "one")}


def test_news_of_a_tag_that_was_left_alone_is_looked_at(serve, fake):
    image = ImageFactory()
    fake.serve("one", index(), OCI_INDEX)
    hint(image, "one")
    follow()
    assert waiting() == {(image.repository, "one", True)}
    serve("one")
    hint(image, "one")
    assert follow() == []
    assert indexed() == {(image.repository, "one")}


def test_a_push_that_is_told_meanwhile_is_looked_at_again(serve, monkeypatch):
    image = ImageFactory()
    serve("one")
    hint(image, "one")
    read_before = store.read_before

    def first(pairs):
        monkeypatch.setattr(store, "read_before", read_before)
        serve("one", layers=3)
        hint(image, "one")
        return read_before(pairs)

    monkeypatch.setattr(store, "read_before", first)
    follow()
    assert image.tags.get().manifest.blobs
    assert image.tags.get().manifest.size > 15
    assert not Hint.objects.exists()


def test_a_push_that_is_told_while_its_tag_is_left_alone_is_not(fake):
    image = ImageFactory()
    fake.serve("one", index(), OCI_INDEX)
    hint(image, "one")
    told = []

    def hand_over(repository):
        if not told:
            hint(image, "one")
        told.append(repository)

    sync_all(hand_over)
    assert told == [image.repository] * 2
    assert waiting() == {(image.repository, "one", True)}


def test_a_registry_that_is_down_keeps_them(settings):
    settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
    image = ImageFactory()
    hint(image, "one", "two")
    with pytest.raises(RegistryUnavailable):
        follow()
    assert waiting() == {(image.repository, "one", False), (image.repository, "two", False)}


def test_one_that_is_not_answered_is_not_asked_for_again_and_again(serve, fake, monkeypatch):
    """The work that others wait for asks once; what has more patience comes later."""
    monkeypatch.setattr(console_registry, "RegistryClient", RegistryClient)
    good, busy = ImageFactory(), ImageFactory()
    serve("one")
    fake.manifests["busy"] = error_reply(503, "UNAVAILABLE")
    hint(busy, "busy")
    hint(good, "one")
    assert follow() == [busy.repository]
    assert indexed() == {(good.repository, "one")}
    # With the others, and then with those of its repository.
    assert sum(request.path.endswith("/busy") for request in fake.requests) == 2


def test_a_configuration_is_read_once_for_a_repository_and_not_for_another(serve, fake):
    images = [ImageFactory(), ImageFactory()]
    for tag in ("one", "two", "three"):
        config = serve(tag, config=b'{"os": "plan9"}')
    for image in images:
        hint(image, "one", "two", "three")
    follow()
    asked = [request.path for request in fake.requests if request.path.endswith(config)]
    assert sorted(asked) == sorted(f"/v2/{image.repository}/blobs/{config}" for image in images)
    assert len(indexed()) == 6


def test_totals_of_many_come_to_the_same_as_of_each(serve):
    images = [ImageFactory() for _ in range(3)]
    serve("one")
    serve("two", layers=2)
    for image in images[:2]:
        hint(image, "one", "two")
    follow()

    def totals():
        return list(Image.objects.order_by("pk").values("tag_count", "attachment_count", "size", "last_push_at"))

    found = totals()
    Image.objects.update(tag_count=7, attachment_count=7, size=7)
    refresh_totals_of([image.pk for image in images])
    assert totals() == found
    assert not any(refresh_totals(image.pk, changed=False) for image in images)


@pytest.mark.django_db(transaction=True)
def test_the_jobs_do_all_of_it(serve, fake):
    plain, listed = ImageFactory(), ImageFactory()
    serve("one")
    fake.serve("list", index(), OCI_INDEX)
    hint(plain, "one")
    hint(listed, "list")
    assert jobs.queue_sync()
    assert not jobs.queue_sync()  # one that waits sees whatever is told before it begins
    for _once in range(2):
        run_worker(wait=False)
    assert indexed() == {(plain.repository, "one"), (listed.repository, "list")}
    assert not Hint.objects.exists()
    assert not ProcrastinateJob.objects.filter(task_name__startswith="indexing.follow").exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_is_done_again(settings):
    settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
    hint(ImageFactory(), "one")
    jobs.queue_sync()
    run_worker(wait=False)
    (left,) = ProcrastinateJob.objects.filter(task_name="indexing.follow_all_hints")
    assert (left.status, left.args) == ("todo", {"attempt": 1})
