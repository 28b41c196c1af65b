"""Fixtures for tests in Chromium: the browser, and signed-in users."""

from __future__ import annotations

import shutil
import uuid

import pytest

from registry_client import Challenged, RegistryClient
from tests.support.pushed_images import push_image

CONSOLE_PASSWORD = "the console password 1"
REGISTRY_PASSWORD = "registry pass 1"
# The one without windows starts in half the time (.ci/tools).
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


def chromium_program() -> str | None:
    """The path of the headless Chromium of this machine; ``None`` without one."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium for one module: while it is open, Django believes the thread runs an event loop."""
    from playwright.sync_api import expect, sync_playwright

    # A long timeout: on a busy machine the expected state comes late.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def person(chromium, stack):
    """Factory of users, each with an account and a signed-in browser, which shows My Images.

    With ``namespace`` the service is activated with the ``registry_password``, and that namespace created.
    """
    from tests.support.browser_user import BrowserUser

    contexts = []

    def make(name="Ann", *, account=True, namespace="", registry_password=REGISTRY_PASSWORD, **options):
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        user = BrowserUser(context.new_page(), stack.console_url)
        if account:
            user.account_id = stack.somebody(name, CONSOLE_PASSWORD)
            user.start_session(user.account_id, CONSOLE_PASSWORD)
            if namespace:
                user.activate_without_typing(user.account_id, registry_password, namespace)
            user.go("/images/")
        return user

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def registry_of(stack):
    """Factory of registry clients of activated accounts."""
    clients = []

    def open_client(username, password=REGISTRY_PASSWORD):
        clients.append(RegistryClient(f"http://{stack.registry_address}", Challenged(username, password)))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def pusher(registry_of):
    """Pushes small images as an activated account."""

    def push(username, repository, *tags, password=REGISTRY_PASSWORD):
        return [push_image(registry_of(username, password), repository, tag) for tag in tags]

    return push


@pytest.fixture
def unique():
    """Factory of unique names."""
    return lambda word="team": f"{word}-{uuid.uuid4().hex[:8]}"
