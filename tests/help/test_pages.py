"""The documents as pages: complete, linked, with this installation's names; the administrators' for them alone."""

import re

import pytest
from django.utils.html import escape

from console.help.documents import help_pages
from console.help.placeholders import NAMES
from console.images.clients import Use, client_commands
from console.images.commands import this_registry
from console.installation.environment import BASE_DIR
from tests.support.factories import AccountFactory, ActivatedAccountFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

_IDS = re.compile(r'\bid="([^"]+)"')
_LINKS = re.compile(r'href="(/help/[^"#]*)?(?:#([^"]*))?"')
_COPIED = re.compile(r'data-copy="([^"]*)"')


@pytest.fixture
def administrator(client):
    account = ActivatedAccountFactory(is_staff=True)
    client.force_login(account)
    return account


def every_page():
    return [*help_pages(administration=False), *help_pages(administration=True)]


def test_each_document_for_users_is_listed(settings):
    settings.AUTHORITY_CERTIFICATE = BASE_DIR / "any"
    names = {page.name for page in help_pages(administration=False)}
    assert names == {path.stem for path in (BASE_DIR / "docs" / "help").glob("*.md")}


def test_each_page_has_its_title_its_contents_and_its_neighbours(client, administrator):
    for pages in (help_pages(administration=False), help_pages(administration=True)):
        for place, page in enumerate(pages):
            text = text_of(client.get(page.address))
            assert f"<h1>{escape(page.title)}</h1>" in text
            assert text.count("<h1") == 1
            for heading in page.headings:
                assert f'<a href="#{heading.anchor}">{escape(heading.heading)}</a>' in text
            assert ('rel="prev"' in text) == (place > 0)
            assert ('rel="next"' in text) == (place + 1 < len(pages))


def test_no_id_stands_twice_on_a_page(client, administrator):
    for page in every_page():
        ids = _IDS.findall(client.get(page.address).content.decode())
        assert len(ids) == len(set(ids)), page.name


def test_links_between_documents_lead_to_their_sections(client, administrator):
    ids = {page.address: set(_IDS.findall(client.get(page.address).content.decode())) for page in every_page()}
    checked = 0
    for page in every_page():
        for address, anchor in _LINKS.findall(page.html):
            target = address or page.address
            assert target in ids, (page.name, address)
            assert not anchor or anchor in ids[target], (page.name, address, anchor)
            checked += 1
    assert checked > 20


def test_documents_for_users_lead_to_none_for_administrators():
    for page in help_pages(administration=False):
        assert "/help/administration/" not in page.html


def test_links_to_files_that_are_no_pages_are_plain_words(client, administrator):
    operations = (BASE_DIR / "docs" / "operations.md").read_text()
    assert "](decisions/" in operations
    assert "decisions/" not in "".join(
        re.findall(r'href="[^"]*"', client.get("/help/administration/operations/").content.decode())
    )


def test_placeholders_are_filled_in(client, ann, team):
    client.force_login(ann)
    everything = ""
    for page in help_pages(administration=False):
        text = client.get(page.address).content.decode()
        assert not [name for name in NAMES if f"{{{{ {name} }}}}" in text], page.name
        everything += text
    assert f"docker login --username={ann.credential.username} {this_registry().address}" in everything
    assert f"docker push {this_registry().address}/team/hello:1.0" in everything
    assert "${{ secrets.MY_IMAGES_TOKEN }}" in everything, "GitHub's own"


def test_who_has_no_names_yet_sees_what_to_replace(client):
    client.force_login(AccountFactory())
    text = client.get("/help/getting-started/").content.decode()
    assert "docker login --username=[UserName]" in text
    assert "/[namespace]/hello:1.0" in text


def test_values_are_escaped(client, ann, settings):
    settings.REGISTRY_ADDRESS = 'a"><script>alert(1)</script>'
    text = client.get("/help/getting-started/").content.decode()
    assert "<script>alert" not in text
    assert "a&quot;&gt;&lt;script&gt;" in text


@pytest.mark.parametrize("client_name", ["podman", "skopeo", "helm", "oras", "kubernetes"])
def test_the_commands_are_those_of_the_commands_page(client, ann, team, client_name):
    use = Use(this_registry(), "team/app", ann.credential.username)
    offered = [escape(one.text) for one in client_commands(client_name, use)]
    shown = _COPIED.findall(client.get("/help/other-clients/").content.decode())
    program = {"kubernetes": ("kubectl", "apiVersion")}.get(client_name, (client_name,))
    mine = [one for one in shown if one.startswith(program)]
    assert len(mine) >= 2
    assert [one for one in mine if one not in offered] == []


def test_administrators_alone_see_their_documents(client, ann, administrator):
    address = help_pages(administration=True)[0].address
    assert client.get(address).status_code == 200
    assert "For administrators" in text_of(client.get("/help/"))
    client.force_login(ann)
    for path in (address, "/help/administration/nothing/", "/help/operations/", "/help/nothing/"):
        assert client.get(path).status_code == 404, path
    for path in ("/help/", "/help/getting-started/"):
        assert "For administrators" not in text_of(client.get(path))


def test_a_page_asks_for_account_and_namespace_alone(client, ann, team, django_assert_max_num_queries):
    for path in ("/help/", "/help/?q=push", "/help/troubleshooting/"):
        with django_assert_max_num_queries(3):
            assert client.get(path).status_code == 200


def test_every_page_leads_to_the_help(client, ann):
    for path in ("/images/", "/account/", "/docker-hub/"):
        assert 'href="/help/"' in text_of(client.get(path))


def test_help_stands_where_people_get_stuck(client, ann, team):
    assert 'href="/help/getting-started/"' in text_of(client.get("/images/"))
    assert 'href="/help/troubleshooting/"' in text_of(client.get("/images/-/guide/"))
    assert 'href="/help/access-tokens-and-ci/"' in text_of(client.get("/account/tokens/"))
    assert 'href="/help/copying-and-importing/"' in text_of(client.get("/images/-/import/"))
