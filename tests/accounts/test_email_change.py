"""Changing one's e-mail address: the link sent to the new one, and what it is good for."""

import datetime
import re

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts import email_changes, email_links, jobs
from console.accounts.models import EmailChange
from console.accounts.password_reset_email import reset_tokens
from console.accounts.services import create_account, set_active
from console.audit.models import AuditEvent
from tests.support.factories import PASSWORD, AccountFactory
from tests.support.mailbox import deliver
from tests.support.responses import HTMX, text_of
from tests.support.second_factor import forget, set_up, sign_in

pytestmark = pytest.mark.django_db

PAGE, NEW = "/account/email/", "anne@example.com"


@pytest.fixture
def ann():
    return AccountFactory(name="Ann", email="ann@example.com")


@pytest.fixture
def browser(ann):
    """Hers, who has just signed in."""
    return sign_in(ann)[0]


def ask(browser, email=NEW, **options):
    return browser.post(PAGE, {"email": email}, **options)


def link():
    """The address in the e-mail that was sent last."""
    deliver()
    return re.search(r"http://[^/]+(/account/email/\S+)", mail.outbox[-1].body)[1]


class TestTheWalk:
    def test_it(self, ann, browser):
        assert "ann@example.com" in text_of(browser.get("/account/"))
        assert ask(browser)["Location"] == "/account/"
        text = text_of(browser.get("/account/"))
        assert f"Open the link sent to <strong>{NEW}</strong>" in text
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"
        place = link()
        (sent,) = mail.outbox
        assert (sent.to, ann.account_id in sent.body, "24 hours" in sent.body) == ([NEW], True, True)
        # A program that opens the links in e-mails changes nothing.
        assert NEW in text_of(browser.get(place))
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"
        assert browser.post(place)["Location"] == "/account/"
        ann.refresh_from_db()
        assert ann.email == NEW
        assert "Open the link" not in text_of(browser.get("/account/"))
        deliver()
        told = mail.outbox[1]
        assert told.to == ["ann@example.com"]
        assert "e-mail address of your My Images account was changed" in told.body and NEW not in told.body
        changed = AuditEvent.objects.get(action="account.change")
        assert (changed.actor, changed.detail["changes"]) == (ann.account_id, {"email": ["ann@example.com", NEW]})
        assert sign_in(ann, username=NEW)[1].status_code == 302
        assert sign_in(ann, username="ann@example.com")[1].status_code == 200

    def test_the_first_administrator_has_none_before(self):
        boss = AccountFactory(name="Administrator", is_staff=True, is_superuser=True)
        browser = sign_in(boss)[0]
        ask(browser)
        browser.post(link())
        boss.refresh_from_db()
        assert boss.email == NEW
        deliver()
        assert len(mail.outbox) == 1, "nobody is told of the change who had no address"

    def test_as_a_dialog(self, ann, browser):
        response = browser.get(PAGE, headers=HTMX)
        assert "<dialog" in text_of(response) and "<html" not in text_of(response)
        assert ask(browser, headers=HTMX)["HX-Redirect"] == "/account/"
        assert ask(browser, "x", headers=HTMX).status_code == 422

    def test_taking_it_away(self, ann, browser):
        ask(browser, "")
        ann.refresh_from_db()
        assert ann.email is None
        deliver()
        (told,) = mail.outbox
        assert told.to == ["ann@example.com"] and "e-mail address of your My Images account was removed" in told.body
        ask(browser, "")
        assert AuditEvent.objects.filter(action="account.change").count() == 1

    def test_thinking_again(self, ann, browser):
        ask(browser)
        place = link()
        browser.post(f"{PAGE}-/cancel/")
        assert browser.post(place).status_code == 410
        assert "Open the link" not in text_of(browser.get("/account/"))
        browser.post(f"{PAGE}-/cancel/")
        assert AuditEvent.objects.filter(action="account.email_cancel").count() == 1


class TestConfirmed:
    """Whether an address is known to be the account's, and another link to it."""

    SEND = f"{PAGE}-/send/"

    def test_the_page_says_it(self, ann, browser):
        page = text_of(browser.get("/account/"))
        assert "Not confirmed" in page and "Send a link to confirm it" in page
        ask(browser)
        browser.post(link())
        page = text_of(browser.get("/account/"))
        assert ">Confirmed<" in page and "Not confirmed" not in page and "Send a link" not in page
        ann.refresh_from_db()
        ann.email = "given@example.com"
        ann.save()
        assert "Not confirmed" in text_of(browser.get("/account/")), "an administrator set another one"
        ask(browser, "")
        page = text_of(browser.get("/account/"))
        assert "onfirmed<" not in page and "Send a link" not in page

    def test_ones_own_address(self, ann, browser):
        assert browser.post(self.SEND)["Location"] == "/account/"
        page = text_of(browser.get("/account/"))
        assert "Open the link sent to <strong>ann@example.com</strong> to confirm it." in page
        assert "does not change" not in page
        browser.post(link())
        assert mail.outbox[-1].to == ["ann@example.com"]
        ann.refresh_from_db()
        assert ann.email_confirmed
        event = AuditEvent.objects.get(action="account.change")
        assert event.detail["changes"] == {"email_confirmed": [False, True]}
        deliver()
        assert len(mail.outbox) == 1, "the address is the same: nobody else is told"
        assert browser.post(self.SEND)["Location"] == "/account/"
        assert not EmailChange.objects.exists(), "there is nothing to confirm"

    def test_again_to_the_requested_one(self, ann, browser):
        ask(browser)
        first = link()
        assert "Send again" in text_of(browser.get("/account/"))
        browser.post(self.SEND)
        second = link()
        assert [sent.to for sent in mail.outbox] == [[NEW], [NEW]]
        assert browser.post(first).status_code == 410
        browser.post(second)
        ann.refresh_from_db()
        assert ann.email == NEW and ann.email_confirmed

    def test_not_when_somebody_has_it_meanwhile(self, ann, browser):
        ask(browser)
        AccountFactory(email=NEW)
        browser.post(self.SEND)
        assert "Another account already uses this e-mail address." in text_of(browser.get("/account/"))
        assert AuditEvent.objects.filter(action="account.email_request").count() == 1

    def test_not_without_end(self, browser, monkeypatch):
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        for _time in range(5):
            browser.post(self.SEND)
        assert "Too many e-mails were requested." in text_of(browser.get("/account/"))
        assert AuditEvent.objects.filter(action="account.email_request").count() == 3

    def test_the_provider_has_verified_it(self):
        assert create_account("Ann", "ann2@example.com", None, email_confirmed=True).email_confirmed
        assert not create_account("Ben", "ben2@example.com", None).email_confirmed
        assert not create_account("Nobody", None, None, email_confirmed=True).email_confirmed


class TestTheLink:
    def refused(self, browser, place):
        for response in (browser.get(place), browser.post(place)):
            assert response.status_code == 410
            text = text_of(response)
            assert "<h1>This link no longer works</h1>" in text and "Back to Account" in text
            assert "This link was already used, has expired, or is for another account." in text
        return True

    def test_once(self, ann, browser):
        ask(browser)
        place = link()
        browser.post(place)
        # Back to the former address: the link leads there no more.
        ask(browser, "ann@example.com")
        browser.post(link())
        assert self.refused(browser, place)
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"

    def test_only_the_last_one(self, browser):
        ask(browser)
        first = link()
        ask(browser)
        assert self.refused(browser, first)
        assert browser.post(link()).status_code == 302

    def test_for_a_day(self, ann, browser, settings):
        ask(browser)
        place = link()
        EmailChange.objects.update(created_at=timezone.now() - datetime.timedelta(hours=24))
        assert self.refused(browser, place)
        EmailChange.objects.update(created_at=timezone.now())
        settings.EMAIL_LINK_SECONDS = -1
        assert self.refused(browser, place)

    def test_for_somebody_signed_in_to_the_account_alone(self, ann, browser):
        ask(browser)
        place = link()
        assert Client().post(place)["Location"] == f"/sign-in/?next={place.replace(':', '%3A')}"
        assert self.refused(sign_in(AccountFactory())[0], place)
        assert browser.get(place).status_code == 200

    def test_not_with_another_address_in_it(self, ann, browser):
        ask(browser)
        place = link()
        EmailChange.objects.update(email="mallory@example.com")
        assert self.refused(browser, place)
        assert self.refused(browser, place[:-5] + "xxxx/")

    @pytest.mark.parametrize("change", ["password", "deactivation", "administration"])
    def test_it_ends_with_what_it_was_asked_for_under(self, ann, browser, change):
        ask(browser)
        place = link()
        ann.refresh_from_db()
        if change == "password":
            ann.set_password("another good one 2")
            ann.save()
        elif change == "deactivation":
            set_active(ann, False)
            set_active(ann, True)
        else:
            ann.email = "given@example.com"
            ann.save()
        other = Client()
        other.force_login(ann)
        assert self.refused(other, place)
        assert "Open the link" not in text_of(other.get("/account/"))

    def test_what_waits_to_be_sent_opens_nothing(self, ann, browser):
        ask(browser)
        (queued,) = ProcrastinateJob.objects.filter(task_name=jobs.send_email_link.name).values_list("args", flat=True)
        assert queued == {"change": EmailChange.objects.get().pk}

    def test_none_is_sent_for_a_change_that_is_over(self, ann, browser):
        ask(browser)
        email_changes.cancel(ann)
        deliver()
        ask(browser)
        set_active(ann, False)
        deliver()
        assert not mail.outbox

    def test_links_for_a_new_password_end_with_the_address(self, ann, browser):
        token = reset_tokens.make_token(ann)
        ask(browser)
        assert reset_tokens.check_token(ann, token)
        browser.post(link())
        ann.refresh_from_db()
        assert not reset_tokens.check_token(ann, token)


class TestWhoMay:
    def test_whoever_shows_once_more_that_it_is_them(self, ann, browser):
        forget(browser)
        where = f"/account/security/confirm/?next={PAGE.replace('/', '%2F')}"
        assert browser.get(PAGE)["Location"] == where
        assert browser.get(PAGE, headers=HTMX)["HX-Redirect"] == where
        assert ask(browser)["Location"] == where
        assert not EmailChange.objects.exists()
        assert browser.post(where, {"password": PASSWORD})["Location"] == PAGE
        assert ask(browser)["Location"] == "/account/"

    def test_with_a_second_factor_the_password_is_not_enough(self, ann, browser):
        phone = set_up(ann)
        forget(browser)
        confirm = f"/account/security/confirm/?next={PAGE}"
        assert browser.post(confirm, {"password": PASSWORD}).status_code == 200
        assert ask(browser)["Location"].startswith("/account/security/confirm/")
        assert browser.post(confirm, {"code": phone.code()})["Location"] == PAGE

    def test_an_administrator_changes_their_own_here_as_well(self, ann):
        ann.is_staff = ann.is_superuser = True
        ann.save()
        browser, _response = sign_in(ann)
        forget(browser)
        form = {"name": "Ann", "email": NEW, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
        assert browser.post(f"/admin/accounts/account/{ann.pk}/change/", form).status_code == 302
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"

    def test_nobody_asks_without_end(self, ann, browser, monkeypatch):
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        for number in range(5):
            assert ask(browser, f"anne{number}@example.com").status_code == 302
        response = ask(browser)
        assert response.status_code == 429 and int(response["Retry-After"]) == 720
        assert "Too many attempts." in text_of(response)
        response = ask(browser, headers=HTMX)
        assert response.status_code == 422, "as a dialog that shows what is wrong"
        assert "Too many attempts." in text_of(response)
        for minute in range(60):
            now += datetime.timedelta(minutes=1)
            ask(browser, f"ann-{minute}@example.com")
        assert AuditEvent.objects.filter(action="account.email_request").count() == 10, "in an hour"

    def test_nobody_asks_without_end_which_addresses_have_an_account(self, browser, monkeypatch):
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        for number in range(6):
            AccountFactory(email=f"ben{number}@example.com")
            response = ask(browser, f"ben{number}@example.com")
            assert response.status_code == (429 if number == 5 else 422)
            assert ("Another account already uses" in text_of(response)) == (number < 5)

    def test_a_taken_address_costs_its_owner_no_e_mail(self, monkeypatch):
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        ben = AccountFactory(email="ben@example.com")
        for number in range(6):
            response = ask(sign_in(AccountFactory(), address=f"192.0.2.{number}")[0], ben.email)
            assert response.status_code == 422

    def test_nobody_is_sent_e_mails_without_end_by_many(self, monkeypatch):
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        for number in range(4):
            browser = sign_in(AccountFactory(), address=f"192.0.2.{number}")[0]
            response = browser.post(PAGE, {"email": NEW if number % 2 else NEW.upper()})
            assert response.status_code == (429 if number == 3 else 302)


class TestTheAddress:
    @pytest.mark.parametrize(("email", "sentence"), [
        ("ann@example.com", "This is already your e-mail address."),
        ("BEN@example.com", "Another account already uses this e-mail address."),
        ("ann", "Enter an e-mail address like"),
        ("a@b", "Enter an e-mail address like"),
        (f"{'a' * 250}@example.com", "Enter an e-mail address like"),
        ("a\x00@example.com", "Enter an e-mail address like"),
    ])  # fmt: skip
    def test_refused(self, ann, browser, email, sentence):
        AccountFactory(email="ben@example.com")
        response = ask(browser, email)
        text = text_of(response)
        assert response.status_code == 422
        assert text.count(sentence) == 1
        assert 'aria-describedby="id_email_help id_email_errors"' in text
        assert not EmailChange.objects.exists()

    def test_the_same_in_other_letters(self, ann, browser):
        ask(browser, "Ann@Example.com")
        browser.post(link())
        ann.refresh_from_db()
        assert ann.email == "Ann@Example.com"

    def test_taken_meanwhile(self, ann, browser):
        ask(browser)
        place = link()
        AccountFactory(email=NEW.upper())
        response = browser.post(place)
        assert response.status_code == 409
        assert "Another account already uses this e-mail address." in text_of(response)
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"
        assert EmailChange.objects.exists()

    def test_whatever_is_taken_at_the_same_instant(self, ann, browser, monkeypatch):
        """The database decides, where two had looked before either stored it."""
        monkeypatch.setattr(email_changes, "check_address", lambda *_arguments: None)
        AccountFactory(email=NEW)
        token = email_links.make_token(email_changes.request(ann, NEW))
        assert browser.post(f"{PAGE}{token}/").status_code == 409
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM accounts_account WHERE lower(email) = %s", [NEW])
            assert cursor.fetchone() == (1,)
