"""Passkeys and single sign-on in a real browser: what only a browser knows is whether its own rules let them pass."""

import pytest
from django.core.servers.basehttp import WSGIServer
from django.db import connections
from django.test.testcases import LiveServerThread
from playwright.sync_api import expect, sync_playwright

from console.audit.models import AuditEvent
from tests.browser.live import with_static_files
from tests.support.browser import OPTIONS, chromium_program
from tests.support.factories import PASSWORD, ActivatedAccountFactory
from tests.support.second_factor import Phone

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(provider, settings):
    """The console by name, as passkeys want it, with its static files as they are delivered."""
    server = LiveServerThread("localhost", with_static_files)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    assert server.error is None, server.error
    assert isinstance(server.httpd, WSGIServer)
    settings.CONSOLE_URL = f"http://localhost:{server.port}"
    settings.ALLOWED_HOSTS = ["localhost"]
    yield settings.CONSOLE_URL
    server.terminate()
    connections.close_all()


class Browser:
    """Somebody with a device that keeps passkeys."""

    def __init__(self, playwright, address):
        self.browser = playwright.chromium.launch(executable_path=chromium_program(), args=OPTIONS)
        self.address = address
        self.page = self.browser.new_page(viewport={"width": 1440, "height": 900})
        self.page.set_default_timeout(15_000)
        self.said = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.cdp = self.page.context.new_cdp_session(self.page)
        self.cdp.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        self.device = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def go(self, path):
        self.page.goto(self.address + path)

    def press(self, name, kind="button"):
        self.page.get_by_role(kind, name=name, exact=True).click()

    def sees(self, heading):
        expect(self.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()

    def sign_in(self, account):
        self.go("/sign-in/")
        self.page.get_by_label("Account ID or e-mail").fill(account.account_id)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.press("Sign in")

    def sign_out(self):
        self.page.locator(".account-menu summary").click()
        self.press("Sign out")
        self.sees("Sign in")


def test_the_walk(address, provider):
    account = ActivatedAccountFactory(name="Ann")
    with sync_playwright() as playwright:
        ann = Browser(playwright, address)
        try:
            walk(ann, account, provider)
        finally:
            ann.browser.close()
    ways = [event.detail["by"] for event in AuditEvent.objects.filter(action="account.sign_in").order_by("pk")]
    passkey = ["password", "passkey"]
    assert ways == [["password"], ["password", "code"], passkey, ["passkey"], ["single sign-on", "passkey"]]


def walk(ann, account, provider):
    page = ann.page
    ann.sign_in(account)
    page.locator(".account-menu summary").click()
    ann.press("Sign-in and security", "link")
    expect(page.locator(".tabs [aria-current=page]")).to_have_text("Sign-in and security")

    # An app, its picture under the pages' own policy.
    ann.press("Set up an authenticator app", "link")
    picture = page.get_by_alt_text("QR code of the secret below")
    expect(picture).to_be_visible()
    assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0
    phone = Phone(page.locator(".secret code").inner_text())
    page.get_by_label("Code from the app").fill(phone.code(-1))
    ann.press("Set up")
    ann.sees("Recovery codes")
    expect(page.locator(".codes li")).to_have_count(10)
    with page.expect_download() as download:
        ann.press("Download", "link")
    assert page.locator(".codes li").first.inner_text() in download.value.path().read_text()

    ann.sign_out()
    ann.sign_in(account)
    ann.sees("Second factor")
    page.get_by_label("Code").fill(phone.code())
    ann.press("Continue")
    ann.sees("My Images")

    # A passkey.
    ann.go("/account/security/")
    ann.press("Add a passkey", "link")
    page.get_by_label("Name").fill("laptop")
    ann.press("Add")
    ann.sees("Recovery codes")
    ann.press("Done", "link")
    expect(page.get_by_text("laptop").first).to_be_visible()
    ann.press("Rename laptop")
    page.get_by_role("dialog").get_by_label("Name").fill("old laptop")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_text("old laptop").first).to_be_visible()
    ann.press("Connect Example")
    expect(page.locator(".tabs [aria-current=page]")).to_have_text("Sign-in and security")
    expect(page.get_by_text("ann@example.com")).to_be_visible()
    ann.sign_out()

    ann.sign_in(account)
    ann.sees("Second factor")
    ann.press("Use a passkey")
    ann.sees("My Images")
    ann.sign_out()

    # Alone, with its owner verified; not otherwise.
    ann.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": ann.device, "isUserVerified": False})
    ann.press("Sign in with a passkey")
    expect(page.get_by_role("alert")).to_contain_text("Could not use the passkey.")
    ann.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": ann.device, "isUserVerified": True})
    ann.press("Sign in with a passkey")
    ann.sees("My Images")
    ann.sign_out()

    # By the provider, whose page no form may lead to; the second factor is asked for all the same.
    ann.press("Sign in with Example")
    ann.sees("Second factor")
    ann.press("Use a passkey")
    ann.sees("My Images")

    # Away with it.
    ann.go("/account/security/")
    ann.press("Remove old laptop")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Removed “old laptop”.")).to_be_visible()
    ann.sign_out()
    ann.press("Sign in with a passkey")
    expect(page.get_by_text("This passkey was not accepted.")).to_be_visible()
    assert not ann.said
