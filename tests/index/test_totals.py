"""The totals that lists show: mended by a walk, and right under concurrency."""

import threading

import pytest
from django.db import connection, transaction

from console.audit.models import AuditEvent
from console.repositories.models import Image
from console.repositories.totals import refresh_totals
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.fake_registry import fake_registry, indexed, walk_over
from tests.support.http_servers import wait_until


@pytest.fixture
def fake(settings, monkeypatch):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def image():
    return ImageFactory(namespace=NamespaceFactory(name="team"), name="app")


@pytest.mark.django_db
class TestTotals:
    @pytest.mark.parametrize(
        "wrong",
        [{"tag_count": 7}, {"attachment_count": 1}, {"size": 5}, {"last_push_at": None}],
        ids=lambda one: min(one),
    )
    def test_wrong_ones_are_mended(self, fake, image, wrong):
        indexed(fake, image, "v1", "v2")
        right = Image.objects.filter(pk=image.pk).values("tag_count", "attachment_count", "size", "last_push_at").get()
        Image.objects.filter(pk=image.pk).update(**wrong)
        walk, lines = walk_over()
        assert Image.objects.filter(pk=image.pk).values(*right).get() == right
        assert lines == ["team/app: the totals were wrong, and were corrected"]
        assert walk.counts["totals"] == 1
        assert AuditEvent.objects.get(action="index.mended").detail["totals"] is True

    def test_right_ones_are_left_alone(self, fake, image):
        indexed(fake, image, "v1")
        before = Image.objects.values().get()
        walk, lines = walk_over()
        assert Image.objects.values().get() == before
        assert (lines, AuditEvent.objects.filter(action="index.mended").count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_totals_under_concurrency():
    """Tags come and go from eight connections at once; each counts anew after its change."""
    image = ImageFactory()
    manifests = [ManifestFactory(image=image, size=10**number) for number in range(8)]
    start = threading.Barrier(8)
    failures = []

    def change(number):
        try:
            start.wait(30)
            for turn in range(6):
                tag = TagFactory(image=image, manifest=manifests[number], name=f"t{number}-{turn}")
                refresh_totals(image.pk, changed=turn % 2 == 0)
                if turn % 3 == 0:
                    tag.delete()
                    refresh_totals(image.pk)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    image.refresh_from_db()
    newest = image.tags.latest("pushed_at").pushed_at
    assert (image.tag_count, image.attachment_count, image.size) == (8 * 4, 0, 11_111_111)
    assert image.last_push_at >= newest
    assert not refresh_totals(image.pk)


@pytest.mark.django_db(transaction=True)
def test_totals_wait_for_a_change_that_is_not_committed_yet():
    """Counted without it and written after it, they would be wrong until somebody looked again."""
    image = TagFactory().image
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    def count():
        try:
            refresh_totals(image.pk)
        finally:
            connection.close()

    counter = threading.Thread(target=count)

    def stopped():
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            return cursor.fetchone()[0] > 0 or not counter.is_alive()

    with transaction.atomic():
        Image.objects.select_for_update().get(pk=image.pk)
        TagFactory(image=image)
        counter.start()
        assert wait_until(stopped, 30)
    counter.join()
    image.refresh_from_db()
    assert image.tag_count == 2
