"""The account's pages in a real browser: tabs and filters by keyboard, theme and times, without script, axe-core."""

import datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from console.audit.services import Event, record_all
from console.images import views
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CREATED = datetime.datetime(2026, 1, 5, 23, 30, tzinfo=datetime.UTC)
PAGES = (
    "/account/", "/account/tokens/", "/account/logins/", "/account/security/", "/account/password/",
    "/account/activity/", "/account/activity/?kind=credentials", "/images/",
)  # fmt: skip
COUNT_SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => { for (const one of list.getEntries()) window.shift += one.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def ann():
    account = ActivatedAccountFactory(name="Ann", email="ann@example.com", created_at=CREATED)
    image = ImageFactory(namespace=NamespaceFactory(owner=account, name="team"), name="app")
    record_all(
        Event("image.create", f"{image.repository}-{number}", account.account_id, {}, "198.51.100.7")
        for number in range(40)
    )
    return account


@pytest.fixture
def opened(ann):
    """Opens pages as Ann, each time in a new browser profile."""
    client = Client()
    client.force_login(ann)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    with live.served() as base, live.browser() as browser:

        def open_page(path, **options):
            options = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", **options}
            context = browser.new_context(base_url=base, **options)
            context.set_default_timeout(15_000)
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
            context.add_init_script(COUNT_SHIFTS)
            page = context.new_page()
            page.goto(path)
            return page

        yield open_page


def scheme(page):
    return page.evaluate("getComputedStyle(document.documentElement).colorScheme")


def test_the_switch_is_the_accounts(opened):
    page = opened("/images/")
    page.locator(".account-menu summary").click()
    with page.expect_response("**/account/theme/") as saved:
        page.get_by_role("button", name="Switch light and dark").click()
    assert saved.value.status == 204
    assert scheme(page) == "dark"
    # Another browser of theirs, before any script: the server says it.
    other = opened("/images/", java_script_enabled=False)
    assert other.locator("html").get_attribute("data-theme") == "dark"
    # The choice on the profile is the same one, and leads back to the system's.
    page.goto("/account/")
    expect(page.get_by_label("Dark")).to_be_checked()
    page.get_by_label("System").check()
    page.get_by_role("button", name="Save preferences").click()
    expect(page.locator(".notice")).to_contain_text("Saved your preferences.")
    assert page.locator("html").get_attribute("data-theme") is None
    assert page.evaluate("localStorage.getItem('theme')") is None


def test_times(opened):
    page = opened("/account/", timezone_id="Asia/Tokyo")
    created = page.locator("dt:text('Created') + dd time")
    expect(created).to_have_text("2026-01-06 08:30")
    zone = page.get_by_label("Time zone")
    zone.focus()
    page.keyboard.type("New York")
    expect(zone).to_have_value("America/New_York")
    page.get_by_role("button", name="Save preferences").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("Saved your preferences.")
    expect(created).to_have_text("2026-01-05 18:30")
    expect(created).to_have_attribute("title", "2026-01-05 23:30:00 UTC")


def test_without_script(opened):
    page = opened("/account/", java_script_enabled=False, viewport={"width": 390, "height": 844})
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    page.get_by_label("Light", exact=True).check()
    page.get_by_role("button", name="Save preferences").click()
    expect(page.locator("dt:text('Created') + dd time")).to_have_text("2026-01-06 00:30")
    page.get_by_role("button", name="Send a link to confirm it").click()
    expect(page.locator(".notice.warn")).to_contain_text("Open the link sent to ann@example.com to confirm it.")
    page.goto("/images/")
    page.locator(".account-menu summary").click()
    page.get_by_role("button", name="Switch light and dark").click()
    page.wait_for_url("**/images/")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Dismiss the first steps").click()
    expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
    page.goto("/account/activity/")
    page.get_by_label("Filter by kind").select_option("images")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(15)


def test_activity_by_keyboard(opened):
    page = opened("/account/")
    page.get_by_role("link", name="Activity", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tabs [aria-current=page]")).to_have_text("Activity")
    expect(page.locator("tbody tr").first).to_contain_text("You created the image team/app-39")
    kind = page.get_by_label("Filter by kind")
    kind.focus()
    page.keyboard.type("Access tokens")
    expect(page.get_by_role("heading", name="No events match these filters")).to_be_visible()
    page.wait_for_url("**kind=credentials**")
    kind.select_option("images")
    expect(page.locator("tbody tr")).to_have_count(25)
    older = page.get_by_role("link", name="Older")
    older.focus()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(15)
    assert page.evaluate("document.activeElement !== document.body"), "the focus is lost"
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("tbody tr")).to_have_count(25)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_and_width(opened, width, theme):
    page = opened("/account/", viewport={"width": width, "height": 900}, color_scheme=theme)
    found = []
    for path in PAGES:
        page.goto(path)
        found += [f"{path}: {one['id']}" for one in Axe().run(page).response["violations"]]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{path}: scrolls sideways")
    assert found == []


def test_the_first_steps_move_nothing(opened, monkeypatch):
    # What is said of a registry that does not answer comes later, above them.
    monkeypatch.setattr(views, "registry_answers", lambda: True)
    page = opened("/images/")
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.shift") == 0
    page.get_by_role("button", name="Dismiss the first steps").click()
    expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
