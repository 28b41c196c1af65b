"""The help in a real browser: search with the keyboard alone, copying, and nothing that axe-core finds."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from console.namespaces.models import NamespaceQuerySet
from tests.browser import live
from tests.local.test_site import write_certificate
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = (
    "/help/",
    "/help/?q=password",
    "/help/?q=nowhere-at-all",
    "/help/getting-started/",
    "/help/troubleshooting/",
    "/help/access-tokens-and-ci/",
    "/help/administration/operations/",
    "/help/administration/configuration/",
    "/help/no-such-page/",
    "/admin/accounts/account/",
)


@pytest.fixture
def session():
    """The session of an administrator who may do nothing there, with a namespace."""
    account = ActivatedAccountFactory(name="Ann", is_staff=True)
    NamespaceFactory(owner=account, name="team")
    client = Client()
    client.force_login(account)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def test_search_with_the_keyboard(session):
    with live.served() as base, live.browser() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
        page = context.new_page()
        page.goto(f"{base}/images/")
        page.get_by_role("link", name="Help", exact=True).focus()
        page.keyboard.press("Enter")
        search = page.get_by_label("Search the help")
        search.focus()
        page.keyboard.type("requested access")
        result = page.get_by_role("link", name="denied: requested access to the resource is denied")
        expect(result).to_be_visible()
        expect(search).to_be_focused()
        expect(page).to_have_url(f"{base}/help/?q=requested%20access")
        expect(page.locator("#announcer")).to_contain_text("result")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Search")).to_be_focused()
        page.keyboard.press("Tab")
        expect(result).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Troubleshooting", level=1)).to_be_attached()
        expect(page.get_by_role("heading", name="denied: requested access")).to_be_in_viewport()

        # Above a document results appear without leaving it, and go with the last character.
        search.focus()
        page.keyboard.type("helm")
        expect(page.get_by_role("link", name="Helm", exact=True)).to_be_visible()
        expect(page.get_by_role("heading", name="Troubleshooting", level=1)).to_be_attached()
        expect(search).to_be_focused()
        for _character in "helm":
            page.keyboard.press("Backspace")
        expect(page.get_by_role("region", name="Search results")).to_have_count(0)
        page.keyboard.type("helm")
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="Search results")).to_be_visible()


def test_try_again_leads_to_the_same_address(session, monkeypatch):
    """When the page can be shown again."""
    allowing = NamespaceQuerySet.allowing

    def fail(namespaces, account, verb):
        raise ZeroDivisionError

    monkeypatch.setattr(NamespaceQuerySet, "allowing", fail)
    with live.served() as base, live.browser() as browser:
        context = browser.new_context(java_script_enabled=False)
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
        page = context.new_page()
        page.goto(f"{base}/help/?q=helm")
        again = page.get_by_role("link", name="Try again")
        expect(again).to_be_visible()
        monkeypatch.setattr(NamespaceQuerySet, "allowing", allowing)
        again.click()
        expect(page.get_by_role("link", name="Helm", exact=True)).to_be_visible()
        expect(page).to_have_url(f"{base}/help/?q=helm")


def test_without_script(session):
    with live.served() as base, live.browser() as browser:
        context = browser.new_context(java_script_enabled=False)
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
        page = context.new_page()
        page.goto(f"{base}/help/getting-started/")
        page.get_by_label("Search the help").fill("helm")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Helm", exact=True).click()
        expect(page.get_by_role("heading", name="Helm", exact=True)).to_be_in_viewport()
        # The error page in its frame signs out and leads to signing in, from where it comes back.
        page.goto(f"{base}/admin/accounts/account/")
        page.get_by_role("button", name="Sign in with another account").click()
        expect(page).to_have_url(f"{base}/sign-in/?next=%2Fadmin%2Faccounts%2Faccount%2F")


def test_the_certificates_page_before_signing_in(monkeypatch, tmp_path):
    certificate, _key = write_certificate(tmp_path)
    monkeypatch.setattr(settings, "AUTHORITY_CERTIFICATE", certificate)
    axe = Axe()
    with live.served() as base, live.browser() as browser:
        for width, theme in ((1440, "light"), (390, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            page = context.new_page()
            page.goto(f"{base}/help/certificate/")
            assert axe.run(page).response["violations"] == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
            page.get_by_role("button", name="Copy").first.click()
            expect(page.locator("#announcer")).to_have_text("Copied")
            assert "sha256sum --check" in page.evaluate("navigator.clipboard.readText()")
            context.close()


def test_axe_and_sideways(session):
    axe, found = Axe(), []
    with live.served() as base, live.browser() as browser:
        for width, theme in ((1440, "light"), (1024, "light"), (390, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
            page = context.new_page()
            for path in PAGES:
                page.goto(base + path)
                for violation in axe.run(page).response["violations"]:
                    nodes = [node["html"][:160] for node in violation["nodes"]][:3]
                    found.append(f"{path} at {width} px, {theme}: {violation['id']} {nodes}")
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    found.append(f"{path} at {width} px scrolls sideways")
            context.close()
    assert not found, "\n".join(found)
