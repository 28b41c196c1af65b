"""When a session begins anew, and when it ends."""

import re

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client

from console.accounts.services import set_active
from tests.support.factories import PASSWORD, AccountFactory, ActivatedAccountFactory
from tests.support.mailbox import deliver

pytestmark = pytest.mark.django_db

NEW = "another good password 2"


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben", email="ben@example.com")


def browser(account):
    """A browser in which the account is signed in."""
    made = Client()
    form = {"username": account.account_id, "password": PASSWORD}
    assert made.post("/sign-in/", form).status_code == 302
    assert signed_in(made)
    return made


def signed_in(browser):
    return browser.get("/account/").status_code == 200


def key(browser):
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


class TestBeginning:
    def test_another_key_with_each_sign_in(self, ben):
        one = Client()
        # As for somebody who let a browser begin a session that he knows, to use it when somebody signs in there.
        session = one.session
        session["planted"] = "x"
        session.save()
        known = session.session_key
        one.cookies[settings.SESSION_COOKIE_NAME] = known
        one.post("/sign-in/", {"username": ben.account_id, "password": PASSWORD})
        assert signed_in(one)
        assert key(one) != known
        assert not Session.objects.filter(session_key=known).exists()
        stranger = Client()
        stranger.cookies[settings.SESSION_COOKIE_NAME] = known
        assert not signed_in(stranger)

    def test_no_key_that_somebody_made_up(self, ben):
        one = Client()
        one.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
        one.post("/sign-in/", {"username": ben.account_id, "password": PASSWORD})
        assert signed_in(one)
        assert key(one) != "a" * 32

    def test_nothing_of_the_one_before_stays_for_somebody_else(self, ben, client):
        one = browser(ben)
        session = one.session
        session["of"] = "Ben"
        session.save()
        other = AccountFactory()
        one.post("/sign-out/")
        one.post("/sign-in/", {"username": other.account_id, "password": PASSWORD})
        assert "of" not in one.session

    def test_the_cookie(self, ben):
        cookie = browser(ben).cookies[settings.SESSION_COOKIE_NAME]
        assert (cookie["httponly"], cookie["samesite"], cookie["domain"], cookie["path"]) == (True, "Lax", "", "/")


class TestEnding:
    def test_signing_out_ends_it_for_good(self, ben):
        one = browser(ben)
        kept = key(one)
        one.post("/sign-out/")
        again = Client()
        again.cookies[settings.SESSION_COOKIE_NAME] = kept
        assert not signed_in(again)
        assert not Session.objects.filter(session_key=kept).exists()

    def test_a_new_password_ends_all_others(self, ben):
        here, elsewhere = browser(ben), browser(ben)
        before = key(here)
        form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
        assert here.post("/account/password/", form).status_code == 302
        assert signed_in(here)
        assert key(here) != before
        assert not signed_in(elsewhere)

    def test_a_password_by_letter_ends_all(self, ben):
        here, elsewhere = browser(ben), browser(ben)
        stranger = Client()
        stranger.post("/account/reset/", {"email": ben.email})
        deliver()
        link = re.search(r"https?://\S+", mail.outbox[0].body)[0]
        page = stranger.get(link.removeprefix(settings.CONSOLE_URL), follow=True)
        stranger.post(page.redirect_chain[-1][0], {"new_password1": NEW, "new_password2": NEW})
        ben.refresh_from_db()
        assert ben.check_password(NEW)
        assert not signed_in(here)
        assert not signed_in(elsewhere)

    def test_the_letter_leads_to_the_console_whatever_host_was_asked(self, ben, client):
        client.post("/account/reset/", {"email": ben.email}, headers={"Host": "localhost"})
        deliver()
        assert re.search(r"https?://\S+", mail.outbox[0].body)[0].startswith(f"{settings.CONSOLE_URL}/account/reset/")

    def test_a_password_that_an_administrator_sets_ends_all(self, ben, client):
        here = browser(ben)
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        form = {"usable_password": "true", "password1": NEW, "password2": NEW}
        assert client.post(f"/admin/accounts/account/{ben.pk}/password/", form).status_code == 302
        ben.refresh_from_db()
        assert ben.check_password(NEW)
        assert not signed_in(here)

    def test_so_does_taking_the_password_away(self, ben, client):
        here = browser(ben)
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        form = {"usable_password": "false", "unset-password": "1"}
        assert client.post(f"/admin/accounts/account/{ben.pk}/password/", form).status_code == 302
        assert not signed_in(here)

    def test_deactivation_ends_all_at_once(self, ben, client):
        here = browser(ben)
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        form = {"action": "deactivate", "_selected_action": ben.pk, "post": "yes"}
        client.post("/admin/accounts/account/", form)
        ben.refresh_from_db()
        assert not ben.is_active
        assert not signed_in(here)
        assert here.get("/images/-/version/").status_code == 302

    def test_an_administrator_who_is_none_any_more(self, client):
        boss = AccountFactory(is_staff=True, is_superuser=True)
        here = browser(boss)
        assert here.get("/admin/").status_code == 200
        boss.is_staff = boss.is_superuser = False
        boss.save()
        assert here.get("/admin/").status_code == 302

    def test_what_was_ended_does_not_come_back(self, ben, client):
        """Otherwise whoever took the session would wait until the account is let in again."""
        here = browser(ben)
        set_active(ben, False)
        assert not signed_in(here)
        set_active(ben, True)
        assert not signed_in(here)

    def test_not_even_unused(self, ben):
        here = browser(ben)
        set_active(ben, False)
        set_active(ben, True)
        assert not signed_in(here)
