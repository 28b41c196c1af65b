"""What all pages share: errors, sign-in, tags of templates."""

import datetime
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError
from django.test import Client

from console.namespaces.models import Namespace
from console.repositories.models.image import ImageQuerySet
from console.web.markdown import render_markdown
from console.web.templatetags.console import breakable_command, moment, number, short_digest, size
from tests.support.factories import PASSWORD, AccountFactory, ActivatedAccountFactory, NamespaceFactory
from tests.support.mailbox import deliver
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

PRIVATE_PAGES = [
    "/images/", "/images/-/create/", "/images/-/delete/", "/images/-/guide/", "/images/team/app/",
    "/images/team/app/-/settings/", "/images/team/app/-/tags/", "/images/team/app/-/commands/",
    "/images/team/app/-/row/",
    "/images/team/app/-/describe/", "/images/team/app/-/delete/", "/images/team/app/-/delete-tags/", "/namespaces/",
    "/namespaces/-/create/", "/namespaces/team/-/delete/", "/docker-hub/", "/docker-hub/debian/", "/account/",
    "/account/password/", "/activation/", "/activation/steps/", "/activation/password/",
]  # fmt: skip


@pytest.mark.parametrize("path", PRIVATE_PAGES)
def test_not_signed_in(client, path):
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/sign-in/?next=")


def test_several_parts_of_a_page_that_is_signed_out_queue_one_message():
    browser = Client()
    for _request in range(3):
        assert browser.get("/images/", headers=HTMX)["HX-Redirect"].startswith("/sign-in/")
    assert text_of(browser.get("/sign-in/")).count("You are signed out. Sign in to continue.") == 1
    assert "You are signed out." not in text_of(browser.get("/sign-in/"))


@pytest.mark.parametrize(
    "path", [path for path in PRIVATE_PAGES if path.startswith(("/images/-", "/images/team", "/name"))]
)
def test_not_activated(client, path):
    client.force_login(AccountFactory())
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"] == "/images/"


def test_home_and_health(client, django_assert_num_queries):
    assert client.get("/")["Location"] == "/images/"
    with django_assert_num_queries(0):
        assert client.get("/healthz").content == b"ok\n"


class TestErrors:
    def test_not_found(self, client):
        response = client.get("/nothing/here/")
        assert response.status_code == 404
        assert "Page not found" in response.content.decode()

    def test_a_form_without_its_token(self):
        client = Client(enforce_csrf_checks=True)
        client.force_login(ActivatedAccountFactory())
        for path in ("/namespaces/-/create/", "/images/-/create/", "/sign-out/", "/activation/password/"):
            response = client.post(path, {"name": "team"})
            assert response.status_code == 403
            assert "This form has expired" in response.content.decode()
        assert not Namespace.objects.exists()

    def test_the_database_is_away(self, client, monkeypatch):
        client.force_login(ActivatedAccountFactory())
        client.raise_request_exception = False

        def fail(*arguments):
            raise OperationalError("connection refused")

        monkeypatch.setattr(ImageQuerySet, "order_by", fail)
        response = client.get("/images/")
        assert response.status_code == 503
        assert response["Retry-After"]
        assert "Can’t reach the database" in response.content.decode()

    def test_something_unforeseen(self, client, monkeypatch):
        client.force_login(ActivatedAccountFactory())
        client.raise_request_exception = False
        monkeypatch.setattr(ImageQuerySet, "order_by", lambda images, *columns: 1 / 0)
        response = client.get("/images/")
        assert response.status_code == 500
        assert "Something went wrong on our side" in response.content.decode()

    def test_a_host_that_is_not_ours(self, client):
        assert client.get("/", headers={"host": "evil.example.com"}).status_code == 400


class TestSignIn:
    def test_it_works(self, client):
        account = AccountFactory(email="ann@example.com")
        for name in (account.account_id, "Ann@example.com"):
            response = client.post("/sign-in/", {"username": name, "password": PASSWORD, "next": "/namespaces/"})
            assert response["Location"] == "/namespaces/"
            client.logout()

    @pytest.mark.parametrize("away", ["https://evil.example.com/", "//evil.example.com", "javascript:alert(1)"])
    def test_it_leads_to_nowhere_else(self, client, away):
        account = AccountFactory()
        response = client.post("/sign-in/", {"username": account.account_id, "password": PASSWORD, "next": away})
        assert response["Location"] == "/"

    def test_wrong(self, client):
        account = AccountFactory()
        for form in (
            {"username": account.account_id, "password": "wrong"},
            {"username": "999999999999", "password": PASSWORD},
            {"username": AccountFactory(is_active=False).account_id, "password": PASSWORD},
        ):
            response = client.post("/sign-in/", form)
            assert "do not match. Try again." in response.content.decode()
        text = client.post("/sign-in/", {}).content.decode()
        assert "Please enter your Account ID or e-mail" in text
        assert "Please enter your password" in text

    def test_signing_out_is_a_post(self, client):
        client.force_login(AccountFactory())
        assert client.get("/sign-out/").status_code == 405
        client.post("/sign-out/")
        assert client.get("/account/").status_code == 302

    def test_reset_by_mail(self, client, mailoutbox):
        AccountFactory(email="ann@example.com")
        client.post("/account/reset/", {"email": "nobody@example.com"})
        deliver()
        assert not mailoutbox
        response = client.post("/account/reset/", {"email": "ann@example.com"}, follow=True)
        assert "Check your e-mail" in response.content.decode()
        deliver()
        link = next(line for line in mailoutbox[0].body.splitlines() if line.startswith("http"))
        page = client.get(urlsplit(link).path, follow=True)
        path = page.redirect_chain[-1][0]
        passwords = {"new_password1": "a brand new one 5", "new_password2": "a brand new one 5"}
        assert "Password changed" in client.post(path, passwords, follow=True).content.decode()
        assert "has expired" in client.get(urlsplit(link).path, follow=True).content.decode()

    def test_change_password(self, client):
        account = AccountFactory()
        client.force_login(account)
        form = {"old_password": PASSWORD, "new_password1": "a brand new one 5", "new_password2": "a brand new one 5"}
        assert client.post("/account/password/", form, follow=True).status_code == 200
        account.refresh_from_db()
        assert account.check_password("a brand new one 5")
        assert client.get("/account/").status_code == 200, "this session goes on"


def test_the_account_page(client):
    account = ActivatedAccountFactory(name="Ann <b>", namespace_quota=3)
    NamespaceFactory(owner=account)
    client.force_login(account)
    text = client.get("/account/").content.decode()
    assert '<summary aria-current="true">' in text
    assert '<summary aria-current="true">' not in client.get("/images/").content.decode()
    assert "Ann &lt;b&gt;" in text
    assert account.account_id in text
    assert "1 of 3" in text


class TestTags:
    def test_sizes(self):
        counts = (None, 0, 1023, 1024, 1536, 1024**2 * 250, 1024**5 * 3)
        assert [size(count).replace("\xa0", " ") for count in counts] == [
            "0 B", "0 B", "1,023 B", "1.0 KiB", "1.5 KiB", "250 MiB", "3.0 PiB",
        ]  # fmt: skip

    def test_numbers_and_digests(self):
        assert (number(1234567), number(None)) == ("1,234,567", "0")
        assert short_digest("sha256:0123456789abcdef") == "0123456789ab"
        assert short_digest("odd") == "odd"

    def test_moments(self):
        when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))
        assert 'title="2026-01-01 19:04:05 UTC"' in moment(when)
        assert moment(None) == "–"
        assert moment(None, "<Never>") == "&lt;Never&gt;"

    def test_commands_break_in_addresses_alone(self):
        shown = breakable_command("docker login --username=a-b -p <x> host-1/team/app")
        assert shown == (
            'docker login <span class="nowrap">--username</span>=a-b <span class="nowrap">-p</span> &lt;x&gt; '
            "host-1/<wbr>team/<wbr>app"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
            "![x](http://x/y.png)",
            "<a href='javascript:alert(1)'>x</a>", "[x](data:text/html,<script>alert(1)</script>)",
            "<svg/onload=alert(1)>",
            "<style>*{}</style>", '<p style="x">', "[x](  JaVaScRiPt:alert(1))",
        ],
    )  # fmt: skip
    def test_markdown_hurts_nobody(self, text):
        html = render_markdown(text)
        for bad in ("<script", "<img", "<svg", "<style", 'href="javascript', "<a href='javascript", 'href="data'):
            assert bad not in html.lower()

    def test_markdown(self):
        html = render_markdown("# Head\n\n*soft* [link](https://example.com)\n\n| a |\n|---|\n| b |")
        assert "<h3>Head</h3>" in html
        assert 'href="https://example.com"' in html
        assert "noopener" in html
        assert "<td>b</td>" in html
