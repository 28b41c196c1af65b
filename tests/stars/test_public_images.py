"""Everybody's public images, and one of them as others see it."""

import datetime
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.repositories import search
from console.repositories.models import Image
from console.repositories.totals import refresh_totals
from console.stars.services import set_star
from console.web.markdown import first_line
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    ImageFactory,
    ManifestFactory,
    NamespaceFactory,
    TagFactory,
)
from tests.support.http_servers import Server, error_reply
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
LIST = "/public-images/"


@pytest.fixture
def shop(ann):
    """Somebody else's namespace."""
    return NamespaceFactory(name="shop")


def names(client, query=""):
    return re.findall(r'<a href="/public-images/([\w./-]+)/" title=', text_of(client.get(LIST + query)))


class TestList:
    def test_everybodys_public_images_and_no_others(self, client, team, shop):
        ImageFactory(namespace=shop, name="web", visibility="public")
        ImageFactory(namespace=team, name="own", visibility="public")
        ImageFactory(namespace=shop, name="private")
        ImageFactory(namespace=team, name="secret")
        ImageFactory(namespace=shop, name="going", visibility="public", state="deleting")
        assert sorted(names(client)) == ["shop/web", "team/own"]
        assert "2 in total" in text_of(client.get(LIST))

    def test_what_it_says(self, client, shop):
        pushed = datetime.datetime(2026, 11, 20, 10, 30, tzinfo=datetime.UTC)
        image = ImageFactory(
            namespace=shop,
            name="web",
            visibility="public",
            description="# Web\n\nThe *shop* itself\nand more",
            pull_count=1234567,
            last_push_at=pushed,
        )
        set_star(ActivatedAccountFactory(), image, True)
        text = text_of(client.get(LIST))
        for shown in ("The shop itself", "1,234,567", "2026-11-20 10:30", '<span class="count">1</span>'):
            assert shown in text, shown
        assert "and more" not in text

    def test_long_descriptions_are_not_read(self, client, shop):
        ImageFactory(namespace=shop, name="web", visibility="public", description="The first *line*\n\n" + "x" * 20_000)
        with CaptureQueriesContext(connection) as queries:
            assert "The first line" in text_of(client.get(LIST))
        assert not [query["sql"] for query in queries if '"images_image"."description"' in query["sql"]]

    def test_search(self, client, shop, monkeypatch):
        for name in ("web", "web/admin", "worker"):
            ImageFactory(namespace=shop, name=name, visibility="public")
        ImageFactory(namespace=shop, name="web-private")
        for many in (0, 1000):
            monkeypatch.setattr(search, "_MANY", many)
            assert sorted(names(client, "?q=WEB")) == ["shop/web", "shop/web/admin"]
            assert len(names(client, "?q=shop/")) == 3
            assert names(client, "?q=shop admin") == ["shop/web/admin"]
            assert "No public images match “zzz”." in text_of(client.get(f"{LIST}?q=zzz"))

    def test_sorts(self, client, shop):
        now = timezone.now()
        for number, name in enumerate(("beta", "alpha", "gamma")):
            ImageFactory(
                namespace=shop,
                name=name,
                visibility="public",
                pull_count=number,
                star_count=10 - number,
                last_push_at=now + datetime.timedelta(days=number) if number else None,
            )
        by_name = ["shop/alpha", "shop/beta", "shop/gamma"]
        by_number = ["shop/beta", "shop/alpha", "shop/gamma"]
        for query, order in (
            ("", by_number[::-1]),
            ("?sort=pulls", by_number),
            ("?sort=name", by_name),
            ("?sort=-name", by_name[::-1]),
            ("?sort=-stars", by_number),
            ("?sort=pushed", by_number),
            ("?sort=-pushed", by_number[::-1]),
        ):
            assert names(client, query) == order, query

    def test_pages(self, client, shop):
        Image.objects.bulk_create(
            Image(namespace=shop, name=f"image{number:02}", visibility="public") for number in range(25)
        )
        assert names(client, "?size=10&page=3&sort=name") == [f"shop/image{number}" for number in range(20, 25)]

    @pytest.mark.parametrize(
        "query",
        ["page=0", "page=x", "size=7", "sort=owner__password", "sort=--name", "q=%00", "q=%25_\\", "q=" + "x" * 5000],
    )
    def test_garbage(self, client, shop, query):
        ImageFactory(namespace=shop, name="web", visibility="public")
        for path in (LIST, "/public-images/shop/web/", "/favorites/"):
            assert client.get(f"{path}?{query}").status_code == 200

    def test_empty(self, client, ann):
        assert "No public images yet" in text_of(client.get(LIST))

    def test_partial(self, client, shop):
        ImageFactory(namespace=shop, name="web", visibility="public")
        for path, target in ((LIST, "public"), ("/public-images/shop/web/", "tags"), ("/favorites/", "favorites")):
            text = text_of(client.get(path, headers={**HTMX, "HX-Target": target}))
            assert f'id="{target}"' in text
            assert "<html" not in text

    def test_whom_it_is_for(self, shop):
        client = Client()
        ImageFactory(namespace=shop, name="web", visibility="public")
        for path in (LIST, "/public-images/shop/web/", "/favorites/"):
            assert client.get(path)["Location"].startswith("/sign-in/")
        client.force_login(AccountFactory())
        for path in (LIST, "/public-images/shop/web/", "/favorites/"):
            assert client.get(path)["Location"] == "/images/"


class TestImage:
    @pytest.fixture
    def image(self, shop):
        image = ImageFactory(namespace=shop, name="web", visibility="public", description="The *shop* itself")
        amd, arm = (
            ManifestFactory(image=image, kind="image", platforms=[platform], is_child=True)
            for platform in ("linux/amd64", "linux/arm64")
        )
        index = ManifestFactory(
            image=image,
            kind="index",
            platforms=["linux/amd64", "linux/arm64"],
            children=[{"digest": one.digest, "platform": one.platforms[0]} for one in (amd, arm)],
        )
        at = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
        TagFactory(image=image, manifest=index, name="v1", pushed_at=at, pushed_by="keeper")
        TagFactory(image=image, manifest=amd, name="v0", pushed_at=at - datetime.timedelta(days=1), pushed_by="keeper")
        refresh_totals(image.pk)
        return image

    def test_what_others_see(self, client, image, settings):
        text = text_of(client.get("/public-images/shop/web/"))
        address = f"{settings.REGISTRY_ADDRESS}/shop/web"
        for shown in (
            "The <em>shop</em> itself",
            f"docker pull {address}:v1",
            f"docker pull {address}:v0",
            "linux/arm64",
            "2 in total",
            'aria-pressed="false"',
        ):
            assert shown in text, shown

    def test_nothing_that_only_its_owner_may_see_or_do(self, client, image):
        text = text_of(client.get("/public-images/shop/web/"))
        owner = image.namespace.owner
        for hidden in ("keeper", owner.name, owner.account_id, "/images/shop/", "Delete", "Copy to", "Edit", "Manage"):
            assert hidden not in text.replace("Copy digest", ""), hidden
        for path in ("", "-/info/", "-/tags/v1/", "-/delete/", "-/describe/", "-/visibility/", "-/tags/v1/copy/"):
            assert client.get(f"/images/shop/web/{path}").status_code == 404

    def test_its_owner_finds_the_way_to_manage_it(self, image):
        client = Client()
        client.force_login(image.namespace.owner)
        assert '<a class="button" href="/images/shop/web/">Manage</a>' in text_of(
            client.get("/public-images/shop/web/")
        )

    def test_the_tag_that_the_command_names(self, client, image):
        def command():
            return re.search(r'<code tabindex="0">docker pull \S+?:([\w.]+)</code>', text_of(client.get(path)))

        path = "/public-images/shop/web/"
        assert command()[1] == "v1"
        latest = TagFactory(image=image, name="latest", pushed_at=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        assert command()[1] == "latest"
        latest.state = "deleting"
        latest.save()
        assert command()[1] == "v1"
        assert "Deleting" in text_of(client.get(path))
        image.tags.update(missing_at=timezone.now())
        assert command() is None
        assert "not in the registry" in text_of(client.get(path))

    def test_search_and_sort(self, client, image):
        def tags(query):
            return re.findall(r'class="cut" title="([\w.]+)"', text_of(client.get(f"{path}{query}")))

        path = "/public-images/shop/web/"
        assert tags("") == ["v1", "v0"]
        assert tags("?sort=name") == ["v0", "v1"]
        assert tags("?q=V0") == ["v0"]
        assert "No tags match “zzz”." in text_of(client.get(f"{path}?q=zzz"))

    def test_no_tag_yet(self, client, shop):
        ImageFactory(namespace=shop, name="new", visibility="public")
        assert "No tags yet" in text_of(client.get("/public-images/shop/new/"))

    @pytest.mark.parametrize("change", [{"visibility": "private"}, {"state": "deleting"}])
    def test_what_is_not_public_is_not_found(self, client, image, change):
        Image.objects.update(**change)
        assert client.get("/public-images/shop/web/").status_code == 404

    @pytest.mark.parametrize("path", ["shop/nothing/", "no/such/", "shop/web/-/info/", "SHOP/web/", "shop/"])
    def test_what_is_not_there(self, client, image, path):
        assert client.get(f"/public-images/{path}").status_code == 404

    def test_a_description_hurts_nobody(self, client, shop):
        ImageFactory(namespace=shop, name="evil", visibility="public", description="<script>alert(1)</script> *x*")
        for path in (LIST, "/public-images/shop/evil/"):
            assert "<script>alert" not in text_of(client.get(path))


class TestScale:
    def crowd(self, shop, account, numbers):
        images = Image.objects.bulk_create(
            Image(namespace=shop, name=f"web{number}", visibility="public", description="*One* line\nand another")
            for number in numbers
        )
        for image in images:
            set_star(account, image, True)
        app = Image.objects.get(namespace=shop, name="web0")
        for number in numbers:
            TagFactory(image=app, name=f"v{number}")
        refresh_totals(app.pk)

    def test_the_number_of_queries_does_not_grow(self, client, ann, shop):
        def count(path):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            return len(queries)

        paths = [
            f"{LIST}?size=100",
            f"{LIST}?size=100&q=web&sort=-stars",
            "/public-images/shop/web0/?size=100",
            "/favorites/?size=100",
            "/favorites/?size=100&q=web&kind=public&sort=name",
        ]
        self.crowd(shop, ann, range(5))
        some = [count(path) for path in paths]
        self.crowd(shop, ann, range(5, 90))
        assert [count(path) for path in paths] == some
        assert max(some) <= 12

    def test_pages_come_from_an_index(self, client, shop):
        Image.objects.bulk_create(
            Image(namespace=shop, name=f"image{number}", visibility="public", pull_count=number, star_count=number % 7)
            for number in range(3000)
        )
        Image.objects.bulk_create(Image(namespace=shop, name=f"private{number}") for number in range(3000))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE images_image")
            for sort in ("name", "-pulls", "stars", "-stars", "pushed", "-pushed"):
                with CaptureQueriesContext(connection) as queries:
                    client.get(f"{LIST}?sort={sort}&page=3")
                page = next(one["sql"] for one in queries if "ORDER BY" in one["sql"])
                cursor.execute(f"EXPLAIN {page}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert "image_public_by" in plan, plan
                assert "Sort" not in plan, plan

    def test_the_registry_is_not_asked(self, client, ann, shop, settings):
        self.crowd(shop, ann, range(2))
        server = Server(lambda request: error_reply(500, "UNKNOWN"))
        settings.REGISTRY_URL = settings.CONSOLE_REGISTRY_URL = server.url
        for path in (LIST, "/public-images/shop/web0/", "/favorites/"):
            assert client.get(path).status_code == 200
        assert server.requests == []
        server.close()


class TestFirstLine:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", ""),
            ("***", ""),
            ("plain", "plain"),
            ("*One* `two` [three](https://example.com)\nfour", "One two three"),
            ("one  \ntwo", "one"),
            ("# Title\n\nWhat it is\n\nmore", "What it is"),
            ("# Title\n## Another", "Title"),
            ("- first\n- second", "first"),
            ("```\ncode\nmore\n```", "code"),
            ("    indented", "indented"),
            ("<b>bold</b> & so on", "<b>bold</b> & so on"),
            ("one&NewLine;two", "one two"),
        ],
    )
    def test_it_reads_as_it_looks(self, text, line):
        assert first_line(text) == line
