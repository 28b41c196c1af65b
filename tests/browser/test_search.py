"""The search in the head of every page in a real browser: by keyboard, as you type, without script, narrow, for all."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_notices import ann, opened  # noqa: F401  # fixtures
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE = {"width": 390, "height": 844}
WINDOW = {"width": 1440, "height": 900}


@pytest.fixture
def things(ann):  # noqa: F811
    """Something of each kind with “ledger” in it."""
    team = NamespaceFactory(owner=ann, name="ledger-team")
    for name in ("ledger", "ledger/migration", "web"):
        image = ImageFactory(namespace=team, name=name, description=f"Keeps the books.\n\n{'w ' * 300} with ledger")
        TagFactory(image=image, manifest=ManifestFactory(image=image), name="ledger-1.0")
    ImageFactory(namespace=NamespaceFactory(name="shop"), name="the-ledger", visibility="public")
    return team


def parts(page):
    """The field, what is found, and the links in it."""
    results = page.locator("#search-results")
    return page.get_by_label("Search everywhere"), results, results.get_by_role("link")


def test_by_keyboard(things, opened):  # noqa: F811
    page = opened("/images/", viewport=WINDOW)
    field, results, links = parts(page)
    create = page.locator(".toolbar").get_by_role("button", name="Create", exact=True)
    create.focus()
    page.keyboard.press("/")
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    page.keyboard.type("ledger")
    expect(links.first).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("results")
    # Through the results and around.
    page.keyboard.press("ArrowDown")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(field).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(links.last).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(field).to_be_focused()
    page.keyboard.press("Tab")
    expect(links.first).to_be_focused()
    # Escape closes and keeps the text; then it leads back.
    page.keyboard.press("Escape")
    expect(results).to_be_hidden()
    expect(field).to_be_focused()
    expect(field).to_have_value("ledger")
    page.keyboard.press("ArrowDown")
    expect(links.first).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(create).to_be_focused()
    expect(results).to_be_hidden()
    # Enter opens a result, or all of them.
    page.keyboard.press("/")
    page.keyboard.type("ledger/mig")
    expect(links).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="ledger/migration", level=1)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("books")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/search/\?q=books$"))
    expect(page.get_by_role("heading", name="Results for “books”")).to_be_visible()
    expect(field).to_have_value("books")


def test_the_key_is_left_to_those_who_type(things, opened):  # noqa: F811
    page = opened("/images/", viewport=WINDOW)
    field, _results, _links = parts(page)
    search = page.get_by_label("Search by name")
    search.focus()
    page.keyboard.type("a/b")
    expect(search).to_have_value("a/b")
    expect(search).to_be_focused()
    page.get_by_label("Filter by type").focus()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter by type")).to_be_focused()
    create = page.locator(".toolbar").get_by_role("button", name="Create", exact=True)
    for keys in ("Control+/", "Alt+/", "Meta+/"):
        create.focus()
        page.keyboard.press(keys)
        expect(create).to_be_focused()
    create.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").focus()
    page.keyboard.press("/")
    expect(field).not_to_be_focused()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_as_you_type(things, opened):  # noqa: F811
    page = opened("/images/", viewport=WINDOW)
    asked = []
    page.on("request", lambda request: "/search/" in request.url and asked.append(request.url))
    field, results, links = parts(page)
    field.press_sequentially("ledger")
    expect(results.get_by_text("Public images")).to_be_visible()
    expect(links.filter(has_text="the-ledger")).to_be_visible()
    expect(results.get_by_role("list", name="Tags")).to_be_visible()
    assert len(asked) < 6, "not with each letter"
    field.fill("nowhere-at-all")
    expect(results).to_have_text(re.compile("Nothing found"))
    expect(page.locator("#announcer")).to_have_text("Nothing found")
    field.fill("l")
    expect(results).to_have_text(re.compile("at least 2"))
    field.fill("")
    expect(results).to_be_hidden()
    field.fill("migration")
    expect(links.first).to_be_visible()
    # It closes when something else is used, and the page beneath has not moved.
    page.get_by_role("heading", name="My Images").click()
    expect(results).to_be_hidden()
    field.click()
    expect(results).to_be_visible()
    links.first.click()
    expect(page.get_by_role("heading", name="ledger/migration", level=1)).to_be_visible()


def test_without_script(things, opened):  # noqa: F811
    scripted = opened("/images/")
    context = scripted.context.browser.new_context(
        java_script_enabled=False, storage_state=scripted.context.storage_state()
    )
    for size in (WINDOW, PHONE):
        page = context.new_page()
        page.set_viewport_size(size)
        page.goto(scripted.url)
        field = page.get_by_label("Search everywhere")
        field.fill("ledger")
        field.press("Enter")
        for heading in ("Images", "Namespaces", "Tags", "Public images"):
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        page.get_by_role("navigation", name="Kinds of results").get_by_role("link", name="Tags").click()
        expect(page.locator(".hit")).to_have_count(3)
        page.locator(".hit").first.click()
        expect(page).to_have_url(re.compile("/-/tags/ledger-1.0/$"))
    context.close()


@pytest.mark.parametrize("size", [PHONE, {"width": 768, "height": 1024}, WINDOW], ids=["390", "768", "1440"])
def test_it_takes_little_room(things, opened, size):  # noqa: F811
    page = opened("/images/", viewport=size)
    field, results, links = parts(page)
    heading = page.get_by_role("heading", name="My Images")
    before = heading.bounding_box()
    assert before["y"] < 120
    box = field.bounding_box()
    assert box["y"] + box["height"] <= 52
    assert box["width"] >= 160
    field.fill("ledger")
    expect(links.first).to_be_visible()
    assert heading.bounding_box() == before
    shown = results.bounding_box()
    assert shown["x"] >= 0 and shown["x"] + shown["width"] <= size["width"]
    assert shown["y"] + shown["height"] <= size["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_is_shut_out(things, opened, theme):  # noqa: F811
    found = []
    for size in (PHONE, WINDOW):
        for path, text in (
            ("/images/", "ledger"), ("/images/", "nowhere-at-all"), ("/search/?q=ledger", ""), ("/search/", ""),
            ("/search/?q=books&in=images", "l"), ("/search/?q=nowhere-at-all", ""),
        ):  # fmt: skip
            page = opened(path, viewport=size, color_scheme=theme)
            field, results, _links = parts(page)
            if text:
                field.fill(text)
                expect(results).to_be_visible()
            violations = Axe().run(page).response["violations"]
            found += [f"{path} {text}: {one['id']} {one['nodes'][0]['html'][:120]}" for one in violations]
            page.context.close()
    assert not found, "\n".join(found)
