"""Single sign-on in several windows at the same moment: each state is used once, and nobody sees an error page."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import settings as console_settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from console.accounts.models import Account
from console.accounts.sessions import SessionStore
from console.audit.models import AuditEvent
from console.login import single_sign_on
from tests.support.factories import AccountFactory
from tests.support.responses import text_of
from tests.support.second_factor import by_provider, come_back, is_in, leave, sign_in
from tests.support.stack import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CONNECT = "/account/security/identities/-/connect/"
BEGUN_ELSEWHERE = "This sign-in was started in another browser or has expired. Start again."


def window_of(browser):
    """A second window of the same browser: it sends the same cookies, as they are now."""
    window = Client()
    window.cookies = SimpleCookie(browser.cookies.output(header="", sep=";"))
    return window


def at_once(*calls):
    """What these give, called in threads."""

    def run(call):
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def meet(monkeypatch, owner, name):
    """The first to call ``owner.name`` waits until another has called it, too, or waits for a lock."""
    function, called = getattr(owner, name), set()

    def is_met():
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            return len(called) > 1 or cursor.fetchone()[0]

    def wait(*arguments):
        result = function(*arguments)
        called.add(threading.get_ident())
        wait_until(is_met, "the other is there, or waits")
        return result

    monkeypatch.setattr(owner, name, wait)


class TestOneState:
    def test_the_same_answer_twice(self, provider, monkeypatch):
        browser = Client()
        back = provider.authorize(leave(browser))
        windows = [window_of(browser) for _ in range(2)]
        meet(monkeypatch, SessionStore, "load")
        provider.fetched.clear()
        answers = at_once(*(lambda window=window: come_back(window, back) for window in windows))
        assert sorted(answer.status_code for answer in answers) == [302, 400]
        assert provider.fetched.count("/token") == 1
        late = max(answers, key=lambda answer: answer.status_code)
        assert BEGUN_ELSEWHERE in text_of(late)
        assert console_settings.SESSION_COOKIE_NAME not in late.cookies, "the browser stays signed in"
        assert AuditEvent.objects.filter(action="account.sign_in").count() == 1
        assert Account.objects.count() == SocialAccount.objects.count() == 1

    def test_once_more_when_the_first_is_in(self, provider):
        browser = Client()
        back = provider.authorize(leave(browser))
        window = window_of(browser)
        assert come_back(browser, back).status_code == 302
        late = come_back(window, back)
        assert (late.status_code, BEGUN_ELSEWHERE in text_of(late)) == (400, True)
        assert console_settings.SESSION_COOKIE_NAME not in late.cookies, "the browser stays signed in"
        assert is_in(browser)

    def test_of_another_browser(self, provider):
        one, other = Client(), Client()
        backs = [provider.authorize(leave(browser)) for browser in (one, other)]
        answers = at_once(lambda: come_back(one, backs[1]), lambda: come_back(other, backs[0]))
        assert [answer.status_code for answer in answers] == [400, 400]
        assert not is_in(one)
        assert not is_in(other)
        assert not Account.objects.exists()


class TestTwoWindows:
    def test_both_begin_at_once_and_both_end(self, provider, monkeypatch):
        browser = Client()
        leave(browser)  # from now on it has a session
        windows = [window_of(browser) for _ in range(2)]
        meet(monkeypatch, SessionStore, "load")
        addresses = at_once(*(lambda window=window: leave(window) for window in windows))
        for address in addresses:
            assert come_back(browser, provider.authorize(address)).status_code == 302
        assert is_in(browser)

    def test_the_session_of_the_first_is_another_by_then(self, provider):
        """The second window's answer arrives while the first is signed in under another key."""
        browser = Client()
        first, second = (provider.authorize(leave(browser)) for _ in range(2))
        window = window_of(browser)
        come_back(browser, first)
        late = come_back(window, second)
        assert (late.status_code, BEGUN_ELSEWHERE in text_of(late)) == (400, True)
        assert come_back(browser, second).status_code == 302

    @pytest.mark.parametrize("path", ["/sign-in/sso/", CONNECT])
    def test_the_session_ends_while_the_provider_is_asked(self, provider, ben, monkeypatch, path):
        browser, _answer = sign_in(ben)
        if path != CONNECT:
            browser = Client()
            leave(browser)
        single_sign_on.cache.clear()
        answer = provider.answer

        def end_sessions(*arguments):
            try:
                Session.objects.all().delete()
            finally:
                connection.close()
            return answer(*arguments)

        monkeypatch.setattr(provider, "answer", end_sessions)
        response = browser.post(path)
        if path == CONNECT:
            assert (response.status_code, "You signed out in the meantime." in text_of(response)) == (400, True)
        else:
            assert response.status_code == 200

    def test_it_ends_between_reading_and_storing(self, provider, monkeypatch):
        browser = Client()
        back = provider.authorize(leave(browser))
        load = SessionStore.load

        def ends(store):
            found = load(store)
            if found:
                monkeypatch.setattr(SessionStore, "load", load)
                at_once(lambda: Session.objects.filter(session_key=store.session_key).delete())
            return found

        monkeypatch.setattr(SessionStore, "load", ends)
        response = browser.get(back.removeprefix(console_settings.CONSOLE_URL))
        assert (response.status_code, BEGUN_ELSEWHERE in text_of(response)) == (400, True)


class TestOneIdentity:
    def test_connected_to_two_accounts(self, provider, monkeypatch):
        browsers = [sign_in(AccountFactory())[0] for _ in range(2)]
        backs = [provider.authorize(leave(browser, CONNECT)) for browser in browsers]
        meet(monkeypatch, single_sign_on, "account_of")
        answers = at_once(
            *(lambda one=one, back=back: come_back(one, back) for one, back in zip(browsers, backs, strict=True))
        )
        assert sorted(answer.status_code for answer in answers) == [302, 400]
        for browser, answer in zip(browsers, answers, strict=True):
            owns = SocialAccount.objects.filter(user=browser.session["_auth_user_id"]).exists()
            assert owns == (answer.status_code == 302)
            assert owns or "This identity belongs to another account." in text_of(answer)
        assert AuditEvent.objects.filter(action="identity.connect").count() == 1

    def test_comes_for_the_first_time_in_two_browsers(self, provider, monkeypatch):
        browsers = Client(), Client()
        backs = [provider.authorize(leave(browser)) for browser in browsers]
        meet(monkeypatch, single_sign_on, "account_of")
        answers = at_once(
            *(lambda one=one, back=back: come_back(one, back) for one, back in zip(browsers, backs, strict=True))
        )
        assert [answer.status_code for answer in answers] == [302, 302]
        assert all(map(is_in, browsers))
        assert Account.objects.count() == SocialAccount.objects.count() == 1
        assert AuditEvent.objects.filter(action="account.create").count() == 1

    def test_is_disconnected_twice(self, provider, ben):
        browser, _answer = sign_in(ben)
        by_provider(provider, browser, CONNECT)
        seen = [SocialAccount.objects.get() for _ in range(2)]
        at_once(*(lambda one=one: single_sign_on.disconnect(one) for one in seen))
        assert not SocialAccount.objects.exists()
        assert AuditEvent.objects.filter(action="identity.disconnect").count() == 1
