"""What names a subject and has neither a tag nor a list of referrers: shown, copied, kept and deleted with it."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from console.registry.connection import registry
from console.registry.index import hints, reconcile
from console.registry.index.hints import Notice
from console.repositories import pushed_digests
from console.repositories.models import Manifest, Tag
from tests.images import copies
from tests.support import disk, tags
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.pushed_artifacts import push_artifact
from tests.support.pushed_images import digest_of, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team)


def told(repository, *references):
    """What notifications of pushes lead to."""
    moment = timezone.now() - datetime.timedelta(minutes=1)
    for one in references:
        digest = one if ":" in one else registry().resolve(repository, one).digest
        pushed_digests.remember([(repository, digest)])
        hints.remember([Notice(repository, one, moment, "ann", digest)])
    hints.sync_repository(repository)


def attach(image, subject, tag=None):
    made = push_artifact(registry(), image.repository, tag, subject)
    told(image.repository, tag or made.digest)
    return made


def page_of(client, image, tag="v1"):
    return client.get(reverse("tag", args=[image.repository, tag])).content.decode()


class TestShown:
    def test_with_its_subject(self, client, image):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject)
        assert reverse("manifest", args=[image.repository, made.digest]) in page_of(client, image)
        assert "1 attached" in client.get(reverse("image-tags", args=[image.repository])).content.decode()
        about = client.get(reverse("manifest", args=[image.repository, made.digest]))
        assert subject.digest in about.content.decode()

    def test_with_a_platform(self, client, image):
        children = [tags.push(image), tags.push(image)]
        push_index(registry(), image.repository, "v1", children)
        told(image.repository, "v1")
        made = attach(image, children[1])
        assert made.digest in page_of(client, image)

    def test_with_an_ordinary_tag_it_is_no_row_of_its_own(self, client, image):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject, "my-sbom")
        image.refresh_from_db()
        assert (image.tag_count, image.attachment_count) == (1, 1)
        assert made.digest in page_of(client, image)

    def test_once_when_a_list_names_it_too(self, client, image):
        from tests.support.pushed_artifacts import push_referrers

        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject)
        push_referrers(registry(), image.repository, subject, [made])
        told(image.repository, subject.digest.replace(":", "-"))
        assert page_of(client, image).count(reverse("manifest", args=[image.repository, made.digest])) == 1

    def test_told_of_before_its_image_is_there(self, client, team):
        repository = "team/later"
        subject = tags.push(type("", (), {"repository": repository}), None)
        made = push_artifact(registry(), repository, None, subject)
        told(repository, subject.digest, made.digest)
        registry().put_manifest(repository, "v1", subject.content, tags.DOCKER_MANIFEST)
        told(repository, "v1")
        assert Manifest.objects.get(digest=made.digest).subject == subject.digest

    def test_found_by_a_walk_when_the_notification_led_to_nothing(self, image):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = push_artifact(registry(), image.repository, None, subject)
        pushed_digests.remember([(image.repository, made.digest)])
        reconcile.resume(reconcile.begin([image.repository]))
        assert Manifest.objects.get(digest=made.digest).subject == subject.digest

    def test_what_names_no_subject_has_no_row(self, image):
        tags.push(image, "v1")
        alone = tags.push(image)
        told(image.repository, "v1", alone.digest)
        assert not Manifest.objects.filter(digest=alone.digest).exists()
        assert image.manifests.count() == 1


class TestKept:
    def test_by_its_subject_and_as_long_as_the_registry_has_it(self, image):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject)
        tags.push(image, "v2")
        told(image.repository, "v2")
        tags.delete(image, "v2")
        reconcile.resume(reconcile.begin([image.repository]))
        assert disk.manifests(image.repository) == {subject.digest, made.digest}
        assert set(image.manifests.values_list("digest", flat=True)) == {subject.digest, made.digest}
        registry().delete_manifest(image.repository, made.digest)
        reconcile.resume(reconcile.begin([image.repository]))
        assert set(image.manifests.values_list("digest", flat=True)) == {subject.digest}

    def test_when_another_tag_keeps_the_subject(self, image):
        subject = tags.push(image, "v1")
        tags.tag_again(image, "same", subject)
        told(image.repository, "v1", "same")
        made = attach(image, subject)
        tags.delete(image, "v1")
        assert disk.manifests(image.repository) == {subject.digest, made.digest}


class TestDeleted:
    def test_with_its_subject_and_what_is_about_it_in_turn(self, client, image):
        subject, other = tags.push(image, "v1"), tags.push(image, "v2")
        told(image.repository, "v1", "v2")
        first = attach(image, subject)
        attach(image, first)
        kept = attach(image, other)
        dialog = client.get(reverse("tags-delete", args=[image.repository]), {"tag": "v1"}).content.decode()
        assert "attached" in dialog
        tags.delete(image, "v1")
        assert disk.manifests(image.repository) == {other.digest, kept.digest}
        assert set(image.manifests.values_list("digest", flat=True)) == {other.digest, kept.digest}

    def test_with_a_platform_of_an_index(self, image):
        children = [tags.push(image), tags.push(image)]
        push_index(registry(), image.repository, "v1", children)
        told(image.repository, "v1")
        attach(image, children[0])
        tags.delete(image, "v1")
        assert disk.manifests(image.repository) == set() == set(image.manifests.values_list("digest", flat=True))

    def test_not_when_it_has_a_place_in_an_index_that_stays(self, image):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject)
        push_index(registry(), image.repository, "list", [made])
        told(image.repository, "list")
        tags.delete(image, "v1")
        assert subject.digest not in disk.manifests(image.repository)
        assert made.digest in disk.manifests(image.repository)


class TestCopied:
    @pytest.mark.parametrize("attached", [True, False])
    def test_when_that_is_asked_for(self, image, attached):
        subject = tags.push(image, "v1")
        told(image.repository, "v1")
        made = attach(image, subject)
        copies.ask(
            image, "v1", "copied", "v1", namespace=NamespaceFactory(owner=image.namespace.owner), attached=attached
        )
        copies.run()
        target = Tag.objects.exclude(image=image).get().image
        wanted = {subject.digest, made.digest} if attached else {subject.digest}
        assert disk.manifests(target.repository) == wanted
        assert set(target.manifests.values_list("digest", flat=True)) == wanted


def test_digests_of_any_length_can_be_hinted_at(image):
    hints.remember([Notice(image.repository, "sha512:" + "a" * 128, timezone.now())])
    assert hints.sync_repository(image.repository) == 1
    assert digest_of(b"")
