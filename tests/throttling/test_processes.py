"""What one process of the console counts and ends, all of them know: two gunicorns over one database."""

import dataclasses
from urllib.parse import quote

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from console.accounts.services import change_registry_password, set_active
from console.token_server import logins
from console.token_server.models import Login
from tests.support import edge
from tests.support.environment import ENVIRONMENT
from tests.support.factories import PASSWORD, ActivatedAccountFactory
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


class Console:
    """One process of the console, over the tests' database."""

    def __init__(self):
        self.port = free_port()
        environment = dataclasses.replace(ENVIRONMENT, console_port=self.port, web_workers=1, web_threads=2)
        database = connection.settings_dict
        host = quote(str(ENVIRONMENT.socket_dir), safe="")
        url = f"postgresql://{database['USER']}@/{database['NAME']}?host={host}"
        self._served = edge.served(environment, variables={"DATABASE_URL": url, "CHANGES_PER_MINUTE": "1"})

    def __enter__(self):
        self._served.__enter__()
        return self

    def __exit__(self, *problem):
        self._served.__exit__(*problem)

    def ask(self, account, password, **parameters):
        return requests.get(
            f"http://127.0.0.1:{self.port}/token/",
            parameters,
            auth=(account.credential.username, password),
            timeout=30,
        )

    def change(self, browser):
        """The status of a form with a mistake in it."""
        browser.headers["X-CSRFToken"] = browser.cookies.get(settings.CSRF_COOKIE_NAME, "")
        return browser.post(f"http://127.0.0.1:{self.port}/namespaces/-/create/", {"name": "-"}, timeout=30).status_code

    def refresh(self, token):
        form = {"service": settings.REGISTRY_SERVICE, "grant_type": "refresh_token", "refresh_token": token}
        return requests.post(f"http://127.0.0.1:{self.port}/token/", form, timeout=30).status_code


@pytest.fixture
def consoles():
    with Console() as one, Console() as other:
        yield one, other


def test_what_one_knows_both_know(consoles):
    one, other = consoles
    ann, ben = ActivatedAccountFactory(), ActivatedAccountFactory()

    def log_in():
        return one.ask(ann, PASSWORD, offline_token="true", client_id="docker").json()["refresh_token"]

    def answers(token):
        return [console.refresh(token) for console in consoles]

    # Both remember the password from here on.
    assert [console.ask(ann, PASSWORD).status_code for console in consoles] == [200, 200]
    for end in (lambda: logins.revoke(Login.objects.get()), lambda: logins.revoke_all(ann)):
        token = log_in()
        assert answers(token) == [200, 200]
        end()
        assert answers(token) == [400, 400]
    token = log_in()
    change_registry_password(ann, "another password 7")
    assert answers(token) == [400, 400]
    assert [console.ask(ann, PASSWORD).status_code for console in consoles] == [401, 401]
    assert [console.ask(ann, "another password 7").status_code for console in consoles] == [200, 200]
    set_active(ann, False)
    assert [console.ask(ann, "another password 7").status_code for console in consoles] == [401, 401]
    # Five wrong ones here and five there are ten.
    for number in range(10):
        assert consoles[number % 2].ask(ben, f"wrong {number}").status_code == 401
    assert [console.ask(ben, PASSWORD).status_code for console in consoles] == [429, 429]


def test_changes_are_counted_by_both_together(consoles):
    client = Client()
    client.force_login(ActivatedAccountFactory())
    browser = requests.Session()
    browser.cookies.set(settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value)
    browser.get(f"http://127.0.0.1:{consoles[0].port}/namespaces/-/create/", timeout=30)
    assert [console.change(browser) for console in consoles] == [422, 429]
