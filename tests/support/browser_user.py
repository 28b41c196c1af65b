"""A user of the console: actions by the labels on the pages."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def unfold_all(page: Page) -> None:
    """Open every menu and every folded list of the page."""
    page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")


class BrowserUser:
    """A user in a browser."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def sign_in(self, name: str, password: str) -> None:
        self.go("/sign-in/")
        self.page.get_by_label("Account ID or e-mail").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def post(self, path: str, **form: str) -> None:
        """Send a form that the console accepts, without showing its page; the browser has the answer's cookies.

        :raises AssertionError: when the answer is no redirect.
        """
        context = self.page.context
        token = next(one["value"] for one in context.cookies(self.base) if one["name"].endswith("_csrf"))
        form = {**form, "csrfmiddlewaretoken": token}
        answer = context.request.post(self.base + path, form=form, max_redirects=0)
        assert answer.status == 302, f"{path}: {answer.status} {answer.text()}"

    def start_session(self, name: str, password: str) -> None:
        """Sign in without typing."""
        self.page.context.request.get(f"{self.base}/sign-in/")
        self.post("/sign-in/", username=name, password=password)

    def activate_without_typing(self, username: str, password: str, namespace: str) -> None:
        """Activate the service and create a namespace, by the requests of the form."""
        self.post("/activation/", username=username, password=password, confirm=password, namespace=namespace)
        self.post("/activation/steps/")

    def activate(self, password: str, namespace: str = "", username: str | None = None) -> None:
        page = self.page
        if username is not None:
            page.get_by_label("User name").fill(username)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_label("Confirm password").fill(password)
        page.get_by_label("Namespace").fill(namespace)
        page.get_by_role("button", name="Enable").click()
        # It calls the registry, on a machine that may be busy starting others.
        expect(page.get_by_role("heading", name="My Images")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("The service is activated.")).to_be_visible()

    def create_namespace(self, name: str) -> None:
        page = self.page
        self.go("/namespaces/")
        page.locator(".toolbar").get_by_role("button", name="Create", exact=True).click()
        dialog = page.get_by_role("dialog", name="Create a Namespace")
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_role("button", name="Submit").click()

    def create_image(self, name: str, namespace: str, kind: str = "Private", description: str = "") -> None:
        page = self.page
        self.go("/images/")
        page.locator(".toolbar").get_by_role("button", name="Create", exact=True).click()
        dialog = page.get_by_role("dialog", name="Create Image")
        dialog.get_by_label("Name", exact=True).fill(name)
        dialog.get_by_label(kind).check()
        dialog.get_by_label("Namespace").select_option(namespace)
        dialog.get_by_label("Description").fill(description)
        dialog.get_by_role("button", name="Submit").click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()

    def row(self, repository: str):
        """The row of an image in the list: its name may have a summary under it."""
        namespace, _, name = repository.partition("/")
        cell = self.page.get_by_role("cell").filter(has=self.page.get_by_text(name, exact=True))
        return (
            self.page.get_by_role("row")
            .filter(has=cell)
            .filter(has=self.page.get_by_role("cell", name=namespace, exact=True))
        )

    def press(self, name: str | re.Pattern[str], within: Locator | None = None) -> None:
        """Press a button by its whole name; one that stands in a menu, after opening that."""
        scope = within or self.page.locator("main")
        button = scope.get_by_role("button", name=name, exact=True, include_hidden=True).first
        menu = button.locator("xpath=ancestor::details[contains(@class, 'dropdown')]")
        if menu.count():
            menu.locator("> summary").click()
        button.click()

    def delete_image(self, repository: str, type_name: bool = False) -> None:
        self.go("/images/")
        self.press(f"Delete {repository}")
        dialog = self.page.get_by_role("dialog", name="Delete Image Repository")
        expect(dialog.get_by_text("Delete all tags of the image")).to_be_visible()
        if type_name:
            dialog.get_by_role("textbox").fill(repository.partition("/")[2])
        dialog.get_by_role("button", name="OK").click()
        expect(dialog).to_have_count(0)

    def wait_until_gone(self, repository: str, seconds: float = 60) -> None:
        expect(self.row(repository)).to_have_count(0, timeout=seconds * 1000)
