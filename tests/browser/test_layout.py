"""With every name at its longest nothing scrolls sideways, and each dialog can be read, at four widths."""

from pathlib import Path

import pytest
from django.template.loader import render_to_string

from console.login import sign_in_links
from console.search.matches import KINDS
from tests.browser import live, longest
from tests.browser.every_page import ERRORS, MEASURE, OPEN, ROLES, known

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# The widths that people were promised, with a usual height.
SIZES = [(390, 844), (768, 1024), (1280, 720), (1440, 900)]
READABLE = Path(__file__).with_name("dialog.js").read_text()


def more_pages(site):
    """States of pages that the rows do not have: nothing found, a chosen platform, an account that is not activated."""
    image, public = site.image.repository, site.public.repository
    search = "q" * 200
    yield "new", "/images/"
    for path in (
        "/images/", "/namespaces/", "/docker-hub/", "/favorites/", "/public-images/", f"/images/{image}/-/tags/",
        f"/public-images/{public}/", f"/docker-hub/{site.official.name}/", "/search/",
    ):  # fmt: skip
        yield "owner", f"{path}?q={search}"
    for kind in ("", *KINDS):
        yield "owner", f"/search/?q={longest.NAMESPACE[:4]}&in={kind}"
    yield "owner", f"/images/{site.nested.repository}/"
    yield "owner", f"/images/{site.nested.repository}/-/tags/"
    yield "owner", f"/images/{site.nested.repository}/-/settings/"
    yield "owner", f"/images/{site.nested.repository}/-/describe/"
    yield "owner", f"/images/{site.going.repository}/"
    yield "owner", f"/images/{site.going.repository}/-/settings/"
    yield "owner", f"/images/{image}/-/manifests/{longest.SIGNATURE}/"
    yield "owner", f"/images/{image}/-/manifests/{longest.INDEX}/"
    yield "owner", f"/images/{image}/-/tags/{longest.TAG}/?platform={longest.PLAIN}"
    yield "owner", f"/images/{image}/-/tags/chart-{'t' * 122}/"
    yield "owner", f"/images/{image}/-/tags/going-{'t' * 122}/"
    yield "owner", f"/images/{image}/-/tags/?sort=name&size=10"
    yield "owner", f"/images/{image}/-/compare/?from={longest.TAG}&to=plain-{'t' * 122}"
    yield "owner", f"/images/{image}/-/compare/?from={longest.DIGEST_TAG}&to=plain-{'t' * 122}"
    yield "owner", f"/namespaces/{longest.NAMESPACE}/-/delete/"
    yield "anonymous", site.link


def more_dialogs(site):
    """States of dialogs that the rows do not have: several things at once, and what a form says that is wrong."""
    image = site.image.repository
    tags = "&".join(f"tag={name}" for name in (longest.TAG, longest.DIGEST_TAG, "v1", f"plain-{'t' * 122}"))
    for path in (
        f"/images/-/delete/?image={site.image.pk}&image={site.nested.pk}",
        f"/images/{image}/-/delete-tags/?{tags}",
        f"/images/{site.nested.repository}/-/visibility/",
        f"/images/{image}/-/tags/{longest.DIGEST_TAG}/copy/",
        site.failed.again,
        f"/namespaces/{longest.NAMESPACE}/-/delete/",
    ):
        yield "GET", path, {}
    copy = f"/images/{image}/-/tags/{longest.TAG}/copy/"
    yield "POST", copy, {"namespace": longest.NAMESPACE, "name": longest.IMAGE, "tag": "@" * 300}
    yield "POST", "/images/-/create/", {"namespace": longest.NAMESPACE, "name": "@" * 300, "description": "d" * 1100}
    yield "POST", "/images/-/import/", {"reference": "@" * 300, "namespace": "@", "name": longest.WORD, "tag": "@"}
    yield "POST", f"/images/{image}/-/delete/", {"typed": longest.WORD}
    token = {"name": "N" * 40, "access": "push", "reach": "all", "expires": "30"}
    yield "POST", "/account/tokens/-/create/", token


class Measure:
    """One browser in which pages and dialogs are opened and measured at each of the sizes."""

    def __init__(self, browser, base, site):
        self.base, self.found = base, []
        self.pages = {role: self._page(browser, role, site) for role in ROLES}
        self.counted = {"pages": 0, "dialogs": 0}

    def _page(self, browser, role, site):
        context = browser.new_context(viewport={"width": 390, "height": 844})
        context.set_default_timeout(60_000)
        for name, cookie in site.cookies[role].items():
            context.add_cookies([{"name": name, "value": cookie.value, "url": self.base}])
        return context.new_page()

    def _say(self, what, size, problems):
        self.found += [f"{what} at {size[0]} px: {problem}" for problem in dict.fromkeys(problems)]

    def page(self, role, path):
        page = self.pages[role]
        page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        answer = page.goto(self.base + path, wait_until="load")
        assert answer.status in {200, 410}, path
        self.counted["pages"] += 1
        self._settle(page)
        self.measure(page, path, "body")

    def _settle(self, page):
        """Wait for what the page fetches afterwards, and unfold all that is folded."""
        page.wait_for_selector(".htmx-request", state="detached")
        page.evaluate("for (const one of document.querySelectorAll('main details, .sidebar')) one.open = true")

    def measure(self, page, what, selector):
        # The administration is Django's, with a style sheet of its own: two widths tell enough of it.
        for size in SIZES if not what.startswith("/admin/") else (SIZES[0], SIZES[-1]):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            self._say(what, size, page.eval_on_selector(selector, MEASURE, size[0]))

    def dialog(self, method, path, values):
        page = self.pages["owner"]
        for size in SIZES:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.evaluate(OPEN, [method, path, values])
            page.wait_for_selector("dialog[open]")
            self._say(f"dialog {method} {path}", size, page.eval_on_selector("dialog", MEASURE, size[0]))
            self._say(f"dialog {method} {path}", size, page.eval_on_selector("dialog", READABLE))
            page.evaluate("document.querySelector('dialog').close()")
        self.counted["dialogs"] += 1

    def error(self, name, html):
        page = self.pages["anonymous"]
        address = f"{self.base}/-/errors/{name}"
        page.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(address, wait_until="load")
        self.measure(page, f"error {name}", "body")


def test_nothing_scrolls_sideways_and_each_dialog_can_be_read(settings):
    longest.settings_at_their_longest(settings)
    site = longest.LongestSite()
    site.link = sign_in_links.make(site.owner).removeprefix(settings.CONSOLE_URL)
    rows = list(known(site))
    shown = [*((row.role, row.path) for row in rows), *more_pages(site)]
    opened = [*(("GET", row.path, {}) for row in rows if row.dialog), *more_dialogs(site)]
    errors = {
        name: render_to_string(f"errors/{name}.html", {"home": settings.CONSOLE_URL, "limit": 120}) for name in ERRORS
    }
    with live.served() as base, live.browser() as browser:
        measure = Measure(browser, base, site)
        for role, path in dict.fromkeys(shown):
            measure.page(role, path)
        measure.pages["owner"].goto(f"{base}/account/", wait_until="load")
        for one in opened:
            measure.dialog(*one)
        for name, html in errors.items():
            measure.error(name, html)
    assert measure.counted["pages"] > 100 and measure.counted["dialogs"] > 20, measure.counted
    assert not measure.found, "\n".join([f"{len(measure.found)} do not fit", *measure.found])
