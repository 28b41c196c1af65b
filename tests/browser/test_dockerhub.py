"""The Docker Hub pages in a real browser, on the whole product, with a Docker Hub that the test is."""

import os
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD
from tests.support.hub_api import Hub, image, platform, tag

pytestmark = pytest.mark.browser
PLATFORMS = [platform("amd64", 48 << 20), platform("arm64", 47 << 20, variant="v8"), platform("s390x"), platform("386")]


@pytest.fixture
def hub(stack):
    """Docker Hub, where the product under test looks for it; nothing is known of it yet."""
    server = Hub(urlsplit(os.environ["DOCKERHUB_API"]).port)
    stack.sql("DELETE FROM dockerhub_officialtag RETURNING id")
    stack.sql("DELETE FROM dockerhub_officialimage RETURNING id")
    stack.sql("DELETE FROM dockerhub_catalogue RETURNING id")
    yield server
    server.stop()


def test_lists_appear_by_themselves(person, stack, hub, unique):
    hub.images = [image("debian", description="Debian is a Linux distribution.", pulls=3_000_000_000), image("nginx")]
    hub.tags["debian"] = [
        tag("latest", pushed="2026-11-21T10:00:00Z", images=PLATFORMS),
        *(tag(f"v{number}") for number in range(30)),
    ]
    ann = person("Ann")
    page = ann.page
    ann.activate(REGISTRY_PASSWORD, unique())
    ann.go("/docker-hub/")
    expect(page.get_by_role("cell", name="3,000,000,000")).to_be_visible()
    page.get_by_label("Search official images").fill("linux")
    expect(page.get_by_role("link", name="nginx")).to_have_count(0)
    expect(page).to_have_url(f"{stack.console_url}/docker-hub/?q=linux")
    page.get_by_role("link", name="debian").click()
    expect(page.get_by_text("31 in total")).to_be_visible()
    expect(page.get_by_text("Nothing yet. The first pull adds it.")).to_be_visible()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="latest", exact=True))
    row.locator("summary").click()
    expect(row.get_by_text("47.0 MiB")).to_be_visible()
    command = f"docker pull {stack.dockerhub_address}/library/debian:latest"
    expect(row.get_by_role("button", name="Copy pull command latest")).to_have_attribute("data-copy", command)
    page.get_by_label("Search tags").fill("v2")
    expect(page.get_by_text("11 in total")).to_be_visible()

    hub.images.append(image("redis"))
    ann.go("/docker-hub/")
    stack.sql("UPDATE dockerhub_catalogue SET asked_at = NULL RETURNING id")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("link", name="redis")).to_be_visible()


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_nobody_is_shut_out(person, hub, width, theme):
    """axe-core finds nothing, and no page scrolls sideways; with much to show, with nothing, and without Docker Hub."""
    hub.images = [image("debian", description="words " * 100), image("a" * 60), image("empty")]
    hub.tags |= {"debian": [tag("x" * 128, images=PLATFORMS), tag("12")], "empty": []}
    ann, axe, found = person("Ann", viewport={"width": width, "height": 900}, color_scheme=theme), Axe(), []
    page = ann.page

    def look(path, text):
        ann.go(path)
        expect(page.get_by_text(text).first).to_be_visible()
        for summary in page.locator("main summary").all():
            summary.click()
        for violation in axe.run(page).response["violations"]:
            found.append(f"{path}: {violation['id']} {violation['nodes'][0]['html'][:120]}")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{path}: scrolls sideways")

    look("/docker-hub/", "a" * 60)
    look("/docker-hub/?q=nothing", "No official images match")
    look("/docker-hub/debian/", "x" * 128)
    look("/docker-hub/empty/", "has no tags of this image")
    look("/docker-hub/debian/?q=nothing", "No tags match")
    hub.answers = [(503, {}, b"")] * 5
    look(f"/docker-hub/{'a' * 60}/", "Docker Hub returned an error.")
    assert found == []
