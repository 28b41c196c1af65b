"""Docker logins in a real browser on the whole product."""

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD  # noqa: F401  (fixture)

pytestmark = pytest.mark.browser


def log_in(stack, account_id, client):
    """What ``docker login`` asks for; the refresh token."""
    response = requests.get(
        f"{stack.console_url}/token/",
        {"offline_token": "true", "client_id": client},
        auth=(account_id, REGISTRY_PASSWORD),
        timeout=30,
    )
    return response.json()["refresh_token"]


def refresh(stack, token):
    form = {"service": "my-images-registry", "grant_type": "refresh_token", "refresh_token": token}
    return requests.post(f"{stack.console_url}/token/", form, timeout=30).status_code


def test_see_where_one_is_logged_in_and_end_it(person, stack, unique):  # noqa: F811
    ann = person("Ann")
    ann.activate(REGISTRY_PASSWORD, unique())
    page = ann.page
    page.locator("summary", has_text=ann.account_id).click()
    page.get_by_role("link", name="Docker logins").click()
    expect(page.get_by_role("heading", name="No Docker logins")).to_be_visible()
    tokens = [log_in(stack, ann.account_id, client) for client in ("docker", "laptop", "laptop")]
    page.reload()
    expect(page.get_by_role("row")).to_have_count(4)
    assert Axe().run(page).violations_count == 0

    page.get_by_role("button", name="Revoke login of docker").click()
    dialog = page.get_by_role("dialog", name="Revoke login")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert Axe().run(page).violations_count == 0
    dialog.get_by_role("button", name="Revoke login").click()
    expect(page.get_by_text("The login of “docker” is revoked.")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(3)
    assert [refresh(stack, token) for token in tokens] == [400, 200, 200]

    page.get_by_role("button", name="Revoke all logins").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke all logins").click()
    expect(page.get_by_text("2 logins are revoked.")).to_be_visible()
    assert [refresh(stack, token) for token in tokens] == [400, 400, 400]
