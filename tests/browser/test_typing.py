"""Each field of each form, typed into with real keys: the longest value arrives whole, a longer one is a sentence.

Posted forms show neither: a browser cuts what is typed at ``maxlength``, and without a word.
"""

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser import typed_forms
from tests.support.browser import CONSOLE_PASSWORD
from tests.support.second_factor import Phone
from tests.support.stack import wait_until

pytestmark = pytest.mark.browser

# More than that are typed as a password manager or the clipboard does it: at once, and cut at "maxlength" all the same.
MOST_KEYS = 64
PASSKEY = """
from allauth.mfa.models import Authenticator
from console.accounts.models import Account
account = Account.objects.get(account_id="{account_id}")
print(Authenticator.objects.create(user=account, type="webauthn", data={{"name": "before"}}).pk)
"""


class Typist:
    """Somebody at a form. ``words`` fill in addresses and values."""

    def __init__(self, walker, **words):
        self.walker, self.page, self.words = walker, walker.page, words

    def fill(self, text):
        return re.sub(r"\{(\w+)\}", lambda found: self.words[found[1]], text)

    def value(self, field, longer):
        return self.fill(field.longer_than_allowed() if longer else field.longest)

    def open(self, form, as_dialog):
        where = self.fill(form.where)
        if as_dialog:
            self.walker.go(self.fill(form.dialog))
            button = self.page.locator(f'[hx-get="{where}"]').first
            menu = button.locator("xpath=ancestor::details[contains(@class, 'dropdown')]")
            if menu.count():
                menu.locator("> summary").click()
            button.click()
        else:
            self.walker.go(where)

    def type(self, form, longer):
        for field in form.fields:
            box = self.page.locator(f"#id_{field.name}")
            filled_in = box.get_attribute("autocomplete")
            assert filled_in == (field.autocomplete or None), f"{form.form}.{field.name}: {filled_in}"
            box.fill("")
            text = self.value(field, longer)
            if len(text) <= MOST_KEYS:
                box.press_sequentially(text)
            else:
                box.focus()
                self.page.keyboard.insert_text(text)
            assert box.input_value() == text, f"{form.form}.{field.name}: the browser cuts what is typed"

    def submit(self, form):
        """Press the button; what is sent, by field."""
        button = self.page.get_by_role("button", name=form.submit, exact=True)
        with self.page.expect_request(
            lambda one: one.method == form.method and one.is_navigation_request() or "hx-request" in one.headers
        ) as sent:
            button.last.click()
        request = sent.value
        body = request.post_data if form.method == "POST" else urlsplit(request.url).query
        return {name: values[0].replace("\r\n", "\n") for name, values in parse_qs(body).items()}

    def error_at(self, field):
        return self.page.locator(f"#id_{field.name}_errors, #id_{field.name}_error")

    def check(self, form, as_dialog=False):
        """The longer values first; then the longest, typed into the form that the refusal shows again."""
        self.open(form, as_dialog)
        self.type(form, longer=True)
        sent = self.submit(form)
        wrong = [field for field in form.fields if field.sentence]
        for field in form.fields:
            assert sent[field.name] == self.value(field, longer=True), (form.form, field.name)
        for field in wrong:
            expect(self.error_at(field), form.form).to_contain_text(field.sentence)
        if "admin" not in form.form and "audit" not in form.form:
            expect(self.page.locator(f"#id_{wrong[0].name}"), form.form).to_be_focused()

        self.type(form, longer=False)
        sent = self.submit(form)
        for field in form.fields:
            assert sent[field.name] == self.value(field, longer=False), (form.form, field.name)
        if form.done:
            expect(self.page.get_by_text(self.fill(form.done)).first, form.form).to_be_visible()
            return
        for field in form.fields:
            if field.refused:
                expect(self.error_at(field), form.form).to_contain_text(field.refused)
            elif field.sentence:
                expect(self.page.get_by_text(field.sentence), form.form).to_have_count(0)


def letter(stack, address):
    """The link in the letter that was sent to an address."""

    def find():
        for path in (stack.data_dir / "mail").glob("*"):
            text = path.read_text()
            if address.partition("@")[0] in text and (found := re.search(r"/account/reset/\S+", text)):
                return found[0]
        return ""

    return wait_until(find, "the letter")


def own():
    """Five characters that are nobody else's: as many as ``{own}`` has, so that a value keeps its length."""
    return f"{time.time_ns() // 1000 % 16**5:05x}"


def test_of_strangers(person, stack):
    words = {"own": own()}
    address = typed_forms.address(f"{words['own']}stranger")
    stack.create_account("Longest", CONSOLE_PASSWORD, address)
    stranger = Typist(person(account=False), **words)
    asks, chooses, signs_in = typed_forms.STRANGER
    stranger.check(asks)
    stranger.words["letter"] = letter(stack, address)
    stranger.check(chooses)
    stranger.check(signs_in)


def test_of_somebody_new(person):
    new = Typist(person("Newcomer"), own=own())
    for form in typed_forms.FRESH:
        new.check(form)
    expect(new.page.get_by_role("heading", name="No images yet")).to_be_visible()


@pytest.fixture
def activated(person, pusher, unique):
    team = unique()
    ann = person("Ann", namespace=team)
    pusher(ann.account_id, f"{team}/app", "v1")
    ann.go(f"/images/{team}/app/-/tags/")
    wait_until(lambda: ann.page.reload() and ann.page.get_by_role("cell", name="v1", exact=True).count(), "the tag")
    return Typist(ann, own=own(), team=team)


def test_of_somebody_activated(activated):
    for form in typed_forms.ACTIVATED:
        activated.check(form, as_dialog=bool(form.dialog))


def test_of_somebody_with_a_second_factor(activated, stack):
    activated.words["factor"] = stack.manage(
        "shell", "-v0", "-c", PASSKEY.format(account_id=activated.walker.account_id)
    ).strip()
    page = activated.page
    activated.walker.go("/account/security/app/")
    page.get_by_label("Code from the app").fill(Phone(page.locator(".secret code").inner_text()).code())
    page.get_by_role("button", name="Set up", exact=True).click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    for form in typed_forms.ENROLLED:
        activated.check(form, as_dialog=bool(form.dialog))


def test_of_administrators(person, stack):
    boss = person(account=False)
    # The administration has no form of its own for signing in; an e-mail address is as good there.
    address = typed_forms.address(f"boss{own()}")
    stack.manage(
        "createaccount", "--name", "Boss", "--email", address, "--administrator", "--password-stdin",
        input=CONSOLE_PASSWORD,
    )  # fmt: skip
    boss.go("/admin/")
    boss.page.get_by_label("Account ID or e-mail").press_sequentially(address)
    boss.page.get_by_label("Password", exact=True).press_sequentially(CONSOLE_PASSWORD)
    boss.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(boss.page.get_by_role("heading", name="Administration")).to_be_visible()
    other = stack.create_account("Other", CONSOLE_PASSWORD)
    ((pk,),) = stack.sql("SELECT id FROM accounts_account WHERE account_id = %s", other)
    typist = Typist(boss, own=own(), other=str(pk))
    for form in typed_forms.ADMINISTRATOR:
        typist.check(form)


def test_a_namespace_in_the_administration(person, stack):
    boss = person(account=False)
    boss.sign_in(stack.account_id, stack.password)
    page = boss.page
    for name, sentence in (("n" * 31, "at most 30 characters"), ("n" * 25 + own(), "")):
        boss.go("/admin/namespaces/namespace/add/")
        page.get_by_label("Name").press_sequentially(name)
        assert page.get_by_label("Name").input_value() == name
        page.locator(".select2-selection").click()
        page.locator(".select2-search__field").press_sequentially(stack.account_id)
        page.get_by_role("option", name=re.compile(stack.account_id)).click()
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_text(sentence or "Created the namespace").first).to_be_visible()


def test_of_searches(activated):
    team = activated.words["team"]
    longest = "s" * 200
    activated.walker.create_image(longest, team)
    page = activated.page
    for path, name, shown in (
        ("/images/", f"{team}/{longest}", 1),
        ("/namespaces/", team, 1),
        (f"/images/{team}/app/-/tags/", "v1", 1),
        ("/public-images/", f"{team}/{longest}", 0),
        ("/favorites/", f"{team}/{longest}", 0),
        ("/docker-hub/", "d" * 255, 0),
    ):
        # An empty list has no search of its own, unless it is empty because of one.
        activated.walker.go(path if shown else f"{path}?q=nothing-of-the-kind")
        box = page.get_by_role("main").get_by_role("searchbox").first
        box.fill("")
        page.keyboard.insert_text(name)
        assert box.input_value() == name
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"\?.*q="))
        expect(page.locator("main table tbody tr"), path).to_have_count(shown)
        # One letter more than the longest name, all of it but the last the same: it is another name, and there is none.
        box.fill("")
        page.keyboard.insert_text(f"{name}x" if shown else "x" * 256)
        page.keyboard.press("Enter")
        expect(page.locator("main table tbody tr"), path).to_have_count(0)
    activated.walker.go(f"/images/?q={'s' * 255}s")
    expect(page.get_by_text("No images match your search and filters.")).to_be_visible()
    assert page.get_by_role("main").get_by_role("searchbox").first.input_value().endswith("…")


def test_of_confirming_by_name(activated, pusher):
    team, page = activated.words["team"], activated.page
    name = "z" * 200
    pusher(activated.walker.account_id, f"{team}/{name}", *(f"v{number}" for number in range(11)))
    activated.walker.go("/images/")
    wait_until(lambda: page.reload() and page.get_by_role("cell", name="11", exact=True).count(), "eleven tags")
    activated.walker.press(f"Delete {team}/{name}")
    dialog = page.get_by_role("dialog", name="Delete Image Repository")
    box = dialog.get_by_role("textbox")
    for text in (f"{name}z", name):
        box.focus()
        page.keyboard.insert_text(text)
        assert box.input_value() == text
        dialog.get_by_role("button", name="OK").click()
        if text != name:
            expect(dialog.get_by_role("alert")).to_contain_text(f"Type “{name}” to confirm.")
            expect(box).to_be_focused()
            expect(box).to_have_attribute("aria-describedby", "id_problem")
    expect(dialog).to_have_count(0)
