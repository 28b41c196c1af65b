"""Access tokens in a real browser on the whole product."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from console.access.token_secrets import looks_like_secret
from tests.support.browser import REGISTRY_PASSWORD, chromium_program  # noqa: F401  (fixture)
from tests.support.browser_user import BrowserUser

pytestmark = pytest.mark.browser


def activated(person, team, **options):
    walker = person("Ann", **options)
    walker.activate(REGISTRY_PASSWORD, team)
    return walker


def open_form(walker):
    walker.go("/account/tokens/")
    walker.page.locator(".toolbar").get_by_role("button", name="Create").click()
    return walker.page.get_by_role("dialog", name="Create access token")


def row(page, name):
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=re.compile(rf"^{name}\b")))


def test_create_copy_and_revoke(person, unique):  # noqa: F811
    team = unique()
    ann = activated(person, team, permissions=["clipboard-read", "clipboard-write"])
    page = ann.page
    page.locator("summary", has_text=ann.account_id).click()
    page.get_by_role("link", name="Access tokens").click()
    expect(page.get_by_role("heading", name="No access tokens yet")).to_be_visible()
    page.get_by_role("button", name="Create access token").click()
    dialog = page.get_by_role("dialog", name="Create access token")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()

    # What belongs to one choice shows with it.
    expect(dialog.get_by_label(team)).to_be_hidden()
    dialog.get_by_label("Selected namespaces").check()
    expect(dialog.get_by_label(team)).to_be_visible()
    expect(dialog.get_by_label("Last day")).to_be_hidden()
    dialog.get_by_label("Expires").select_option("On a date")
    expect(dialog.get_by_label("Last day")).to_be_visible()

    dialog.get_by_label("Name", exact=True).fill("git lab")
    dialog.get_by_label("Pull and push").check()
    dialog.get_by_role("button", name="Create").click()
    for problem in (
        "beginning with a letter or digit.", "Please choose at least one namespace", "Please enter a date",
    ):  # fmt: skip
        expect(dialog.get_by_text(problem)).to_be_visible()
    dialog.get_by_label(team).check()
    dialog.get_by_label("Last day").fill("2099-12-31")
    dialog.get_by_label("Name", exact=True).fill("gitlab-ci")
    # Pressed twice it is made once, and the secret is seen.
    dialog.get_by_role("button", name="Create").dblclick()

    made = page.get_by_role("dialog", name="Access token created")
    secret = made.get_by_text(re.compile("^myimg_")).inner_text()
    assert looks_like_secret(secret)
    made.get_by_role("button", name="Copy the secret").click()
    expect(made.locator("[data-announcer]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    made.get_by_role("button", name=re.compile("^Copy echo")).click()
    assert "--password-stdin" in page.evaluate("navigator.clipboard.readText()")

    # The list behind it has it already, and nothing on the page, nor what htmx keeps of it, has the secret any more.
    made.get_by_role("button", name="Done").click()
    expect(made).to_have_count(0)
    expect(page.get_by_text("1 of 50 access tokens used")).to_be_visible()
    listed = row(page, "gitlab-ci")
    for said in ("Pull and push", team, "2099-12-31", f"…{secret[-4:]}"):
        expect(listed.get_by_text(said, exact=False)).to_be_visible()
    page.get_by_role("link", name="Name", exact=True).click()
    expect(page.get_by_role("columnheader", name="Name", exact=True)).to_have_attribute("aria-sort", "ascending")
    kept = page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie")
    assert secret not in kept + page.content() + page.url

    listed.get_by_role("button", name="Revoke gitlab-ci").click()
    asked = page.get_by_role("dialog", name="Revoke access token")
    expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    asked.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked the access token “gitlab-ci”.")).to_be_visible()
    expect(listed).to_have_count(0)
    assert page.url.endswith("?sort=name")


def test_back_shows_it_to_nobody(person, unique, chromium):  # noqa: F811
    """Browsers keep pages as they were left; the one that tests drive does so only when it is told."""
    ann = activated(person, unique())
    browser = chromium.browser_type.launch(
        executable_path=chromium_program(),
        args=["--no-sandbox"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        page = browser.new_context(storage_state=ann.page.context.storage_state()).new_page()
        dialog = open_form(BrowserUser(page, ann.base))
        dialog.get_by_label("Name", exact=True).fill("ci")
        dialog.get_by_role("button", name="Create").click()
        secret = page.get_by_text(re.compile("^myimg_")).inner_text()
        page.goto(f"{ann.base}/namespaces/")
        page.evaluate("history.back()")
        expect(page.get_by_text("1 of 50 access tokens used")).to_be_visible()
        assert secret not in page.content()
    finally:
        browser.close()


def test_escape_leaves_nothing_behind(person, unique):  # noqa: F811
    ann = activated(person, unique())
    page, dialog = ann.page, open_form(ann)
    dialog.get_by_label("Name", exact=True).fill("ci")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Access token created")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(row(page, "ci")).to_be_visible()
    expect(page.locator(".toolbar").get_by_role("button", name="Create")).to_be_focused()
    assert "myimg_" not in page.content()


def test_without_script(person, unique):  # noqa: F811
    ann, team = person("Ann", java_script_enabled=False), unique()
    page = ann.page
    page.get_by_label("Password", exact=True).fill(REGISTRY_PASSWORD)
    page.get_by_label("Confirm password").fill(REGISTRY_PASSWORD)
    page.get_by_label("Namespace").fill(team)
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Continue").click()
    ann.go("/account/tokens/")
    page.locator(".toolbar").get_by_role("button", name="Create").click()
    page.get_by_label("Name", exact=True).fill("ci")
    page.get_by_label("Selected namespaces").check()
    page.get_by_label(team).check()
    page.get_by_role("button", name="Create").click()
    secret = page.get_by_text(re.compile("^myimg_")).inner_text()
    assert looks_like_secret(secret)
    page.get_by_role("button", name="Done").click()
    expect(row(page, "ci")).to_contain_text(team)
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke ci").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked the access token “ci”.")).to_be_visible()


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_nobody_is_shut_out(person, unique, width, theme):  # noqa: F811
    """axe-core finds nothing on any page or dialog, and no page scrolls sideways."""
    ann = activated(person, unique(), viewport={"width": width, "height": 900}, color_scheme=theme)
    page, axe, found = ann.page, Axe(), []

    def look(what):
        page.wait_for_load_state()
        for violation in axe.run(page).response["violations"]:
            found.append(f"{what}: {violation['id']} {violation['nodes'][0]['html'][:120]}")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{what}: scrolls sideways")

    ann.go("/account/tokens/")
    look("no token")
    dialog = open_form(ann)
    dialog.get_by_label("Selected namespaces").check()
    dialog.get_by_label("Expires").select_option("On a date")
    look("the form")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("Please enter a name")).to_be_visible()
    look("the form with problems")
    dialog.get_by_label("Name", exact=True).fill("x" * 40)
    dialog.get_by_label("Expires").select_option("In 30 days")
    dialog.get_by_label("All, including future ones").check()
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("dialog", name="Access token created")).to_be_visible()
    look("the secret")
    page.get_by_role("button", name="Done").click()
    listed = page.get_by_role("button", name=f"Revoke {'x' * 40}")
    expect(listed).to_be_visible()
    look("one token")
    listed.click()
    expect(page.get_by_role("dialog", name="Revoke access token")).to_be_visible()
    look("revoking")
    ann.go("/account/tokens/-/create/")
    look("the form as a page")
    assert found == []
