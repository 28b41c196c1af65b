"""Lists with nothing in them: no search, one blue button, and a dialog that leads on."""

from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from console.namespaces.models import Namespace
from console.repositories.models import Image
from tests.browser.test_notices import ann, opened  # noqa: F401  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BLUE = """buttons => {
  const blue = getComputedStyle(Object.assign(document.body.appendChild(document.createElement("a")),
    { className: "button primary" })).backgroundColor;
  return buttons.filter(button => getComputedStyle(button).backgroundColor === blue).map(button => button.innerText);
}"""
LISTS = {
    "/images/": "Create Image", "/namespaces/team/": "Create Image", "/account/tokens/": "Create access token",
    "/favorites/": "Browse Docker Hub", "/public-images/": None, "/account/logins/": None, "/account/activity/": None,
}  # fmt: skip


@pytest.fixture
def no_image(ann):  # noqa: F811
    Image.objects.all().delete()


@pytest.fixture
def no_namespace(no_image):
    Namespace.objects.all().delete()


def shown_searches(page):
    return page.locator("main form[role=search]").locator("visible=true").count()


def test_a_list_with_nothing_has_no_search_and_one_blue_button(no_image, opened):  # noqa: F811
    page = opened("/images/")
    found = {}
    for path in LISTS:
        page.goto(urljoin(page.url, path))
        assert shown_searches(page) == 0, path
        blue = page.locator("main .button.primary").locator("visible=true").evaluate_all(BLUE)
        assert len(blue) <= 1, path
        found[path] = blue[0] if blue else None
    assert found == LISTS


def test_the_search_comes_with_the_first_row(ann, opened):  # noqa: F811
    page = opened("/images/?q=nothing-of-the-kind")
    assert shown_searches(page) == 1
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert shown_searches(page) == 1
    expect(page.locator("#create")).to_have_css("background-color", "rgb(29, 95, 209)")


def test_without_a_namespace_the_dialogs_lead_to_one(no_namespace, opened):  # noqa: F811
    page = opened("/images/")
    assert page.locator("main .button.primary").locator("visible=true").evaluate_all(BLUE) == ["Create a Namespace"]
    for opener, title in (("Create", "Create Image"), ("Import", "Import")):
        page.locator(".toolbar").get_by_role("button", name=opener, exact=True).click()
        dialog = page.get_by_role("dialog", name=title)
        expect(dialog.get_by_role("button", name="Create a Namespace")).to_be_focused()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_have_count(0)
    page.locator("#create").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Create a Namespace")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Create a Namespace").get_by_label("Name")).to_be_focused()
