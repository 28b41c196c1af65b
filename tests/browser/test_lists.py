"""Lists in a real browser: whole names, rows of one line, cards on a telephone, menus, the bar for ticked rows."""

import datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect

from console.repositories.models import Image, Manifest, Tag
from console.repositories.totals import refresh_totals
from tests.browser.test_notices import ann, opened  # noqa: F401  # fixtures
from tests.support.factories import ImageFactory, ManifestFactory, TagFactory
from tests.support.pushed_images import digest_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE = {"width": 390, "height": 844}
NAMES = (
    "ledger", "ledger/migration-scripts", "observability/otel-collector", "feature-store/online-serving",
    "fraud-detector", "storefront-admin", "recommender", "embedding_server", "warehouse-loader", "image-resizer",
    "payout-scheduler",
    "log-shipper", "cdn-purge", "cert-manager", "edge-proxy", "search-api", "spark-runner", "notebook-gpu", "checkout",
)  # fmt: skip
PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7"]

# Pieces of names, between the places where they may break, that take more than one line or do not fit.
BROKEN = """names => names.flatMap(name => {
  const walker = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
  const found = name.scrollWidth > name.clientWidth ? [`${name.textContent} is cut`] : [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(text);
    if (range.getClientRects().length > 1) found.push(`${text.data} is broken`);
  }
  return found;
})"""
HEIGHTS = "rows => rows.map(row => row.getBoundingClientRect().height)"


@pytest.fixture
def team(ann):  # noqa: F811
    """Twenty images of hers."""
    namespace = Image.objects.get().namespace
    for number, name in enumerate(NAMES):
        image = ImageFactory(
            namespace=namespace, name=name, description="What *it* is.\n\nAnd more." if number % 2 else ""
        )
        pushed = timezone.now() - datetime.timedelta(hours=number)
        Image.objects.filter(pk=image.pk).update(tag_count=300, size=10**10, pull_count=1234567, last_push_at=pushed)
    return namespace


@pytest.fixture
def tags(team):
    """An image with tags of three platforms, of one, and with an attachment."""
    image = Image.objects.get(name="ledger")
    children = [
        ManifestFactory(image=image, kind="image", platforms=[one], digest=digest_of(one.encode())) for one in PLATFORMS
    ]
    named = [{"digest": child.digest, "platform": one} for child, one in zip(children, PLATFORMS, strict=True)]
    index = ManifestFactory(image=image, kind="index", platforms=PLATFORMS, children=named, digest=digest_of(b"index"))
    for number in range(8):
        manifest = index if number % 2 else children[0]
        TagFactory(image=image, manifest=manifest, name=f"v1.{number}.0", pushed_by=team.owner.account_id)
    TagFactory(image=image, manifest=index, name=f"sha-{'0' * 100}", pushed_by=team.owner.account_id)
    about = ManifestFactory(image=image, kind=Manifest.Kind.ARTIFACT, subject=index.digest)
    Tag.objects.create(image=image, name="about", manifest=about, subject=index.digest, pushed_at=timezone.now())
    refresh_totals(image.pk)
    return f"/images/{team.name}/ledger/-/tags/"


@pytest.mark.parametrize("width", [390, 768, 1100, 1280, 1440, 1920])
def test_names_stay_whole(team, opened, width):  # noqa: F811
    page = opened("/images/", viewport={"width": width, "height": 900})
    names = page.locator("tbody .name > a")
    expect(names).to_have_count(20)
    assert names.evaluate_all(BROKEN) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_toolbar_is_one_line(team, opened):  # noqa: F811
    page = opened("/images/", viewport={"width": 1280, "height": 800})
    tops = page.locator(".toolbar > *").evaluate_all("parts => parts.map(part => part.getBoundingClientRect().bottom)")
    assert max(tops) - min(tops) < 20
    assert page.locator(".toolbar").bounding_box()["height"] < 40


def test_a_tag_is_one_line(tags, opened):  # noqa: F811
    page = opened(tags, viewport={"width": 1280, "height": 800})
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(9)
    assert max(rows.evaluate_all(HEIGHTS)) <= 44
    page.locator("summary", has_text="3 platforms").first.click()
    expect(page.get_by_role("link", name="linux/arm64")).to_be_visible()
    expect(page.get_by_text("by Ann").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_twenty_images_are_few_screens_of_a_telephone(team, tags, opened):  # noqa: F811
    page = opened("/images/", viewport=PHONE)
    expect(page.locator("tbody tr")).to_have_count(20)
    assert page.evaluate("document.documentElement.scrollHeight") <= 2000
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("size", [{"width": 1280, "height": 720}, PHONE], ids=["a window", "a telephone"])
def test_the_bar_for_ticked_rows_stays_in_sight(team, opened, size):  # noqa: F811
    page = opened("/images/?sort=name", viewport=size)
    bar = page.get_by_role("group", name="Selected rows")
    expect(bar).to_be_hidden()
    page.get_by_label(f"Select {team.name}/cdn-purge").check()
    page.get_by_label(f"Select {team.name}/cert-manager").check()
    expect(bar.get_by_role("status")).to_have_text("2 selected")
    for place in ("window.scrollTo(0, 0)", "window.scrollTo(0, 400)"):
        page.evaluate(place)
        expect(bar.get_by_role("button", name="Delete")).to_be_in_viewport(ratio=1)
        expect(bar.get_by_role("button", name="Clear")).to_be_in_viewport(ratio=1)
    # It stays as it is when the list is fetched again.
    with page.expect_response("**/images/?sort=name"):
        page.evaluate("htmx.trigger(document.body, 'list-changed')")
    expect(bar.get_by_role("status")).to_have_text("2 selected")
    bar.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(bar.get_by_role("button", name="Delete")).to_be_focused()
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_be_hidden()
    expect(page.get_by_label("Select all images on this page")).to_be_focused()


def test_a_menu_by_keyboard(team, opened):  # noqa: F811
    page = opened("/images/", viewport={"width": 1280, "height": 800})
    row = page.get_by_role("row").filter(has=page.get_by_label(f"Select {team.name}/checkout"))
    opener, menu = row.locator("summary"), row.locator(".menu")
    opener.focus()
    page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    page.keyboard.press("Tab")
    expect(menu.get_by_role("button", name="Copy address")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    delete = menu.get_by_role("button", name=f"Delete {team.name}/checkout")
    delete.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete Image Repository")
    expect(dialog).to_be_visible()
    expect(menu).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    # An open menu stays open when the list is fetched again, and goes when something else is pressed.
    page.keyboard.press("Enter")
    with page.expect_response("**/images/"):
        page.evaluate("htmx.trigger(document.body, 'list-changed')")
    expect(menu).to_be_visible()
    expect(opener).to_be_focused()
    page.get_by_role("heading", name="My Images").click()
    expect(menu).to_be_hidden()


def test_without_script(team, opened):  # noqa: F811
    scripted = opened("/images/")
    page = scripted.context.browser.new_context(
        java_script_enabled=False, storage_state=scripted.context.storage_state()
    ).new_page()
    page.goto(scripted.url)
    page.get_by_label(f"Select {team.name}/checkout").check()
    page.get_by_label(f"Select {team.name}/edge-proxy").check()
    bar = page.get_by_role("group", name="Selected rows")
    expect(bar.get_by_role("button", name="Clear")).to_be_hidden()
    bar.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("listitem").filter(has_text="checkout")).to_be_visible()
    page.goto(scripted.url)
    row = page.get_by_role("row").filter(has=page.get_by_label(f"Select {team.name}/checkout"))
    row.locator("summary").click()
    row.get_by_role("button", name="Change type").click()
    expect(page.get_by_role("heading", name="Make public")).to_be_visible()


def test_why_a_namespace_cannot_be_deleted(team, opened):  # noqa: F811
    page = opened("/namespaces/", viewport={"width": 1280, "height": 800})
    button = page.get_by_role("button", name=f"Delete {team.name}")
    expect(button).to_be_disabled()
    expect(button).to_have_accessible_description("It contains 20 images. Delete them first.")
    reason = page.get_by_role("link", name="Show the images")
    expect(reason).to_be_hidden()
    button.focus()
    expect(reason).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=team.name)).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(20)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_is_shut_out(team, tags, opened, theme):  # noqa: F811
    found = []
    for size in (PHONE, {"width": 1280, "height": 800}):
        for path in ("/images/", tags, "/namespaces/", f"/namespaces/{team.name}/"):
            page = opened(path, viewport=size, color_scheme=theme)
            if page.locator("tbody input[type=checkbox]").count():
                page.locator("tbody input[type=checkbox]").first.check()
            page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
            violations = Axe().run(page).response["violations"]
            found += [f"{path}: {one['id']} {one['nodes'][0]['html'][:120]}" for one in violations]
            page.context.close()
    assert not found, "\n".join(found)
