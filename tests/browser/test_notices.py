"""A page says what happened: nothing is "Copied" that was not, and no request fails in silence."""

import contextlib

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from playwright.sync_api import expect

from console.imports import jobs
from console.imports.models import Transfer
from console.repositories.models import Image
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NO_API = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
REFUSED = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError'));"
OLD_WAY_FAILS = "document.execCommand = () => false;"
MAC = "Object.defineProperty(navigator, 'userAgentData', { value: { platform: 'macOS' } });"
BOTH_FAIL = NO_API + OLD_WAY_FAILS


@pytest.fixture
def ann():
    """Somebody activated, with an image."""
    account = ActivatedAccountFactory(name="Ann")
    ImageFactory(namespace=NamespaceFactory(owner=account, name="team"), name="a-name/that-is-too-long/for-its-column")
    return account


@pytest.fixture
def opened(ann):
    """Opens a page of hers, in a context of its own, after a script has changed what the browser can do."""
    client = Client()
    client.force_login(ann)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(live.served())
        browser = stack.enter_context(live.browser())

        def open_page(path, script="", clock=False, **options):
            context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
            context.set_default_timeout(15_000)
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
            page = context.new_page()
            page.goto(f"{base}/healthz")
            page.evaluate("navigator.clipboard.writeText('what was there before')")
            page.add_init_script(script)
            if clock:
                page.clock.install()
            page.goto(base + path)
            return page

        yield open_page


def clipboard(page):
    """What is in the clipboard, asked by a page that can."""
    other = page.context.new_page()
    other.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + "/healthz")
    text = other.evaluate("navigator.clipboard.readText()")
    other.close()
    page.bring_to_front()
    return text


def copy_account_id(page):
    button = page.get_by_role("main").get_by_role("button", name="Copy Account ID")
    button.click()
    return button


@pytest.mark.parametrize("script", ["", NO_API, REFUSED], ids=["the API", "the old way", "after a refusal"])
def test_copied(opened, ann, script):
    page = opened("/account/", script)
    button = copy_account_id(page)
    expect(page.locator("#announcer")).to_have_text("Copied")
    expect(button).to_be_focused()
    expect(page.locator(".toast")).to_have_count(0)
    assert clipboard(page) == ann.account_id


@pytest.mark.parametrize("script", [BOTH_FAIL, REFUSED + OLD_WAY_FAILS], ids=["no API", "refused"])
def test_not_copied(opened, ann, script):
    """The text is selected, and the page says which keys copy it."""
    page = opened("/account/", script)
    button = copy_account_id(page)
    expect(page.locator(".toast")).to_contain_text("Press Ctrl+C to copy the selected text.")
    expect(page.locator("#announcer")).to_contain_text("Press Ctrl+C")
    assert "copied" not in button.get_attribute("class")
    assert page.get_by_text("Copied", exact=True).count() == 0
    assert page.evaluate("getSelection().toString()") == ann.account_id
    assert clipboard(page) == "what was there before"
    page.keyboard.press("Control+c")
    assert clipboard(page) == ann.account_id
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".toast")).to_have_count(0)


def test_what_is_not_seen_in_full_is_shown(opened):
    page = opened("/images/", BOTH_FAIL)
    button = page.locator("tbody [data-copy]").first
    address = button.get_attribute("data-copy")
    button.click()
    field = page.get_by_label("Text to copy")
    expect(field).to_be_focused()
    expect(field).to_have_value(address)
    page.keyboard.press("Control+c")
    assert clipboard(page) == address
    page.keyboard.press("Escape")
    expect(page.locator(".toast")).to_have_count(0)
    expect(button).to_be_focused()


CUT = "{ display: 'block', flex: 'none', inlineSize: '4rem', overflow: 'hidden', whiteSpace: 'nowrap' }"


def test_in_a_dialog(opened):
    """The notice is above the dialog, in its order of focus, and Escape closes the notice alone."""
    page = opened("/images/", BOTH_FAIL, viewport={"width": 390, "height": 844})
    page.locator("summary", has_text="More").click()
    page.get_by_role("button", name="Usage guide").click()
    dialog = page.get_by_role("dialog")
    button = dialog.locator("[data-copy]").nth(2)
    # As on a page where the text does not fit: there is nothing to select beside the button then.
    button.evaluate("it => Object.assign(it.previousElementSibling.style, CUT)".replace("CUT", CUT))
    button.click()
    expect(dialog.locator("[data-announcer]")).to_contain_text("Press Ctrl+C")
    field = dialog.get_by_label("Text to copy")
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(dialog).to_be_visible()


@pytest.mark.parametrize(
    ("script", "options", "text"),
    [(MAC, {}, "Press ⌘C"), ("", {"has_touch": True, "is_mobile": True}, "Select the text and copy it.")],
    ids=["a Mac", "a telephone"],
)
def test_the_words_are_those_of_the_device(opened, script, options, text):
    page = opened("/account/", BOTH_FAIL + script, **options)
    copy_account_id(page)
    expect(page.locator(".toast")).to_contain_text(text)


ANSWERS = {
    "500": "Something went wrong on our side. The error was logged for the administrator.",
    "503": "Can’t reach the database.",
    "413": "This request is too large. My Images accepts no file uploads and at most 2 MB per form.",
    "404": "Page not found.",
    "429": "Too many changes. Your account can make 120 changes per minute, so this one was not made.",
}


def test_a_request_that_fails(opened):
    """By a server's error, by a proxy's, and without any answer; in the page and in a dialog."""
    pages = {status: render_to_string(f"errors/{status}.html", {"limit": 120}) for status in ANSWERS}
    page = opened("/namespaces/")
    toast = page.get_by_role("alert")
    create = page.locator("#create")
    given = [(int(status), pages[status], text) for status, text in ANSWERS.items()]
    given.append((502, "<h1>Bad gateway</h1>", "That did not work. Reload the page and try again."))
    answers = iter(given)

    def answer(route):
        status, body, _text = next(answers)
        route.fulfill(status=status, body=body, content_type="text/html")

    page.route("**/namespaces/-/create/", answer)
    for _status, _body, text in given:
        create.click()
        expect(toast).to_contain_text(text)
    page.unroute("**/namespaces/-/create/")
    create.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(toast).to_have_count(0)
    page.route("**/namespaces/-/create/", lambda route: route.abort())
    dialog.get_by_role("button", name="Submit").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Can’t reach My Images. Check your connection")


def test_a_form_of_another_session(opened):
    """Somebody signed in anew in another tab: the form is refused (403)."""
    page = opened("/namespaces/")
    page.locator("#create").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("another-team")
    page.context.clear_cookies(name=settings.CSRF_COOKIE_NAME)
    dialog.get_by_role("button", name="Submit").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This form has expired.")


def test_an_ended_session_leads_to_sign_in_and_back(opened):
    page = opened("/namespaces/?q=team")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.locator("#create").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("You are signed out. Sign in to continue.")).to_be_visible()
    assert page.url.endswith("/sign-in/?next=%2Fnamespaces%2F%3Fq%3Dteam")


def test_a_list_that_is_no_longer_kept_up_to_date_says_so(opened):
    page = opened("/images/")
    page.route("**/images/-/version/", lambda route: route.abort())
    expect(page.get_by_role("alert")).to_contain_text("This page may be out of date.")
    page.unroute("**/images/-/version/")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")


def test_a_star_that_was_not_given_is_not_shown(opened):
    page = opened("/images/")
    page.route("**/favorites/-/star/**", lambda route: route.abort())
    star = page.locator("tbody .star")
    star.click()
    expect(page.get_by_role("alert")).to_contain_text("Can’t reach My Images.")
    expect(star).to_have_attribute("aria-pressed", "false")


@pytest.fixture
def blocked(ann):
    """The page of an image of hers that is being copied, and tried again in thirty seconds."""
    transfer = Transfer.objects.create(
        image=Image.objects.get(), tag="v1", source="https://registry.example.com", repository="some/thing",
        reference="1", problem="Can’t reach registry.example.com.", bytes_total=200, bytes_done=100, requested_by="x",
    )  # fmt: skip
    jobs.start(transfer, in_seconds=30)
    return f"/images/{transfer.image.repository}/-/tags/"


def test_a_blocked_copy_counts_down_to_the_next_try(blocked, opened):
    page = opened(blocked, clock=True)
    notice = page.locator(".notice.warn.transfer")
    expect(notice).to_contain_text("Can’t reach registry.example.com. Retrying automatically, next try in")
    shown = int(notice.locator("[data-seconds]").inner_text())
    page.clock.run_for(5_000)
    expect(notice.locator("[data-seconds]")).to_have_text(str(shown - 5))
    page.clock.run_for(shown * 1000 - 5_000)
    expect(notice).to_contain_text("Retrying automatically, trying now.")
    expect(notice.get_by_text("Paused")).to_be_visible()
