"""Lists of tags sorted by name are in the order of versions, whoever wrote the rows and however many there are."""

import datetime
import re

import pytest
from django.db import IntegrityError, connection, transaction
from django.http import QueryDict
from django.utils import timezone

from console.images.tags import names_of, shown_tags, tag_page
from console.official_images import cached, catalogue
from console.official_images.models import OfficialImage, OfficialTag
from console.registry.connection import registry
from console.registry.index import hints
from console.registry.index.hints import Notice, remember, sync_all
from console.repositories import tag_order_field
from console.repositories.models import Tag
from console.repositories.tag_order import sort_key
from console.web.keyset import keyset
from tests.official_images.conftest import hub
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.hub_api import tag as hub_tag
from tests.support.index_sync import reread_tag
from tests.support.tags import push

__all__ = ["hub"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

VERSIONS = ["1.0.0-rc1", "1.0.0", "v1.2.0", "v1.10.0", "build-9", "build-10", "latest"]


@pytest.fixture
def ann():
    return ActivatedAccountFactory()


@pytest.fixture
def image(ann):
    return ImageFactory(namespace=NamespaceFactory(owner=ann, name="versions"), name="app", visibility="public")


def shown(html, names=VERSIONS):
    """The names in the order in which a page has them first."""
    places = {name: re.search(rf">{re.escape(name)}<", html) for name in names}
    assert all(places.values()), [name for name, place in places.items() if place is None]
    return sorted(names, key=lambda name: places[name].start())


def explained(rows):
    return rows.explain(analyze=True, buffers=False)


class TestEachWayToWriteTags:
    def test_one_tag_read_by_itself(self, image):
        push(image, "v1.10.0")
        reread_tag(image.repository, "v1.10.0")
        assert Tag.objects.get(image=image).sort_key == sort_key("v1.10.0")

    def test_a_batch_of_pushed_tags(self, image, monkeypatch):
        monkeypatch.setattr(hints, "_GATHERING_SECONDS", 0)
        for name in VERSIONS:
            push(image, name)
        long_ago = timezone.now() - datetime.timedelta(minutes=1)
        remember([Notice(image.repository, name, long_ago, "ann") for name in VERSIONS])
        left = []
        sync_all(left.append)
        assert left == []
        assert dict(Tag.objects.values_list("name", "sort_key")) == {name: sort_key(name) for name in VERSIONS}

    def test_official_tags(self, hub):
        debian = OfficialImage.objects.create(name="debian")
        hub.tags["debian"] = [hub_tag(name) for name in VERSIONS]
        for _once_more in range(2):
            catalogue.read_tags("debian")
            OfficialImage.objects.update(tags_etag="", tags_modified="")
        kept = OfficialTag.objects.filter(image=debian).values_list("name", "sort_key")
        assert dict(kept) == {name: sort_key(name) for name in VERSIONS}

    def test_a_change_of_the_row_keeps_it(self, image):
        row = TagFactory(image=image, name="v1.10.0")
        row.sort_key = "something else"
        row.save()
        row.refresh_from_db()
        assert row.sort_key == sort_key("v1.10.0")

    @pytest.mark.parametrize("table", ["images_tag", "dockerhub_officialtag"])
    def test_no_row_without_it(self, image, table):
        TagFactory(image=image)
        OfficialTag.objects.create(image=OfficialImage.objects.create(name="debian"), name="12")
        for value in ("NULL", "''"):
            with pytest.raises(IntegrityError, match="sort_key"), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"UPDATE {table} SET sort_key = {value}")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_default, is_nullable, collation_name FROM information_schema.columns "
                "WHERE table_name = %s AND column_name = 'sort_key'",
                [table],
            )
            assert cursor.fetchone() == (None, "NO", "C"), "a statement that leaves it out fails"


class TestFilling:
    def test_rows_of_before_in_batches(self, image, monkeypatch):
        monkeypatch.setattr(tag_order_field, "_BATCH", 2)
        for name in VERSIONS:
            TagFactory(image=image, name=name)
        Tag.objects.filter(name="latest").update(sort_key="a key of before")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE images_tag ALTER COLUMN sort_key DROP NOT NULL")
            cursor.execute("UPDATE images_tag SET sort_key = NULL WHERE name <> 'latest'")

        class Editor:
            pass

        Editor.connection = connection
        tag_order_field.fill_sort_keys("images_tag")(None, Editor)
        expected = {name: sort_key(name) for name in VERSIONS}
        assert dict(Tag.objects.values_list("name", "sort_key")) == {**expected, "latest": "a key of before"}
        tag_order_field.fill_sort_keys("images_tag", again=True)(None, Editor)
        assert dict(Tag.objects.values_list("name", "sort_key")) == expected


def whole_names(response):
    """A page without the places where names may break."""
    return response.content.decode().replace("<wbr>", "")


class TestPages:
    @pytest.fixture
    def client(self, client, ann):
        client.force_login(ann)
        return client

    @pytest.fixture
    def tags(self, image):
        """Pushed in the order of texts."""
        manifest = ManifestFactory(image=image)
        return [TagFactory(image=image, manifest=manifest, name=name) for name in sorted(VERSIONS)]

    @pytest.mark.parametrize("address", ["/images/versions/app/-/tags/", "/public-images/versions/app/"])
    def test_lists(self, client, tags, address):
        for sort, expected in (("name", VERSIONS), ("-name", VERSIONS[::-1])):
            html = client.get(f"{address}?sort={sort}").content.decode().split("<tbody")[1]
            assert shown(html) == expected

    def test_search(self, client, tags):
        html = client.get("/images/versions/app/-/tags/?sort=name&q=build").content.decode().split("<tbody")[1]
        assert shown(html, ["build-9", "build-10"]) == ["build-9", "build-10"]

    def test_other_tags_of_a_digest(self, client, tags):
        assert names_of(tags[0].manifest, 50) == VERSIONS
        html = whole_names(client.get("/images/versions/app/-/tags/v1.2.0/"))
        others = [name for name in VERSIONS if name != "v1.2.0"]
        assert re.findall(r'<a class="badge"[^>]*><span>([^<]*)</span></a>', html) == others

    def test_the_dialog_that_deletes(self, client, tags):
        html = whole_names(client.get("/images/versions/app/-/delete-tags/?tag=v1.10.0&tag=v1.2.0"))
        assert shown(html, ["v1.2.0", "v1.10.0"]) == ["v1.2.0", "v1.10.0"]
        staying = [name for name in VERSIONS if name not in {"v1.2.0", "v1.10.0"}]
        assert shown(html, staying) == staying

    def test_the_tags_that_the_copy_dialog_suggests(self, client, tags):
        html = client.get("/images/versions/app/-/tags/v1.2.0/copy/").content.decode()
        assert re.findall(r'<option value="([^"]*)"></option>', html) == VERSIONS[::-1]

    def test_official_images(self, client):
        debian = OfficialImage.objects.create(name="debian", tags_known_at=timezone.now(), tags_total=len(VERSIONS))
        OfficialTag.objects.bulk_create(OfficialTag(image=debian, name=name) for name in sorted(VERSIONS))
        for sort, expected in (("name", VERSIONS), ("-name", VERSIONS[::-1])):
            html = client.get(f"/docker-hub/debian/?sort={sort}").content.decode().split("<tbody")[1]
            assert shown(html) == expected

    def test_the_administration(self, client, ann, tags):
        ann.is_staff = ann.is_superuser = True
        ann.save()
        html = whole_names(client.get("/admin/images/tag/?o=1")).split("<tbody")[1]
        assert shown(html) == VERSIONS

    def test_what_the_cache_holds(self, image, monkeypatch):
        monkeypatch.setattr(cached, "hub_inner", registry)
        for name in VERSIONS:
            push(image, name)
        assert [tag.name for tag in cached.read_cached(image.repository).tags] == VERSIONS


class TestTenThousand:
    """Any page of a very long list is read in order from the index."""

    @pytest.fixture
    def image(self, image):
        shared = ManifestFactory(image=image)
        names = [f"v{major}.{minor}.{patch}" for major in range(25) for minor in range(20) for patch in range(20)]
        Tag.objects.bulk_create(
            [
                Tag(image=image, manifest=shared, name=name, pushed_at=timezone.now())
                for name in sorted(names)
            ]
        )  # fmt: skip
        other = ImageFactory(namespace=image.namespace, name="other")
        theirs = ManifestFactory(image=other)
        Tag.objects.bulk_create(
            [Tag(image=other, manifest=theirs, name=f"v{number}", pushed_at=timezone.now()) for number in range(2000)]
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE images_tag, images_manifest")
        image.tag_count = len(names)
        return image

    def test_each_page_once_and_from_the_index(self, image, monkeypatch):
        expected = sorted(Tag.objects.filter(image=image).values_list("name", flat=True), key=sort_key)
        assert expected[:21:20] == ["v0.0.0", "v0.1.0"]
        for sort in ("name", "-name"):
            seen, query = [], f"sort={sort}&size=100"
            while query:
                page, _sort = tag_page(image, QueryDict(query), "")
                seen += [tag.name for tag in page.rows]
                query = page.following.removeprefix("?")
            assert seen == (expected if sort == "name" else expected[::-1])

        plans = []
        monkeypatch.setattr(
            "console.web.keyset.list", lambda rows: plans.append(explained(rows)) or list(rows), raising=False
        )
        for descending in (False, True):
            tags = shown_tags(image)
            first = keyset(tags, QueryDict("size=100"), "sort_key", str, descending, 10_000)
            following = keyset(tags, QueryDict(first.following[1:]), "sort_key", str, descending, 10_000)
            keyset(tags, QueryDict(following.last[1:]), "sort_key", str, descending, 10_000)
        assert len(plans) == 6
        for plan in plans:
            assert re.search(r"Index Scan (Backward )?using tag_by_version on images_tag ", plan), plan
            assert "Sort" not in plan, plan
            assert "Seq Scan on images_tag" not in plan, plan

    def test_equal_keys_do_not_exist(self, image):
        assert Tag.objects.filter(image=image).values("sort_key").distinct().count() == 10_000
