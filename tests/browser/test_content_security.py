"""Nothing on any page is what the pages' own Content-Security-Policy forbids: a real browser says so."""

import os
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD
from tests.support.browser_user import unfold_all
from tests.support.hub_api import Hub, image, platform, tag
from tests.support.stack import wait_until

pytestmark = pytest.mark.browser

REPORT = """
document.addEventListener("securitypolicyviolation", event => console.error(
  "violation", event.effectiveDirective, event.blockedURI, event.sourceFile, event.lineNumber, event.sample));
"""
# An answer that is an error is told of, too, and is none of the page's making.
_ANSWER = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@pytest.fixture
def hub(stack):
    """A Docker Hub with one image, which nothing is known of yet."""
    server = Hub(urlsplit(os.environ["DOCKERHUB_API"]).port)
    for table in ("officialtag", "officialimage", "catalogue"):
        stack.sql(f"DELETE FROM dockerhub_{table} RETURNING id")
    server.images = [image("debian", description="Debian is a Linux distribution.")]
    server.tags["debian"] = [tag("latest", images=[platform("amd64"), platform("arm64")])]
    yield server
    server.stop()


def listen(walker):
    """What the browser complains about on the person's pages from now on."""
    said = []

    def hear(message):
        if message.type in {"error", "warning"} and not _ANSWER.match(message.text):
            said.append(f"{urlsplit(walker.page.url).path}: {message.text}")

    context = walker.page.context
    context.add_init_script(REPORT)
    context.on("console", hear)
    context.on("weberror", lambda error: said.append(f"{urlsplit(walker.page.url).path}: {error.error}"))
    return said


def test_a_breach_is_heard(person):
    """And is kept from happening: what somebody smuggles into a page does not run, or show."""
    stranger = person(account=False)
    said = listen(stranger)
    stranger.go("/sign-in/")
    page = stranger.page
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.stolen = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", '<img src="/none" onerror="window.stolen = true">'
            + '<p id="styled" style="color: red">x</p><img src="https://evil.example.com/pixel">');
          document.body.append(Object.assign(document.createElement("form"), {id: "away", method: "post",
            action: "https://evil.example.com/"}));
          document.getElementById("away").submit();
          setTimeout("window.stolen = true", 0);
        }"""
    )
    for directive in ("script-src-elem", "script-src-attr", "style-src-attr", "img-src", "form-action", "script-src"):
        wait_until(lambda seen=directive: page.evaluate("1") and any(f"violation {seen} " in one for one in said), said)
    assert page.evaluate("window.stolen") is None
    assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"
    assert page.url.endswith("/sign-in/")


def test_no_page_breaks_the_policy(person, pusher, stack, hub, unique):
    stranger = person(account=False)
    said = listen(stranger)
    for path in ("/sign-in/", "/account/reset/", "/account/reset/sent/", "/nothing/here/", "/account/reset/x/y/"):
        stranger.go(path)
        expect(stranger.page.locator("h1")).to_be_visible()
    stranger.sign_in("123456789012", "wrong")
    expect(stranger.page.get_by_text("do not match")).to_be_visible()

    ann, team = person("Ann"), unique()
    heard = listen(ann)
    page = ann.page
    ann.go("/images/")
    ann.activate(REGISTRY_PASSWORD)
    ann.create_namespace(team)
    expect(page.get_by_role("cell", name=team, exact=True)).to_be_visible()
    ann.create_image("web/app", team, description="What *it* is: [there](https://example.com)\n\n| a |\n|--:|\n| 1 |")
    pusher(ann.account_id, f"{team}/web/app", "v1", "v2")
    start = f"/images/{team}/web/app/"
    ann.go(f"{start}-/tags/")
    expect(page.get_by_role("cell", name="v2", exact=True)).to_be_visible()

    for path in (
        "/images/", "/images/?q=app", "/search/?q=app", f"/images/-/storage/{team}/", start, f"{start}-/tags/",
        f"{start}-/settings/",
        f"{start}-/commands/", f"{start}-/tags/v1/", f"{start}-/compare/?from=v1&to=v2", f"{start}-/describe/",
        "/namespaces/", "/favorites/", "/public-images/", "/docker-hub/", "/docker-hub/debian/",
        "/account/", "/account/tokens/", "/account/password/", "/account/password/done/", "/images/-/guide/",
        "/images/-/import/", "/docker-hub/debian/-/tags/latest/copy/", "/images/none/there/",
    ):  # fmt: skip
        ann.go(path)
        expect(page.locator("h1, h2").first).to_be_visible()
        unfold_all(page)
    ann.go("/docker-hub/")
    expect(page.get_by_role("link", name="debian")).to_be_visible()

    for path, name in (
        ("/images/", "Create"), ("/images/", "Import"), ("/images/", "Usage guide"), ("/images/", "Reset password"),
        ("/namespaces/", "Create"), ("/images/", f"Delete {team}/web/app"), (f"{start}-/tags/", "Delete v1"),
        (f"{start}-/tags/", "Copy to… v1"),
        (f"{start}-/settings/", "Make public"), ("/account/tokens/", "Create"),
    ):  # fmt: skip
        ann.go(path)
        ann.press(name)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    # What scripts do: search while typing, ticks, copying, the theme, the star, a dialog with an error in it.
    ann.go("/images/")
    page.get_by_role("main").get_by_role("searchbox").first.fill("app")
    expect(page).to_have_url(re.compile("q=app"))
    page.locator("thead input[type=checkbox]").first.check()
    page.locator("summary").first.click()
    page.locator("[data-copy]").first.click()
    page.locator("[data-theme-switch]").first.click()
    page.keyboard.press("/")
    page.keyboard.type("app")
    expect(page.locator("#search-results").get_by_role("link").first).to_be_visible()
    ann.go("/namespaces/")
    page.locator(".toolbar").get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("dialog").get_by_label("Name").fill("@")
    page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    expect(page.locator("[aria-invalid=true]")).to_be_visible()

    assert said == heard == []


def test_nor_does_the_administration(person, stack, unique):
    boss = person(account=False)
    said = listen(boss)
    page = boss.page
    boss.go("/admin/login/")
    expect(page.locator("input[type=password]")).to_be_visible()
    boss.sign_in(stack.account_id, stack.password)
    expect(page.locator("main")).to_be_visible()
    boss.go("/admin/")
    lists = page.locator(".nav h2 + ul a").evaluate_all("links => links.map(link => new URL(link.href).pathname)")
    assert len(lists) > 10
    for path in lists:
        boss.go(path)
        # The catalogue is one record, and its page is shown in place of a list.
        expect(page.locator("#changelist, #content-main form").first).to_be_visible()
        if page.locator("#result_list tbody th a").count():
            page.locator("#result_list tbody th a").first.click()
            expect(page.locator("#content h1, #content h2").first).to_be_visible()
    for path in ("/admin/accounts/account/add/", "/admin/namespaces/namespace/add/", "/admin/password_change/"):
        boss.go(path)
        expect(page.locator("main h1").first).to_be_visible()
    boss.go("/admin/namespaces/namespace/add/")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-search__field").first.fill("Administrator")
    expect(page.locator(".select2-results__option").first).to_be_visible()
    boss.go("/admin/accounts/account/")
    page.locator("#action-toggle").check()
    page.locator(".account-menu summary").click()
    page.locator("[data-theme-switch]").click()
    boss.go("/admin/accounts/account/add/")
    page.get_by_label("Name").fill("x")
    page.locator("[name=_save]").click()
    expect(page.locator(".errornote")).to_be_visible()
    assert said == []
