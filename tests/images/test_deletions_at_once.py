"""Deletions take turns: a long one gives way, and many run at once."""

import gc
import threading

import pytest
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from console.imports import copying
from console.imports.jobs import fetch
from console.jobs.queue import INDEX_QUEUE, LATER_PRIORITY, TRANSFER_QUEUE, WORK_QUEUE
from console.operations.worker import CONCURRENCY, run_worker
from console.registry import jobs
from console.registry.connection import registry
from console.registry.deletion import images, removal, steps
from console.registry.index import hints
from console.registry.index.jobs import sync_hints
from console.registry.index.sync import reread_image
from console.repositories.models import Image, ImageDeletion
from console.repositories.services import mark_image_for_deletion
from registry_client import (
    RegistryClient,
    RegistryUnavailable,
)
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.pushed_images import push_image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


def indexed(image):
    reread_image(image.repository)
    image.refresh_from_db()
    return image


class TestTurns:
    @pytest.fixture
    def tags(self, image, monkeypatch):
        monkeypatch.setattr(images, "_BATCH", 2)
        monkeypatch.setattr(removal, "MANIFESTS_AT_ONCE", 2)
        monkeypatch.setattr(steps, "UNTAGGED_AT_ONCE", 4)
        for number in range(9):
            push_image(registry(), image.repository, f"v{number}")
        indexed(image)
        mark_image_for_deletion(image.namespace.owner, image)

    @pytest.mark.usefixtures("tags")
    def test_it_resumes_in_the_next_turn(self, image, monkeypatch):
        listed, seen = [], []
        real = images._list
        monkeypatch.setattr(images, "_list", lambda *arguments: listed.append(real(*arguments)))
        monkeypatch.setattr(jobs, "_turn", lambda: lambda: True)
        asked = ProcrastinateJob.objects.filter(task_name="images.delete_image", args={"image_id": image.pk})
        for _ in range(20):
            jobs.delete_image(image.pk)
            seen.extend(ImageDeletion.objects.values_list("done", "total"))
        assert len(listed) == 1, "what was listed is not listed again"
        assert len(seen) == 10, "five batches of tags, five of manifests"
        done = [one for one, _total in seen]
        assert done == sorted(set(done)), "it moves, and never back"
        assert {total for _done, total in seen} == {18}
        assert disk.left_of(image.repository) == []
        first, *later = asked.order_by("id").values_list("priority", flat=True)
        assert (first, len(later)) == (0, len(seen))
        assert all(LATER_PRIORITY < priority < -10 for priority in later)

    @pytest.mark.usefixtures("tags")
    def test_the_progress_never_goes_back_when_tags_come_back(self, image, monkeypatch):
        monkeypatch.setattr(jobs, "_turn", lambda: lambda: True)
        seen = []
        for turn in range(40):
            if turn in {1, 4, 8}:
                push_image(registry(), image.repository, f"v{turn}")
                push_image(registry(), image.repository, f"late{turn}")
            jobs.delete_image(image.pk)
            seen.extend(ImageDeletion.objects.values_list("done", flat=True))
        assert seen == sorted(seen)
        assert disk.left_of(image.repository) == []


def _truncate_queue():
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


@pytest.mark.django_db(transaction=True)
class TestManyAtOnce:
    @pytest.fixture(autouse=True)
    def _empty_queue(self):
        """Other tests' jobs are nothing to these, and these leave none to others."""
        _truncate_queue()
        yield
        _truncate_queue()
        gc.collect()  # the worker's threads are gone, their connections only when they are collected

    def test_the_registry_fails_for_some_and_the_others_go_on(self, monkeypatch):
        """More fail than there are jobs at once."""
        failing, fine = [ImageFactory() for _ in range(5)], [ImageFactory() for _ in range(2)]
        for image in (*failing, *fine):
            push_image(registry(), image.repository, "v1")
            mark_image_for_deletion(image.namespace.owner, indexed(image))
        real = RegistryClient.put_manifest
        bad = {image.repository for image in failing}

        def fail(self, repository, *arguments):
            if repository in bad:
                raise RegistryUnavailable("down")
            return real(self, repository, *arguments)

        monkeypatch.setattr(RegistryClient, "put_manifest", fail)
        run_worker(wait=False)
        assert set(Image.objects.all()) == set(failing)
        for one in ImageDeletion.objects.all():
            assert "Can’t reach the registry." in one.problem
        waiting = ProcrastinateJob.objects.filter(task_name="images.delete_image")
        assert {(job.status, job.priority, job.attempts) for job in waiting} == {("todo", LATER_PRIORITY, 1)}
        monkeypatch.setattr(RegistryClient, "put_manifest", real)
        later = ImageFactory()
        push_image(registry(), later.repository, "v1")
        mark_image_for_deletion(later.namespace.owner, indexed(later))
        run_worker(wait=False)
        assert not Image.objects.filter(pk=later.pk).exists()

    def test_as_many_run_at_once_as_there_are_places(self, monkeypatch):
        """Also on a machine with few cores: none that was taken waits for a thread."""
        together = threading.Barrier(sum(CONCURRENCY.values()))
        monkeypatch.setattr(copying, "fetch", lambda *_arguments: together.wait(20))
        monkeypatch.setattr(images, "run_image_deletion", lambda *_arguments: together.wait(20))
        monkeypatch.setattr(hints, "sync_repository", lambda *_arguments: together.wait(20))
        for number in range(CONCURRENCY[WORK_QUEUE]):
            mark_image_for_deletion((image := ImageFactory(name=f"image{number}")).namespace.owner, image)
        for number in range(CONCURRENCY[INDEX_QUEUE]):
            sync_hints.configure(lock=f"repository{number}").defer(repository=f"repository{number}")
        for number in range(CONCURRENCY[TRANSFER_QUEUE]):
            fetch.configure(lock=f"transfer{number}").defer(transfer_id=number, attempt=1)
        run_worker(wait=False)
        assert not together.broken
