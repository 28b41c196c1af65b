"""What every page keeps to so that it is quick: how its static files are named, kept and compressed."""

import gzip
import re
from pathlib import Path

import brotli
import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage

from console.accounts.models import Account
from console.local import edge_static
from tests.support.factories import ImageFactory, ManifestFactory, TagFactory

pytestmark = pytest.mark.django_db

PAGES = [
    "/sign-in/", "/images/", "/images/?q=app", "/images/team/app/", "/images/team/app/-/tags/v1/",
    "/images/team/app/-/tags/", "/images/team/app/-/settings/", "/images/team/app/-/compare/",
    "/images/team/app/-/commands/", "/namespaces/", "/docker-hub/", "/public-images/", "/search/?q=app",
    "/favorites/", "/account/", "/nothing/here/",
]  # fmt: skip
# Before the first paint, so that a dark page is never light at first.
AT_ONCE = "js/theme.js"


@pytest.fixture
def page(client, team):
    """Fetches a page as a browser does; its head and body as text, and the answer."""
    image = ImageFactory(namespace=team, name="app")
    TagFactory(image=image, manifest=ManifestFactory(image=image), name="v1")

    def fetch(path):
        if path == "/sign-in/":
            client.logout()
        response = client.get(path)
        assert response.status_code == (404 if path == "/nothing/here/" else 200)
        return response.content.decode(), response

    return fetch


def static_files(html):
    return sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html)))


@pytest.mark.parametrize("path", PAGES)
def test_static_files_are_named_by_their_hash_and_compressed(page, path):
    """The edge keeps those for ever, and serves the shortest form (tests/local/test_edge.py)."""
    html, _response = page(path)
    files = static_files(html)
    assert len(files) >= 3
    for file in files:
        assert re.fullmatch(edge_static.NAME, file), file
        stored = Path(settings.STATIC_ROOT) / file.removeprefix("/static/")
        content = stored.read_bytes()
        brotlied, gzipped = (stored.with_name(f"{stored.name}.{end}").read_bytes() for end in ("br", "gz"))
        assert brotli.decompress(brotlied) == gzip.decompress(gzipped) == content
        assert len(brotlied) <= len(gzipped) < len(content)


@pytest.mark.parametrize("path", PAGES)
def test_one_style_sheet_and_no_script_in_the_way(page, path):
    html, _response = page(path)
    assert len(re.findall(r'<link[^>]*rel="stylesheet"', html)) == 1
    scripts = re.findall(r"<script\b[^>]*>", html)
    assert scripts
    for script in scripts:
        assert staticfiles_storage.url(AT_ONCE) in script or re.search(r'\bdefer\b|type="module"', script), script
    assert "<style" not in html
    # Nothing comes from anywhere else.
    assert not re.findall(r'<(?:script|link|img)\b[^>]*(?:src|href)="(?:https?:)?//', html)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_compressed_and_nobody_else_is_shown_it(page, client, path):
    _html, response = page(path)
    assert "private" in response["Cache-Control"] or "no-store" in response["Cache-Control"]
    assert "public" not in response["Cache-Control"]
    compressed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert compressed["Content-Encoding"] == "gzip"
    assert len(compressed.content) < len(response.content)


@pytest.mark.parametrize("path", PAGES)
def test_pictures_have_their_size(page, path):
    html, _response = page(path)
    pictures = re.findall(r"<(?:img|svg)\b[^>]*>", html)
    assert pictures
    for picture in pictures:
        if 'class="bars"' in picture:
            continue  # as wide as its place: its height is the style sheet's
        assert re.search(r'\bwidth="\d+"', picture), picture
        assert re.search(r'\bheight="\d+"', picture), picture


@pytest.mark.parametrize("path", [*PAGES, "/admin/", "/admin/images/image/", "/admin/audit/auditevent/"])
def test_a_page_names_its_icon(page, ann, path):
    """Or browsers ask for one where there is none, and say so."""
    Account.objects.filter(pk=ann.pk).update(is_staff=True, is_superuser=True)
    html, _response = page(path)
    assert re.search(r'<link rel="icon" href="/static/logo\.[0-9a-f]{12}\.svg" type="image/svg\+xml">', html)


def test_what_says_itself_how_it_is_kept_is_left_alone(client, ann):
    assert client.get("/images/-/version/")["Cache-Control"] == "no-store"
    assert client.get("/images/", headers={"HX-Request": "true"})["Cache-Control"] == "private, no-cache"


def test_the_style_sheet_has_all_that_is_written():
    sheet = Path(staticfiles_storage.path(staticfiles_storage.stored_name("css/site.css"))).read_text()
    written = {name.removeprefix("css/") for name in staticfiles_storage.hashed_files if name.startswith("css/")}
    assert len(written) > 2
    for name in written - {"site.css"}:
        with staticfiles_storage.open(f"css/{name}") as file:
            assert file.read().decode() in sheet
