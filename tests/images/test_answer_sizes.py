"""However much somebody pushed: a page shows the beginning of it, reads no more, and is never larger than 1 MB."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.images import config_details, parts
from console.images.tags import FIRST_CHILDREN
from console.repositories.models import Document, Manifest, Tag
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.support.factories import ImageFactory
from tests.support.pushed_images import digest_of
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

MOST_BYTES = 1_000_000
# Nothing takes more bytes of HTML than these.
WORST = "'" * 5000
LONGEST_NAME = "n" * 200


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team, name=LONGEST_NAME)


def manifest(image, name, document=None, config=None, **fields):
    """A manifest as it was indexed, and its document."""
    raw = json.dumps(document or {"name": name}).encode()
    digest = digest_of(raw)
    values = {"kind": "image", "media_type": OCI_MANIFEST, "size": 1, **fields}
    Document.objects.create(digest=digest, media_type=values["media_type"], content=raw, config=config or {})
    return Manifest.objects.create(image=image, digest=digest, **values)


def index(image, name, children, **fields):
    return manifest(image, name, kind="index", media_type=OCI_INDEX, children=children, **fields)


def tag(manifest, name, subject=""):
    return Tag.objects.create(
        image=manifest.image, manifest=manifest, name=name, subject=subject, pushed_at=timezone.now()
    )


def child(number, platform="linux/amd64"):
    return {"digest": digest_of(f"child {number}".encode()), "platform": platform}


def page(client, path):
    """The page, which is no larger than any may be."""
    response = client.get(path)
    assert response.status_code == 200
    assert len(response.content) <= MOST_BYTES, f"{path}: {len(response.content):,} bytes"
    return text_of(response)


class TestLists:
    def test_an_index_that_names_one_manifest_forty_thousand_times(self, client, image):
        tag(index(image, "wide", [child(0)] * 40_000), "v1")
        text = page(client, f"/images/{image.repository}/-/tags/")
        assert text.count("?platform=") == FIRST_CHILDREN
        assert f"and {40_000 - FIRST_CHILDREN:,} more" in text

    def test_a_page_of_the_longest_rows(self, client, image):
        """A hundred tags with the longest names, each of an index of a hundred platforms, with twelve attachments."""
        for number in range(100):
            row = index(
                image,
                f"{number}",
                [child(at, f"linux/{'p' * 80}{at}") for at in range(number * 100, number * 100 + 100)],
                platforms=[f"linux/{'p' * 80}{at}" for at in range(100)],
            )
            tag(row, f"{number:x<128}")
            for kind in range(12):
                Manifest.objects.create(
                    image=image, digest=digest_of(f"{number} {kind}".encode()), media_type=OCI_MANIFEST, size=1,
                    kind="artifact", artifact_type=WORST[:200], subject=row.digest,
                )  # fmt: skip
        text = page(client, f"/images/{image.repository}/-/tags/?size=100")
        assert text.count("?platform=") == 100
        assert "and 99 more" in text
        assert "12 attached" in text
        image.visibility = "public"
        image.save()
        assert "and 99 more" in page(client, f"/public-images/{image.repository}/?size=100")

    def test_what_an_index_names_is_not_read(self, client, image):
        """The list reads the beginning that the database keeps, and no statement asks for the rest."""
        tag(index(image, "wide", [child(number) for number in range(8000)]), "v1")
        with CaptureQueriesContext(connection) as queries:
            page(client, f"/images/{image.repository}/-/tags/")
        assert not [query["sql"] for query in queries if '"images_manifest"."children"' in query["sql"]]

    def test_attachments_without_end(self, client, image):
        row = manifest(image, "signed")
        tag(row, "v1")
        Manifest.objects.bulk_create(
            Manifest(
                image=image, digest=digest_of(f"{number}".encode()), media_type=OCI_MANIFEST, size=1, kind="artifact",
                subject=row.digest,
            )
            for number in range(3000)
        )  # fmt: skip
        text = page(client, f"/images/{image.repository}/-/tags/")
        assert "3,000 attached" in text
        assert "and 2,990 more" in text
        assert "and 2,990 more" in page(client, f"/images/{image.repository}/-/tags/v1/")
        rest = page(client, f"/images/{image.repository}/-/manifests/{row.digest}/attached/")
        assert rest.count("Copy digest") == parts.PAGE_SIZE
        assert "Page 1 of 75" in rest


class TestDeletionDialog:
    def test_it_counts_what_is_attached_and_reads_no_lists(self, client, image):
        wide = index(image, "wide", [child(number) for number in range(5000)])
        for number in range(20):
            tag(wide, f"v{number}")
        tag(manifest(image, "signature"), "sig", subject=child(7)["digest"])
        Manifest.objects.create(
            image=image, digest=digest_of(b"sbom"), media_type=OCI_MANIFEST, size=1, subject=wide.digest
        )
        asked = "&".join(f"tag=v{number}" for number in range(20))
        with CaptureQueriesContext(connection) as queries:
            text = page(client, f"/images/{image.repository}/-/delete-tags/?{asked}")
        assert "2 attached tags" in text
        assert not [query["sql"] for query in queries if '"images_manifest"."children"' in query["sql"]]


class TestOneManifest:
    def test_platforms(self, client, image):
        row = index(image, "wide", [child(number) for number in range(8000)])
        tag(row, "v1")
        last = child(7999)["digest"]
        text = page(client, f"/images/{image.repository}/-/tags/v1/")
        assert text.count("?platform=") == FIRST_CHILDREN
        assert f"and {8000 - FIRST_CHILDREN:,} more" in text
        where = f"/images/{image.repository}/-/manifests/{row.digest}/platforms/"
        assert last not in page(client, where)
        assert last in page(client, f"{where}?page=200")
        # One that is not among the first can be looked at, too.
        Manifest.objects.create(image=image, digest=last, media_type=OCI_MANIFEST, kind="image", size=7)
        assert last in page(client, f"/images/{image.repository}/-/tags/v1/?platform={last}")

    def test_ten_thousand_layers(self, client, image):
        layer = {"mediaType": OCI_LAYER, "digest": child(0)["digest"], "size": 5}
        row = manifest(image, "tall", {"config": {"mediaType": OCI_CONFIG, **layer}, "layers": [layer] * 10_000})
        tag(row, "v1")
        text = page(client, f"/images/{image.repository}/-/tags/v1/")
        assert "and 9,900 more" in text
        where = f"/images/{image.repository}/-/manifests/{row.digest}/layers/"
        assert ">10000<" in page(client, f"{where}?page={10_000 // parts.PAGE_SIZE}")

    def test_the_worst_texts(self, client, image):
        """Every list as long as it can be, of entries as long as they can be."""
        texts = [f"{number}{WORST}"[:4096] for number in range(500)]
        config = {
            **dict.fromkeys(("author", "user", "working_dir", "stop_signal", "created"), WORST[:4096]),
            **dict.fromkeys(("entrypoint", "command", "environment", "ports", "volumes"), texts),
            "labels": dict(zip(texts, texts, strict=True)),
            "history": [{"created_by": text} for text in texts],
            "chart": {
                **dict.fromkeys(
                    ("name", "version", "app_version", "description", "home", "kube_version"), WORST[:4096]
                ),
                **dict.fromkeys(("keywords", "sources"), texts),
                "maintainers": [{"name": text, "email": text} for text in texts],
                "dependencies": [{"name": text, "version": text, "repository": text} for text in texts],
            },
        }
        annotations = {f"{number}{WORST}": WORST for number in range(200)}
        row = manifest(image, "words", {"annotations": annotations, "layers": []}, config)
        tag(row, "v1")
        page(client, f"/images/{image.repository}/-/tags/v1/")
        page(client, f"/images/{image.repository}/-/manifests/{row.digest}/")
        for name in config_details.read_details(row).lists:
            where = f"/images/{image.repository}/-/manifests/{row.digest}/{name}/"
            assert "Page 2 of" in page(client, f"{where}?page=2"), name
        assert "Page 2 of" in page(client, f"/images/{image.repository}/-/manifests/{row.digest}/layers/?page=2")

    def test_a_value_that_is_nested_deeply(self, client, image):
        """Indented, each of its values would take as many characters as it is deep."""
        deep = [0] * 60_000
        for _ in range(800):
            deep = [deep]
        tag(manifest(image, "deep", {"layers": [], "x": deep}), "v1")
        page(client, f"/images/{image.repository}/-/tags/v1/")

    def test_everything_at_once(self, client, image):
        """An index whose platforms have attachments of the longest types, with the worst image chosen."""
        config = {
            "history": [{"created_by": f"{number}{WORST}"[:4096]} for number in range(500)],
            **dict.fromkeys(("entrypoint", "command", "environment", "ports", "volumes"), [WORST[:4096]] * 500),
        }
        layer = {"mediaType": WORST, "digest": child(0)["digest"], "size": 5}
        row = manifest(image, "worst", {"layers": [layer] * 500, "annotations": {WORST: WORST}}, config)
        others = [child(number, f"linux/{'p' * 90}{number}") for number in range(100)]
        top = index(image, "top", [{"digest": row.digest, "platform": "linux/amd64"}, *others])
        tag(top, "v1")
        for at, subject in enumerate([top.digest, row.digest, *(one["digest"] for one in others[:19])]):
            Manifest.objects.bulk_create(
                Manifest(
                    image=image, digest=digest_of(f"{at} {number}".encode()), media_type=OCI_MANIFEST, size=1,
                    kind="artifact", artifact_type=WORST[:200], subject=subject,
                )
                for number in range(12)
            )  # fmt: skip
        page(client, f"/images/{image.repository}/-/tags/v1/")

    def test_one_text_of_four_megabytes(self, client, image):
        tag(manifest(image, "text", {"annotations": {"x": "'" * (4 << 20)}, "layers": []}), "v1")
        assert "…" in page(client, f"/images/{image.repository}/-/tags/v1/")

    def test_tags_of_one_digest(self, client, image):
        row = manifest(image, "many names")
        for number in range(120):
            tag(row, f"v{number}")
        text = page(client, f"/images/{image.repository}/-/tags/v0/")
        where = f"/images/{image.repository}/-/manifests/{row.digest}/tags/"
        assert where in text
        assert "v119" in page(client, f"{where}?page=3")

    @pytest.mark.parametrize("name", [*parts.PARTS, "nothing", "raw2"])
    def test_a_list_that_is_empty_or_unknown(self, client, image, name):
        row = manifest(image, "plain")
        response = client.get(f"/images/{image.repository}/-/manifests/{row.digest}/{name}/?page=9")
        assert response.status_code == (200 if name in parts.PARTS else 404)
