"""Reading the registry again and writing down what it says."""

import datetime

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.audit.models import AuditEvent
from console.jobs.queue import defer_once, repository_lock
from console.operations.worker import run_worker
from console.registry.connection import registry
from console.registry.index import jobs
from console.registry.index.hints import Notice, remember, sync_repository
from console.registry.index.models import Hint
from console.registry.index.sync import Outcome, TagSync, find_image, reread_image
from console.registry.tombstone import TOMBSTONE, TOMBSTONE_MEDIA_TYPE
from console.repositories.models import Image, Tag
from registry_client import ManifestUnknown, RegistryClient, RegistryUnavailable, UnexpectedAnswer
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import DOCKER_MANIFEST, push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def test_a_push_makes_the_image_private():
    namespace = NamespaceFactory()
    repository = f"{namespace.name}/deep/app"
    pushed = push_image(registry(), repository, "v1", layers=[b"x" * 1000, b"y" * 500])
    reread_tag(repository, "v1", pushed_at=MOMENT, pushed_by="somebody")
    image = find_image(repository)
    tag = image.tags.get()
    assert image.visibility == Image.Visibility.PRIVATE
    assert (tag.name, tag.manifest.digest, tag.pushed_at, tag.pushed_by) == ("v1", pushed.digest, MOMENT, "somebody")
    assert (image.tag_count, image.size, image.last_push_at) == (1, pushed.size, MOMENT)
    assert AuditEvent.objects.get(action="image.create").actor == "somebody"


def test_a_word_of_a_push_that_comes_before_the_tag_is_there():
    """Distribution tells of the manifest first and points the tag at it then."""
    image = ImageFactory()
    push_image(registry(), image.repository, "other")
    remember([Notice(image.repository, "v1", timezone.now(), "somebody")])
    with pytest.raises(RegistryUnavailable):
        sync_repository(image.repository)
    assert Hint.objects.get().tag == "v1", "it is looked at again"
    push_image(registry(), image.repository, "v1")
    sync_repository(image.repository)
    assert not Hint.objects.exists()
    assert image.tags.get().pushed_by == "somebody"


def test_a_word_of_a_push_that_comes_before_the_tag_is_moved():
    """The tag still names what it named before; what is found is not taken for what was pushed."""
    image = ImageFactory()
    first = push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1", pushed_at=MOMENT, pushed_by="one")
    second = push_image(registry(), image.repository, "other")
    remember([Notice(image.repository, "v1", timezone.now(), "two", second.digest)])
    with pytest.raises(RegistryUnavailable):
        sync_repository(image.repository)
    tag = image.tags.get()
    assert (tag.manifest.digest, tag.pushed_at, tag.pushed_by) == (first.digest, MOMENT, "one")
    assert Hint.objects.get().tag == "v1", "it is looked at again"
    registry().put_manifest(image.repository, "v1", second.content, DOCKER_MANIFEST)
    sync_repository(image.repository)
    assert not Hint.objects.exists()
    tag.refresh_from_db()
    assert (tag.manifest.digest, tag.pushed_by) == (second.digest, "two")


def test_a_word_of_a_push_that_another_followed():
    """What was pushed is under its tag no more: after some seconds that is not waited for."""
    image = ImageFactory()
    present = push_image(registry(), image.repository, "v1")
    before = timezone.now() - datetime.timedelta(minutes=1)
    remember([Notice(image.repository, "v1", before, "somebody", f"sha256:{'0' * 64}")])
    sync_repository(image.repository)
    assert not Hint.objects.exists()
    assert image.tags.get().manifest.digest == present.digest


def test_of_two_words_the_later_one_says_what_was_pushed():
    now = timezone.now()
    later, earlier = (
        Notice("aa/bb", "v1", now - datetime.timedelta(seconds=ago), who, digest)
        for ago, who, digest in ((0, "two", "sha256:2"), (1, "one", "sha256:1"))
    )
    remember([later])
    remember([earlier])
    remember([Notice("aa/bb", "v1")])
    assert Hint.objects.values_list("pushed_by", "digest").get() == ("two", "sha256:2")


def test_a_word_of_a_push_whose_tag_does_not_come_is_forgotten():
    image = ImageFactory()
    push_image(registry(), image.repository, "other")
    remember([Notice(image.repository, "v1", timezone.now() - datetime.timedelta(minutes=1), "somebody")])
    sync_repository(image.repository)
    assert not Hint.objects.exists()


def test_reading_again_changes_nothing():
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1", pushed_at=MOMENT, pushed_by="somebody")
    before = Tag.objects.values().get()
    reread_tag(image.repository, "v1")
    assert Tag.objects.values().get() == before


def test_a_tag_that_moved():
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1", pushed_at=MOMENT, pushed_by="one")
    second = push_image(registry(), image.repository, "v1")
    later = MOMENT + datetime.timedelta(hours=1)
    reread_tag(image.repository, "v1", pushed_at=later, pushed_by="two")
    tag = Tag.objects.get()
    assert (tag.manifest.digest, tag.pushed_at, tag.pushed_by) == (second.digest, later, "two")
    image.refresh_from_db()
    assert (image.tag_count, image.size) == (1, second.size)


def test_a_late_notification_does_not_turn_back_the_clock():
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1", pushed_at=MOMENT)
    reread_tag(image.repository, "v1", pushed_at=MOMENT - datetime.timedelta(hours=1))
    assert Tag.objects.get().pushed_at == MOMENT


def test_a_tag_that_is_gone():
    image = ImageFactory()
    pushed = push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1")
    registry().delete_manifest(image.repository, pushed.digest)
    reread_tag(image.repository, "v1")
    image.refresh_from_db()
    assert (image.tags.count(), image.tag_count, image.size) == (0, 0, 0)
    reread_tag(image.repository, "never-there")
    reread_tag("nobody/knows", "this")


def test_digests_are_counted_once():
    image = ImageFactory()
    pushed = push_image(registry(), image.repository, "v1")
    registry().put_manifest(image.repository, "v2", pushed.content, DOCKER_MANIFEST)
    reread_image(image.repository)
    image.refresh_from_db()
    assert (image.tag_count, image.size, image.manifests.count()) == (2, pushed.size, 1)


def test_an_index_has_the_size_of_its_platforms():
    image = ImageFactory()
    children = [push_image(registry(), image.repository, None) for _ in range(2)]
    push_index(registry(), image.repository, "multi", children)
    reread_tag(image.repository, "multi")
    manifest = Tag.objects.get().manifest
    assert manifest.size == sum(child.size for child in children)
    assert manifest.platforms == ["linux/amd64", "linux/arm64"]
    assert set(manifest.child_digests) == {child.digest for child in children}


def test_an_image_that_is_being_deleted_is_left_alone():
    image = ImageFactory(state=Image.State.DELETING)
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1")
    assert not Tag.objects.exists()


def test_a_tag_at_the_tombstone_is_left_to_the_deletion_at_work():
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1")
    Tag.objects.update(state=Tag.State.DELETING)
    registry().put_manifest(image.repository, "v1", TOMBSTONE, TOMBSTONE_MEDIA_TYPE)
    reread_tag(image.repository, "v1")
    assert Tag.objects.get().manifest.media_type == DOCKER_MANIFEST


def test_a_tag_at_the_tombstone_goes_when_no_deletion_is_at_work():
    """A deletion that was given up has left it."""
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1")
    registry().put_manifest(image.repository, "v1", TOMBSTONE, TOMBSTONE_MEDIA_TYPE)
    assert reread_tag(image.repository, "v1") is Outcome.REMOVED
    assert not Tag.objects.exists()


def test_a_repository_in_nobodys_namespace_makes_no_row():
    push_image(registry(), "nobodys-own/app", "v1")
    reread_tag("nobodys-own/app", "v1")
    assert not Image.objects.exists()


def test_a_registry_that_is_down_changes_nothing(settings):
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1")
    settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
    with pytest.raises(RegistryUnavailable):
        reread_tag(image.repository, "v1")
    with pytest.raises(RegistryUnavailable):
        reread_image(image.repository)
    assert Tag.objects.exists()


def test_a_push_without_a_time_is_dated_now():
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    before = timezone.now()
    reread_tag(image.repository, "v1", pushed_by="x")
    assert before <= Tag.objects.get().pushed_at <= timezone.now()


def after_the_answer(monkeypatch, happen):
    """Let something happen once, between the registry's answer about a tag and its being written down."""
    client, original = registry(), registry().resolve

    def resolve(repository, reference):
        found = original(repository, reference)
        monkeypatch.setattr(client, "resolve", original)
        happen()
        return found

    monkeypatch.setattr(client, "resolve", resolve)


def test_an_older_answer_does_not_replace_a_newer_one(monkeypatch):
    """Somebody else looks later, is told of a later push, and is done first."""
    image = ImageFactory()
    push_image(registry(), image.repository, "v1")
    reread_tag(image.repository, "v1", pushed_at=MOMENT)
    push_image(registry(), image.repository, "v1")
    later = []

    def push_and_look():
        later.append(push_image(registry(), image.repository, "v1").digest)
        reread_tag(image.repository, "v1", pushed_at=MOMENT + datetime.timedelta(hours=1))

    after_the_answer(monkeypatch, push_and_look)
    reread_tag(image.repository, "v1")
    assert [Tag.objects.get().manifest.digest] == later


def test_an_older_answer_does_not_bring_a_tag_back(monkeypatch):
    image = ImageFactory()
    pushed = push_image(registry(), image.repository, "v1")
    push_image(registry(), image.repository, "other")
    reread_tag(image.repository, "v1")

    def delete_and_look():
        registry().delete_manifest(image.repository, pushed.digest)
        reread_tag(image.repository, "v1")

    after_the_answer(monkeypatch, delete_and_look)
    reread_tag(image.repository, "v1", pushed_at=MOMENT)
    assert not Tag.objects.exists()


@pytest.mark.parametrize("known", [False, True])
def test_one_that_the_registry_says_once_is_not_there(registry_server, monkeypatch, known):
    """As it may while the same manifest is pushed under another tag."""
    image = ImageFactory()
    if known:
        push_image(registry(), image.repository, "v1")
        reread_tag(image.repository, "v1")
    pushed = push_image(registry(), image.repository, "v1")
    first = iter([True])
    for name in ("manifest", "resolve"):
        real = getattr(RegistryClient, name)

        def answer(*arguments, _name=name, _real=real, **options):
            if (_name == "manifest" and next(first, False)) or (_name == "resolve" and next(second, False)):
                raise ManifestUnknown("manifest unknown")
            return _real(*arguments, **options)

        monkeypatch.setattr(RegistryClient, name, answer)
    second = iter([True])
    remember([Notice(image.repository, "v1", MOMENT, "somebody")])
    sync_repository(image.repository)
    assert image.tags.get(name="v1").manifest.digest == pushed.digest


class TestHints:
    def test_it_works(self):
        image = ImageFactory()
        for tag in ("v1", "v2"):
            push_image(registry(), image.repository, tag)
        remember([Notice(image.repository, "v1", MOMENT, "somebody"), Notice(image.repository, "v2")])
        assert sync_repository(image.repository) == 2
        assert not Hint.objects.exists()
        assert image.tags.get(name="v1").pushed_by == "somebody"

    def test_one_that_comes_meanwhile_is_followed_too(self, monkeypatch):
        image = ImageFactory()
        push_image(registry(), image.repository, "v1")
        remember([Notice(image.repository, "v1", MOMENT, "somebody")])
        looks = []

        def look(reader, pushes):
            looks.extend(push.pushed_by for push in pushes)
            if len(looks) == 1:
                remember([Notice(reader.repository, "v1", MOMENT + datetime.timedelta(seconds=1), "another")])
            return {push.tag for push in pushes}

        monkeypatch.setattr(TagSync, "sync_pushed", look)
        sync_repository(image.repository)
        assert looks == ["somebody", "another"]

    def test_a_registry_that_is_down_keeps_them(self, settings):
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        remember([Notice("team/app", "v1")])
        with pytest.raises(RegistryUnavailable):
            sync_repository("team/app")
        assert Hint.objects.exists()

    def test_one_that_cannot_be_read_does_not_hold_up_the_others(self, monkeypatch):
        remember([Notice("team/app", "bad"), Notice("team/app", "good")])
        looks = []

        def look(reader, tag, **options):
            looks.append(tag)
            if tag == "bad":
                raise UnexpectedAnswer("not a manifest")

        monkeypatch.setattr(TagSync, "sync_tag", look)
        sync_repository("team/app")
        assert looks == ["bad", "good"]
        assert not Hint.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_a_push_that_comes_while_a_look_fails(self, monkeypatch):
        """The job that fails gives its place up, and is done again: neither of the two is lost or stands in the way."""
        image = ImageFactory()
        push_image(registry(), image.repository, "v1")
        remember([Notice(image.repository, "v1")])
        follow_really = sync_repository

        def queue():
            key, lock = f"hints {image.repository}", repository_lock(image.repository)
            return defer_once(jobs.sync_hints, key, lock=lock, repository=image.repository)

        def fail_first(*_arguments):
            monkeypatch.setattr(jobs.hints, "sync_repository", follow_really)
            assert queue()
            raise RegistryUnavailable("just now")

        monkeypatch.setattr(jobs.hints, "sync_repository", fail_first)
        assert queue()
        run_worker(wait=False)  # the first, behind whose lock the second waits
        run_worker(wait=False)
        assert image.tags.get().name == "v1"
        (left,) = ProcrastinateJob.objects.filter(task_name="indexing.follow_hints")
        assert (left.status, left.args) == ("todo", {"repository": image.repository, "attempt": 1})
