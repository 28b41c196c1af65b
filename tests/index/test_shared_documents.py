"""Documents are shared by digest: nothing that one repository holds, lacks or claims changes what another shows."""

import json

import pytest
from django.urls import reverse

from console.registry.connection import registry
from console.registry.deletion import names, removal
from console.registry.index import reconcile_repository
from console.registry.index.parse import Reading
from console.registry.index.store import store_all
from console.repositories.models import Document, Manifest
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from tests.index.documents import blob, oci, put
from tests.support.factories import ImageFactory
from tests.support.index_sync import reread_tag
from tests.support.pushed_images import digest_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

CONFIG = json.dumps(
    {"os": "linux", "architecture": "arm64", "created": "2024-05-06T07:08:09Z", "config": {"Labels": {"a": "b"}}}
).encode()
# Some media type that is not the one that the first repository has it under.
ANOTHER = "application/vnd.example.other.v1+json"


def pushed(image, tag="1"):
    document = oci(image.repository, config=CONFIG)
    digest = put(image.repository, tag, document)["digest"]
    reread_tag(image.repository, tag)
    return digest


def without_its_config(image):
    """The same image, of which the configuration was deleted before anybody read it."""
    document = oci(image.repository, config=CONFIG)
    digest = put(image.repository, "1", document)["digest"]
    registry().delete_blob(image.repository, digest_of(CONFIG))
    reread_tag(image.repository, "1")
    return digest


class TestConfigurations:
    def test_one_who_lacks_it_does_not_blank_what_others_show(self):
        image, other = ImageFactory(), ImageFactory()
        digest = pushed(image)
        assert without_its_config(other) == digest
        assert Document.objects.get(digest=digest).config["labels"] == {"a": "b"}
        row = Manifest.objects.get(image=image, digest=digest)
        assert row.platforms == ["linux/arm64"] and row.created_at.year == 2024

    def test_one_who_has_it_adds_it_for_others(self):
        image, other = ImageFactory(), ImageFactory()
        digest = without_its_config(other)
        assert Document.objects.get(digest=digest).config == {}
        assert pushed(image) == digest
        assert Document.objects.get(digest=digest).config["labels"] == {"a": "b"}

    def test_the_image_itself_does_not_forget_it(self):
        image = ImageFactory()
        digest = pushed(image)
        registry().delete_blob(image.repository, digest_of(CONFIG))
        # As a migration does when there is more to be read.
        Manifest.objects.filter(digest=digest).update(kind=Manifest.Kind.UNREAD)
        Manifest.objects.filter(digest=digest).update(kind=Manifest.Kind.IMAGE)
        reading = Reading(digest, OCI_MANIFEST, b"", kind=Manifest.Kind.IMAGE)
        store_all([(image.pk, reading)])
        row = Manifest.objects.get(image=image, digest=digest)
        assert row.platforms == ["linux/arm64"] and row.created_at.year == 2024

    def test_a_later_reading_that_knows_more_replaces_it(self):
        image = ImageFactory()
        digest = pushed(image)
        store_all([(image.pk, Reading(digest, OCI_MANIFEST, b"", config={"labels": {"a": "c"}}))])
        assert Document.objects.get(digest=digest).config == {"labels": {"a": "c"}}


class TestMediaTypes:
    """A document says the media type of whoever was first; each image has its own."""

    @pytest.fixture
    def image(self):
        """An image whose manifest another repository was pushed first, as something else."""
        image = ImageFactory()
        self.digest = pushed(image)
        Document.objects.update(media_type=ANOTHER)
        return image

    def has_it(self, image, reference):
        found = registry().manifest(image.repository, reference)
        assert (found.digest, found.media_type) == (self.digest, OCI_MANIFEST)

    def test_each_row_says_its_own(self, image):
        assert Manifest.objects.get(image=image).media_type == OCI_MANIFEST

    def test_what_a_walk_puts_back(self, image, monkeypatch):
        monkeypatch.setattr(reconcile_repository, "readable_digest", lambda *_: None)
        assert reconcile_repository._put_back(
            image, "1", reconcile_repository._Known(self.digest, "image", "active", False)
        )
        self.has_it(image, "1")

    def test_what_a_deletion_repairs(self, image):
        registry().delete_manifest(image.repository, self.digest)
        assert removal._repair(image.repository, self.digest)
        self.has_it(image, self.digest)

    def test_what_is_pointed_back_after_a_name_changed_hands(self, image):
        assert names._point_back(image.repository, "2", self.digest)
        self.has_it(image, "2")


def test_a_subject_is_that_of_the_image_alone(client):
    """The same signature in another repository makes nothing there the subject's attachment here."""
    image, other = ImageFactory(), ImageFactory()
    digest = pushed(image)
    config = {one: blob(one.repository, b"{}", OCI_CONFIG) for one in (image, other)}[other]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    put(other.repository, "about", {**document, "subject": {"mediaType": OCI_INDEX, "digest": digest, "size": 7}})
    reread_tag(other.repository, "about")
    assert Manifest.objects.get(image=other).subject == digest
    assert not Manifest.objects.filter(image=image).exclude(subject="").exists()
    client.force_login(image.namespace.owner)
    page = client.get(reverse("tag", args=[image.repository, "1"])).content.decode()
    assert "artifact" not in page.lower() or "about" not in page
