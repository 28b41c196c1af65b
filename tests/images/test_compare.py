"""Compare two tags of an image."""

import json
import re
from collections import Counter

import pytest
from django.utils import timezone

from console.repositories.models import Document, Manifest, Tag
from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.support.factories import ImageFactory
from tests.support.pushed_images import digest_of
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

PATH = "/images/team/app/-/compare/"
WORST = "'" * 5000


@pytest.fixture
def app(team):
    return ImageFactory(namespace=team, name="app")


def layer(name, size=1024):
    return {"mediaType": OCI_LAYER, "digest": digest_of(name.encode()), "size": size}


def manifest(image, layers=(), config=None, tag="", **fields):
    """An image as it was indexed, under a tag if one is named."""
    content = {"config": {**layer(f"config {config}"), "mediaType": OCI_CONFIG}, "layers": list(layers)}
    raw = json.dumps({**content, **fields.pop("document", {})}).encode()
    digest = digest_of(raw)
    values = {"kind": "image", "media_type": OCI_MANIFEST, "size": sum(one["size"] for one in layers), **fields}
    Document.objects.create(digest=digest, media_type=values["media_type"], content=raw, config=config or {})
    row = Manifest.objects.create(image=image, digest=digest, **values)
    return tagged(row, tag)


def tagged(row, name):
    if name:
        Tag.objects.create(image=row.image, manifest=row, name=name, pushed_at=timezone.now())
    return row


def index(image, tag, **platforms):
    children = [{"digest": digest, "platform": f"linux/{platform}"} for platform, digest in platforms.items()]
    raw = json.dumps({"manifests": children}).encode()
    row = Manifest.objects.create(
        image=image, digest=digest_of(raw), kind="index", media_type=OCI_INDEX, size=1, children=children,
        platforms=[child["platform"] for child in children],
    )  # fmt: skip
    return tagged(row, tag)


@pytest.mark.parametrize(
    ("names", "sentence"), [([], "This image has no tags yet."), (["v1"], "This image has only one tag.")]
)
def test_fewer_than_two_tags_cannot_be_compared(client, app, names, sentence):
    for name in names:
        manifest(app, tag=name)
    for query in ("", "?from=v1&to=v1"):
        html = text_of(client.get(f"{PATH}{query}"))
        assert sentence in html
        assert 'name="from"' not in html


def ask(client, path=f"{PATH}?from=v1&to=v2"):
    response = client.get(path)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", text_of(response))


def rows(html):
    """The rows of all tables, as texts."""
    found = re.findall(r"<tr role=\"row\">(.*?)</tr>", html)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)).strip() for row in found]


def lines(html):
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", one)).strip() for one in re.findall(r"<li[ >](.*?)</li>", html)]


class TestTwoImages:
    @pytest.fixture
    def html(self, client, app):
        manifest(
            app,
            [layer("base", 4096), layer("old", 2048)],
            {
                "entrypoint": ["/start", "--fast"], "command": ["serve"], "user": "root", "ports": ["80/tcp"],
                "environment": ["PATH", "OLD"], "labels": {"team": "red", "kept": "x"},
                "history": [{"created_by": "ADD base"}, {"created_by": "COPY old"}],
            },
            "v1",
        )  # fmt: skip
        manifest(
            app,
            [layer("base", 4096), layer("new", 1024), layer("newer", 512)],
            {
                "entrypoint": ["/start", "--slow"], "command": ["serve"], "ports": ["80/tcp", "443/tcp"],
                "environment": ["PATH", "NEW"], "labels": {"team": "blue", "kept": "x"},
                "history": [{"created_by": "ADD base"}, {"created_by": "COPY new"}, {"created_by": "RUN newer"}],
            },
            "v2",
        )  # fmt: skip
        return ask(client)

    def test_facts(self, html):
        found = rows(html)
        assert "Entrypoint /start --fast /start --slow changed" in found
        assert "Command serve serve same" in found
        assert "User root – removed" in found
        assert any(row.startswith("Size 6.0 KiB 5.5 KiB 512 B less") for row in found), found

    def test_layers(self, html):
        marks = [
            re.match(r"(\w+) (ADD base|COPY old|COPY new|RUN newer)", row).groups()
            for row in rows(html)
            if re.match(r"\w+ (ADD|COPY|RUN) ", row)
        ]
        assert marks == [("same", "ADD base"), ("removed", "COPY old"), ("added", "COPY new"), ("added", "RUN newer")]
        assert "4.0 KiB are the same, 1.5 KiB are added and 2.0 KiB are removed." in html

    def test_lists(self, html):
        found = " ".join(lines(html))
        for text in (
            "removed OLD", "added NEW", "same PATH", "added 443/tcp", "same 80/tcp", "changed team from red to blue",
            "same kept x",
        ):  # fmt: skip
            assert text in found, text

    def test_values_of_the_environment_are_not_there(self, html):
        assert "secret" not in html


class TestPlatforms:
    def test_the_common_one_is_compared(self, client, app):
        old = manifest(app, [layer("a")], {"user": "old"}, document={"x": 1})
        new = manifest(app, [layer("a")], {"user": "new"}, document={"x": 2})
        other = manifest(app, [layer("b")], {"user": "other"}, document={"x": 3})
        index(app, "v1", arm64=other.digest, amd64=old.digest, s390x=other.digest)
        index(app, "v2", amd64=new.digest, s390x=other.digest, riscv64=other.digest)
        html = ask(client)
        assert Counter(mark for mark in re.findall(r"linux/\w+ (\w+)", " ".join(lines(html)))) == Counter(
            ["removed", "changed", "same", "added"]
        )
        assert "User old new changed" in rows(html)
        same = ask(client, f"{PATH}?from=v1&to=v2&platform=linux/s390x")
        assert "linux/s390x is the same in both tags" in same
        assert "Only one of the tags has linux/arm64." in ask(client, f"{PATH}?from=v1&to=v2&platform=linux/arm64")
        assert "User old new changed" in rows(ask(client, f"{PATH}?from=v1&to=v2&platform=none"))

    def test_an_index_and_an_image(self, client, app):
        old = manifest(app, [layer("a")], {"user": "old"}, "v1", platforms=["linux/amd64"])
        new = manifest(app, [layer("b")], {"user": "new"}, document={"x": 1})
        index(app, "v2", arm64=old.digest, amd64=new.digest)
        assert "User old new changed" in rows(ask(client))

    def test_nothing_in_common(self, client, app):
        one = manifest(app, [layer("a")])
        index(app, "v1", amd64=one.digest)
        index(app, "v2", arm64=one.digest)
        assert "The two tags have no platform in common." in ask(client)

    def test_a_platform_that_the_registry_does_not_have(self, client, app):
        index(app, "v1", amd64=digest_of(b"gone"))
        index(app, "v2", amd64=manifest(app, [layer("a")]).digest)
        assert "Not read yet: v1." in ask(client)


class TestTags:
    def test_the_same_digest(self, client, app):
        row = manifest(app, [layer("a")], tag="v1")
        tagged(row, "v2")
        assert "Both tags point to the same digest: there is no difference." in ask(client)

    @pytest.mark.parametrize("query", ["from=v1&to=none", "from=none&to=v1", "from=none", "to=no%00ne"])
    def test_a_tag_that_is_not_there(self, client, app, query):
        tagged(manifest(app, [layer("a")], tag="v1"), "v2")
        response = client.get(f"{PATH}?{query}")
        assert response.status_code == 404
        assert response.content.decode().count("There is no tag “none”.") == 1
        assert 'value="none"' in response.content.decode()
        assert "Summary" not in response.content.decode()

    @pytest.mark.parametrize("query", ["", "?from=v1", "?to=v1", "?from=v1&to=%00"])
    def test_a_tag_that_is_not_named_is_asked_for(self, client, app, query):
        tagged(manifest(app, [layer("a")], tag="v1"), "v2")
        html = ask(client, f"{PATH}{query}")
        assert 'name="from"' in html
        assert '<option value="v1">' in html
        assert "Summary" not in html

    def test_another_ones_image(self, client, app):
        theirs = ImageFactory()
        tagged(manifest(theirs, [layer("a")], tag="v1"), "v2")
        assert client.get(f"/images/{theirs.repository}/-/compare/?from=v1&to=v2").status_code == 404

    def test_a_tags_page_leads_there(self, client, app):
        manifest(app, [layer("a")], tag="v1")
        assert f"{PATH}?from=v1" in text_of(client.get("/images/team/app/-/tags/v1/"))

    def test_not_read_yet(self, client, app):
        manifest(app, [layer("a")], tag="v1")
        tagged(Manifest.objects.create(image=app, digest=digest_of(b"new"), media_type=OCI_MANIFEST, size=1), "v2")
        assert "Not read yet: v2." in ask(client)


class TestHowMuch:
    def test_the_worst_texts(self, client, app):
        """Every list as long as it can be, of entries as long as they can be, all of them different."""
        for tag in ("v1", "v2"):
            texts = [f"{tag}{number}{WORST}"[:4096] for number in range(500)]
            config = {
                **dict.fromkeys(("author", "user", "working_dir", "stop_signal"), f"{tag}{WORST}"[:4096]),
                **dict.fromkeys(("entrypoint", "command", "environment", "ports", "volumes"), texts),
                "labels": {f"{number}{WORST}"[:4096]: text for number, text in enumerate(texts)},
                "history": [{"created_by": text} for text in texts],
                "chart": dict.fromkeys(("name", "version", "app_version"), f"{tag}{WORST}"[:4096]),
            }
            layers = [layer(f"{tag} {number}") for number in range(500)]
            manifest(app, layers, config, tag, document={"annotations": dict.fromkeys(texts, WORST)})
        response = client.get(f"{PATH}?from=v1&to=v2")
        assert response.status_code == 200
        assert len(response.content) <= 1_000_000, f"{len(response.content):,} bytes"

    def test_ten_thousand_layers(self, client, app):
        for tag in ("v1", "v2"):
            manifest(app, [layer(f"{tag} {number}", 1) for number in range(10_000)], tag=tag)
        html = ask(client)
        assert "10,000 added" in html and "10,000 removed" in html
        assert "and 19,900 more" in html

    def test_platforms_without_end(self, client, app):
        for tag in ("v1", "v2"):
            index(app, tag, **{f"{'p' * 200}{number}": digest_of(f"{tag}{number}".encode()) for number in range(500)})
        response = client.get(f"{PATH}?from=v1&to=v2")
        assert response.status_code == 200
        assert len(response.content) <= 1_000_000
        assert "Not read yet: v1, v2." in text_of(response)
