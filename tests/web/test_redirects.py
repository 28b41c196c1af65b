"""No address that a request brings along leads anywhere else."""

import re
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest

from console.accounts.models import AccessToken
from tests.support.factories import PASSWORD, AccountFactory
from tests.support.responses import HTMX

pytestmark = pytest.mark.django_db

HOSTILE = [
    "//evil.example.com", "///evil.example.com", "////evil.example.com", "/\\evil.example.com", "\\\\evil.example.com",
    "\\/evil.example.com", "https:evil.example.com", "https:/evil.example.com", "https:///evil.example.com",
    "http://evil.example.com", "HTTPS://evil.example.com", "ftp://evil.example.com", "javascript:alert(1)",
    "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "/\t/evil.example.com",
    "/\n/evil.example.com", "/\r\n/evil.example.com", "\t//evil.example.com", " //evil.example.com",
    "\x00//evil.example.com", "\x08//evil.example.com", "/%09/evil.example.com", "//evil.example.com@testserver",
    "http://testserver@evil.example.com", "http://testserver:x@evil.example.com", "http://testserver.evil.example.com",
    "http://[", "//[", "http://[::1", "//evil.example.com:99999999", "http://testserver:bad/", "/x\r\nSet-Cookie: a=b",
    "@evil.example.com", ".evil.example.com", "evil.example.com", "\u2028//evil.example.com", "//evil。example。com",
    "https://testserver\\@evil.example.com", "?next=//evil.example.com", "", "x" * 5000,
]  # fmt: skip


def check(address):
    """See where a browser goes: it drops tabs and line ends, and takes a backslash for a slash (WHATWG URL)."""
    seen = re.sub(r"[\t\r\n]", "", address).replace("\\", "/").strip("".join(map(chr, range(33))))
    parts = urlsplit(urljoin("http://testserver/sign-in/", seen))
    assert (parts.scheme, parts.netloc) == ("http", "testserver"), address


@pytest.mark.parametrize("value", HOSTILE)
class TestHostile:
    def test_signing_in(self, client, value):
        account = AccountFactory()
        form = {"username": account.account_id, "password": PASSWORD, "next": value}
        response = client.post("/sign-in/", form)
        assert response.status_code == 302
        check(response["Location"])
        # And for somebody who is signed in already.
        response = client.get("/sign-in/", {"next": value})
        assert response.status_code == 302
        check(response["Location"])

    def test_the_form_brings_nothing_along(self, client, value):
        response = client.get("/sign-in/", {"next": value})
        assert response.status_code == 200
        if response.context["next"]:
            check(response.context["next"])

    def test_the_administration(self, client, value):
        response = client.get("/admin/login/", {"next": value})
        assert response.status_code == 302
        check(response["Location"])
        check(parse_qs(urlsplit(response["Location"]).query)["next"][0])
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        response = client.get("/admin/login/", {"next": value})
        assert response.status_code == 302
        check(response["Location"])

    @pytest.mark.parametrize("address", ["/sign-out/", "/admin/logout/"])
    def test_signing_out(self, client, world, value, address):
        response = client.post(address, {"next": value})
        if response.status_code == 302:
            check(response["Location"])
        else:
            assert response.status_code in {200, 400}

    def test_a_star(self, client, world, value):
        for address in ("/favorites/-/star/team/app/", "/favorites/-/official-star/official0/"):
            response = client.post(address, {"star": "on", "next": value})
            assert response.status_code == 302
            check(response["Location"])

    def test_what_htmx_says(self, client, world, value):
        """It says at which page a dialog was opened."""
        said = value.encode("ascii", "replace").decode().replace("\n", "").replace("\r", "")
        headers = {**HTMX, "HX-Current-URL": said, "Referer": said}
        token = AccessToken.objects.filter(account=world.ann, revoked_at=None).first()
        response = client.post(f"/account/tokens/{token.pk}/-/revoke/", headers=headers)
        assert response.status_code == 200
        assert response["HX-Redirect"] == "/account/tokens/"
        for address in ("/images/", "/sign-in/", "/account/tokens/"):
            assert client.get(address, headers=headers).status_code in {200, 302}


def test_to_a_page_of_ours(client, world):
    response = client.post("/favorites/-/star/team/app/", {"star": "on", "next": "/images/?q=a#x"})
    assert response["Location"] == "/images/?q=a#x"


def test_not_signed_in(client):
    response = client.get("/images/?x=//evil.example.com")
    assert response.status_code == 302
    check(response["Location"])
