"""An open list is kept up to date: fast while the page is in use, seldom while it is idle."""

import itertools

import pytest

from tests.browser.test_notices import ann, opened  # noqa: F401  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Counts the polls, and answers each with the version that the page has, so that no time passes but the page's own.
COUNTED = """
    window.polls = [];
    window.changes = 0;
    const real = window.fetch;
    window.fetch = (address, ...rest) => {
        const watched = document.querySelector("[data-watch]");
        if (!watched || address !== watched.dataset.watch) return real(address, ...rest);
        window.polls.push(performance.now());
        const version = window.changes ? `changed ${window.changes--}` : watched.dataset.version;
        return Promise.resolve({ type: "basic", status: 200, ok: true, text: () => Promise.resolve(version) });
    };
"""


def gaps(page, seconds):
    """The seconds between the polls in so many seconds of the page's clock."""
    begun = page.evaluate("window.polls.length")
    for _ in range(2 * seconds):
        page.clock.run_for(500)
        page.evaluate("0")  # what the answer leads to has happened
    polls = page.evaluate("window.polls")[max(begun - 1, 0) :]
    return [(later - earlier) / 1000 for earlier, later in itertools.pairwise(polls)]


@pytest.fixture
def page(opened):  # noqa: F811
    page = opened("/images/", COUNTED, clock=True)
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    page.keyboard.press("Shift")  # used last now, whatever the page's clock did when it was stopped
    return page


def test_a_page_in_use_polls_within_two_seconds(page):
    assert max(gaps(page, 60)) < 2


def test_an_idle_page_polls_twice_a_minute(page):
    gaps(page, 240)
    assert min(gaps(page, 120)) >= 30


@pytest.mark.parametrize("use", ["pointer", "key", "focus", "request"])
def test_using_an_idle_page_wakes_it(page, use):
    gaps(page, 300)
    if use == "pointer":
        page.mouse.move(300, 300)
    elif use == "key":
        page.keyboard.press("Shift")
    elif use == "focus":
        page.evaluate("window.dispatchEvent(new Event('focus'))")
    else:
        with page.expect_response("**sort=name*"):
            page.evaluate("document.getElementById('sort-name').click()")
    _since_the_last_idle_poll, *later = gaps(page, 30)
    assert max(later) < 2
    assert len(later) > 15


def test_a_change_keeps_a_page_awake(page):
    gaps(page, 110)
    page.evaluate("window.changes = 1")
    gaps(page, 2)
    assert max(gaps(page, 60)) < 2


def test_what_the_page_requests_on_a_timer_does_not_wake_it(page):
    """A row that is being deleted is fetched every second, for hours if the registry is away."""
    gaps(page, 300)
    page.evaluate(
        """setInterval(() => document.dispatchEvent(
            new CustomEvent("htmx:afterRequest", { detail: { requestConfig: { verb: "get" } } })
        ), 1000)"""
    )
    assert min(gaps(page, 120)) >= 30
