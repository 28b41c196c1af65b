"""Names of every length and narrow windows: what belongs on a line is on it, and nothing hides what comes after."""

from urllib.parse import urljoin

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from console.repositories.models import Image, Tag
from tests.browser.test_notices import ann, opened  # noqa: F401  # fixtures
from tests.support.factories import ImageFactory, NamespaceFactory, TagFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE, WINDOW = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
TOPS = "parts => [...new Set(parts.map(part => Math.round(part.getBoundingClientRect().top)))].length"
LONG, NAME = "platform-" + "x" * 21, "/".join(["component"] * 12)
SENTENCE = "The registry refused it. " * 10


@pytest.fixture
def names(ann):  # noqa: F811
    """Images with long names, one with a tag whose deletion waits, and a namespace without images."""
    image, namespace = Image.objects.get(), NamespaceFactory(owner=ann, name=LONG)
    for name in ("v1", "v2"):
        TagFactory(image=image, name=name)
    Tag.objects.filter(name="v1").update(state="deleting", deleting_since=timezone.now(), problem=SENTENCE)
    for name in ("ledger", NAME):
        ImageFactory(namespace=namespace, name=name)
    NamespaceFactory(owner=ann, name="spare")
    return f"/images/{image.repository}/-/tags/"


def test_the_tabs_of_the_account_are_one_line(ann, opened):  # noqa: F811
    page = opened("/account/", viewport=PHONE)
    for path in ("", "tokens/", "logins/", "security/", "activity/"):
        page.goto(urljoin(page.url, f"/account/{path}"))
        assert page.locator(".tabs a").evaluate_all(TOPS) == 1
        expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.99)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_row_shows_the_whole_namespace(names, opened):  # noqa: F811
    page = opened("/images/", viewport=PHONE)
    name = page.get_by_role("link", name=f"{LONG}/ledger")
    assert name.evaluate("name => name.innerText.replace(/\\s/g, '')") == f"{LONG}/ledger"
    assert name.evaluate("name => name.scrollWidth <= name.clientWidth && name.scrollHeight <= name.clientHeight + 1")
    page.set_viewport_size({"width": 1920, "height": 1080})
    cell = page.locator("td.space", has_text=LONG).first
    expect(cell).to_be_visible()
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_the_star_stays_beside_a_long_name(names, opened):  # noqa: F811
    page = opened(f"/images/{LONG}/{NAME}/", viewport=WINDOW)
    name, star = page.get_by_role("heading", level=1).bounding_box(), page.locator(".page-head .star").bounding_box()
    assert star["y"] < name["y"] + name["height"]
    assert star["x"] > name["x"] + name["width"]


def test_a_tag_whose_deletion_waits_is_one_line(names, opened):  # noqa: F811
    page = opened(names, viewport=WINDOW)
    heights = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert len(heights) == 2 and max(heights) <= 41
    row = page.get_by_role("row").filter(has_text="v1")
    expect(row.get_by_role("status")).to_have_text(f"Waiting: {SENTENCE.strip()}")
    page.set_viewport_size(PHONE)
    assert row.locator(".why").evaluate("why => why.getBoundingClientRect().width") > 100


def test_an_option_is_not_broken(ann, opened):  # noqa: F811
    page = opened("/images/-/guide/", viewport=PHONE)
    option = page.locator(".command code", has_text="--username").first
    for width in range(300, 460, 10):
        page.set_viewport_size({"width": width, "height": 844})
        broken = """code => {
          const text = [...code.childNodes].map(node => node.nodeType === 3 ? node : node.firstChild)
            .find(node => node?.data?.includes("--username"));
          const range = document.createRange();
          const start = text.data.indexOf("--username");
          range.setStart(text, start);
          range.setEnd(text, start + "--username".length);
          return range.getClientRects().length;
        }"""
        assert option.evaluate(broken) == 1, width


def test_the_contents_of_the_help_are_folded_on_a_telephone(ann, opened):  # noqa: F811
    page = opened("/help/troubleshooting/", viewport=PHONE)
    contents = page.locator("details.help-contents")
    expect(contents.get_by_role("link").first).to_be_hidden()
    expect(page.locator("nav.help-contents")).to_be_hidden()
    contents.locator("summary").click()
    contents.get_by_role("link").last.click()
    assert "#" in page.url
    page.set_viewport_size(WINDOW)
    expect(page.get_by_role("navigation", name="On this page").get_by_role("link").first).to_be_visible()
    expect(contents).to_be_hidden()


def test_the_name_to_type_can_be_copied(names, opened):  # noqa: F811
    page = opened("/namespaces/")
    page.get_by_role("button", name="Delete spare").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Copy the name").click()
    dialog.get_by_label("Type the name").focus()
    page.keyboard.press("Control+V")
    dialog.get_by_role("button", name="OK").click()
    expect(page.get_by_text("Deleted the namespace “spare”.")).to_be_visible()


def test_the_search_page_has_a_field(ann, opened):  # noqa: F811
    page = opened("/search/", viewport=PHONE)
    expect(page.get_by_label("Search for")).to_be_focused()
    page.keyboard.type("too-long")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Results for “too-long”")).to_be_visible()


def test_a_tablet_has_the_toolbar_in_one_line(names, opened):  # noqa: F811
    page = opened("/images/", viewport={"width": 768, "height": 1024})
    assert page.locator(".toolbar").bounding_box()["height"] < 40
