"""Deleting some tags of an image, checked on the registry's disk and by pulling what must survive."""

import itertools

import pytest
from django.core.exceptions import ValidationError

from console.registry import deletion, jobs, late_pushes, tag_deletion
from console.registry.connection import registry
from console.repositories.models import Image, Manifest, Tag
from console.repositories.services import delete_image
from registry_client import NameUnknown, RegistryClient, RegistryUnavailable, Unauthorized, Unsupported
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.pushed_artifacts import push_artifact, push_referrers
from tests.support.tags import agrees, ask, delete, indexed, pull, push, push_list, run, tag_again

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image():
    return ImageFactory()


class TestWhatGoesAndWhatStays:
    def test_it_works(self, image):
        gone, kept = push(image, "v1"), push(image, "v2")
        delete(indexed(image), "v1")
        assert agrees(image) == {"v2"}
        assert disk.manifests(image.repository) == {kept.digest}
        assert gone.digest != kept.digest
        assert (image.tag_count, image.size) == (1, kept.size)

    def test_many(self, image, monkeypatch):
        """More than are deleted in one go."""
        monkeypatch.setattr(deletion, "BURIED_AT_ONCE", 3)
        shared = push(image, "a0")
        for number in range(1, 4):
            tag_again(image, f"a{number}", shared)
        for number in range(8):
            push(image, f"b{number}")
        kept = push(image, "kept")
        tag_again(image, "kept-too", shared)
        delete(indexed(image), *(f"a{number}" for number in range(4)), *(f"b{number}" for number in range(8)))
        assert agrees(image) == {"kept", "kept-too"}
        assert disk.manifests(image.repository) == {kept.digest, shared.digest}

    def test_all(self, image):
        for number in range(3):
            push(image, f"v{number}")
        delete(indexed(image), "v0", "v1", "v2")
        assert agrees(image) == set()
        assert disk.manifests(image.repository) == set()
        assert (image.tag_count, image.size, image.state) == (0, 0, Image.State.ACTIVE)
        again = push(image, "v0")
        assert pull(indexed(image), "v0") == again.digest

    def test_other_tags_of_the_digest_stay(self, image):
        tag_again(image, "same", push(image, "v1"))
        delete(indexed(image), "v1")
        assert agrees(image) == {"same"}

    def test_other_tags_of_the_digest_stay_also_when_the_index_has_not_seen_them(self, image):
        pushed = push(image, "v1")
        indexed(image)
        tag_again(image, "unseen", pushed)
        delete(image, "v1")
        assert pull(image, "unseen") == pushed.digest

    def test_and_also_where_there_are_too_many_to_ask_for_each(self, image, monkeypatch):
        monkeypatch.setattr(late_pushes, "CHEAP_TO_ASK", 0)
        pushed = push(image, "v1")
        indexed(image)
        tag_again(image, "unseen", pushed)
        delete(image, "v1")
        assert pull(image, "unseen") == pushed.digest
        assert agrees(image) == {"unseen"}

    def test_an_index_goes_with_its_children(self, image):
        push_list(image, "multi", [push(image) for _ in range(3)])
        kept = push(image, "v1")
        delete(indexed(image), "multi")
        assert agrees(image) == {"v1"}
        assert disk.manifests(image.repository) == {kept.digest}

    def test_a_child_that_another_index_needs_stays(self, image):
        shared, own = push(image), push(image)
        push_list(image, "a", [shared, own])
        other = push_list(image, "b", [shared])
        delete(indexed(image), "a")
        assert agrees(image) == {"b"}
        assert disk.manifests(image.repository) == {shared.digest, other.digest}

    def test_a_child_that_has_a_tag_of_its_own_stays(self, image):
        child = push(image, "amd64")
        push_list(image, "multi", [child])
        delete(indexed(image), "multi")
        assert agrees(image) == {"amd64"}

    def test_a_tag_on_a_child_goes_and_the_child_stays(self, image):
        child = push(image, "amd64")
        push_list(image, "multi", [child])
        delete(indexed(image), "amd64")
        assert agrees(image) == {"multi"}

    def test_an_index_of_indexes(self, image):
        shared, own = push(image), push(image)
        inner, kept = push_list(image, "inner", [shared, own]), push_list(image, "kept", [shared])
        push_list(image, "outer", [inner])
        delete(indexed(image), "outer", "inner")
        assert agrees(image) == {"kept"}
        assert disk.manifests(image.repository) == {kept.digest, shared.digest}

    def test_two_indexes_that_share_a_child_one_after_the_other(self, image, monkeypatch):
        """The second is deleted while the first's manifests still wait to be."""
        shared = push(image)
        push_list(image, "a", [shared, push(image)])
        push_list(image, "b", [shared, push(image)])
        indexed(image)
        ask(image, "a")
        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(tag_deletion, "_remove_doomed", down)
            run(image)
        delete(image, "b")
        assert agrees(image) == set()
        assert disk.manifests(image.repository) == set()

    def test_what_is_about_an_image_goes_with_it(self, image):
        subject, kept = push(image, "v1"), push(image, "v2")
        stem = subject.digest.replace(":", "-")
        push(image, f"{stem}.sig")
        push_referrers(
            registry(), image.repository, subject, [push_artifact(registry(), image.repository, None, subject)]
        )
        other = push(image, f"{kept.digest.replace(':', '-')}.sig")
        indexed(image)
        assert (image.tag_count, image.attachment_count) == (2, 3)
        delete(image, "v1")
        assert agrees(image) == {"v2", f"{kept.digest.replace(':', '-')}.sig"}
        assert disk.manifests(image.repository) == {kept.digest, other.digest}

    def test_what_is_about_a_platform_goes_with_the_index(self, image):
        child = push(image)
        push_list(image, "multi", [child])
        push(image, f"{child.digest.replace(':', '-')}.sig")
        delete(indexed(image), "multi")
        assert agrees(image) == set()
        assert disk.manifests(image.repository) == set()

    def test_what_is_about_what_is_about_it_goes_too(self, image):
        subject = push(image, "v1")
        sbom = push_artifact(registry(), image.repository, f"{subject.digest.replace(':', '-')}.sbom", subject)
        push(image, f"{sbom.digest.replace(':', '-')}.sig")
        delete(indexed(image), "v1")
        assert agrees(image) == set()
        assert disk.manifests(image.repository) == set()

    def test_what_is_about_an_image_that_another_tag_keeps_stays(self, image):
        subject = push(image, "v1")
        tag_again(image, "same", subject)
        signature = f"{subject.digest.replace(':', '-')}.sig"
        push(image, signature)
        delete(indexed(image), "v1")
        assert agrees(image) == {"same", signature}

    def test_a_signature_alone_goes_alone(self, image):
        subject = push(image, "v1")
        signature = f"{subject.digest.replace(':', '-')}.sig"
        push(image, signature)
        delete(indexed(image), signature)
        assert agrees(image) == {"v1"}
        assert disk.manifests(image.repository) == {subject.digest}


def test_a_repository_that_the_registry_no_longer_knows_is_not_written_to(image):
    """On an empty disk a tombstone would make it look as if all other tags had been deleted."""
    push(image, "v1")
    push(image, "v2")
    indexed(image)
    disk.lose(image.repository)
    ask(image, "v1")
    with pytest.raises(NameUnknown):
        run(image)
    assert "no longer knows this image" in image.tags.get(name="v1").problem
    assert disk.left_of(image.repository) == []
    assert set(image.tags.values_list("name", flat=True)) == {"v1", "v2"}


def down(*_arguments, **_options):
    raise RegistryUnavailable("down")


# The calls that the deletion of an index and a signed image makes: each may fail, before or after it had its effect.
CALLS = [
    ("resolve", 1), ("resolve", 4), ("tags", 1), ("put_manifest", 1), ("put_manifest", 3), ("put_manifest", 4),
    ("delete_manifest", 1), ("delete_manifest", 2), ("delete_manifest", 4), ("tags", 3),
]  # fmt: skip


@pytest.mark.parametrize(("method", "turn"), CALLS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_failure_at_any_call_is_finished_later(image, monkeypatch, method, turn, after):
    child, subject = push(image), push(image, "v1")
    push_list(image, "multi", [child, push(image)])
    push(image, f"{subject.digest.replace(':', '-')}.sig")
    push_list(image, "kept", [child])
    indexed(image)
    real = getattr(RegistryClient, method)
    numbers = itertools.count(1)
    failed = []

    def fail(self, *arguments, **options):
        number = next(numbers)
        if number == turn and not after:
            failed.append(number)
            raise RegistryUnavailable("down")
        result = real(self, *arguments, **options)
        if number == turn:
            failed.append(number)
            raise RegistryUnavailable("down")
        return result

    ask(image, "v1", "multi")
    with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
        patched.setattr(RegistryClient, method, fail)
        run(image)
    assert failed
    assert all("does not answer" in tag.problem for tag in Tag.objects.filter(state=Tag.State.DELETING))
    assert pull(image, "kept")
    run(image)
    assert agrees(image) == {"kept"}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RegistryUnavailable, "does not answer"),
        (Unauthorized, "refused a step"),
        (Unsupported, "does not allow deletions"),
    ],
)
def test_the_row_says_what_failed(image, monkeypatch, error, sentence):
    push(image, "v1")
    indexed(image)
    ask(image, "v1")

    def fail(*_arguments, **_options):
        raise error("no")

    with monkeypatch.context() as patched, pytest.raises(error):
        patched.setattr(RegistryClient, "delete_manifest", fail)
        run(image)
    assert sentence in image.tags.get().problem
    run(image)
    assert agrees(image) == set()


class TestOrder:
    def test_asking_twice_is_asking_once(self, image):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        assert ask(image, "v1") == ["v1"]
        with pytest.raises(ValidationError, match="no longer exist"):
            ask(image, "v1")
        assert ask(image, "v1", "v2") == ["v2"]
        run(image)
        run(image)
        assert agrees(image) == set()
        with pytest.raises(ValidationError, match="None of these tags"):
            ask(image, "v1", "v2")

    def test_tags_of_an_image_that_is_being_deleted(self, image):
        push(image, "v1")
        indexed(image)
        delete_image(image.namespace.owner, image)
        with pytest.raises(ValidationError, match="being deleted with all its tags"):
            ask(image, "v1")

    def test_the_whole_image_while_tags_of_it_wait(self, image):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        ask(image, "v1")
        delete_image(image.namespace.owner, image)
        run(image)
        assert set(disk.tags(image.repository)) == {"v1", "v2"}, "the other job does it"
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.left_of(image.repository) == []

    def test_the_whole_image_while_tags_of_it_are_half_gone(self, image, monkeypatch):
        push(image, "v1")
        push(image, "v2")
        indexed(image)
        ask(image, "v1")
        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(tag_deletion, "remove_tombstone", down)
            run(image)
        delete_image(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert not Image.objects.exists()
        assert disk.left_of(image.repository) == []

    def test_it_gives_way_and_goes_on(self, image, monkeypatch):
        for number in range(3):
            push(image, f"v{number}")
        indexed(image)
        ask(image, "v0", "v1", "v2")
        left = []
        for _ in range(4):
            with monkeypatch.context() as patched:
                patched.setattr(jobs, "_turn", lambda: lambda: True)
                run(image)
            left.append(Manifest.objects.filter(doomed=True).count())
        assert left == [2, 1, 0, 0]
        assert agrees(image) == set()
