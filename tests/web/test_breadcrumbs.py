"""Each page below the first level says where it is, in the same place and in the same way."""

import html
import re

import pytest
from django.test import Client

from tests.security.console_rows import CONSOLE
from tests.security.site import Site

pytestmark = pytest.mark.django_db

# What the sidebar, the tabs beside it and the account menu's first entry lead to.
FIRST_LEVEL = {"images/", "namespaces/", "docker-hub/", "public-images/", "favorites/", "help/", "search/", "teams/"}
# The first of the account's tabs, which all have the same breadcrumbs: Account, and the tab.
ACCOUNT = "account/"
_CRUMBS = re.compile(r'<nav aria-label="Breadcrumb">\s*<ol class="crumbs">(.*?)</ol>\s*</nav>', re.DOTALL)
_ABOVE = re.compile(r'<a href="([^"]+)">(?:[^<]|<wbr>)+</a>')
_HERE = re.compile(r'<li><span aria-current="page">((?:[^<]|<wbr>)+)</span></li>\s*$')
_FIRST_ON_THE_PAGE = re.compile(r'<div class="inner">\s*<nav aria-label="Breadcrumb">')


@pytest.fixture
def pages():
    """The address and text of each page that the owner of everything sees, with the row that it comes from."""
    site = Site()
    client = Client()
    client.cookies = site.cookies["owner"]
    shown = []
    for row in CONSOLE:
        if row.GET["owner"].startswith("200"):
            path = site.path(row)
            answer = client.get(path)
            text = "" if answer.streaming else answer.content.decode(errors="replace")
            # All else are parts of pages, files, answers to programs, and the pages of signing in.
            if '<aside class="sidebar"' in text:
                shown.append((row.route, path, text))
    return client, shown


def test_every_page_below_the_first_level_has_them(pages):
    client, shown = pages
    assert len(shown) > 40
    above = set()
    for route, path, text in shown:
        found = _CRUMBS.findall(text)
        if route in FIRST_LEVEL:
            assert found == [], path
            continue
        assert len(found) == 1, path
        assert _FIRST_ON_THE_PAGE.search(text), path
        assert _HERE.search(found[0]), path
        links = _ABOVE.findall(found[0])
        assert links, path
        assert path not in links or route == ACCOUNT, path
        above.update(links)
    assert len(above) > 10
    for address in sorted(above):
        assert client.get(html.unescape(address)).status_code == 200, address
