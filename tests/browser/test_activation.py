"""The activation form in a real browser: what is wrong, where the focus goes, and what stays typed."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import REGISTRY_PASSWORD

pytestmark = pytest.mark.browser


def fill(page, **values):
    for label, value in values.items():
        page.get_by_label(label.replace("_", " "), exact=label == "Password").fill(value)


def enable(page):
    page.get_by_role("button", name="Enable").click()


def test_all_is_said_at_once_and_the_passwords_stay(person, unique):
    ann, ben = person("Ann"), person("Ben")
    taken = unique()
    ann.activate(REGISTRY_PASSWORD, taken, username=taken)
    page = ben.page
    fill(page, User_name=taken, Password=REGISTRY_PASSWORD, Confirm_password=REGISTRY_PASSWORD, Namespace=taken)
    # With Enter, from a field that is good: the focus still goes to the first that is not.
    page.get_by_label("Namespace").press("Enter")
    expect(page.get_by_text(f"The user name “{taken}” is already in use by another user.")).to_be_visible()
    expect(page.get_by_text(f"The name “{taken}” is already in use by another user.")).to_be_visible()
    username = page.get_by_label("User name")
    expect(username).to_be_focused()
    expect(username).to_have_attribute("aria-invalid", "true")
    expect(username).to_have_accessible_description(re.compile(f"The user name “{taken}” is already in use"))
    # Both passwords are as they were, and the page that came has neither.
    expect(page.get_by_label("Password", exact=True)).to_have_value(REGISTRY_PASSWORD)
    expect(page.get_by_label("Confirm password")).to_have_value(REGISTRY_PASSWORD)
    assert REGISTRY_PASSWORD not in page.content()
    assert not Axe().run(page).response["violations"]

    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(unique("ben"))
    page.get_by_label("Namespace").fill(unique())
    enable(page)
    expect(page.get_by_text("The service is activated. Next, create an image or push one.")).to_be_visible()
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()
    expect(page.get_by_text("Create a namespace")).to_have_count(0)


def test_from_the_first_password_that_is_refused_on_they_are_typed_anew(person):
    page = person("Ann").page
    fill(page, Password="short", Confirm_password="short")
    enable(page)
    expect(page.get_by_text("The password must have 8 to 64 characters.")).to_be_visible()
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_label("Confirm password")).to_have_value("")
    fill(page, Password=REGISTRY_PASSWORD, Confirm_password="something else")
    enable(page)
    expect(page.get_by_text("The two passwords do not match")).to_be_visible()
    expect(page.get_by_label("Confirm password")).to_be_focused()
    expect(page.get_by_label("Password", exact=True)).to_have_value(REGISTRY_PASSWORD)
    expect(page.get_by_label("Confirm password")).to_have_value("")


def test_without_script(person, unique):
    ann, taken = person("Ann"), unique()
    ann.activate(REGISTRY_PASSWORD, taken)
    page = person("Ben", java_script_enabled=False).page
    fill(page, Password=REGISTRY_PASSWORD, Confirm_password=REGISTRY_PASSWORD, Namespace=taken)
    enable(page)
    expect(page.get_by_text("already in use by another user")).to_be_visible()
    expect(page.get_by_label("Namespace")).to_be_focused()
    expect(page.get_by_label("Namespace")).to_have_value(taken)
    assert REGISTRY_PASSWORD not in page.content()
    fill(page, Password=REGISTRY_PASSWORD, Confirm_password=REGISTRY_PASSWORD, Namespace="")
    enable(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("The service is activated. Next, create a namespace, then an image.")).to_be_visible()


def test_the_password_for_an_import_stays(person, unique):
    ann, team = person("Ann"), unique()
    ann.activate(REGISTRY_PASSWORD, team)
    page = ann.page
    ann.go("/images/")
    page.get_by_role("button", name="Import", exact=True).click()
    dialog = page.get_by_role("dialog", name="Import")
    dialog.get_by_label("Image to import").fill("A")
    dialog.get_by_label("Source user name").fill("ann")
    dialog.get_by_label("Source password").fill("secret there")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("This is not an image name.")).to_be_visible()
    expect(dialog.get_by_label("Image to import")).to_be_focused()
    expect(dialog.get_by_label("Source password")).to_have_value("secret there")


def test_name_and_address_without_script(person, stack, unique):
    ann = person("Ann", java_script_enabled=False)
    page, word = ann.page, unique("anne")
    ann.go("/account/")
    page.get_by_role("button", name="Edit name").click()
    page.get_by_label("Name").fill("Anne")
    page.get_by_role("button", name="Change name").click()
    expect(page.get_by_text("Changed the name.")).to_be_visible()
    page.get_by_role("button", name="Edit e-mail").click()
    page.get_by_label("E-mail").fill(f"{word}@example.com")
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.get_by_text(f"A link was sent to {word}@example.com.")).to_be_visible()
    expect(page.get_by_text("Until then, your e-mail address does not change.")).to_be_visible()
    page.get_by_role("button", name="Cancel the change").click()
    expect(page.get_by_text("Cancelled. Your e-mail address does not change.")).to_be_visible()
