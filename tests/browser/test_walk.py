"""The whole walk in a real browser, on the whole product."""

import re

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import CONSOLE_PASSWORD, REGISTRY_PASSWORD
from tests.support.browser_user import unfold_all
from tests.support.pushed_images import push_image, push_index
from tests.support.stack import wait_until

pytestmark = pytest.mark.browser

CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "created": "2026-11-20T10:11:12Z",
    "author": "Ann",
    "config": {"Cmd": ["serve", "--all"], "Env": ["PATH=/bin"], "Labels": {"team": "payments"}},
    "history": [{"created_by": "RUN " + "long-command " * 40}, {"created_by": "CMD serve", "empty_layer": True}],
}

# How each page is opened, and how it is shown after that.
SHOWN = [
    {"viewport": {"width": 390, "height": 900}, "color_scheme": "dark"},
    {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
]


def test_the_walk(person, pusher, unique):
    ann, team = person("Ann"), unique()
    page = ann.page
    # Until the service is activated, My Images shows the activation form and nothing else.
    expect(page.get_by_label("User name")).to_have_value(ann.account_id)
    expect(page.get_by_role("button", name="Create")).to_have_count(0)
    ann.activate(REGISTRY_PASSWORD)
    expect(page.get_by_text("Create a namespace first")).to_be_visible()

    ann.create_namespace(team)
    expect(page.get_by_role("cell", name=team, exact=True)).to_be_visible()

    ann.create_image("web/app", team, description="# The *app*")
    expect(
        page.get_by_text(re.compile(rf"^docker login --username={ann.account_id} 127\.0\.0\.1:\d+$"))
    ).to_be_visible()
    expect(page.get_by_text(re.compile(rf"^docker pull 127\.0\.0\.1:\d+/{team}/web/app:\[tag\]$"))).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="The app")).to_be_visible()

    (pushed,) = pusher(ann.account_id, f"{team}/web/app", "v1")
    ann.go(f"/images/{team}/web/app/-/tags/")
    wait_until(lambda: page.reload() and page.get_by_role("cell", name="v1", exact=True).count(), "the tag shows")
    expect(page.get_by_text(pushed.digest.partition(":")[2][:12])).to_be_visible()
    expect(page.get_by_text("by Ann")).to_be_visible()

    ann.delete_image(f"{team}/web/app")
    ann.wait_until_gone(f"{team}/web/app")
    expect(page.get_by_text("No images yet")).to_be_visible()

    ann.go("/namespaces/")
    page.get_by_role("button", name=f"Delete {team}").click()
    dialog = page.get_by_role("dialog", name="Delete Namespace")
    dialog.get_by_label("Type the name").fill(team)
    dialog.get_by_role("button", name="OK").click()
    expect(page.get_by_text("No namespaces yet")).to_be_visible()


def test_a_push_to_a_name_nobody_created(person, pusher, unique):
    ann, team = person("Ann"), unique()
    ann.activate(REGISTRY_PASSWORD, team, username=unique("user"))
    ann.go("/account/")
    username = ann.page.locator("dd code").nth(1).inner_text()
    pusher(username, f"{team}/by-push", "latest", "v2")
    ann.go("/images/")
    wait_until(lambda: ann.page.reload() and ann.row(f"{team}/by-push").count(), "the image shows")
    expect(ann.row(f"{team}/by-push").get_by_text("Private")).to_be_visible()


def test_two_people_want_one_name(person, unique):
    team = unique()
    person("Ann", namespace=team)
    ben = person("Ben", namespace=unique())
    ben.create_namespace(team)
    dialog = ben.page.get_by_role("dialog", name="Create a Namespace")
    expect(dialog.get_by_text("already in use by another user")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_be_focused()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_delete_asks_for_the_name_above_ten_tags(person, pusher, unique):
    team = unique()
    ann = person("Ann", namespace=team)
    pusher(ann.account_id, f"{team}/app", *(f"v{number}" for number in range(12)))
    ann.go("/images/")
    wait_until(
        lambda: ann.page.reload() and ann.page.get_by_role("cell", name="12", exact=True).count(), "twelve tags show"
    )
    ann.press(f"Delete {team}/app")
    dialog = ann.page.get_by_role("dialog", name="Delete Image Repository")
    expect(dialog.get_by_text(re.compile("12 tags and .* cannot be recovered"))).to_be_visible()
    dialog.get_by_role("textbox").fill("something else")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Type “app” to confirm.")
    dialog.get_by_role("textbox").fill("app")
    dialog.get_by_role("button", name="OK").click()
    ann.wait_until_gone(f"{team}/app")


def test_ticked_rows_and_keyboard(person, pusher, unique):
    team = unique()
    ann = person("Ann", namespace=team)
    page = ann.page
    for name in ("one", "two", "three"):
        ann.post("/images/-/create/", name=name, namespace=team, visibility="private")
    ann.go("/images/?sort=name")
    selection = page.get_by_role("group", name="Selected rows")
    delete = selection.get_by_role("button", name="Delete")
    expect(delete).to_be_hidden()
    page.get_by_label(f"Select {team}/one").check()
    page.get_by_label(f"Select {team}/two").check()
    expect(selection.get_by_role("status")).to_have_text("2 selected")
    selection.get_by_role("button", name="Clear").click()
    expect(delete).to_be_hidden()
    expect(page.get_by_label("Select all images on this page")).to_be_focused()
    page.get_by_label(f"Select {team}/one").check()
    page.get_by_label(f"Select {team}/two").check()
    delete.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete Image Repository")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(delete).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="OK").click()
    ann.wait_until_gone(f"{team}/one")
    ann.wait_until_gone(f"{team}/two")
    expect(ann.row(f"{team}/three")).to_have_count(1)


def test_reset_password(person, pusher, unique, stack):
    from registry_client import Unauthorized

    team = unique()
    ann = person("Ann", namespace=team)
    page = ann.page

    def answers(password):
        # Each on a connection of its own, so that every one of the console's processes is asked.
        asked = [requests.get(f"{stack.console_url}/token/", auth=(ann.account_id, password)) for _ in range(8)]
        return {response.status_code for response in asked}

    assert answers(REGISTRY_PASSWORD) == {200}
    ann.press("Reset password")
    dialog = page.get_by_role("dialog", name="Reset password")
    expect(dialog.get_by_label("User name")).to_have_value(ann.account_id)
    dialog.get_by_role("button", name="Reset password").click()
    expect(dialog.get_by_text("Please enter a password")).to_be_visible()
    expect(dialog.get_by_text("Please enter the password again")).to_be_visible()
    dialog.get_by_label("Password", exact=True).fill("another pass 2")
    dialog.get_by_label("Confirm password").fill("another pass 3")
    dialog.get_by_role("button", name="Reset password").click()
    expect(dialog.get_by_text("The two passwords do not match")).to_be_visible()
    dialog.get_by_label("Password", exact=True).fill("another pass 2")
    dialog.get_by_label("Confirm password").fill("another pass 2")
    dialog.get_by_role("button", name="Reset password").click()
    expect(page.get_by_text("The registry password was reset.")).to_be_visible()
    assert answers(REGISTRY_PASSWORD) == {401}
    assert answers("another pass 2") == {200}
    with pytest.raises(Unauthorized):
        pusher(ann.account_id, f"{team}/app", "v1")
    assert pusher(ann.account_id, f"{team}/app", "v1", password="another pass 2")


def test_search_sort_and_pages_keep_the_address(person, unique):
    team = unique()
    ann = person("Ann", namespace=team)
    for number in range(11):
        ann.post("/images/-/create/", name=f"image{number:02}", namespace=team, visibility="private")
    page = ann.page
    ann.go("/images/")
    page.get_by_role("navigation", name="Rows per page").get_by_role("link", name="10", exact=True).click()
    expect(page).to_have_url(re.compile("size=10"))
    expect(page.get_by_role("row")).to_have_count(11)
    page.get_by_role("columnheader", name="Name", exact=True).get_by_role("link").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("image00")
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile("page=2"))
    expect(page.get_by_role("row")).to_have_count(2)
    page.go_back()
    expect(page.get_by_role("row")).to_have_count(11)
    page.get_by_role("main").get_by_role("searchbox").fill("image07")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile("q=image07"))


def test_without_script(person, pusher, unique):
    """Every form still works as a page."""
    ann, team = person("Ann", java_script_enabled=False), unique()
    page = ann.page
    page.get_by_label("Password", exact=True).fill(REGISTRY_PASSWORD)
    page.get_by_label("Confirm password").fill(REGISTRY_PASSWORD)
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("The service is activated.")).to_be_visible()
    page.get_by_role("link", name="Namespace", exact=True).click()
    page.locator(".toolbar").get_by_role("button", name="Create").click()
    page.get_by_label("Name").fill(team)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("cell", name=team, exact=True)).to_be_visible()
    page.get_by_role("link", name="My Images", exact=True).last.click()
    page.locator(".toolbar").get_by_role("button", name="Create").click()
    page.get_by_label("Name", exact=True).fill("app")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="app", exact=True)).to_be_visible()
    pusher(ann.account_id, f"{team}/app", "v1", "v2")
    wait_until(
        lambda: page.goto(f"{ann.base}/images/{team}/app/-/tags/") and page.get_by_label("Select v1").count(),
        "the tags show",
    )
    page.get_by_label("Select v1").check()
    page.locator(".selected-rows").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_label("Select v2")).to_be_visible()  # the form's own answer, before anything is loaded again
    wait_until(lambda: page.reload() and not page.get_by_label("Select v1").count(), "the tag goes")
    assert page.get_by_label("Select v2").count()
    ann.go("/images/")
    ann.press(f"Delete {team}/app")
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_role("button", name="OK")).to_have_count(0)
    expect(page.get_by_role("heading", name="My Images", exact=True)).to_be_visible()
    wait_until(lambda: page.reload() and not ann.row(f"{team}/app").count(), "the image goes")


def test_signing_out_and_in_again(person):
    ann = person("Ann")
    page = ann.page
    page.locator("details.account-menu summary").click()
    expect(page.get_by_role("button", name="Copy Account ID")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    ann.go("/namespaces/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    ann.sign_in(ann.account_id, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    ann.sign_in(ann.account_id, CONSOLE_PASSWORD)
    expect(page.get_by_label("User name")).to_be_visible()


def test_nobody_is_shut_out(person, pusher, registry_of, unique):
    """axe-core finds nothing on any page or dialog, narrow and dark, wide and light; no page scrolls sideways."""
    ann, team = person("Ann", **SHOWN[0]), unique()
    page, axe, found = ann.page, Axe(), []

    def look(what):
        page.wait_for_load_state()
        for shown in SHOWN:
            size, theme = shown["viewport"], shown["color_scheme"]
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=theme)
            for violation in axe.run(page).response["violations"]:
                found.append(f"{what}, {theme}: {violation['id']} {violation['nodes'][0]['html'][:120]}")
            if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
                found.append(f"{what}, {theme}: scrolls sideways")
        page.set_viewport_size(SHOWN[0]["viewport"])
        page.emulate_media(color_scheme=SHOWN[0]["color_scheme"])

    def look_at_dialog(path, name):
        ann.go(path)
        ann.press(name)
        expect(page.get_by_role("dialog")).to_be_visible()
        look(f"dialog {name}")

    look("activation")
    ann.activate(REGISTRY_PASSWORD, team)
    look("no image")
    name, text = "a-rather-long-name/of-an-image/that-has/components", "# Head\n\n| a |\n|---|\n| b |"
    ann.create_image(name, team, "Public", text)
    repository = f"{team}/a-rather-long-name/of-an-image/that-has/components"
    pusher(ann.account_id, repository, "v1", "v" + "x" * 127)
    ann.go(f"/images/{repository}/-/tags/")
    wait_until(lambda: page.reload() and page.get_by_label("Select v1", exact=True).count(), "the tag shows")
    client = registry_of(ann.account_id)
    children = [push_image(client, repository, None, config=CONFIG) for _ in range(2)]
    index = push_index(client, repository, "multi", children)
    push_image(client, repository, f"sha256-{index.digest.partition(':')[2]}.sig")
    ann.go(f"/images/{repository}/-/tags/")
    expect(page.get_by_text("1 attached", exact=True)).to_be_visible()
    for path in (
        "/images/", "/images/?q=nothing", "/namespaces/", "/docker-hub/", "/account/", "/account/password/",
        f"/images/{repository}/", f"/images/{repository}/-/tags/", f"/images/{repository}/-/settings/",
        f"/images/{repository}/-/commands/", f"/images/{repository}/-/compare/?from=v1&to=multi",
        f"/images/{repository}/-/compare/?from=v1", f"/namespaces/{team}/",
        f"/images/{repository}/-/tags/multi/", f"/images/{repository}/-/tags/v1/", f"/images/-/storage/{team}/",
        f"/images/{repository}/-/manifests/{children[0].digest}/", f"/images/{repository}/-/describe/",
        "/images/-/create/", "/namespaces/-/create/", "/images/-/guide/", "/activation/password/",
        "/images/none/there/",
    ):  # fmt: skip
        ann.go(path)
        unfold_all(page)
        look(path)
    for path, name in (
        ("/images/", "Create"),
        ("/images/", "Usage guide"),
        ("/images/", "Reset password"),
        ("/namespaces/", "Create"),
        ("/images/", f"Delete {repository}"),
        (f"/images/{repository}/-/tags/", "Delete v1"),
        (f"/images/{repository}/-/tags/", "Copy to… multi"),
        (f"/images/{repository}/-/settings/", "Make private"),
        (f"/images/{repository}/-/settings/", "Delete image"),
    ):
        look_at_dialog(path, name)
    ann.go(f"/images/{repository}/")
    page.get_by_role("button", name="Edit description").click()
    expect(page.get_by_label("Description", exact=False).and_(page.locator("textarea"))).to_be_visible()
    look("editing the description")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    look("a preview of the description")
    stranger = person(account=False, **SHOWN[0])
    page = stranger.page
    for path in ("/sign-in/", "/account/reset/"):
        stranger.go(path)
        look(path)
    assert not found, "\n".join(found)
