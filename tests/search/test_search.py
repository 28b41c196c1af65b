"""What is found of each kind, in which order, what is shown of it, and that nobody finds what they may not see."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.official_images.models import OfficialImage
from console.repositories import search as names
from console.repositories.models import Image, Tag
from console.search import groups, matches
from console.search.matches import IMAGES, KINDS, MOST, NAMESPACES, OFFICIAL, PUBLIC, TAGS
from console.search.typed import take_apart
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Target": "search-results"}


def found(account, text, *kinds):
    """The names that are found, by kind; of tags with the image."""
    result = matches.find(account, take_apart(text), kinds or KINDS)
    return {
        kind: [f"{one.name}:{one.tag}" if one.tag else one.name for one in some]
        for kind, some in result.items()
        if some
    }


@pytest.fixture
def app(team):
    return ImageFactory(namespace=team, name="ledger/api", description="# Books\n\nKeeps *accounts* of Kafka.")


class TestImages:
    def test_by_any_part_of_the_name(self, ann, app):
        for text in ("ledger", "EDGER/A", "team/led", "api ledger", "team api"):
            assert found(ann, text, IMAGES) == {IMAGES: ["team/ledger/api"]}, text
        assert found(ann, "nowhere", IMAGES) == {}

    def test_by_words_of_the_description(self, ann, app):
        for text in ("kafka", "KAF", "accounts of kafka", "books keep"):
            assert found(ann, text, IMAGES) == {IMAGES: ["team/ledger/api"]}, text
        for text in ("afka", "kafka elsewhere"):
            assert found(ann, text, IMAGES) == {}, text

    def test_the_best_first_and_each_once(self, ann, team):
        for name in ("the-api", "api-gateway", "api", "zz"):
            ImageFactory(namespace=team, name=name, description="The api")
        expected = {IMAGES: ["team/api", "team/api-gateway", "team/the-api", "team/zz"]}
        for many in (0, 1000):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(names, "_MANY", many)
                assert found(ann, "api", IMAGES) == expected

    def test_a_whole_reference(self, ann, app, settings):
        TagFactory(image=app, manifest=ManifestFactory(image=app), name="v1.2")
        TagFactory(name="v1.2")
        expected = {IMAGES: ["team/ledger/api"], TAGS: ["team/ledger/api:v1.2"]}
        for text in ("team/ledger/api:v1.2", f"{settings.REGISTRY_ADDRESS}/team/ledger/api:v1.2", "ledger:v1"):
            assert found(ann, text) == expected, text
        assert found(ann, f"team/ledger/api@sha256:{'0' * 64}") == {IMAGES: ["team/ledger/api"]}
        assert found(ann, "ledger:")[IMAGES] == ["team/ledger/api"]


class TestTags:
    @pytest.fixture
    def tags(self, app):
        manifest = ManifestFactory(image=app)
        for name in ("v1.10.0-rc1", "v1.2.0", "1.2", "latest", "3f9a01bc", "Nightly_amd64"):
            TagFactory(image=app, manifest=manifest, name=name)
        return app

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1.2", ["1.2", "v1.2.0"]), ("v1.1", ["v1.10.0-rc1"]), ("rc1", ["v1.10.0-rc1"]), ("10.0", ["v1.10.0-rc1"]),
            ("LATEST", ["latest"]), ("3f9a", ["3f9a01bc"]), ("night", ["Nightly_amd64"]), ("amd64", ["Nightly_amd64"]),
            ("ledger 1.2", ["1.2", "v1.2.0"]), ("shop 1.2", []), ("..", []), ("l_test", []), ("1%2", []),
        ],
    )  # fmt: skip
    def test_by_the_beginning_of_a_word_or_number(self, ann, tags, text, expected):
        expected = [f"team/ledger/api:{name}" for name in expected]
        assert found(ann, text, TAGS) == ({TAGS: expected} if expected else {})

    def test_the_newest_first(self, ann, tags):
        other = ImageFactory(namespace=tags.namespace, name="other")
        TagFactory(image=other, manifest=ManifestFactory(image=other), name="latest")
        assert found(ann, "latest", TAGS)[TAGS] == ["team/other:latest", "team/ledger/api:latest"]

    def test_neither_what_is_being_deleted_nor_what_stands_under_another(self, ann, tags):
        Tag.objects.filter(name="latest").update(state="deleting")
        assert found(ann, "latest", TAGS) == {}
        subject = ManifestFactory(image=tags)
        TagFactory(image=tags, manifest=ManifestFactory(image=tags), name="sig-1", subject=subject.digest)
        TagFactory(image=tags, manifest=ManifestFactory(image=tags), name="sig-2", subject=f"sha256:{'f' * 64}")
        assert found(ann, "sig", TAGS) == {TAGS: ["team/ledger/api:sig-2"]}


class TestOthers:
    def test_namespaces(self, ann, team):
        NamespaceFactory(owner=ann, name="a-team")
        NamespaceFactory(name="team-of-others")
        assert found(ann, "team", NAMESPACES) == {NAMESPACES: ["team", "a-team"]}

    def test_public_images(self, ann, app):
        shop = NamespaceFactory(name="shop")
        ImageFactory(namespace=shop, name="ledger", visibility="public")
        ImageFactory(namespace=shop, name="cart", visibility="public", description="Has a ledger")
        Image.objects.filter(pk=app.pk).update(visibility="public")
        assert found(ann, "ledger") == {IMAGES: ["team/ledger/api"], PUBLIC: ["shop/ledger", "shop/cart"]}

    def test_official_images(self, ann, settings):
        settings.DOCKERHUB_ENABLED = True
        for name, description, listed in (
            ("debian", "A Linux distribution", True), ("deb-tools", "", True), ("node", "On debian", True),
            ("old-debian", "", True), ("debian-gone", "", False),
        ):  # fmt: skip
            OfficialImage.objects.create(name=name, description=description, listed=listed)
        assert found(ann, "debian") == {OFFICIAL: ["debian", "old-debian", "node"]}
        assert found(ann, f"{settings.DOCKERHUB_ADDRESS}/library/debian:12") == {
            OFFICIAL: ["debian", "old-debian", "node"]
        }
        settings.DOCKERHUB_ENABLED = False
        assert found(ann, "debian") == {}


class TestVisibility:
    """Private things of others are not found, by whatever text, nor by administrators."""

    TEXTS = ("secret", "secret/thing", "words", "hidden", "v9", "thing v9", "secret/thing:v9", "theirs")

    @pytest.fixture
    def theirs(self):
        namespace = NamespaceFactory(name="secret-theirs")
        image = ImageFactory(namespace=namespace, name="secret/thing", description="Hidden words")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name="v9")
        return image

    @pytest.mark.parametrize("superuser", [False, True])
    def test_private(self, client, theirs, superuser):
        other = ActivatedAccountFactory(is_staff=superuser, is_superuser=superuser)
        client.force_login(other)
        for text in self.TEXTS:
            assert found(other, text) == {}, text
            for headers in ({}, HTMX):
                shown = text_of(client.get("/search/", {"q": text}, headers=headers))
                assert 'class="hit"' not in shown and "secret-theirs" not in shown and "Hidden" not in shown, text
        owner = theirs.namespace.owner
        assert all(found(owner, text) for text in self.TEXTS)

    def test_public_shows_the_image_and_not_its_tags(self, ann, theirs):
        Image.objects.filter(pk=theirs.pk).update(visibility="public")
        assert found(ann, "secret") == {PUBLIC: ["secret-theirs/secret/thing"]}
        assert found(ann, "hidden") == {PUBLIC: ["secret-theirs/secret/thing"]}
        assert found(ann, "v9") == {}
        Image.objects.filter(pk=theirs.pk).update(state="deleting")
        assert found(ann, "secret") == found(ann, "hidden") == {}

    def test_handed_over(self, ann, theirs):
        type(theirs.namespace).objects.filter(pk=theirs.namespace_id).update(owner=ann)
        assert found(ann, "hidden v9") == {}
        assert found(ann, "hidden") == {IMAGES: ["secret-theirs/secret/thing"]}
        assert found(ann, "v9") == {TAGS: ["secret-theirs/secret/thing:v9"]}


class TestPage:
    def test_groups_with_counts_and_links(self, client, ann, team):
        for number in range(7):
            ImageFactory(namespace=team, name=f"app{number}", description="Shows *books*")
        text = text_of(client.get("/search/?q=app"))
        assert '<h2 id="found-images">Images</h2> <span class="badge">7</span>' in text
        assert text.count('class="hit"') == 5
        assert 'href="/search/?q=app&amp;in=images">Show all' in text
        assert "team/<mark>app</mark>0" in text
        assert "Private image" in text and "Shows books" in text
        text = text_of(client.get("/search/?q=app&in=images"))
        assert text.count('class="hit"') == 7
        assert 'href="/images/?q=app">Show in My Images' in text
        assert "No results of this kind" in text_of(client.get("/search/?q=app&in=tags"))

    def test_many(self, client, ann, team):
        Image.objects.bulk_create(Image(namespace=team, name=f"app{number}") for number in range(MOST + 20))
        assert '<span class="badge">100+</span>' in text_of(client.get("/search/?q=app"))
        text = text_of(client.get("/search/?q=app&in=images"))
        assert text.count('class="hit"') == MOST
        assert "These are the best 100 results" in text
        response = client.get("/search/?q=app", headers=HTMX)
        assert json.loads(response["HX-Trigger-After-Settle"])["announce"]["text"] == "More than 100 results"

    def test_where_a_description_matches(self, client, ann, team):
        filler = "word " * 400
        ImageFactory(
            namespace=team, name="app", description=f"Summary\n\n{filler}see [Kafka](https://x.example) there {filler}"
        )
        text = text_of(client.get("/search/?q=kafka"))
        assert "In the description:" in text and "<mark>Kafka</mark>" in text
        assert "x.example" not in text and text.count("word word") < 60

    def test_an_excerpt_is_the_images_alone(self, client, ann, app):
        """Numbers of tags and namespaces are numbers of images, too."""
        Image.objects.filter(pk=app.pk).update(description="Summary\n\nabout kafka", summary="Summary")
        TagFactory(pk=app.pk, image=app, manifest=ManifestFactory(image=app), name="kafka")
        NamespaceFactory(pk=app.pk + 1000, owner=ann, name="kafka")
        assert text_of(client.get("/search/?q=kafka")).count("In the description:") == 1

    def test_under_the_field(self, client, ann, app):
        response = client.get("/search/?q=ledger", headers=HTMX)
        text = text_of(response)
        assert "<html" not in text and "team/<mark>ledger</mark>/api" in text
        assert 'href="/search/?q=ledger">Show all results' in text
        assert json.loads(response["HX-Trigger-After-Settle"])["announce"]["text"] == "1 result"
        assert "HX-Target" in response["Vary"]
        response = client.get("/search/?q=nowhere", headers=HTMX)
        assert "Nothing found for “nowhere”" in text_of(response)
        assert json.loads(response["HX-Trigger-After-Settle"])["announce"]["text"] == "Nothing found"

    def test_nothing_or_too_little(self, client, ann, app):
        with CaptureQueriesContext(connection) as queries:
            assert "whole image address" in text_of(client.get("/search/"))
            assert "at least 2 characters" in text_of(client.get("/search/?q=l"))
            assert text_of(client.get("/search/?q=", headers=HTMX)).strip() == ""
        assert len(queries) == 3 * 2

    @pytest.mark.parametrize(
        "text",
        [
            "%", "%%", "_", "__", "\\", "\\\\", "'", "''", "a'b", "a:*", "!a", "a&b", "a | b", "(((", "::", ":v1", "a:",
            "@@", "@sha256:", "<b>x</b>", "\x00\x00", "x" * 5000, "ä" * 300, "名字", "🐳🐳", "{{ x }}", "%s %d", "--",
            "a b " * 60, "\u2028\u2028", "\ufffd\ufffd", "İİ", "/ /", "library/", "&in=tags",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "field"])
    def test_odd_texts(self, client, ann, app, text, headers):
        TagFactory(image=app, manifest=ManifestFactory(image=app), name="a_1")
        for kind in ("", *KINDS, "nothing"):
            response = client.get("/search/", {"q": text, "in": kind}, headers=headers)
            assert response.status_code == 200
            assert "<b>x" not in response.content.decode()
            assert 'class="hit"' not in text_of(response) or text in {"a:", "a:*", "/ /"}

    def test_wildcards_stand_for_themselves(self, ann, team):
        image = ImageFactory(namespace=team, name="a_b", description="100% a\\b")
        ImageFactory(namespace=team, name="axb")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name="t_1")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name="tx1")
        assert found(ann, "a_b", IMAGES) == {IMAGES: ["team/a_b"]}
        assert found(ann, "t_1", TAGS) == {TAGS: ["team/a_b:t_1"]}
        assert found(ann, "a%b", IMAGES) == {}

    def test_in_the_head_of_every_page_for_those_who_are_activated(self, client, ann, app):
        for path in ("/images/", "/images/team/ledger/api/", "/account/", "/help/", "/nothing/here/"):
            assert 'class="finder"' in client.get(path).content.decode(), path
        assert 'value="led&#x27;ger"' in client.get("/search/?q=led%27ger").content.decode()
        assert 'id="finder" name="q" value=""' in client.get("/images/?q=ledger").content.decode()
        client.logout()
        assert 'class="finder"' not in client.get("/sign-in/").content.decode()


def test_as_many_queries_whatever_is_found(client, ann, team):
    """Session and account are two of them, and who shares something with the account is a third."""
    for number in range(3):
        image = ImageFactory(namespace=team, name=f"app{number}", description=f"{'w ' * 300}\n\nabout app things")
        ImageFactory(namespace=team, name=f"o{number}", description=f"{'w ' * 300}\n\nabout app things")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name=f"app{number}")
    ImageFactory(name="app", visibility="public")
    for text, most in (("app", 6), ("app0:app0", 6), ("about app", 7), ("things", 6), ("nowhere", 5)):
        for headers in ({}, HTMX):
            with CaptureQueriesContext(connection) as queries:
                client.get("/search/", {"q": text}, headers=headers)
            assert len(queries) <= most, text


def nodes_of(node):
    """A node of a plan with all nodes below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes_of(below)


def test_what_is_read_is_bounded(ann, team, monkeypatch):
    """Of whatever matches, no more rows than can be shown come from the database."""
    monkeypatch.setattr(matches, "MOST", 3)
    monkeypatch.setattr(groups, "MOST", 3)
    for number in range(9):
        image = ImageFactory(namespace=team, name=f"app{number}", description="app")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name=f"app{number}")
    assert {kind: len(rows) for kind, rows in found(ann, "app").items()} == {IMAGES: 4, TAGS: 4}


def test_the_words_are_read_once(ann, team):
    """Not once for each image, however few rows the planner expects: descriptions are long."""
    for number in range(9):
        ImageFactory(namespace=team, name=f"app{number}", description="words")
    with CaptureQueriesContext(connection) as queries:
        found(ann, "words")
    statement = next(one["sql"] for one in queries if "images_imagewords" in one["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        (((plan,),),) = cursor.fetchall()
    scans = [node for node in nodes_of(plan["Plan"]) if node.get("Relation Name") == "images_imagewords"]
    assert scans
    assert {node["Actual Loops"] for node in scans} <= {0, 1}
