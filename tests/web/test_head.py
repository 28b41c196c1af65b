"""``HEAD``: the headers of a ``GET``, and no content (RFC 9110, 9.3.2)."""

import pytest
from django.test import RequestFactory
from django.urls import reverse

from console.web.application import Application
from tests.support.factories import ActivatedAccountFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(client, settings):
    """Asks the WSGI application, signed in; the status, the headers and the content."""
    client.force_login(ActivatedAccountFactory())
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())

    def ask(method, path):
        begun = []
        environ = RequestFactory().generic(method, path, headers={"Cookie": cookie}).environ
        response = Application()(environ, lambda status, headers: begun.append((status, dict(headers))))
        return *begun[0], b"".join(response)

    return ask


@pytest.mark.parametrize("page", ["images", "help", "account"])
def test_a_page(ask, page):
    status, headers, content = ask("HEAD", reverse(page))
    assert (status, content) == ("200 OK", b"")
    expected, others, whole = ask("GET", reverse(page))
    assert (status, headers["Content-Type"]) == (expected, others["Content-Type"])
    assert int(headers["Content-Length"]) > 1000 and len(whole) > 1000


def test_what_changes_something_does_not_know_it(ask):
    status, headers, content = ask("HEAD", reverse("sign-out"))
    assert (status, content) == ("405 Method Not Allowed", b"")
    assert "POST" in headers["Allow"]


def test_the_gate_and_the_token_endpoint(ask):
    assert ask("HEAD", "/v2/team/app/tags/list")[::2] == ("401 Unauthorized", b"")
    assert ask("HEAD", "/token/")[2] == b""
