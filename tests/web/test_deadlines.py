"""A page that takes too long is given up, and so is one that nobody waits for; one account leaves threads to others."""

import socket
import subprocess
import sys

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import OperationalError, connection, connections
from django.http import HttpResponse
from django.test import RequestFactory

from console.database import statements
from console.installation.environment import BASE_DIR
from console.jobs import outages
from console.namespaces.models import Namespace
from console.repositories import search
from console.web.concurrency_limit import ConcurrencyLimitMiddleware
from console.web.deadlines import has_disconnected
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


def sleep_too_long(*_arguments, **_options):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'")
        cursor.execute("SELECT pg_sleep(60)")


class TestDeadline:
    def test_a_page_that_takes_too_long(self, client, ann, settings):
        settings.REQUEST_SECONDS = 0
        response = client.get("/images/")
        assert (response.status_code, response["Retry-After"]) == (503, "10")
        assert "This took too long" in text_of(response)

    def test_what_changes_something_runs_to_its_end(self, client, ann, settings):
        settings.REQUEST_SECONDS = 0
        assert client.post("/namespaces/-/create/", {"name": "in-the-end"}).status_code == 302
        assert Namespace.objects.filter(name="in-the-end").exists()

    def test_signing_in_runs_to_its_end(self, client, settings):
        """Its code was taken already."""
        settings.REQUEST_SECONDS = 0
        assert client.get("/sign-in/sso/callback/").status_code != 503

    def test_a_statement_that_takes_too_long(self, client, ann, monkeypatch, caplog):
        monkeypatch.setattr(search, "find", sleep_too_long)
        response = client.get("/images/?q=x")
        assert response.status_code == 503
        assert "This took too long" in text_of(response)
        assert [record.exc_info for record in caplog.records] == [None]

    def test_it_is_no_outage(self):
        """A job with such a statement is not tried for ever."""
        with pytest.raises(OperationalError) as raised:
            sleep_too_long()
        assert not outages.is_database_outage(raised.value)


class TestNobodyWaits:
    @pytest.fixture
    def pair(self):
        ours, theirs = socket.socketpair()
        yield ours, theirs
        ours.close()
        theirs.close()

    def test_nothing_is_asked_for_a_client_that_has_gone(self, client, ann, pair):
        ours, theirs = pair
        theirs.close()
        response = client.get("/images/", **{"gunicorn.socket": ours})
        assert (response.status_code, response.content) == (499, b"")

    @pytest.mark.parametrize("timeout", [None, 0, 30])
    def test_a_client_that_is_there(self, client, ann, pair, timeout):
        ours, theirs = pair
        ours.settimeout(timeout)
        assert client.get("/images/", **{"gunicorn.socket": ours}).status_code == 200
        # Its next request came already, and is left to be read.
        theirs.sendall(b"GET")
        assert client.get("/images/", **{"gunicorn.socket": ours}).status_code == 200
        assert ours.recv(3) == b"GET"

    def test_a_connection_that_broke(self, pair):
        ours, _theirs = pair
        ours.close()
        assert has_disconnected(ours)


class TestStatements:
    @pytest.fixture(autouse=True)
    def _unlimited(self):
        yield
        statements.limit_statements(0)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("seconds", "shown"), [(0, "0"), (7, "7s")])
    def test_the_database_is_told(self, seconds, shown):
        statements.limit_statements(seconds)
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == (shown,)

    @pytest.mark.django_db(transaction=True)
    def test_a_pooler_would_hand_it_on(self, settings):
        settings.STATEMENT_TIMEOUT = False
        statements.limit_statements(7)
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)

    def test_a_block_that_takes_longer(self):
        def shown():
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                return cursor.fetchone()[0]

        statements._limit["seconds"] = 7
        with statements.long_statements():
            assert shown() == "10min"

    def test_pages_have_a_limit(self):
        asked = "import console.wsgi; from console.database import statements; print(statements.statement_seconds())"
        shown = subprocess.run(
            [sys.executable, "-c", asked], cwd=BASE_DIR, capture_output=True, text=True, check=True
        ).stdout
        assert shown == f"{statements.PAGE_SECONDS}\n"


class TestShare:
    @pytest.fixture
    def ask(self, ann, settings):
        """What an account is answered while its own requests are under way, from the innermost outwards."""
        settings.WEB_THREADS = 5
        request = RequestFactory().get("/images/")
        request.COOKIES[settings.SESSION_COOKIE_NAME] = "x"

        def run(depth, session=None):
            answers = []

            def answer(request):
                if len(waiting) < depth:
                    waiting.append(request)
                    answers.append(middleware(request).status_code)
                return HttpResponse()

            waiting = []
            middleware = ConcurrencyLimitMiddleware(answer)
            request.session = session or {SESSION_KEY: str(ann.pk)}
            answers.append(middleware(request).status_code)
            return answers

        return run

    def test_as_many_as_it_may_have(self, ask):
        assert ask(2) == [200, 200, 200]

    def test_one_more(self, ask):
        assert ask(3) == [429, 200, 200, 200]

    def test_with_few_threads_there_are_two(self, ask, settings):
        settings.WEB_THREADS = 1
        assert ask(1) == [200, 200]

    def test_strangers_share_nothing(self, ask):
        assert ask(9, {"next": "/"}) == [200] * 10
