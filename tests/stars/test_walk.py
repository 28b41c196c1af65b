"""Stars, favorites and public images in a real browser on the whole product."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD  # noqa: F401  (fixtures)

pytestmark = pytest.mark.browser


@pytest.fixture
def two(person, unique):  # noqa: F811
    """Ann, who has a public image, and Bob."""
    ann, bob = person("Ann"), person("Bob")
    ann.team = unique()
    ann.activate(REGISTRY_PASSWORD, ann.team)
    bob.activate(REGISTRY_PASSWORD, unique())
    ann.create_image("app", ann.team, "Public", "# App\n\nWhat *it* is for")
    return ann, bob


def test_somebody_elses_image(two, pusher):  # noqa: F811
    ann, bob = two
    page, repository = bob.page, f"{ann.team}/app"
    pusher(ann.account_id, repository, "v1")
    ann.go("/images/")
    expect(ann.row(repository).get_by_role("cell", name="1", exact=True)).to_be_visible()
    page.get_by_role("link", name="Public images").click()
    page.get_by_label("Search by name").fill(repository)
    expect(page.get_by_text("1 in total")).to_be_visible()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=ann.team, exact=True))
    expect(row.get_by_text("What it is for")).to_be_visible()
    star = row.get_by_role("button", name=f"Star {repository}")
    star.focus()
    page.keyboard.press("Enter")
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(star).to_be_focused()
    expect(star).to_contain_text("1")
    row.get_by_role("link", name="app").click()
    expect(page.get_by_role("button", name=f"Star {repository}")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text(re.compile(rf"^docker pull 127\.0\.0\.1:\d+/{repository}:v1$"))).to_be_visible()
    page.get_by_role("link", name="Favorites").click()
    page.get_by_label("Filter by kind").select_option("Public images")
    expect(row.get_by_role("link", name="app", exact=True)).to_be_visible()
    page.get_by_label("Filter by kind").select_option("My images")
    expect(page.get_by_text("No favorites match")).to_be_visible()

    ann.go(f"/images/{repository}/-/settings/")
    expect(ann.page.get_by_role("button", name=f"Star {repository}")).to_contain_text("1")
    ann.page.get_by_role("button", name="Make private").click()
    ann.page.get_by_role("dialog").get_by_role("button", name="Make private").click()
    expect(ann.page.get_by_text("The image is now private")).to_be_visible()
    expect(ann.page.get_by_role("button", name=f"Star {repository}")).to_contain_text("0")
    bob.go("/favorites/")
    expect(page.get_by_role("heading", name="No favorites yet")).to_be_visible()


def test_without_script(two, person):
    ann, _bob = two
    plain = person("Eve", java_script_enabled=False)
    plain.page.get_by_label("Password", exact=True).fill(REGISTRY_PASSWORD)
    plain.page.get_by_label("Confirm password").fill(REGISTRY_PASSWORD)
    plain.page.get_by_role("button", name="Enable").click()
    plain.page.get_by_role("button", name="Continue").click()
    plain.go(f"/public-images/?q={ann.team}")
    star = plain.page.get_by_role("button", name=f"Star {ann.team}/app")
    for pressed in ("true", "false"):
        star.click()
        expect(plain.page).to_have_url(re.compile(rf"/public-images/\?q={ann.team}$"))
        expect(star).to_have_attribute("aria-pressed", pressed)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_nobody_is_shut_out(two, pusher, width, theme):  # noqa: F811
    """axe-core finds nothing on any page, and no page scrolls sideways."""
    ann, bob = two
    pusher(ann.account_id, f"{ann.team}/app", "v1")
    page, found = bob.page, []
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)

    def look(path):
        bob.go(path)
        page.wait_for_load_state()
        for violation in Axe().run(page).response["violations"]:
            found.append(f"{path}: {violation['id']} {violation['nodes'][0]['html'][:120]}")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{path}: scrolls sideways")

    look("/favorites/")
    look(f"/public-images/?q={ann.team}")
    page.get_by_role("button", name=f"Star {ann.team}/app").click()
    for path in (
        "/public-images/",
        "/public-images/?q=nothing-at-all",
        f"/public-images/{ann.team}/app/",
        "/favorites/",
    ):
        look(path)
    assert found == []
