"""One account's many pushes keep another's single one waiting for no more than is under way."""

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from console.registry.index import hints, jobs
from console.registry.index.hints import Notice, remember, sync_all, sync_repository
from console.registry.index.models import Hint
from console.registry.index.sync import TagSync
from console.registry.index.sync_batch import BatchResult
from tests.support.factories import NamespaceFactory

pytestmark = pytest.mark.django_db


def test_each_namespace_is_in_the_next_batch(monkeypatch):
    batches = []

    def look(pushes, *_arguments):
        batches.append([push.repository for push in pushes])
        return BatchResult(done={(push.repository, push.tag) for push in pushes})

    monkeypatch.setattr(hints, "sync_pushed", look)
    monkeypatch.setattr(hints, "_TOGETHER", 4)
    remember(Notice(f"many/app{number % 3}", f"v{number}") for number in range(20))
    remember([Notice("single/app", "v1")])
    assert sync_all(lambda repository: None) == 21
    assert batches[0].count("single/app") == 1
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 1]


class TestTurn:
    @pytest.fixture
    def looks(self, monkeypatch):
        looks = []
        monkeypatch.setattr(hints, "_sync_many", lambda reader, some: set())
        monkeypatch.setattr(TagSync, "sync_tag", lambda reader, tag, **options: looks.append(tag))
        remember(Notice("many/app", f"v{number}") for number in range(5))
        return looks

    def test_one_that_is_over(self, looks):
        """What was looked at is done, whatever else there is."""
        assert sync_repository("many/app", lambda: True) == 1
        assert looks == ["v0"]
        assert Hint.objects.count() == 4

    def test_one_that_is_not(self, looks):
        assert sync_repository("many/app") == 5
        assert not Hint.objects.exists()

    @pytest.mark.parametrize(("seconds", "queued"), [(-1, 1), (3600, 0)])
    def test_the_rest_is_queued(self, looks, monkeypatch, seconds, queued):
        monkeypatch.setattr(jobs, "_TURN_SECONDS", seconds)
        jobs.sync_hints("many/app")
        assert ProcrastinateJob.objects.filter(queueing_lock="hints many/app", status="todo").count() == queued

    def test_who_has_more_waiting_comes_later(self):
        many, single = NamespaceFactory(), NamespaceFactory()
        other = NamespaceFactory(owner=many.owner)
        for repository in (f"{many}/a", f"{many}/b", f"{other}/c", f"{single}/d", "nobodys/e"):
            jobs.queue_repository(repository)
        assert list(ProcrastinateJob.objects.order_by("id").values_list("priority", flat=True)) == [0, -1, -2, 0, 0]
