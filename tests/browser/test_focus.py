"""After an action: a notice says what happened, the focus is somewhere sensible, and typed text is not lost."""

import contextlib
import threading

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import expect

from console.repositories.models import Image
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("static_files")]

FOCUSED = "document.activeElement.id || document.activeElement.innerText || document.activeElement.localName"


@pytest.fixture
def ann():
    account = ActivatedAccountFactory(name="Ann")
    TagFactory(
        image=ImageFactory(namespace=NamespaceFactory(owner=account, name="team"), name="app", tag_count=1), name="v1"
    )
    return account


@pytest.fixture
def page(ann):
    client = Client()
    client.force_login(ann)
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(live.served())
        browser = stack.enter_context(live.browser())
        context = browser.new_context(base_url=base)
        context.set_default_timeout(15_000)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
        yield context.new_page()


def in_thread(query):
    """While a browser is open, this thread cannot use the database."""

    def run():
        query()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def create(page):
    return page.locator(".toolbar").get_by_role("button", name="Create", exact=True)


def test_typed_text_is_not_lost_to_escape(page):
    page.goto("/images/")
    create(page).click()
    dialog = page.get_by_role("dialog", name="Create Image")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)  # nothing was typed
    expect(create(page)).to_be_focused()
    create(page).click()
    dialog.get_by_label("Description").fill("Half a page")
    page.keyboard.press("Escape")
    expect(dialog.get_by_role("alert")).to_contain_text("Press Esc again to discard what you typed.")
    expect(dialog.get_by_label("Description")).to_have_value("Half a page")
    dialog.get_by_role("button", name="Submit").click()
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()  # refused: it has no name
    page.keyboard.press("Escape")
    expect(dialog.get_by_role("alert").last).to_contain_text("Press Esc again to discard what you typed.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(create(page)).to_be_focused()


def test_a_long_text_in_a_page_is_asked_for_before_it_is_left(page):
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("/images/team/app/")
    page.get_by_role("button", name="Edit description").click()
    page.get_by_label("Description", exact=False).and_(page.locator("textarea")).fill("Half a page")
    page.goto("/images/")
    assert asked == ["beforeunload"]
    page.goto("/images/team/app/")
    page.get_by_role("button", name="Edit description").click()
    page.locator("textarea").fill("A page")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("A page")).to_be_visible()
    page.goto("/images/")
    assert asked == ["beforeunload"]


def test_the_focus_is_at_what_happened(page):
    page.goto("/images/")
    create(page).click()
    dialog = page.get_by_role("dialog", name="Create Image")
    dialog.get_by_label("Name", exact=True).fill("new")
    dialog.get_by_role("button", name="Submit").click()
    expect(page.locator(".notice", has_text="Created the image")).to_be_focused()
    page.get_by_role("link", name="My Images").first.click()
    expect(page.locator("main")).to_be_focused()


def test_a_deletion_says_that_it_is_done(page):
    page.goto("/images/")
    page.get_by_text("Actions for team/app").locator("xpath=ancestor::summary").click()
    page.get_by_role("button", name="Delete team/app").click()
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    expect(page.locator(".notice", has_text="Deleting team/app, 1 tag, ")).to_be_focused()
    expect(page.locator("tr.deleting")).to_be_visible()
    page.locator("tr.deleting a").first.focus()
    page.evaluate("window.gone = true")  # the same page until the end
    in_thread(Image.objects.filter(name="app").delete)
    expect(page.get_by_role("status").filter(has_text="Deleted team/app, 1 tag, ").first).to_be_visible()
    expect(page.locator("tr.deleting")).to_have_count(0)
    assert page.evaluate("window.gone")
    assert page.evaluate(FOCUSED) != "body"


def test_few_tabs_lead_to_create(page):
    """From the page before: its content comes next. From an address that was typed: by the link past the sidebar."""
    page.goto("/namespaces/")
    page.get_by_role("link", name="My Images").first.click()
    expect(create(page)).to_be_visible()
    presses = []
    while page.evaluate(FOCUSED) != "create":
        page.keyboard.press("Tab")
        presses.append(page.evaluate(FOCUSED))
        assert len(presses) <= 5, presses
    page.goto("about:blank")
    page.goto("/images/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    presses = ["Tab"]
    while page.evaluate(FOCUSED) != "create":
        page.keyboard.press("Tab")
        presses.append(page.evaluate(FOCUSED))
        assert len(presses) <= 5, presses


def test_a_dialog_has_the_focus_where_it_begins(page):
    """Its first field, or where it has none the button that changes nothing; never the cross in its corner."""
    page.goto("/images/team/app/-/settings/")
    page.get_by_role("button", name="Make public").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.goto("/images/")
    page.locator(".toolbar summary").click()
    page.get_by_role("button", name="Reset password").click()
    expect(dialog.get_by_label("Password", exact=True)).to_be_focused()
