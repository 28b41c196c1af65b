"""The foot of the pages, with the version: at the end of what is seen, and in nobody's way."""

import pytest
from django.conf import settings
from django.test import Client

from console.installation.version import VERSION
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDE, NARROW = (1440, 900), (390, 844)
WHERE = """() => {
  const box = (selector) => {
    const { left, top, bottom } = document.querySelector(selector).getBoundingClientRect();
    return { left, top: Math.round(top), bottom: Math.round(bottom) };
  };
  const [foot, main, sidebar] = [box(".foot"), box("main"), box(".sidebar")];
  const scrolls = document.scrollingElement.scrollHeight - innerHeight;
  return { scrolls, foot: [foot.left, foot.bottom], below: foot.top - main.bottom, main: main.left,
    sidebar: [sidebar.top, sidebar.bottom], height: innerHeight };
}"""


@pytest.fixture
def cookie():
    """The session of somebody with sixty images, as a browser keeps it."""
    account = ActivatedAccountFactory()
    ImageFactory.create_batch(60, namespace=NamespaceFactory(owner=account))
    client = Client()
    client.force_login(account)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def seen(cookie):
    """Opens a page, scrolls to its end, and says where everything is."""
    with live.served() as base, live.browser() as browser:
        context = browser.new_context()
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": base}])
        page = context.new_page()

        def look(path, size):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto(base + path, wait_until="load")
            page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
            assert page.locator(".foot").inner_text() == f"My Images {VERSION}"
            return page.evaluate(WHERE)

        yield look


def test_it_ends_the_page_and_nothing_else_moves(seen):
    for size in (WIDE, NARROW):
        short, long = seen("/favorites/", size), seen("/images/?size=100", size)
        # A page with little on it does not scroll because of it.
        assert short["scrolls"] == 0 < long["scrolls"]
        for found in (short, long):
            assert found["foot"][0] == found["main"]
            assert found["below"] == 0
            # On a telephone it follows a page with little on it at once.
            if size == WIDE or found is long:
                assert abs(found["foot"][1] - found["height"]) <= 1
            # Beside a long list the bar is as high as the window, at the list's end, too.
            if size == WIDE:
                assert found["sidebar"] == [0, found["height"]]
