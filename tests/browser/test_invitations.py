"""Invitations and sign-up in a real browser: typed, without horizontal scrolling, and by axe-core."""

import datetime
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from console.access.roles import Role
from console.invitations.sign_up_links import make_token
from console.membership.models import Invitation
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def base(settings):
    settings.SIGN_UP = "open"
    ann, ben = ActivatedAccountFactory(name="Ann"), ActivatedAccountFactory(name="Ben")
    team = NamespaceFactory(owner=ann, name="team")
    image = ImageFactory(namespace=team, name="app", description="The shop")
    later = timezone.now() + datetime.timedelta(days=7)
    one = Invitation.objects.create(
        namespace=team, image=image, role=Role.WRITER, account=ben, invited_by=ann, expires_at=later
    )
    sessions = {}
    for name, account in (("ann", ann), ("ben", ben)):
        client = Client()
        client.force_login(account)
        sessions[name] = client.cookies[configured.SESSION_COOKIE_NAME].value
    facts = {"sessions": sessions, "one": one.pk, "token": make_token("bea@example.com", None)}
    with live.served() as address, live.browser() as browser:

        def open_page(name, path, width=1440, theme="light"):
            size = {"width": width, "height": 900}
            context = browser.new_context(base_url=address, viewport=size, color_scheme=theme)
            context.set_default_timeout(15_000)
            if name:
                cookie = {"name": configured.SESSION_COOKIE_NAME, "value": sessions[name], "url": address}
                context.add_cookies([cookie])
            page = context.new_page()
            page.goto(path)
            return page

        settings.CONSOLE_URL = address
        yield open_page, facts


def test_a_link_and_a_new_account(base):
    open_page, facts = base
    page = open_page("ann", "/namespaces/team/-/invite/")
    expect(page.get_by_label("Account ID", exact=True).first).to_be_visible()
    assert not page.locator("#id_email").is_visible()
    page.get_by_role("radio", name="E-mail").check()
    page.locator("#id_email").fill("nobody")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#id_email_errors")).to_contain_text("Enter an e-mail address like")
    page.get_by_role("radio", name="Account ID").check()
    page.locator("#id_account_id").fill("1234")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#id_account_id_errors")).to_contain_text("twelve digits")
    page.get_by_label("Link, good for one person").check()
    page.get_by_label(re.compile("Writer")).check()
    page.get_by_role("button", name="Invite").click()
    link = page.locator(".secret code").inner_text()

    new = open_page("", link)
    expect(new.get_by_role("heading", name="Ann invites you to team")).to_be_visible()
    new.get_by_role("link", name="Create account").click()
    new.get_by_label("E-mail").fill("bea@example.com")
    new.get_by_role("button", name="Send the link").click()
    expect(new.get_by_role("heading", name="Check your e-mail")).to_be_visible()
    new.goto(f"/sign-up/link/{facts['token']}/")
    new.get_by_label("Name", exact=True).fill("Bea")
    new.get_by_label("Password", exact=True).fill("a brand new word 9")
    new.get_by_label("Confirm password").fill("a brand new word 9")
    new.get_by_role("button", name="Create account").click()
    expect(new.get_by_role("heading", name="Activate the service")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_and_width(base, width, theme):
    open_page, facts = base
    found = []
    for name, path in (
        ("ann", "/namespaces/team/-/invite/"),
        ("ben", "/invitations/"),
        ("ben", f"/invitations/{facts['one']}/"),
        ("ben", "/images/"),
        ("", "/sign-up/"),
        ("", "/sign-up/sent/"),
        ("", f"/sign-up/link/{facts['token']}/"),
    ):
        page = open_page(name, path, width, theme)
        found += [f"{path}: {one['id']}" for one in Axe().run(page).response["violations"]]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{path}: scrolls sideways")
        page.context.close()
    assert found == []
