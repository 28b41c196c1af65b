"""Screenshots of every page and dialog: ``make screenshots``, into ``screenshots/``.

No test, therefore it has no name of one: pytest runs it because it gives it a database and the static files. Each page
is shown with nothing, with what is usual, and at its fullest (``shown_rows.py``), at five widths, light and dark. What
axe-core finds, what does not fit and which words are cut or broken is printed, and is in ``report.txt`` and
``index.html``, which shows the pictures.

Environment variables choose some of it, with commas: ``ONLY`` (names of pages, or patterns such as ``image-*``),
``WIDTHS``, ``THEMES``, ``STATES``. ``README=1`` takes the pictures of the README alone, into ``docs/pictures``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.template.loader import render_to_string
from playwright.sync_api import Error, Page

from tests.browser import gallery, live, longest, test_layout
from tests.browser.every_page import ERRORS, MEASURE, OPEN, ROLES, known
from tests.browser.shown_rows import EmptySite, FullSite, UsualSite
from tests.support.fake_registry import fake_registry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(0)]

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
PICTURES = FOLDER.parent / "docs" / "pictures"
WORDS = Path(__file__).with_name("words.js").read_text()
HEIGHTS = {390: 844, 768: 1024, 1280: 800, 1440: 900, 1920: 1080}
AXE_WIDTHS = (390, 1440)
# Higher pages are cut there: they are lists of the longest names.
HIGHEST = 6000


def chosen(name: str, everything: str) -> list[str]:
    """The values of a variable."""
    return re.split(r"[\s,]+", (os.environ.get(name) or everything).strip())


class Subject(NamedTuple):
    """What is shown.

    :ivar dialog: method and values when it is a dialog: it is opened above ``behind``.
    :ivar act: what is done on the page before it is shown.
    :ivar whole: whether the picture has all of the page, or what a window shows.
    """

    name: str
    role: str
    path: str
    dialog: tuple[str, dict] | None = None
    behind: str = "/images/"
    act: Callable[[Page], None] | None = None
    whole: bool = True
    html: str = ""


def name_of(route: str) -> str:
    """A page's name from its route: ``images/<repository:repository>/-/tags/`` is ``image-tags``."""
    words = re.sub(r"<(?:\w+:)?(\w+)>", r"\1", re.sub(r"\^?\(.*$", "anything", route))
    name = "-".join(part for part in words.split("/") if part not in {"", "-"})
    for long, short in (("images-repository", "image"), ("docker-hub-name", "official-image")):
        name = re.sub(rf"^{long}(?=-|$)", short, name)
    return name or "home"


def tick(page: Page) -> None:
    for box in page.locator("tbody input[type=checkbox]").all()[:3]:
        box.check()


def press(selector: str, number: int = 0) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.locator(selector).locator("visible=true").nth(number).click()

    return act


def usual_subjects(site) -> Iterator[Subject]:
    """States of pages and dialogs that the rows do not have."""
    image, tags = site.image, f"/images/{site.image.repository}/-/tags/"
    window = {"role": "owner", "whole": False}
    yield Subject("images-activation", "new", "/images/")
    yield Subject("images-ticked", path="/images/", act=tick, **window)
    yield Subject("images-row-menu", path="/images/", act=press("tbody details.dropdown > summary", 1), **window)
    yield Subject("images-more-menu", path="/images/", act=press(".toolbar details > summary", -1), **window)
    yield Subject("images-account-menu", path="/images/", act=press("details.account-menu summary"), **window)
    yield Subject("images-nothing-found", path="/images/?q=nothing-of-the-kind", **window)
    chosen = press('input[name="reach"][value="chosen"]')
    yield Subject("account-tokens-create-selected", "owner", "/account/tokens/-/create/", act=chosen)
    yield Subject("image-tags-ticked", path=tags, act=tick, **window)
    yield Subject("image-tags-unfolded", path=tags, act=press("tbody details:not(.dropdown) > summary"), **window)
    yield Subject("image-tags-row-menu", path=tags, act=press("tbody details.dropdown > summary", 1), **window)
    yield Subject("image-tags-with-work", "owner", f"/images/{site.worked_on.repository}/-/tags/")
    yield Subject("image-with-work", "owner", f"/images/{site.worked_on.repository}/")
    yield Subject("image-without-tags", "owner", f"/images/{site.empty.repository}/")
    yield Subject("image-going", "owner", f"/images/{site.going.repository}/")
    yield Subject("image-tags-tag-chart", "owner", f"{tags}29.0.0-chart/")
    yield Subject("image-compare-two", "owner", f"/images/{image.repository}/-/compare/?from=v1.26.0&to=latest")
    yield Subject("image-commands-podman", "owner", f"/images/{image.repository}/-/commands/?client=podman")
    yield Subject("anonymous-not-found", "anonymous", "/nothing/there/")
    yield Subject("not-found", "owner", "/images/nothing/there/")
    many = f"/images/-/delete/?image={image.pk}&image={site.empty.pk}"
    some = f"{tags.replace('tags', 'delete-tags')}?tag=latest&tag=v1.28.6"
    yield Subject("images-delete-many", "owner", many, ("GET", {}))
    yield Subject("image-delete-tags", "owner", some, ("GET", {}), behind=tags)
    wrong = {"namespace": "payments", "name": "Ledger!", "description": "x"}
    yield Subject("images-create-wrong", "owner", "/images/-/create/", ("POST", wrong))
    token = {"name": "ci", "access": "push", "reach": "all", "expires": "30"}
    yield Subject("account-tokens-created", "owner", "/account/tokens/-/create/", ("POST", token), "/account/tokens/")
    for name in ERRORS:
        html = render_to_string(f"errors/{name}.html", {"home": "/", "limit": 120})
        yield Subject(f"error-{name}", "anonymous", f"/-/errors/{name}", html=html)


def empty_subjects(site) -> Iterator[Subject]:
    yield Subject("images-activation", "new", "/images/")
    yield Subject("image-tags-nothing-found", "owner", f"/images/{site.image.repository}/-/tags/?q=nothing")


def full_subjects(site) -> Iterator[Subject]:
    site.link = "/sign-in/link/none/"
    tags = f"/images/{site.many.repository}/-/tags/"
    yield Subject("image-many-tags", "owner", tags)
    yield Subject("image-many-tags-overview", "owner", f"/images/{site.many.repository}/")
    yield Subject("images-ticked", "owner", "/images/", act=tick, whole=False)
    yield Subject("image-tags-ticked", "owner", f"/images/{site.image.repository}/-/tags/", act=tick, whole=False)
    for number, (role, path) in enumerate(test_layout.more_pages(site)):
        yield Subject(f"more-{number:02}", role, path)
    for number, (method, path, values) in enumerate(test_layout.more_dialogs(site)):
        yield Subject(f"more-dialog-{number:02}", "owner", path, (method, values))


STATES = {"empty": (EmptySite, empty_subjects), "usual": (UsualSite, usual_subjects), "full": (FullSite, full_subjects)}


def subjects(state: str, site) -> Iterator[Subject]:
    """Everything that is shown in a state."""
    behind = {"image": site.words["image_at"], "namespaces": "/namespaces/", "account": "/account/"}

    def roles_of(row):
        # Where there is nothing at all, or for what has an address of its own the little that there is.
        return ("other", *ROLES) if state == "empty" and "<" not in row.route else ROLES

    for row, role, path, dialog in known(site, roles_of):
        name = name_of(row.route)
        if dialog:
            place = behind.get(name.partition("-")[0], "/images/")
            yield Subject(name, role, path, ("GET", {}), behind=place)
            name = f"{name}-page"  # the same without script
        yield Subject(name, role, path)
    yield from STATES[state][1](site)


class Camera:
    """A browser that takes pictures of subjects, and says what is wrong with them."""

    def __init__(self, browser, base, site, state):
        self.browser, self.base, self.site, self.state = browser, base, site, state
        self.widths = [int(width) for width in chosen("WIDTHS", ",".join(map(str, HEIGHTS)))]
        self.themes = chosen("THEMES", "light,dark")
        self.axe, self.pages, self.errors = Axe(), {}, []
        self.findings: list[str] = []
        (FOLDER / state).mkdir(parents=True, exist_ok=True)

    def page(self, role) -> Page:
        if role not in self.pages:
            context = self.browser.new_context(reduced_motion="reduce")
            context.set_default_timeout(30_000)
            for name, cookie in self.site.cookies.get(role, {}).items():
                context.add_cookies([{"name": name, "value": cookie.value, "url": self.base}])
            page = self.pages[role] = context.new_page()
            page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
            page.on("pageerror", lambda error: self.errors.append(str(error)))
        return self.pages[role]

    def say(self, subject, where, problems):
        for problem in dict.fromkeys(problems):
            self.findings.append(f"{self.state} {subject.name} {where}: {problem}")
            print(self.findings[-1], flush=True)

    def take(self, subject):
        page = self.page(subject.role)
        self.errors.clear()
        try:
            self._open(page, subject)
            told = list(self.errors)  # later ones may be of the tools
            for theme in self.themes:
                page.emulate_media(color_scheme=theme)
                for width in self.widths:
                    self._one(page, subject, width, theme)
        except Error as error:
            self.say(subject, subject.path, [f"FAILED: {error.message.splitlines()[0]}"])
            self.pages.pop(subject.role).context.close()
            return
        # What is not there, and a form that is wrong, are answered with such a status.
        told = [text for text in told if not re.search(r"status of (404|410|422)", text)]
        self.say(subject, subject.path, [f"FAILED: {text}" for text in told])

    def _open(self, page, subject):
        page.set_viewport_size({"width": self.widths[-1], "height": HEIGHTS.get(self.widths[-1], 900)})
        if subject.html:
            page.route(
                self.base + subject.path,
                lambda route: route.fulfill(body=subject.html, content_type="text/html"),
            )
        answer = page.goto(self.base + (subject.behind if subject.dialog else subject.path), wait_until="load")
        if answer.status not in {200, 404, 410}:
            self.say(subject, subject.path, [f"FAILED: it answers {answer.status}"])
        page.wait_for_selector(".htmx-request", state="detached")
        if subject.dialog:
            method, values = subject.dialog
            page.evaluate(OPEN, [method, subject.path, values])
            page.wait_for_selector("dialog[open]")
        if subject.act:
            subject.act(page)
        page.evaluate("document.fonts.ready")

    def _one(self, page, subject, width, theme):
        height = HEIGHTS.get(width, 900)
        page.set_viewport_size({"width": width, "height": height})
        whole = subject.whole and not subject.dialog
        options = {}
        if whole:
            full = page.evaluate("document.documentElement.scrollHeight")
            options = {"full_page": True}
            if full > HIGHEST:
                options["clip"] = {"x": 0, "y": 0, "width": width, "height": HIGHEST}
        # The caret would be hidden by an inline style, which the content security policy refuses.
        options |= {"animations": "disabled", "caret": "initial"}
        page.screenshot(path=FOLDER / self.state / f"{subject.name}.{width}.{theme}.png", **options)
        place = f"at {width} px, {theme}"
        root = "dialog" if subject.dialog else "body"
        if theme == self.themes[0]:
            self.say(subject, f"at {width} px", page.eval_on_selector(root, MEASURE, width))
            self.say(subject, f"at {width} px", page.eval_on_selector(root, WORDS))
        if width in AXE_WIDTHS:
            violations = self.axe.run(page).response["violations"]
            self.say(subject, place, [f"axe {one['id']}: {one['nodes'][0]['html'][:160]}" for one in violations])


def wanted(subject: Subject) -> bool:
    return any(fnmatchcase(subject.name, pattern) for pattern in chosen("ONLY", "*"))


@pytest.fixture(autouse=True)
def installation(settings, monkeypatch):
    """The addresses that a first installation has, which the README quotes, and a registry that answers."""
    settings.REGISTRY_ADDRESS, settings.DOCKERHUB_ADDRESS = "127.0.0.1:5000", "127.0.0.1:5001"
    settings.CONSOLE_URL = "http://127.0.0.1:8000"
    with fake_registry(settings, monkeypatch) as registry:
        settings.REGISTRY_URL = registry.server.url
        yield


@pytest.mark.skipif(bool(os.environ.get("README")), reason="the README's pictures alone")
@pytest.mark.parametrize("state", [state for state in STATES if state in chosen("STATES", ",".join(STATES))])
def test_screenshots(state, settings):
    if state == "full":
        longest.settings_at_their_longest(settings)
    site = STATES[state][0]()
    shown = list(filter(wanted, subjects(state, site)))
    with live.served() as base, live.browser() as browser:
        camera = Camera(browser, base, site, state)
        for subject in shown:
            camera.take(subject)
    gallery.write(FOLDER, state, camera.findings)
    print(f"{state}: {len(shown)} pages and dialogs, {len(camera.findings)} findings: {FOLDER / 'index.html'}")
    if camera.findings:
        pytest.fail(f"{state}: {len(camera.findings)} findings, see {FOLDER / 'report.txt'}", pytrace=False)


def readme_subjects(site) -> Iterator[tuple[Subject, int]]:
    """The README's pictures, by their names in ``docs/pictures``, and how high each is."""
    at = site.words["image_at"]
    yield Subject("images", "owner", "/images/"), 900
    yield Subject("activate", "new", "/images/"), 900
    yield Subject("commands", "owner", f"{at}-/commands/"), 900
    yield Subject("tag", "owner", f"{at}-/tags/latest/"), 1180
    yield Subject("delete", "owner", f"{at}-/delete/", ("GET", {}), behind="/images/"), 900


@pytest.mark.skipif(not os.environ.get("README"), reason="README=1 takes the README's pictures")
def test_pictures_of_the_readme():
    site = UsualSite()
    with live.served() as base, live.browser() as browser:
        camera = Camera(browser, base, site, "usual")
        for subject, height in readme_subjects(site):
            page = camera.page(subject.role)
            camera._open(page, subject)
            page.set_viewport_size({"width": 1440, "height": height})
            page.screenshot(path=PICTURES / f"{subject.name}.png", animations="disabled")
    assert not camera.findings
