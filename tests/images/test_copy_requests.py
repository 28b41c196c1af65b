"""What may be copied and where to, and two requests in one moment."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from console.namespaces.models import Namespace
from console.ownership.services import transfer_namespace
from console.registry import copy_requests
from console.registry.copy_requests import copy_tag
from console.repositories.models import Copy, Image, Tag
from console.repositories.services import mark_image_for_deletion
from tests.images.copies import ask, indexed, push, tag_of
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.stack import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def source():
    return ImageFactory(name="source")


class TestRefused:
    def refused(self, *arguments, **options):
        with pytest.raises(ValidationError) as refusal:
            copy_tag(*arguments, **options)
        assert not Copy.objects.exists()
        return " ".join(refusal.value.messages)

    @pytest.fixture
    def tag(self, source):
        return TagFactory(image=source, manifest=ManifestFactory(image=source), name="v1")

    def test_the_tag_itself(self, source, tag):
        assert "same tag" in self.refused(source.namespace.owner, tag, source.namespace, "source", "v1")

    def test_somebody_elses_image(self, source, tag):
        stranger = ActivatedAccountFactory()
        own = NamespaceFactory(owner=stranger)
        assert "You no longer have access to" in self.refused(stranger, tag, own, "mine", "v1")
        assert not Image.objects.filter(namespace=own).exists()

    def test_into_somebody_elses_namespace(self, source, tag):
        theirs = ImageFactory(name="theirs")
        for name in ("theirs", "new"):
            assert "You no longer have access to" in self.refused(
                source.namespace.owner, tag, theirs.namespace, name, "v1"
            )

    @pytest.mark.parametrize("name", ["", " ", "-x", "a" * 129, "a/b", "ä", "a\n", "a\x00"])
    def test_a_tag_that_is_none(self, source, tag, name):
        if name == "a\n":
            name = "a\nb"
        assert "up to 128" in self.refused(source.namespace.owner, tag, source.namespace, "new", name)
        assert Image.objects.count() == 1

    @pytest.mark.parametrize("name", ["X", "a", "", "a//b"])
    def test_an_image_name_that_is_none(self, source, tag, name):
        assert self.refused(source.namespace.owner, tag, source.namespace, name, "v1")

    def test_what_is_being_deleted(self, source, tag):
        owner = source.namespace.owner
        other = ImageFactory(namespace=source.namespace, name="other")
        gone = TagFactory(image=other, manifest=ManifestFactory(image=other), name="gone", state=Tag.State.DELETING)
        assert "tag is being deleted" in self.refused(owner, tag_of(other, "gone"), source.namespace, "source", "x")
        assert "is being deleted" in self.refused(owner, tag, source.namespace, "other", gone.name)
        mark_image_for_deletion(owner, other)
        assert "is being deleted" in self.refused(owner, tag, source.namespace, "other", "v1")
        mark_image_for_deletion(owner, source)
        assert "being deleted" in self.refused(owner, tag_of(source, "v1"), source.namespace, "new", "v1")

    @pytest.mark.parametrize("then", ["deleting", "gone"])
    def test_what_changes_in_the_same_moment(self, source, tag, then, monkeypatch):
        """The target was looked at before its lock was had."""
        owner = source.namespace.owner
        other = ImageFactory(namespace=source.namespace, name="other")
        real = copy_requests._start

        def begin(*arguments):
            if then == "deleting":
                Image.objects.filter(pk=other.pk).update(state=Image.State.DELETING)
            else:
                Image.objects.filter(pk=other.pk).delete()
            return real(*arguments)

        monkeypatch.setattr(copy_requests, "_start", begin)
        assert "is being deleted" in self.refused(owner, tag, source.namespace, "other", "v1")

    def test_into_a_namespace_that_is_being_transferred(self, source, tag):
        owner = source.namespace.owner
        other = ImageFactory(namespace=NamespaceFactory(owner=owner), name="other")
        transfer_namespace(other.namespace, ActivatedAccountFactory())
        assert "is being transferred" in self.refused(owner, tag, other.namespace, "other", "v1")

    def test_quotas(self, source, tag):
        owner = source.namespace.owner
        owner.tag_quota, owner.image_quota = 1, 1
        owner.save()
        Image.objects.filter(pk=source.pk).update(tag_count=1)
        assert "This image has reached its tag limit" in self.refused(owner, tag, source.namespace, "source", "v2")
        assert "This account has reached its image limit" in self.refused(owner, tag, source.namespace, "new", "v1")

    def test_a_quota_that_what_is_attached_would_pass(self, source):
        owner = source.namespace.owner
        owner.tag_quota = 1
        owner.save()
        pushed = push(source, "v1")
        push(source, f"{pushed.digest.replace(':', '-')}.sig")
        indexed(source)
        assert "tag limit" in self.refused(owner, tag_of(source, "v1"), source.namespace, "new", "v1", attached=True)
        assert not Image.objects.filter(name="new").exists(), "all or nothing"

    def test_replacing_needs_no_room(self, source):
        owner = source.namespace.owner
        owner.tag_quota = 2
        owner.save()
        push(source, "v1")
        push(source, "v2")
        indexed(source)
        ask(source, "v1", "source", "v2")
        assert Copy.objects.count() == 1

    def test_copies_on_their_way_count(self, source, tag):
        owner = source.namespace.owner
        owner.tag_quota = 3
        owner.save()
        Image.objects.filter(pk=source.pk).update(tag_count=1)
        ask(source, "v1", "source", "v2")
        ask(source, "v1", "source", "v3")
        with pytest.raises(ValidationError, match="tag limit"):
            ask(source, "v1", "source", "v4")


@pytest.mark.django_db(transaction=True)
def test_two_to_one_target_in_the_same_moment(source):
    push(source, "v1")
    indexed(source)
    ImageFactory(namespace=source.namespace, name="target")
    start = threading.Barrier(4)
    outcomes = []

    def race():
        try:
            start.wait()
            ask(source, "v1", "target", "latest")
            outcomes.append("")
        except ValidationError as refusal:
            outcomes.append(refusal.messages[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(one) for one in outcomes) == [False, True, True, True], outcomes
    assert all("A copy to the tag" in one for one in outcomes if one)
    assert Copy.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


@pytest.mark.django_db(transaction=True)
def test_a_target_that_changes_hands_while_its_lock_is_waited_for(source):
    """What is judged is what it is when the lock was had, not when it was asked for."""
    owner, new = source.namespace.owner, ActivatedAccountFactory()
    tag = TagFactory(image=source, manifest=ManifestFactory(image=source), name="v1")
    other = ImageFactory(namespace=NamespaceFactory(owner=owner), name="other")
    asked, outcomes = threading.Event(), []

    def copy():
        try:
            asked.set()
            copy_tag(owner, tag_of(source, tag.name), other.namespace, "other", "v1")
            outcomes.append("")
        except ValidationError as refusal:
            outcomes.append(refusal.messages[0])
        finally:
            connection.close()

    def waits_or_has_ended():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(outcomes) or cursor.fetchone()[0]

    thread = threading.Thread(target=copy)
    with transaction.atomic():
        Namespace.objects.filter(pk=other.namespace_id).update(owner=new)
        thread.start()
        assert asked.wait(30)
        wait_until(waits_or_has_ended, "the copy waits for the image")
    thread.join()
    assert "You no longer have access to" in outcomes[0]
    assert not Copy.objects.exists()
