"""Search in the help: what is found, in which order, how it is shown, and who finds what."""

import json

import pytest

from console.help.documents import help_pages
from console.help.placeholders import NAMES
from console.help.search import MOST_RESULTS, search
from tests.support.factories import ActivatedAccountFactory
from tests.support.responses import text_of

VALUES = {name: f"the-{name}" for name in NAMES}
HTMX = {"HX-Request": "true", "HX-Target": "results"}


def find(query, administration=False):
    return search(help_pages(administration=administration), query, VALUES)


def shown(parts):
    return "".join(f"[{part.text}]" if part.marked else part.text for part in parts)


class TestFound:
    def test_a_heading_comes_before_a_text(self):
        first = find("helm")[0]
        assert (first.page.name, first.section.heading) == ("other-clients", "Helm")
        assert first.address == "/help/other-clients/#helm"

    def test_all_words_are_needed_in_any_order_and_case(self):
        assert find("HTTPS gave SERVER")[0].section.heading == "server gave HTTP response to HTTPS client"
        assert find("server gave nowhere-at-all") == []

    def test_words_are_marked_and_stand_in_the_snippet(self):
        for result in find("password"):
            assert "[password]" in (shown(result.heading) + shown(result.snippet)).lower()
            assert len(shown(result.snippet)) < 300

    def test_placeholders_are_searched_and_shown_filled_in(self):
        found = find("the-registry")
        assert found
        assert not [one for one in found for name in NAMES if f"{{{{ {name} }}}}" in shown(one.snippet)]

    def test_no_more_than_the_best(self):
        assert len(find("e", administration=True)) == MOST_RESULTS

    @pytest.mark.parametrize("query", ["", "   ", "[a-z]+", "(", "\\"])
    def test_no_query_is_an_expression(self, query):
        assert all(query.strip() in shown(one.heading) + one.section.text for one in find(query))


@pytest.mark.django_db
class TestPage:
    def test_without_script(self, client, ann):
        text = text_of(client.get("/help/?q=insecure-registries"))
        assert 'href="/help/troubleshooting/#server-gave-http-response-to-https-client"' in text
        assert "<mark>insecure-registries</mark>" in text
        assert 'value="insecure-registries"' in text
        assert "<!DOCTYPE html>" in text

    def test_the_part_alone_says_how_many(self, client, ann):
        response = client.get("/help/?q=podman", headers=HTMX)
        assert text_of(response).startswith(' <div id="results"')
        said = json.loads(response["HX-Trigger-After-Settle"])["announce"]["text"]
        assert said == f"{text_of(response).count('<li>')} results"

    def test_above_a_document(self, client, ann):
        headers = {**HTMX, "HX-Target": "results-above"}
        assert '<div id="results-above"' in text_of(client.get("/help/?q=podman", headers=headers))
        assert "<li" not in text_of(client.get("/help/?q=", headers=headers)), "an empty search shows nothing"

    def test_nothing_found(self, client, ann):
        response = client.get("/help/?q=nowhere-at-all", headers=HTMX)
        assert "Nothing found for “nowhere-at-all”" in text_of(response)
        assert json.loads(response["HX-Trigger-After-Settle"])["announce"]["text"] == "Nothing found"

    @pytest.mark.parametrize("query", ["<b>x</b>", "\x00", "x" * 5000, "{{ registry }}", "%s"])
    def test_odd_queries(self, client, ann, query):
        response = client.get("/help/", {"q": query})
        assert response.status_code == 200
        assert "<b>x" not in response.content.decode()

    def test_who_is_no_administrator_finds_none_of_theirs(self, client, ann):
        assert "/help/administration/" not in text_of(client.get("/help/?q=garbage-collect"))
        client.force_login(ActivatedAccountFactory(is_staff=True))
        assert "/help/administration/operations/#storage" in text_of(client.get("/help/?q=garbage-collect"))
