"""Copying official images out of a real cache of a real registry into the installation's own."""

import itertools
import json

import pytest
from django.core.exceptions import ValidationError
from procrastinate.contrib.django.models import ProcrastinateJob

from console.audit.models import AuditEvent
from console.imports import copying, jobs, services
from console.imports.models import Transfer
from console.registry.connection import registry
from console.registry.jobs import delete_image as delete_job
from console.repositories import versions
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
from registry_client import RegistryClient
from tests.support import disk
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.import_requests import ask, image, official, pulled, ready, run, tag_of
from tests.support.pushed_images import push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server", "hub")]


def five_platforms(upstream, name, tag="latest"):
    children = [push_image(upstream, f"library/{name}", None) for _ in range(5)]
    return push_index(upstream, f"library/{name}", tag, children), children


class Killed(BaseException):
    pass


class TestWhatIsCopied:
    def test_an_image(self, upstream, namespace):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest", layers=[b"one" + name.encode(), b"two"])
        transfer = ask(namespace, name)
        assert run(transfer) is None
        made = image(namespace)
        assert (made.visibility, made.tag_count, made.size) == (Image.Visibility.PRIVATE, 1, pushed.size)
        assert pulled(made) == pushed.digest
        assert disk.blobs(made.repository) == set(pushed.blobs)
        assert disk.tags(made.repository) == {"v1": pushed.digest}
        assert tag_of(made).pushed_by == namespace.owner.credential.username
        actions = AuditEvent.objects.filter(action__startswith="tag.").order_by("id").values_list("action", flat=True)
        assert list(actions) == ["tag.import", "tag.push", "tag.imported"]

    def test_all_platforms_keep_the_digest(self, upstream, namespace):
        name = official()
        index, children = five_platforms(upstream, name)
        assert run(ask(namespace, name)) is None
        made = image(namespace)
        assert pulled(made) == index.digest
        assert disk.manifests(made.repository) == {index.digest, *(child.digest for child in children)}

    def test_two_of_five_platforms(self, upstream, namespace):
        name = official()
        index, children = five_platforms(upstream, name)
        assert run(ask(namespace, name, platforms=["linux/arm64", "linux/s390x"])) is None
        made = image(namespace)
        digest = pulled(made)
        found = registry().manifest(made.repository, "v1")
        assert [child.digest for child in found.children] == [children[1].digest, children[2].digest]
        assert [str(child.platform) for child in found.children] == ["linux/arm64", "linux/s390x"]
        assert disk.manifests(made.repository) == {digest, children[1].digest, children[2].digest}
        assert digest != index.digest
        assert tag_of(made).manifest.platforms == ["linux/arm64", "linux/s390x"]
        # The same choice made again is the same digest.
        assert run(ask(namespace, name, tag="v2", platforms=["linux/s390x", "linux/arm64"])) is None
        assert disk.tags(made.repository) == {"v1": digest, "v2": digest}

    def test_every_platform_named_is_all(self, upstream, namespace):
        name = official()
        index, _children = five_platforms(upstream, name)
        platforms = [f"linux/{one}" for one in ("amd64", "arm64", "s390x", "ppc64le", "riscv64")]
        assert run(ask(namespace, name, platforms=platforms)) is None
        assert pulled(image(namespace)) == index.digest

    def test_what_is_attested_of_a_platform_goes_along(self, upstream, namespace):
        name = official()
        children = [push_image(upstream, f"library/{name}", None) for _ in range(4)]
        document = json.loads(push_index(upstream, f"library/{name}", "x", children).content)
        for number in (2, 3):
            document["manifests"][number]["platform"] = {"os": "unknown", "architecture": "unknown"}
            document["manifests"][number]["annotations"] = {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": children[number - 2].digest,
            }
        content = json.dumps(document).encode()
        upstream.put_manifest(f"library/{name}", "latest", content, "application/vnd.oci.image.index.v1+json")
        assert run(ask(namespace, name, platforms=["linux/arm64"])) is None
        found = registry().manifest(image(namespace).repository, "v1")
        assert [child.digest for child in found.children] == [children[1].digest, children[3].digest]

    def test_a_platform_of_a_single_image(self, upstream, namespace):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        assert run(ask(namespace, name, platforms=["linux/amd64"])) is None
        assert pulled(image(namespace)) == pushed.digest
        failed = run(ask(namespace, name, tag="v2", platforms=["linux/arm64"]))
        assert failed.problem == "The image does not have the platform linux/arm64. It has: linux/amd64."

    def test_a_platform_that_is_not_there(self, upstream, namespace):
        name = official()
        five_platforms(upstream, name)
        failed = run(ask(namespace, name, platforms=["linux/amd64", "windows/amd64"]))
        assert failed.state == Transfer.State.FAILED
        assert failed.problem.startswith("The image does not have the platform windows/amd64. It has: linux/amd64,")
        assert disk.tags(image(namespace).repository) == {}

    def test_a_tag_that_is_there_is_replaced(self, upstream, namespace):
        name = official()
        made = ImageFactory(namespace=namespace, name="mine")
        push_image(registry(), made.repository, "v1")
        pushed = push_image(upstream, f"library/{name}", "latest")
        assert run(ask(namespace, name)) is None
        assert pulled(made) == pushed.digest

    def test_what_another_image_of_ones_own_has_is_mounted(self, upstream, namespace, monkeypatch):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest", layers=[b"shared" + name.encode()])
        assert run(ask(namespace, name)) is None

        def fail(*_arguments, **_options):
            raise AssertionError("nothing needs to be sent")

        monkeypatch.setattr(RegistryClient, "upload_blob", fail)
        assert run(ask(namespace, name, target="other")) is None
        assert pulled(image(namespace, "other")) == pushed.digest

    def test_what_others_have_is_not(self, upstream, namespace, monkeypatch):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        assert run(ask(namespace, name)) is None
        calls = []
        real = RegistryClient.mount_blob
        monkeypatch.setattr(RegistryClient, "mount_blob", lambda *a: calls.append(a) or real(*a))
        stranger = NamespaceFactory(owner=ActivatedAccountFactory())
        assert run(ask(stranger, name)) is None
        assert calls == []

    def test_no_whole_blob_in_memory(self, upstream, namespace, monkeypatch):
        name = official()
        push_image(upstream, f"library/{name}", "latest", layers=[bytes(1_000_000)])
        largest = []
        real = RegistryClient.upload_blob

        def upload(self, repository, digest, chunks, size):
            def seen():
                for chunk in chunks:
                    largest.append(len(chunk))
                    yield chunk

            return real(self, repository, digest, seen(), size)

        monkeypatch.setattr(RegistryClient, "upload_blob", upload)
        assert run(ask(namespace, name)) is None
        assert max(largest) <= 1 << 16
        assert sum(largest) > 1_000_000

    def test_two_of_the_same_image_at_once(self, upstream, namespace, monkeypatch):
        """The one is in the middle while the other runs from its beginning to its end."""
        name = official()
        index, _children = five_platforms(upstream, name)
        first, second = ask(namespace, name), ask(namespace, name, tag="v2")
        real = copying._upload
        calls = itertools.count()

        def upload(*arguments):
            if next(calls) == 3:
                assert run(second) is None
            return real(*arguments)

        monkeypatch.setattr(copying, "_upload", upload)
        assert run(first) is None
        assert disk.tags(image(namespace).repository) == {"v1": index.digest, "v2": index.digest}


class TestOnTheWay:
    def test_progress_in_bytes_that_open_pages_see(self, upstream, namespace, monkeypatch):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest", layers=[bytes(200_000)])
        monkeypatch.setattr(copying, "_PROGRESS_SECONDS", 0)
        seen = []
        real = copying._Progress.save

        def save(self):
            real(self)
            row = Transfer.objects.select_related("image").get(pk=self.transfer.pk)
            seen.append((row.bytes_done, row.bytes_total, versions.image_version(row.image)))

        monkeypatch.setattr(copying._Progress, "save", save)
        assert run(ask(namespace, name)) is None
        done = [one[0] for one in seen]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, pushed.size)
        assert any(0 < one < pushed.size for one in done)
        assert {one[1] for one in seen} == {pushed.size}
        assert len({one[2] for one in seen}) == len(seen)

    def test_cancelled_in_the_middle_of_a_blob(self, upstream, namespace, monkeypatch):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest", layers=[bytes(500_000) + name.encode()])
        transfer = ask(namespace, name)
        monkeypatch.setattr(copying, "_PROGRESS_SECONDS", 0)
        real = copying._Progress.add

        def add(self, count):
            if self.done > 200_000:
                row = Transfer.objects.filter(pk=transfer.pk, state=Transfer.State.RUNNING).first()
                if row is not None:
                    services.cancel(namespace.owner, row)
            return real(self, count)

        with monkeypatch.context() as patched:
            patched.setattr(copying._Progress, "add", add)
            stopped = run(transfer)
        assert stopped.state == Transfer.State.CANCELLED
        made = image(namespace)
        assert disk.tags(made.repository) == {}
        assert disk.manifests(made.repository) == set()
        # Somebody thinks better of it.
        again = services.retry(namespace.owner, stopped)
        assert run(again) is None
        assert pulled(made) == pushed.digest

    def test_cancelled_between_the_two_steps(self, upstream, namespace):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        jobs.fetch(transfer.pk, 1)
        services.cancel(namespace.owner, transfer)
        jobs.finish(transfer.pk, 1)
        assert disk.tags(image(namespace).repository) == {}

    def test_too_late_to_cancel(self, upstream, namespace, monkeypatch):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        real = RegistryClient.put_manifest
        refused = []

        def put(self, repository, reference, *arguments):
            if reference == "v1":
                with pytest.raises(ValidationError) as refusal:
                    services.cancel(namespace.owner, Transfer.objects.get(pk=transfer.pk))
                refused.extend(refusal.value.messages)
            return real(self, repository, reference, *arguments)

        monkeypatch.setattr(RegistryClient, "put_manifest", put)
        assert run(transfer) is None
        assert "Too late" in refused[0]
        assert pulled(image(namespace)) == pushed.digest

    def test_a_job_of_an_earlier_attempt_does_nothing(self, upstream, namespace):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        services.cancel(namespace.owner, transfer)
        again = services.retry(namespace.owner, transfer)
        jobs.fetch(transfer.pk, 1)
        assert not ready(again)
        again.refresh_from_db()
        assert (again.state, again.bytes_total) == (Transfer.State.RUNNING, 0)

    CALLS = [("upload_blob", 1), ("upload_blob", 4), ("put_manifest", 1), ("put_manifest", 3), ("put_manifest", 4)]

    @pytest.mark.parametrize(("method", "turn"), CALLS)
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_killed_and_gone_on(self, upstream, namespace, monkeypatch, method, turn, after):
        name = official()
        children = [push_image(upstream, f"library/{name}", None) for _ in range(2)]
        index = push_index(upstream, f"library/{name}", "latest", children)
        transfer = ask(namespace, name)
        real, real_upload = getattr(RegistryClient, method), RegistryClient.upload_blob
        calls, sent = itertools.count(1), []

        def die(self, *arguments, **options):
            now = next(calls) == turn
            if now and not after:
                raise Killed
            result = real(self, *arguments, **options)
            if method == "upload_blob":
                sent.append(arguments[1])
            if now:
                raise Killed
            return result

        def upload(self, *arguments, **options):
            sent.append(arguments[1])
            return real_upload(self, *arguments, **options)

        with monkeypatch.context() as patched, pytest.raises(Killed):
            if method != "upload_blob":
                patched.setattr(RegistryClient, "upload_blob", upload)
            patched.setattr(RegistryClient, method, die)
            run(transfer)
        monkeypatch.setattr(RegistryClient, "upload_blob", upload)
        assert run(transfer) is None
        made = image(namespace)
        assert pulled(made) == index.digest
        assert len(sent) == len(set(sent)), "what was there was not sent again"
        assert tag_of(made).manifest.digest == index.digest

    def test_a_turn_that_is_over_goes_on_where_it_was(self, upstream, namespace, monkeypatch):
        name = official()
        index, _children = five_platforms(upstream, name)
        transfer = ask(namespace, name)
        monkeypatch.setattr(jobs, "_TURN_SECONDS", -1)
        turns = 0
        while not ready(transfer):
            jobs.fetch(transfer.pk, 1)
            turns += 1
        assert turns == 15, "the index, each manifest and each blob took a turn, but for a blob with the last manifest"
        jobs.finish(transfer.pk, 1)
        assert pulled(image(namespace)) == index.digest

    def test_the_image_is_deleted_meanwhile(self, upstream, namespace):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        jobs.fetch(transfer.pk, 1)
        made = image(namespace)
        mark_image_for_deletion(namespace.owner, made)
        jobs.finish(transfer.pk, 1)
        delete_job(made.pk)
        jobs.finish(transfer.pk, 1)
        jobs.fetch(transfer.pk, 1)
        assert not Transfer.objects.exists()
        assert disk.manifests(made.repository) == set()

    def test_what_was_fetched_is_deleted_before_it_is_tagged(self, upstream, namespace):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        jobs.fetch(transfer.pk, 1)
        made = image(namespace)
        registry().delete_manifest(made.repository, pushed.digest)
        for blob in pushed.blobs:
            registry().delete_blob(made.repository, blob)
        jobs.finish(transfer.pk, 1)
        assert Transfer.objects.get().state == Transfer.State.RUNNING
        assert ProcrastinateJob.objects.filter(task_name="transfers.fetch").count() == 2, "it is fetched again"
        assert run(transfer) is None
        assert pulled(made) == pushed.digest

    def test_the_namespace_changes_hands_meanwhile(self, upstream, namespace):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        type(namespace).objects.filter(pk=namespace.pk).update(owner=ActivatedAccountFactory())
        assert "can no longer push" in run(transfer).problem

    def test_an_account_that_was_deactivated(self, upstream, namespace):
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        type(namespace.owner).objects.filter(pk=namespace.owner_id).update(is_active=False)
        assert "can no longer push" in run(transfer).problem
