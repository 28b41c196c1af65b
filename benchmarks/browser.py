"""Pages in a browser: time to paint, transferred bytes, layout shift.

Headless Chromium against the console on the same machine, so the network is only in the bytes, not in the times. The
first visit has an empty cache, the next visit that of the first. For comparison: how long a registry browser without an
index needs to query the same data.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from benchmarks.pages import ALL_NAMES, TAG_NUMBERS, TAGS_PAGE, ask_registry
from benchmarks.seed import FAST, Plan, create_account, emptied, seed
from benchmarks.tools import console, installation, say, stopwatch, table
from console.accounts.models import Account
from console.repositories.models import Image, Tag

ROUNDS = 5
SIZES = (1000, 100_000)
WIDTHS = (1440, 390)
FIRST_BYTES, NEXT_BYTES = 100_000, 15_000
# Invisible; 0.1 is usually called good.
MOST_SHIFT = 0.001
# Installed before the page's own scripts, so that no event is missed.
_OBSERVE = """
window.__shift = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length > 0"
_SETTLED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd > 0"
_TIMES = """() => {
  const at = name => performance.getEntriesByName(name)[0].startTime;
  const loaded = performance.getEntriesByType("navigation")[0];
  return {
    paint: at("first-paint"), content: at("first-contentful-paint"),
    interactive: loaded.domInteractive, load: loaded.loadEventEnd,
  };
}"""
# Like watch.js after a change: reload the list and replace the old one.
_REFRESH = """() => new Promise(done => {
  if (!document.querySelector("[data-watch]")) return done();
  document.addEventListener("htmx:afterSettle", () => requestAnimationFrame(() => requestAnimationFrame(done)),
    { once: true });
  htmx.trigger(document.body, "list-changed");
})"""
_TIME_NAMES = ("paint", "content", "interactive", "load")


@dataclass
class Visit:
    """Measurements of one visit: times in milliseconds from the beginning of the navigation."""

    times: dict[str, float]
    size: int
    requests: int
    shift: float


def visit(context: BrowserContext, address: str) -> Visit:
    """Open a page in a new tab, and reload its list once.

    :raises RuntimeError: when the page is not shown.
    """
    page = context.new_page()
    try:
        page.add_init_script(_OBSERVE)
        protocol = context.new_cdp_session(page)
        protocol.send("Network.enable")
        sizes: list[float] = []
        protocol.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        response = page.goto(settings.CONSOLE_URL + address, wait_until="networkidle")
        if response is None or response.status != 200 or page.url != settings.CONSOLE_URL + address:
            raise RuntimeError(f"{address} is not shown")
        page.wait_for_function(_PAINTED)
        page.wait_for_function(_SETTLED)
        times = page.evaluate(_TIMES)
        # Resources from the cache have no bytes.
        fetched = [size for size in sizes if size]
        page.evaluate(_REFRESH)
        return Visit(times, int(sum(fetched)), len(fetched), page.evaluate("window.__shift"))
    finally:
        page.close()


def visits(
    browser: Browser, cookie: dict[str, str], width: int, address: str, rounds: int
) -> tuple[list[Visit], list[Visit]]:
    """The first visits, each with an empty cache, and the next visits."""
    first, then = [], []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": width, "height": 900})
        try:
            context.add_cookies([cookie])  # type: ignore[list-item]
            first.append(visit(context, address))
            then.append(visit(context, address))
        finally:
            context.close()
    return first, then


def addresses(account: Account) -> dict[str, str]:
    """The measured pages."""
    wide = Image.objects.get(owner=account, name="wide")
    tag = Tag.objects.filter(image=wide, subject="").order_by("pk")[1]
    return {
        "list": "/images/",
        "search": "/images/?q=gatew",
        "image (its tags)": f"/images/{wide.repository}/-/tags/",
        "a tag": f"/images/{wide.repository}/-/tags/{tag.name}/",
    }


def session(account: Account) -> dict[str, str]:
    """The cookie of a session of the account."""
    client = Client()
    client.force_login(account)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": settings.CONSOLE_URL}


def measure(
    size: str, browser: Browser, cookie: dict[str, str], pages: dict[str, str], rounds: int
) -> dict[str, float]:
    """Visit all pages and print the results; returns the first visits' first contentful paint in ms, at full width."""
    contents: dict[str, float] = {}
    rows, worst = [], {"first": 0.0, "next": 0.0, "shift": 0.0}
    for width in WIDTHS:
        for label, address in pages.items():
            for which, seen in zip(("first", "next"), visits(browser, cookie, width, address, rounds), strict=True):
                taken = statistics.median(one.size for one in seen)
                shift = max(one.shift for one in seen)
                times = {name: statistics.median(one.times[name] for one in seen) for name in _TIME_NAMES}
                if which == "first" and width == WIDTHS[0]:
                    contents[label] = times["content"]
                rows.append((
                    label, width, which, *times.values(),
                    int(taken), int(statistics.median(one.requests for one in seen)), f"{shift:.4f}",
                ))  # fmt: skip
                worst[which], worst["shift"] = max(worst[which], taken), max(worst["shift"], shift)
    columns = (
        "Page", "width px", "visit", "first paint ms", "first content ms", "interactive ms", "load ms", "bytes",
        "requests", "layout shift",
    )  # fmt: skip
    notes = [
        f"Medians of {rounds}; layout shift: the worst of them, the list having been fetched anew once. Bytes and"
        " requests: over the network, headers included, nothing that came from the cache. First: with an empty cache."
    ]
    table(f"{size}, in Chromium", columns, rows, notes)
    table(
        f"{size}: what a page is to keep to",
        ("Target", "worst page", "met"),
        [
            (f"first visit: fewer than {FIRST_BYTES:,} bytes", int(worst["first"]), _met(worst["first"] < FIRST_BYTES)),
            (f"next visit: fewer than {NEXT_BYTES:,} bytes", int(worst["next"]), _met(worst["next"] < NEXT_BYTES)),
            ("layout shift: none", f"{worst['shift']:.4f}", _met(worst["shift"] < MOST_SHIFT)),
        ],
    )
    return contents


def compare(size: str, contents: dict[str, float], asked: dict[str, float]) -> None:
    """Print the time to paint the pages beside the time to query the same from the registry."""
    needed = {
        "list": asked[ALL_NAMES] + asked[TAG_NUMBERS],
        "search": asked[ALL_NAMES],
        "image (its tags)": asked[TAGS_PAGE],
    }
    table(
        f"{size}: the first content, and the registry's answers alone",
        ("Page", "first content ms", "registry ms", "× registry"),
        [(label, contents[label], answers, contents[label] / answers) for label, answers in needed.items()],
        [
            "Registry: the reference. The sum of the requests that a registry browser without an index makes before it"
            " can paint, from the table above: of a small sample, without any page, script or painting."
        ],
    )


def _met(kept: bool) -> str:
    return "met" if kept else "NOT MET"


def main(arguments: Sequence[str] | None = None) -> None:
    """Seed, serve, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--asked", type=int, default=500, help="images in the registry that is asked for comparison")
    given = parser.parse_args(arguments)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with installation(options=FAST):
        call_command("collectstatic", interactive=False, verbosity=0)
        contents = {}
        for images in given.images:
            emptied()
            with stopwatch() as seconds:
                account = create_account("Ann")
                seed(account.pk, Plan(images))
                say(f"Seeded in {seconds():.0f} s.")
            size = f"{Image.objects.count():,} images, {Tag.objects.count():,} tags"
            # After Playwright has started, Django believes the thread runs an event loop, and refuses queries.
            cookie, pages = session(account), addresses(account)
            connections.close_all()
            with console(), sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                try:
                    contents[size] = measure(size, browser, cookie, pages, given.rounds)
                finally:
                    browser.close()
        asked = ask_registry(given.asked, 20, given.rounds)
    for size, found in contents.items():
        compare(size, found, asked)


if __name__ == "__main__":
    main()
