"""Copying tags within an image and to other images, against a real registry and checked on its disk."""

import itertools
from contextlib import suppress
from unittest.mock import Mock

import pytest
from django.core.exceptions import ValidationError

from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.namespaces.models import Namespace
from console.ownership.services import transfer_namespace
from console.registry import copying, jobs
from console.registry.connection import registry
from console.repositories import versions
from console.repositories.models import Copy, Image, Tag
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from registry_client import RegistryClient, RegistryUnavailable, Unauthorized, UnexpectedAnswer
from tests.images.copies import ask, indexed, pull, push, run, tag_of, target
from tests.support import disk
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.pushed_artifacts import push_artifact, push_referrers
from tests.support.pushed_images import push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def source():
    return ImageFactory(name="source")


class TestWhatIsCopied:
    def test_within_the_image(self, source):
        pushed = push(source, "v1")
        indexed(source)
        before = disk.stored()
        ask(source, "v1", "source", "latest")
        run()
        assert pull(source, "latest") == pushed.digest
        assert disk.stored() == before
        assert tag_of(source, "latest").manifest == tag_of(source, "v1").manifest
        source.refresh_from_db()
        assert (source.tag_count, source.size) == (2, pushed.size)
        assert not Copy.objects.exists()

    def test_to_a_new_image(self, source):
        pushed = push(source, "v1", layers=[b"one", b"two"])
        indexed(source)
        before = disk.stored()
        ask(source, "v1", "target", "v1")
        run()
        made = target(source)
        assert (made.visibility, made.tag_count, made.size) == (Image.Visibility.PRIVATE, 1, pushed.size)
        assert pull(made, "v1") == pushed.digest
        assert disk.stored() == before, "no bytes were added"
        assert disk.blobs(made.repository) == set(pushed.blobs)
        assert tag_of(made, "v1").pushed_by == source.namespace.owner.credential.username
        events = AuditEvent.objects.filter(action__in=["image.create", "tag.copy", "tag.copied"]).order_by("id")
        assert [event.action for event in events] == ["image.create", "tag.copy", "tag.copied"]

    def test_to_another_namespace_of_ones_own(self, source):
        pushed = push(source, "v1")
        indexed(source)
        other = NamespaceFactory(owner=source.namespace.owner)
        ask(source, "v1", "source", "v1", namespace=other)
        run()
        assert pull(Image.objects.get(namespace=other), "v1") == pushed.digest

    def test_all_platforms_of_an_index(self, source):
        children = [push(source, None) for _ in range(3)]
        inner = push_index(registry(), source.repository, "inner", children[:1])
        index = push_index(registry(), source.repository, "multi", [*children, inner])
        indexed(source)
        before = disk.stored()
        ask(source, "multi", "target", "multi")
        run()
        made = target(source)
        assert pull(made, "multi") == index.digest
        assert disk.manifests(made.repository) == {one.digest for one in (*children, inner, index)}
        assert disk.tags(made.repository) == {"multi": index.digest}
        assert disk.stored() == before
        assert made.manifests.count() == 5

    def test_what_many_indexes_name_is_copied_once(self, source, monkeypatch):
        """Three levels of indexes that all name the same are no more work than they are pushed."""
        repository = source.repository
        below = [push(source, None) for _ in range(3)]
        for level in range(2):
            turned = [below[one:] + below[:one] for one in range(3)]
            below = [push_index(registry(), repository, f"l{level}-{one}", turned[one]) for one in range(3)]
        top = push_index(registry(), repository, "top", below)
        puts = []
        put = RegistryClient.put_manifest

        def note(client, repository, reference, *rest):
            puts.append(reference)
            return put(client, repository, reference, *rest)

        monkeypatch.setattr(RegistryClient, "put_manifest", note)
        copying.copy_manifest(repository, f"{source.namespace}/copied", top.digest, "v1")
        assert len(puts) == len(set(puts)) == 3 + 2 * 3 + 1

    def test_an_index_that_names_one_child_twice(self, source):
        child = push(source, None)
        index = push_index(registry(), source.repository, "multi", [child, child])
        indexed(source)
        ask(source, "multi", "target", "multi")
        run()
        assert pull(target(source), "multi") == index.digest

    @pytest.mark.parametrize("attached", [True, False])
    def test_what_is_attached(self, source, attached):
        child = push(source, None)
        index = push_index(registry(), source.repository, "multi", [child])
        signature = push(source, f"{index.digest.replace(':', '-')}.sig")
        sbom = push_artifact(registry(), source.repository, None, child)
        referrers = push_referrers(registry(), source.repository, child, [sbom])
        push(source, "other")
        indexed(source)
        ask(source, "multi", "target", "v9", attached=attached)
        run()
        made = target(source)
        expected = {"v9": index.digest}
        if attached:
            expected[f"{index.digest.replace(':', '-')}.sig"] = signature.digest
            expected[child.digest.replace(":", "-")] = referrers.digest
        assert disk.tags(made.repository) == expected
        assert (sbom.digest in disk.manifests(made.repository)) == attached
        made.refresh_from_db()
        assert (made.tag_count, made.attachment_count) == (1, len(expected) - 1)

    def test_what_is_attached_is_there_already_within_the_image(self, source):
        pushed = push(source, "v1")
        push(source, f"{pushed.digest.replace(':', '-')}.sig")
        indexed(source)
        ask(source, "v1", "source", "v2", attached=True)
        assert Copy.objects.count() == 1

    def test_a_tag_that_is_there_is_replaced(self, source):
        pushed, old = push(source, "v1"), push(source, "latest")
        indexed(source)
        ask(source, "v1", "source", "latest")
        run()
        assert pull(source, "latest") == pushed.digest != old.digest
        assert tag_of(source, "latest").manifest.digest == pushed.digest
        assert Tag.objects.filter(image=source).count() == 2

    def test_it_is_independent_of_its_source(self, source):
        push_index(registry(), source.repository, "multi", [push(source, None)])
        indexed(source)
        ask(source, "multi", "target", "multi")
        run()
        mark_image_for_deletion(source.namespace.owner, source)
        jobs.delete_image(source.pk)
        assert pull(target(source), "multi")

    def test_a_registry_that_does_not_mount(self, source, monkeypatch):
        """Then the bytes go over the wire; what they come to is the same."""
        pushed = push(source, "v1")
        indexed(source)
        monkeypatch.setattr(RegistryClient, "mount_blob", lambda *_arguments: False)
        ask(source, "v1", "target", "v1")
        run()
        assert pull(target(source), "v1") == pushed.digest


class TestOnTheWay:
    def failed(self, source):
        copy = Copy.objects.get()
        assert copy.state == Copy.State.FAILED
        jobs.copy(copy.pk)
        return copy.problem

    def test_the_source_went_before(self, source):
        push(source, "v1")
        indexed(source)
        ask(source, "v1", "target", "v1")
        mark_image_for_deletion(source.namespace.owner, source)
        jobs.delete_image(source.pk)
        run()
        assert "no longer complete at its source" in self.failed(source)
        assert disk.tags(target(source).repository) == {}

    def test_the_source_goes_in_the_middle(self, source, monkeypatch):
        push_index(registry(), source.repository, "multi", [push(source, None), push(source, None)])
        indexed(source)
        ask(source, "multi", "target", "v1")
        real = copying._mount
        calls = itertools.count(1)

        def mount(*arguments):
            if next(calls) == 3:
                for digest in disk.blobs(source.repository):
                    registry().delete_blob(source.repository, digest)
            return real(*arguments)

        monkeypatch.setattr(copying, "_mount", mount)
        run()
        assert "no longer complete at its source" in self.failed(source)
        assert disk.tags(target(source).repository) == {}

    def test_open_pages_are_told(self, source, monkeypatch):
        """When it begins, when it waits, when it fails, when that is dismissed, when it ends."""
        push(source, "v1")
        indexed(source)
        seen = {versions.image_version(source)}

        def news():
            source.refresh_from_db()
            known = len(seen)
            seen.add(versions.image_version(source))
            return len(seen) > known

        copy = ask(source, "v1", "source", "v2")
        assert news()
        for error in (RegistryUnavailable("no"), UnexpectedAnswer("no")):
            with monkeypatch.context() as patched, suppress(RegistryUnavailable):
                patched.setattr(RegistryClient, "put_manifest", Mock(side_effect=error))
                jobs.copy(copy.pk)
            assert news()
        assert Copy.objects.get().state == Copy.State.FAILED
        copying.dismiss(source, copy.pk)
        assert not Copy.objects.exists()
        assert news()
        copying.dismiss(source, copy.pk)
        assert not news()

    def test_a_failed_copy_can_be_asked_for_again(self, source):
        pushed = push(source, "v1")
        indexed(source)
        ask(source, "v1", "target", "v1")
        Copy.objects.update(state=Copy.State.FAILED, problem="x")
        ask(source, "v1", "target", "v1")
        run()
        assert pull(target(source), "v1") == pushed.digest
        assert not Copy.objects.exists()

    def test_the_target_is_being_deleted(self, source):
        push(source, "v1")
        indexed(source)
        ask(source, "v1", "target", "v1")
        made = target(source)
        mark_image_for_deletion(source.namespace.owner, made)
        run()
        assert "is being deleted" in self.failed(source)
        jobs.delete_image(made.pk)
        assert not Image.objects.filter(pk=made.pk).exists()
        assert not Copy.objects.exists()

    @pytest.mark.parametrize("then", ["given away", "being given away", "deactivated"])
    def test_the_target_changes_hands_while_the_copy_waits(self, source, then):
        push(source, "v1")
        indexed(source)
        owner = source.namespace.owner
        made = ImageFactory(namespace=NamespaceFactory(owner=owner), name="target")
        ask(source, "v1", "target", "v1", namespace=made.namespace)
        if then == "given away":
            Namespace.objects.filter(pk=made.namespace_id).update(owner=ActivatedAccountFactory())
        elif then == "being given away":
            transfer_namespace(made.namespace, ActivatedAccountFactory())
        else:
            Account.objects.filter(pk=owner.pk).update(is_active=False)
        run()
        assert "no longer push to this image" in self.failed(source)
        assert disk.tags(made.repository) == {}

    def test_the_source_changes_hands_while_the_copy_waits(self, source):
        push(source, "v1")
        indexed(source)
        made = ImageFactory(namespace=NamespaceFactory(owner=source.namespace.owner), name="target")
        ask(source, "v1", "target", "v1", namespace=made.namespace)
        Namespace.objects.filter(pk=source.namespace_id).update(owner=ActivatedAccountFactory())
        run()
        assert "no longer see the image" in self.failed(source)
        assert disk.tags(made.repository) == {}

    def test_the_target_is_gone(self, source):
        push(source, "v1")
        indexed(source)
        copy = ask(source, "v1", "target", "v1")
        made = target(source)
        mark_image_for_deletion(source.namespace.owner, made)
        jobs.delete_image(made.pk)
        jobs.copy(copy.pk)
        assert disk.left_of(made.repository) == []

    def test_the_tag_that_it_replaces_is_deleted_meanwhile(self, source):
        """What was copied came after the request to delete, and stays."""
        pushed = push(source, "v1")
        push(source, "latest")
        indexed(source)
        ask(source, "v1", "source", "latest")
        mark_tags_for_deletion(source.namespace.owner, source, ["latest"])
        run()
        jobs.delete_tags(source.pk, ["latest"])
        assert pull(source, "latest") == pushed.digest
        assert tag_of(source, "latest").state == Tag.State.ACTIVE

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [(RegistryUnavailable, "Can’t reach the registry."), (Unauthorized, "refuses the console")],
    )
    def test_the_registry_is_away_and_comes_back(self, source, monkeypatch, error, sentence):
        pushed = push(source, "v1")
        indexed(source)
        copy = ask(source, "v1", "target", "v1")

        def fail(*_arguments, **_options):
            raise error("no")

        with monkeypatch.context() as patched, pytest.raises(error):
            patched.setattr(RegistryClient, "put_manifest", fail)
            jobs.copy(copy.pk)
        copy.refresh_from_db()
        assert (copy.state, sentence in copy.problem) == (Copy.State.RUNNING, True)
        run()
        assert pull(target(source), "v1") == pushed.digest
        assert not Copy.objects.exists()

    def test_the_registry_refuses_it(self, source, monkeypatch):
        push(source, "v1")
        indexed(source)
        ask(source, "v1", "target", "v1")

        def fail(*_arguments, **_options):
            raise UnexpectedAnswer("no")

        monkeypatch.setattr(RegistryClient, "put_manifest", fail)
        run()
        assert "refused a step" in self.failed(source)

    CALLS = [("manifest", 1), ("content_of", 1), ("content_of", 2), ("mount_blob", 1), ("mount_blob", 4),
             ("put_manifest", 1), ("put_manifest", 3), ("manifest", 2)]  # fmt: skip

    @pytest.mark.parametrize(("method", "turn"), CALLS)
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_killed_in_the_middle(self, source, monkeypatch, method, turn, after):
        index = push_index(registry(), source.repository, "multi", [push(source, None), push(source, None)])
        indexed(source)
        copy = ask(source, "multi", "target", "multi")
        real = getattr(RegistryClient, method)
        calls = itertools.count(1)

        class Killed(BaseException):
            pass

        def die(self, *arguments, **options):
            now = next(calls) == turn
            if now and not after:
                raise Killed
            result = real(self, *arguments, **options)
            if now:
                raise Killed
            return result

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(RegistryClient, method, die)
            jobs.copy(copy.pk)
        jobs.copy(copy.pk)
        made = target(source)
        assert pull(made, "multi") == index.digest
        assert disk.manifests(made.repository) == disk.manifests(source.repository)
        assert tag_of(made, "multi").manifest.digest == index.digest
        assert not Copy.objects.exists()

    def test_two_to_one_target(self, source):
        push(source, "v1")
        push(source, "v2")
        indexed(source)
        ask(source, "v1", "target", "latest")
        with pytest.raises(ValidationError, match="A copy to the tag"):
            ask(source, "v2", "target", "latest")
        run()
        ask(source, "v2", "target", "latest")
        run()
        assert tag_of(target(source), "latest").manifest == Tag.objects.get(image=target(source)).manifest
