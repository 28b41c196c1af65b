"""One code in two sessions at the same moment: it is good once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from console.login import factors
from tests.support.factories import AccountFactory
from tests.support.second_factor import codes_of, is_in, set_up, sign_in
from tests.support.stack import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/sign-in/second-factor/"


@pytest.fixture
def arrived(monkeypatch):
    """Who compares a code waits until another does so, too, or waits for a lock."""
    arrived, compare = [], factors._is_of

    def is_met():
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            return len(set(arrived)) == 2 or cursor.fetchone()[0]

    def wait(factor, code):
        if not arrived:
            arrived.append(threading.get_ident())
            wait_until(is_met, "the other compares it or waits")
        arrived.append(threading.get_ident())
        return compare(factor, code)

    monkeypatch.setattr(factors, "_is_of", wait)


@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_a_code_in_two_sessions(kind, arrived):
    ben = AccountFactory()
    phone = set_up(ben)
    code = phone.code() if kind == "code" else codes_of(ben)[0]
    browsers = [sign_in(ben)[0] for _ in range(2)]

    def send(browser: Client) -> int:
        try:
            return browser.post(PAGE, {"code": code}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, browsers))
    assert sorted(answers) == [200, 302]
    assert [is_in(browser) for browser in browsers] == [answer == 302 for answer in answers]
