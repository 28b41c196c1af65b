"""One account's many jobs keep another's single one waiting for no more than those under way."""

import gc

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from console.jobs.queue import LATER_PRIORITY, WORK_QUEUE
from console.operations.worker import CONCURRENCY, run_worker
from console.registry import copying
from console.registry.copy_requests import copy_tag
from console.registry.deletion import images, tags
from console.repositories import fairness
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 30


def queue_deletions(namespace, number):
    for _ in range(number):
        mark_image_for_deletion(namespace.owner, ImageFactory(namespace=namespace))


def queue_deletions_of_tags(namespace, number):
    for _ in range(number):
        tag = TagFactory(image__namespace=namespace)
        mark_tags_for_deletion(namespace.owner, tag.image, [tag.name])


def queue_copies(namespace, number):
    tag = TagFactory(image__namespace=namespace)
    for place in range(number):
        copy_tag(namespace.owner, tag, namespace, f"copy{place}", "v1")


KINDS = [queue_deletions, queue_deletions_of_tags, queue_copies]


@pytest.fixture
def done(monkeypatch):
    """The Account IDs of those whose jobs were run, in their order; nothing else is done."""
    accounts = []

    def note(image, *_arguments):
        accounts.append(image.namespace.owner.account_id)

    monkeypatch.setattr(images, "run_image_deletion", note)
    monkeypatch.setattr(tags, "run_tag_deletion", note)
    monkeypatch.setattr(copying, "run", lambda copy: note(Image.objects.get(copies=copy)))
    yield accounts
    gc.collect()  # the worker's threads are gone, their connections only when they are collected


@pytest.mark.parametrize("queue", KINDS)
def test_another_is_served_next(queue, done, monkeypatch):
    # In the order in which the jobs are taken: of several at once, one could be faster than the one before.
    monkeypatch.setitem(CONCURRENCY, WORK_QUEUE, 1)
    many, single = NamespaceFactory(), NamespaceFactory()
    other = NamespaceFactory(owner=many.owner)
    queue(many, MANY // 2)
    # It helps nobody to have several namespaces.
    queue(other, MANY // 2)
    queue(single, 1)
    run_worker(wait=False)
    assert len(done) == MANY + 1
    assert done.index(single.owner.account_id) <= 1


def test_nothing_comes_after_what_has_failed(monkeypatch):
    monkeypatch.setattr(fairness, "MOST_COUNTED", 3)
    namespace = NamespaceFactory()
    queue_deletions(namespace, 5)
    priorities = list(ProcrastinateJob.objects.order_by("id").values_list("priority", flat=True))
    assert priorities == [0, -1, -2, -3, -3]
    image = Image.objects.filter(namespace=namespace).first()
    assert fairness.priority_of(image, after_turn=True) == -13
    monkeypatch.undo()
    assert LATER_PRIORITY < -fairness.MOST_COUNTED - 10


def test_the_names_of_others_that_begin_alike_are_not_counted():
    namespace = NamespaceFactory(name="team")
    queue_deletions(NamespaceFactory(name="team1", owner=ActivatedAccountFactory()), 2)
    assert fairness.priority_of(ImageFactory(namespace=namespace)) == 0
