"""What each answer tells the browser, and that no page needs more than that allows."""

from html.parser import HTMLParser

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage

from console.local import edge_static
from tests.support.responses import HTMX
from tests.support.site_addresses import every_address

pytestmark = pytest.mark.django_db

# Looked at by its parts, so that a part that is added somewhere has to be written here, too.
POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'",
    "connect-src": "'self'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
}  # fmt: skip
PERMISSIONS = {
    "camera=()", "display-capture=()", "geolocation=()", "microphone=()", "midi=()", "payment=()", "serial=()",
    "usb=()", "clipboard-write=(self)", "publickey-credentials-create=(self)",
    "publickey-credentials-get=(self)",
}  # fmt: skip
# Addresses that end what the others need.
ENDING = {"sign-out", "admin:logout"}
DATA_BLOCKS = {"application/json", "application/ld+json"}


def check_headers(response, where):
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy == POLICY, where
    assert response["X-Content-Type-Options"] == "nosniff", where
    holds_secret = where.startswith(("/invitations/link/", "/sign-up/link/"))
    # A page for a link with a secret sends no address at all; a method that it does not know has no such page.
    strictest = holds_secret and response.status_code != 405
    assert response["Referrer-Policy"] == ("no-referrer" if strictest else "same-origin"), where
    assert response["Cross-Origin-Opener-Policy"] == "same-origin", where
    assert response["Cross-Origin-Resource-Policy"] == "same-origin", where
    assert set(response["Permissions-Policy"].split(", ")) == PERMISSIONS, where


class Looker(HTMLParser):
    """Finds what the policy would keep from working, or would not know of."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], 0

    def handle_starttag(self, tag, attrs):
        self.tags += 1
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") not in DATA_BLOCKS):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name == "style" or name.startswith(("on", "hx-on", "data-hx-on")):
                self.found.append(f"<{tag} {name}>")
            if text.startswith(("javascript:", "js:", "data:", "http:", "https:", "//")) and name in {
                "action", "formaction", "hx-headers", "hx-vals", "src", "srcset", "xlink:href",
            }:  # fmt: skip
                self.found.append(f"<{tag} {name}={text}>")
            if name == "href" and (text.startswith("javascript:") or (tag == "link" and "//" in text)):
                self.found.append(f"<{tag} {name}={text}>")
            if name == "hx-trigger" and "[" in text:
                self.found.append(f"<{tag} {name}={text}>")


def check_markup(response, where):
    looker = Looker()
    looker.feed(response.content.decode())
    assert not looker.found, where
    return looker.tags


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "part"])
def test_every_address(client, world, headers):
    seen = 0
    for name, path, _view in every_address():
        if name in ENDING:
            continue
        response = client.get(path, headers=headers)
        assert response.status_code < 500, path
        check_headers(response, path)
        if response["Content-Type"].startswith("text/html") and not response.streaming:
            seen += check_markup(response, path) > 10
    # The pages are there: answers that show nothing would prove nothing.
    assert seen > 60


def test_every_address_for_a_stranger(client, world):
    client.logout()
    seen = 0
    for _name, path, _view in every_address():
        response = client.get(path)
        assert response.status_code < 500, path
        check_headers(response, path)
        seen += response.status_code == 200
    assert seen >= 4


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "part"])
def test_forms_that_are_not_right(client, world, headers):
    seen = 0
    for name, path, _view in every_address():
        if name in ENDING or name.startswith("admin:") or path.startswith(("/favorites/", "/docker-hub/-/")):
            continue
        response = client.post(path, {"name": "@", "next": "/"}, headers=headers)
        assert response.status_code < 500, path
        check_headers(response, path)
        if response["Content-Type"].startswith("text/html"):
            check_markup(response, path)
            seen += response.status_code in {200, 422}
    assert seen >= 8


def test_the_edge_sets_the_same_for_static_files(client):
    """A picture that is opened by its address is a page, and might have a script."""
    response = client.get("/sign-in/")
    for name, value in edge_static.HEADERS.items():
        assert name == "Cache-Control" or response[name] == value, name


def test_no_static_file_is_served_by_django(client):
    assert client.get(staticfiles_storage.url("css/site.css")).status_code == 404


@pytest.mark.parametrize(
    ("path", "host", "status"), [("/nothing/here/", "127.0.0.1", 404), ("/images/", "evil.example.com", 400)]
)
def test_errors(client, ann, path, host, status):
    response = client.get(path, headers={"Host": host})
    assert response.status_code == status
    check_headers(response, path)
    assert check_markup(response, path)
    assert response.get("X-Frame-Options", "DENY") == "DENY"


def test_an_error_of_ours(client, ann, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("on purpose")

    monkeypatch.setattr("console.repositories.models.image.ImageQuerySet.order_by", fail)
    client.raise_request_exception = False
    response = client.get("/images/")
    assert response.status_code == 500
    check_headers(response, "500")
    check_markup(response, "500")


def test_no_frame(client, ann):
    assert client.get("/images/")["X-Frame-Options"] == "DENY"


def test_plain_http_is_kept_to_nothing(client, ann):
    response = client.get("/images/")
    assert response.status_code == 200
    assert not response.has_header("Strict-Transport-Security")
