"""What is pushed, moved or broken while tags are being deleted: it stays, checked on the disk and by pulling."""

import datetime

import pytest
from django.utils import timezone

from console.audit.models import AuditEvent
from console.registry import jobs
from console.registry.deletion import images, late_pushes, steps
from console.registry.deletion import tags as tag_deletion
from console.registry.index import hints
from console.registry.index.hints import Notice
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.index_sync import reread_tag
from tests.support.tags import agrees, ask, delete, indexed, pull, push, push_list, run, tag_again

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


class TestPushedMeanwhile:
    """What arrives during the deletion survives, whenever it does."""

    MOMENTS = ["LatePushes", "_without_moved", "_unneeded", "_untag_batch", "_remove_doomed"]

    @pytest.fixture(params=[(moment, after) for moment in MOMENTS for after in (False, True)], ids=str)
    def meanwhile(self, request, monkeypatch):
        """Does something once, before or after a step."""
        moment, after = request.param

        def at(act):
            real = getattr(tag_deletion, moment)
            done = []

            def step(*arguments):
                if after:
                    result = real(*arguments)
                if not done:
                    done.append(act())
                return result if after else real(*arguments)

            monkeypatch.setattr(tag_deletion, moment, step)

        return at

    def test_another_image_under_the_same_tag(self, image, meanwhile):
        first = push(image, "v1")
        indexed(image)
        pushed = []
        meanwhile(lambda: pushed.append(push(image, "v1")))
        delete(image, "v1")
        assert pull(image, "v1") == pushed[0].digest
        reread_tag(image.repository, "v1")
        assert agrees(image) == {"v1"}
        # The trail says either that it went, and came again, or that it stayed.
        (done,) = AuditEvent.objects.filter(action__in=["tag.deleted", "tag.kept"])
        assert done.target == f"{image.repository}:v1"
        if done.action == "tag.kept":
            assert done.detail == {"digest": pushed[0].digest}
        else:
            assert done.detail == {"old": first.digest}

    def test_the_same_image_under_another_tag(self, image, meanwhile):
        first = push(image, "v1")
        indexed(image)
        gone = []

        def act():
            gone.append(not disk.manifests(image.repository))
            if not gone[0]:
                tag_again(image, "v2", first)

        meanwhile(act)
        delete(image, "v1")
        if not gone[0]:
            assert pull(image, "v2") == first.digest
            reread_tag(image.repository, "v2")
        assert agrees(image) == (set() if gone[0] else {"v2"})

    def test_an_index_that_names_a_platform_of_the_deleted_one(self, image, meanwhile):
        children = [push(image), push(image)]
        push_list(image, "a", children)
        indexed(image)
        gone = []

        def act():
            gone.append(children[0].digest not in disk.manifests(image.repository))
            if not gone[0]:
                push_list(image, "b", children[:1])

        meanwhile(act)
        delete(image, "a")
        if not gone[0]:
            pull(image, "b")
            reread_tag(image.repository, "b")
        assert agrees(image) == (set() if gone[0] else {"b"})


@pytest.mark.parametrize("told", [True, False])
def test_a_tag_that_is_known_is_moved_to_what_goes(image, monkeypatch, told):
    """Whether the registry has told of it already, or not yet, or never will."""
    first = push(image, "v1")
    push(image, "v2")
    indexed(image)
    real = tag_deletion._untag_batch

    def move(*arguments):
        real(*arguments)
        tag_again(image, "v2", first)
        if told:
            hints.remember([Notice(image.repository, "v2")])

    monkeypatch.setattr(tag_deletion, "_untag_batch", move)
    delete(image, "v1")
    assert pull(image, "v2") == first.digest
    assert agrees(image) == {"v2"}


def test_a_tag_that_was_moved_there_where_there_are_very_many(image, monkeypatch):
    """Also of those each is asked for before anything goes."""
    monkeypatch.setattr(late_pushes, "CHEAP_TO_ASK", 0)
    first = push(image, "v1")
    push(image, "v2")
    indexed(image)
    ask(image, "v1")
    tag_again(image, "v2", first)
    run(image)
    assert pull(image, "v2") == first.digest
    assert agrees(image) == {"v2"}


def test_the_same_image_pushed_again_after_the_request_stays(image):
    pushed = push(image, "v1")
    indexed(image)
    hints.remember([Notice(image.repository, "v1", timezone.now())])  # told late: it is what was to be deleted
    ask(image, "v1")
    tag_again(image, "v1", pushed)
    hints.remember([Notice(image.repository, "v1", timezone.now())])
    run(image)
    assert pull(image, "v1") == pushed.digest
    assert agrees(image) == {"v1"}
    (kept,) = AuditEvent.objects.filter(action__in=["tag.deleted", "tag.kept"])
    assert (kept.action, kept.detail) == ("tag.kept", {"digest": pushed.digest})


def test_a_late_word_of_the_push_before_the_request_saves_nothing(image):
    push(image, "v1")
    indexed(image)
    before = timezone.now()
    ask(image, "v1")
    hints.remember([Notice(image.repository, "v1", before)])
    run(image)
    assert agrees(image) == set()


def test_a_late_word_of_it_while_the_deletion_is_half_done(image, monkeypatch):
    """The tag is gone already, and its row is all that says which digest is to go with it."""
    push(image, "v1")
    push(image, "v2")
    indexed(image)
    before = timezone.now() - datetime.timedelta(minutes=1)
    ask(image, "v1")
    with monkeypatch.context() as patch:

        def killed(repository, real=steps.remove_tombstone):
            real(repository)
            raise KeyboardInterrupt

        patch.setattr(steps, "remove_tombstone", killed)
        with pytest.raises(KeyboardInterrupt):
            run(image)
    assert set(disk.tags(image.repository)) == {"v2"}
    hints.remember([Notice(image.repository, "v1", before)])
    run(image)
    assert agrees(image) == {"v2"}
    assert len(disk.manifests(image.repository)) == 1


@pytest.mark.parametrize("pushed_before", [True, False])
def test_what_no_page_has_shown_stays(image, pushed_before):
    """Whoever asked saw another digest. Nor does the time of a word tell when that was pushed which is there now."""
    push(image, "v1")
    indexed(image)
    if pushed_before:
        unseen = push(image, "v1")
    told = timezone.now()
    ask(image, "v1")
    if not pushed_before:
        unseen = push(image, "v1")
    hints.remember([Notice(image.repository, "v1", told)])
    run(image)
    assert pull(image, "v1") == unseen.digest
    assert agrees(image) == {"v1"}


class TestATagThatCannotBeRead:
    """A power cut can leave an empty link: the registry then answers 500 for the tag."""

    def test_it_can_be_deleted(self, image):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        disk.break_tag(image.repository, "v1")
        delete(image, "v1")
        assert agrees(image) == {"v2"}

    def test_it_does_not_hold_up_others(self, image):
        kept, gone = push(image, "v1"), push(image, "v2")
        indexed(image)
        disk.break_tag(image.repository, "v1")
        hints.remember([Notice(image.repository, "v1", timezone.now())])
        delete(image, "v2")
        assert set(image.tags.values_list("name", "manifest__digest")) == {("v1", kept.digest)}
        assert gone.digest not in disk.manifests(image.repository)
        assert pull(image, kept.digest) == kept.digest

    def test_the_image_can_be_deleted(self, image, monkeypatch):
        monkeypatch.setattr(steps, "UNTAGGED_AT_ONCE", 1)
        monkeypatch.setattr(images, "_BATCH", 1)
        for name in ("v1", "v2", "v3"):
            push(image, name)
        indexed(image)
        push(image, "unseen")
        disk.break_tag(image.repository, "v3")
        disk.break_tag(image.repository, "unseen")
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.tags(image.repository) == {}
