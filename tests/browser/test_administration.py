"""The administration in a browser: axe-core finds nothing, it fits, and it follows the console's light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from playwright.sync_api import expect

from console.repositories import failures
from tests.browser import live
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.site_rows import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("static_files")]

OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


@pytest.fixture
def boss():
    return ActivatedAccountFactory(name="Boss", is_staff=True, is_superuser=True)


@pytest.fixture
def cookies(boss):
    client = Client()
    client.force_login(boss)
    return client.cookies


def sign_in(browser, base, cookies, **options):
    """A page of whose cookies these are."""
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)
    for name, cookie in cookies.items():
        context.add_cookies([{"name": name, "value": cookie.value, "url": base}])
    return context.new_page()


def address(model, page, *arguments):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def pages():
    """The front page, each list, and of each kind of row one, with whatever else may be done there."""
    yield "/admin/"
    yield "/admin/health/"
    for model in admin.site._registry:
        yield address(model, "changelist")
        if row := model._default_manager.first():
            yield address(model, "change", row.pk)
    yield "/admin/accounts/account/add/"
    yield "/admin/namespaces/namespace/add/"


def findings(page, base, paths):
    axe = Axe()
    for path in paths:
        assert page.goto(base + path, wait_until="load").status == 200, path
        page.wait_for_selector("#health[hx-get]", state="detached")
        for violation in axe.run(page).response["violations"]:
            nodes = " ".join(node["html"][:200] for node in violation["nodes"][:3])
            yield f"{path}: {violation['id']}: {nodes}"
        if page.evaluate(OVERFLOW) > 0:
            yield f"{path} scrolls sideways"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_with_something_of_everything(boss, cookies, scheme, width):
    World(boss, NamespaceFactory(owner=boss, name="team")).grow(2)
    paths = [*pages(), f"/admin/accounts/account/{boss.pk}/history/"]
    other = ActivatedAccountFactory()
    factor = other.authenticator_set.create(type="webauthn", data={"name": "key"})
    paths += [f"/admin/accounts/account/{other.pk}/password/", f"/admin/mfa/authenticator/{factor.pk}/delete/"]
    with live.served() as base, live.browser() as browser:
        page = sign_in(browser, base, cookies, viewport={"width": width, "height": 900}, color_scheme=scheme)
        assert list(findings(page, base, paths)) == []


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1440), ("light", 390)])
def test_with_nothing(cookies, scheme, width):
    with live.served() as base, live.browser() as browser:
        page = sign_in(browser, base, cookies, viewport={"width": width, "height": 900}, color_scheme=scheme)
        assert list(findings(page, base, ["/admin/", "/admin/images/image/", "/admin/images/workfailure/"])) == []


@pytest.fixture
def no_registry(settings):
    """Nothing answers where the registry should be, whatever else runs on this machine."""
    settings.REGISTRY_URL = settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"


@pytest.mark.usefixtures("no_registry")
def test_the_frame(cookies):
    """The account's theme and its switch are here too, the menu opens on a telephone, a retry is one press."""
    failures.give_up(failures.Kind.RELEASE, "freed", sentence="It stays held.")
    with live.served() as base, live.browser() as browser:
        page = sign_in(browser, base, cookies, viewport={"width": 390, "height": 844}, color_scheme="light")
        page.goto(f"{base}/account/")
        page.get_by_label("Dark").check()
        page.get_by_role("button", name="Save preferences").click()
        expect(page.locator(".notice")).to_contain_text("Saved your preferences.")
        page.goto(f"{base}/admin/")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Menu").click()
        expect(page.get_by_role("link", name="Audit events", exact=True)).to_be_visible()
        page.locator(".account-menu summary").click()
        page.get_by_role("button", name="Switch light and dark").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        page.goto(f"{base}/admin/")
        expect(page.locator("#health")).to_contain_text("Does not answer.")
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("heading", name="Problems", exact=True)).to_be_visible()
        expect(page.locator(".notice")).to_contain_text("freed")


def test_actions_stand_where_rows_are_selected(boss, cookies):
    """And they ask first; the keyboard's order is that of the page."""
    ImageFactory(namespace=NamespaceFactory(owner=boss, name="team"), name="app")
    with live.served() as base, live.browser() as browser:
        page = sign_in(browser, base, cookies, viewport={"width": 1440, "height": 900})
        page.goto(f"{base}/admin/images/image/")
        actions = page.get_by_role("combobox", name="Action")
        expect(actions).to_be_hidden()
        page.get_by_label("Select all images on this page").check()
        expect(page.get_by_label("Select team/app")).to_be_checked()
        actions.select_option(label="Delete with all tags (in the background)")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("heading", name="Delete images with all tags")).to_be_visible()
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("link", name="team/app", exact=True).click()
        page.get_by_role("button", name="Delete with all tags").click()
        expect(page.get_by_role("heading", name="Delete images with all tags")).to_be_visible()
        assert not Axe().run(page).response["violations"]


@pytest.mark.usefixtures("no_registry")
def test_without_script(cookies):
    """All of it is there and can be reached; the state of the parts is a page of its own."""
    with live.served() as base, live.browser() as browser:
        page = sign_in(browser, base, cookies, viewport={"width": 390, "height": 844}, java_script_enabled=False)
        page.goto(f"{base}/admin/")
        page.get_by_role("link", name="Check now").click()
        expect(page.locator("main")).to_contain_text("Does not answer.")
        page.get_by_role("link", name="Background jobs", exact=True).click()
        expect(page.get_by_role("heading", name="Background jobs", exact=True)).to_be_visible()
