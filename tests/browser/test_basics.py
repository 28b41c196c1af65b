"""What a real browser fetches of the pages, and that nothing on them jumps."""

import pytest
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD
from tests.support.stack import wait_until

pytestmark = pytest.mark.browser

FIRST_BYTES, NEXT_BYTES = 100_000, 15_000
MOST_SHIFT = 0.001
OBSERVE = """
window.__shifts = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shifts.push([
    entry.value, ...entry.sources.map(source => source.node?.outerHTML?.slice(0, 200))
  ]);
}).observe({ type: "layout-shift", buffered: true });
"""
REFRESH = """() => new Promise(done => {
  if (!document.querySelector("[data-watch]")) return done();
  document.addEventListener("htmx:afterSettle", () => requestAnimationFrame(() => requestAnimationFrame(done)),
    { once: true });
  htmx.trigger(document.body, "list-changed");
})"""


def look(context, address):
    """Open a page in a new tab and have its list fetched anew; the bytes fetched, and what jumped."""
    page = context.new_page()
    page.add_init_script(OBSERVE)
    protocol = context.new_cdp_session(page)
    protocol.send("Network.enable")
    sizes = []
    protocol.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    assert page.goto(address, wait_until="networkidle").status == 200
    size = sum(sizes)
    page.evaluate(REFRESH)
    shifts = page.evaluate("window.__shifts")
    page.close()
    return size, shifts


def test_few_bytes_and_nothing_jumps(person, chromium, pusher, stack, unique):
    ann, team = person("Ann"), unique()
    ann.activate(REGISTRY_PASSWORD)
    ann.create_namespace(team)
    expect(ann.page.get_by_role("cell", name=team, exact=True)).to_be_visible()
    pusher(ann.account_id, f"{team}/web/app", *(f"v{number}" for number in range(12)))
    start = f"{stack.console_url}/images/{team}/web/app/"
    ann.go(f"/images/{team}/web/app/-/tags/")
    wait_until(lambda: ann.page.reload() and ann.page.get_by_role("cell", name="v11", exact=True).count(), "the tags")
    state = ann.page.context.storage_state()
    ann.page.close()
    for width in (1440, 390):
        for address in (f"{stack.console_url}/images/", start, f"{start}-/tags/", f"{start}-/tags/v3/"):
            # A browser that has never been here.
            context = chromium.new_context(viewport={"width": width, "height": 900}, storage_state=state)
            try:
                first, jumped = look(context, address)
                then, jumped_again = look(context, address)
            finally:
                context.close()
            assert 0 < first < FIRST_BYTES, (width, address)
            assert 0 < then < NEXT_BYTES, (width, address)
            for shifts in (jumped, jumped_again):
                assert sum(shift[0] for shift in shifts) < MOST_SHIFT, (width, address, shifts)
