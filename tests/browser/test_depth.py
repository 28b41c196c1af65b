"""An image in depth, in a real browser on the whole product: news without reloading, platforms, layers, copies."""

import re

import pytest
from playwright.sync_api import expect

from registry_client import Challenged, Denied, RegistryClient, Unauthorized
from tests.support.browser_user import BrowserUser
from tests.support.pushed_images import push_image, push_index
from tests.support.stack import wait_until

pytestmark = pytest.mark.browser

CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "created": "2026-11-20T10:11:12Z",
    "author": "Ann",
    "config": {
        "Entrypoint": ["/start"],
        "Cmd": ["serve", "--all"],
        "Env": ["PATH=/bin", "SECRET=hunter2"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"team": "payments"},
    },
    "history": [{"created_by": "COPY app /"}, {"created_by": "CMD serve", "empty_layer": True}],
}


@pytest.fixture
def ann(person, unique):
    """Somebody activated, with a namespace."""
    team = unique()
    walker = person("Ann", namespace=team)
    walker.team = team
    return walker


def open_image(ann, repository):
    """Wait until the pushed image is listed, then go to its tags."""
    ann.go("/images/")
    expect(ann.row(repository)).to_have_count(1)
    ann.row(repository).get_by_role("link", name=repository.partition("/")[2]).click()
    ann.page.get_by_role("navigation", name="Image").get_by_role("link", name="Tags").click()


def tag_row(page, name):
    return page.get_by_role("row").filter(has=page.get_by_label(f"Select {name}", exact=True))


def test_news_comes_without_reloading(ann, pusher):
    page, repository = ann.page, f"{ann.team}/app"
    ann.go("/images/")
    page.evaluate("window.loadedOnce = true")
    pusher(ann.account_id, repository, "v1")
    expect(ann.row(repository)).to_have_count(1)
    expect(ann.row(repository).get_by_role("cell", name="1", exact=True)).to_be_visible()
    # What is ticked and where the focus is stays so, although the list is replaced.
    page.get_by_label(f"Select {repository}").check()
    pusher(ann.account_id, repository, "v2")
    expect(ann.row(repository).get_by_role("cell", name="2", exact=True)).to_be_visible()
    expect(page.get_by_label(f"Select {repository}")).to_be_checked()
    expect(page.get_by_label(f"Select {repository}")).to_be_focused()
    expect(page.locator(".selected-rows").get_by_role("button", name="Delete")).to_be_visible()
    assert page.evaluate("window.loadedOnce")


def test_news_on_an_images_page(ann, pusher, registry_of):
    page, repository = ann.page, f"{ann.team}/app"
    client = registry_of(ann.account_id)
    children = [push_image(client, repository, None) for _ in range(2)]
    push_index(client, repository, "multi", children)
    open_image(ann, repository)
    page.locator("summary", has_text="2 platforms").click()
    expect(page.get_by_role("link", name="linux/arm64")).to_be_visible()
    pusher(ann.account_id, repository, "v2")
    expect(tag_row(page, "v2")).to_be_visible()
    expect(page.get_by_role("link", name="linux/arm64")).to_be_visible()
    expect(tag_row(page, "multi").get_by_role("cell", name="0", exact=True)).to_be_visible()
    client.manifest(repository, "multi")
    expect(tag_row(page, "multi").get_by_role("cell", name="1", exact=True)).to_be_visible()


def test_a_tag_in_depth(ann, registry_of):
    page, repository = ann.page, f"{ann.team}/app"
    client = registry_of(ann.account_id)
    children = [
        push_image(client, repository, None, layers=[b"x" * 2048], config={**CONFIG, "architecture": architecture})
        for architecture in ("amd64", "arm64")
    ]
    index = push_index(client, repository, "multi", children)
    push_image(client, repository, f"sha256-{index.digest.partition(':')[2]}.sig")
    open_image(ann, repository)
    expect(tag_row(page, "multi").get_by_text("1 attached")).to_be_visible()
    expect(page.get_by_text("1 in total")).to_be_visible()  # the signature stands under what it signs
    page.get_by_role("link", name="multi", exact=True).click()
    main = page.get_by_role("main")
    expect(main.get_by_text(re.compile(rf"^127\.0\.0\.1:\d+/{repository}:multi$"))).to_be_visible()
    expect(main.get_by_text(index.digest, exact=True)).to_be_visible()
    expect(main.get_by_role("link", name="signature")).to_be_visible()
    for text in ("Ann", "/start", "serve", "--all", "8080/tcp", "SECRET", "payments", "COPY app /"):
        expect(main.get_by_text(text, exact=True).first).to_be_visible()
    expect(main.get_by_text("hunter2")).to_have_count(0)
    expect(main.get_by_role("row", name=re.compile(r"COPY app .*2.0\sKiB"))).to_be_visible()
    expect(main.get_by_role("row", name=re.compile("CMD serve.*none"))).to_be_visible()
    main.get_by_role("link", name="linux/arm64").click()
    expect(main.get_by_role("heading", name="Configuration linux/arm64")).to_be_visible()
    main.get_by_text("Raw manifest").click()
    expect(main.get_by_text(children[1].blobs[0])).to_be_visible()
    main.get_by_text("Raw index").click()
    with page.expect_download() as download:
        main.get_by_role("region", name="Raw index").get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == index.content


def test_the_description_is_edited_in_place(ann):
    page = ann.page
    ann.create_image("app", ann.team)
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Edit description").focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="Description")
    expect(box).to_be_focused()
    box.fill("# The *app*\n<script>window.hurt = 1</script>")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview.get_by_role("heading", name="The app")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("The preview is below the text.")
    expect(page.get_by_role("button", name="Preview")).to_be_focused()
    box.fill("# The other *app*\n<script>window.hurt = 1</script>")
    page.get_by_role("button", name="Preview").click()
    expect(preview.get_by_role("heading", name="The other app")).to_be_visible()
    box.fill("x" * 25_001)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("The description can have up to 25,000 characters.")).to_be_visible()
    expect(box).to_be_focused()
    box.fill("# The *app*\n<script>window.hurt = 1</script>")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="The app")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("Saved the description.")
    assert page.evaluate("window.hurt") is None
    page.get_by_role("button", name="Edit description").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="The app")).to_be_visible()


def test_public_and_private(ann, pusher, stack):
    page, repository = ann.page, f"{ann.team}/app"
    pusher(ann.account_id, repository, "v1")
    open_image(ann, repository)

    def anybody_may_pull():
        with RegistryClient(f"http://{stack.registry_address}", Challenged()) as client:
            try:
                return bool(client.manifest(repository, "v1"))
            except (Denied, Unauthorized):
                return False

    assert not anybody_may_pull()
    ann.go(f"/images/{repository}/-/settings/")
    page.get_by_role("button", name="Make public").click()
    dialog = page.get_by_role("dialog", name="Make public")
    expect(dialog.get_by_text("without logging in")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Make public").click()
    dialog.get_by_role("button", name="Make public").click()
    expect(page.get_by_text("The image is now public: anyone can pull it.")).to_be_visible()
    assert anybody_may_pull()
    page.get_by_role("button", name="Make private").click()
    page.get_by_role("dialog", name="Make private").get_by_role("button", name="Make private").click()
    expect(page.get_by_text("The image is now private: only people with a role can pull it.")).to_be_visible()
    assert not anybody_may_pull()


def test_copying_a_tag(ann, registry_of):
    page, repository = ann.page, f"{ann.team}/app"
    client = registry_of(ann.account_id)
    index = push_index(client, repository, "multi", [push_image(client, repository, None) for _ in range(2)])
    open_image(ann, repository)
    ann.press("Copy to… multi")
    dialog = page.get_by_role("dialog", name="Copy")
    dialog.get_by_label("Tag").fill("multi")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_text("This is the same tag.")).to_be_visible()
    dialog.get_by_label("Image").fill("another/app")
    dialog.get_by_label("Tag").fill("stable")
    dialog.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("heading", name="another/app")).to_be_visible()
    expect(tag_row(page, "stable")).to_be_visible()
    expect(tag_row(page, "stable").get_by_title(index.digest)).to_be_visible()
    assert client.manifest(f"{ann.team}/another/app", "stable").content == index.content
    for child in client.manifest(f"{ann.team}/another/app", "stable").children:
        for blob in client.manifest(f"{ann.team}/another/app", child.digest).references:
            assert client.stat_blob(f"{ann.team}/another/app", blob)


def test_many_tags_are_deleted(ann, pusher, registry_of):
    page, repository = ann.page, f"{ann.team}/app"
    pushed = pusher(ann.account_id, repository, "v1", "v2", "v3")
    client = registry_of(ann.account_id)
    client.put_manifest(repository, "same", pushed[0].content, client.manifest(repository, "v1").media_type)
    open_image(ann, repository)
    expect(tag_row(page, "same")).to_be_visible()
    page.get_by_label("Select v1", exact=True).check()
    page.get_by_label("Select v2", exact=True).check()
    page.locator(".selected-rows").get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete tags")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    expect(dialog.get_by_text("Other tags of the same digest stay: same")).to_be_visible()
    dialog.get_by_role("button", name="OK").click()
    expect(page.get_by_text(f"Deleting 2 tags of {repository}.")).to_be_visible()
    expect(tag_row(page, "v1")).to_have_count(0)
    expect(tag_row(page, "v2")).to_have_count(0)
    expect(tag_row(page, "same")).to_be_visible()
    assert sorted(client.tags(repository)) == ["same", "v3"]
    assert client.manifest(repository, "same").digest == pushed[0].digest


def test_without_script(person, pusher, unique):
    """Describing, publishing and copying still work as pages."""
    team = unique()
    ann = person("Ann", namespace=team, java_script_enabled=False)
    page = ann.page
    pusher(ann.account_id, f"{team}/app", "v1")
    wait_until(
        lambda: page.goto(f"{ann.base}/images/{team}/app/-/tags/") and page.get_by_label("Select v1").count(),
        "the tag shows",
    )
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Edit description").click()
    page.get_by_role("textbox", name="Description").fill("About *it*")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="Preview").get_by_text("About it")).to_be_visible()
    expect(page.get_by_role("textbox", name="Description")).to_have_value("About *it*")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved the description.")).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("button", name="Make public").click()
    page.get_by_role("button", name="Make public").click()
    expect(page.get_by_text("The image is now public: anyone can pull it.")).to_be_visible()
    page.get_by_role("link", name="Tags").click()
    ann.press("Copy to… v1")
    page.get_by_label("Tag").fill("v1-copy")
    page.get_by_role("button", name="Copy").click()
    wait_until(lambda: page.reload() and page.get_by_label("Select v1-copy").count(), "the copy shows")


def test_the_reader_stays_where_they_are(ann, pusher):
    """Sorting and paging by keyboard keep the focus; another page is seen from its top; going back works."""
    page, repository = ann.page, f"{ann.team}/app"
    failures = []
    page.on("pageerror", lambda error: failures.append(error))
    pusher(ann.account_id, repository, *(f"v{number:02}" for number in range(25)))
    open_image(ann, repository)
    expect(page.get_by_text("25 in total")).to_be_visible()
    expect(page.get_by_text("25 of 1,000 tags used")).to_be_visible()

    def press(name):
        page.get_by_role("link", name=name, exact=True).focus()
        page.keyboard.press("Enter")

    press("Name")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("link", name="Name", exact=True)).to_be_focused()
    press("10")
    ten = page.get_by_label("Rows per page").get_by_text("10", exact=True)
    expect(ten).to_have_attribute("aria-current", "true")
    expect(ten).to_be_focused()
    expect(tag_row(page, "v10")).to_have_count(0)
    press("Next")
    expect(tag_row(page, "v19")).to_be_visible()
    expect(page.get_by_role("link", name="Next", exact=True)).to_be_focused()
    assert page.evaluate("scrollY") == 0
    press("Next")
    expect(tag_row(page, "v24")).to_be_visible()
    expect(page.locator("#tags")).to_be_focused()  # there is no next page any more
    page.go_back()
    expect(tag_row(page, "v19")).to_be_visible()
    page.go_back()
    expect(tag_row(page, "v09")).to_be_visible()
    assert not failures


def test_what_the_reader_asks_for_comes_before_a_refresh(ann, pusher):
    """Whichever is answered first."""
    page, repository = ann.page, f"{ann.team}/app"
    pusher(ann.account_id, repository, *(f"v{number:02}" for number in range(12)))
    open_image(ann, repository)
    expect(page.get_by_text("12 in total")).to_be_visible()
    ann.go(f"/images/{repository}/-/tags/?sort=name&size=10")
    held, ended = [], []
    page.on("requestfinished", lambda request: ended.append(request))
    page.on("requestfailed", lambda request: ended.append(request))

    def hold(route):
        if "hx-request" in route.request.headers:
            held.append(route)
        else:
            route.continue_()

    page.route("**/images/**", hold)
    page.evaluate("htmx.trigger(document.body, 'list-changed')")
    wait_until(lambda: page.evaluate("1") and len(held) >= 1, "the refresh is asked for")
    page.get_by_role("link", name="Next", exact=True).click()
    wait_until(lambda: page.evaluate("1") and "after=" in held[-1].request.url, "the next page is asked for")
    refresh, following = held[0], held[-1]
    if refresh.request not in ended:
        refresh.continue_()
    wait_until(lambda: page.evaluate("1") and refresh.request in ended, "the refresh has ended")
    following.continue_()
    expect(tag_row(page, "v11")).to_be_visible()
    expect(tag_row(page, "v01")).to_have_count(0)


def test_a_row_is_not_replaced_under_a_pressed_button(ann, pusher):
    page = ann.page
    ann.create_image("app", ann.team)
    ann.go("/images/")
    ann.row(f"{ann.team}/app").locator("summary").click()
    delete = ann.row(f"{ann.team}/app").get_by_role("button", name="Delete", include_hidden=True)
    delete.hover()
    page.mouse.down()
    shown = page.locator("#list").get_attribute("data-version")
    told = []
    page.on("response", lambda answer: "/-/version/" in answer.url and told.append(answer.text()))
    pusher(ann.account_id, f"{ann.team}/app", "v1")
    wait_until(lambda: page.evaluate("1") and len(set(told) - {shown}) and len(told) > 3, "the page knows of news")
    page.mouse.up()
    expect(page.get_by_role("dialog", name="Delete Image Repository")).to_be_visible()
    page.keyboard.press("Escape")
    expect(ann.row(f"{ann.team}/app").get_by_role("cell", name="1", exact=True)).to_be_visible()
    # A press that opens the browser's menu, which keeps the release to itself, holds nothing up.
    delete.dispatch_event("pointerdown", {"button": 2, "buttons": 2})
    delete.dispatch_event("pointerdown", {"button": 0, "buttons": 1})
    delete.dispatch_event("contextmenu")
    pusher(ann.account_id, f"{ann.team}/app", "v2")
    expect(ann.row(f"{ann.team}/app").get_by_role("cell", name="2", exact=True)).to_be_visible()


def test_a_page_whose_image_goes_leads_to_the_list(ann, pusher):
    repository = f"{ann.team}/app"
    pusher(ann.account_id, repository, "v1")
    open_image(ann, repository)
    expect(tag_row(ann.page, "v1")).to_be_visible()
    elsewhere = BrowserUser(ann.page.context.new_page(), ann.base)
    elsewhere.delete_image(repository)
    expect(ann.page.get_by_text("No images yet")).to_be_visible()
