"""The database connection: noticing that the server has left, prepared statements, and pipelines."""

import psycopg
import pytest
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from console.accounts.models import Account
from console.database.base import _is_closed_by_server
from tests.support.factories import AccountFactory
from tests.support.stack import wait_until


def begin_request():
    """What Django does before and after each request, as far as it has to do with the connection."""
    connection.health_check_enabled = True
    connection.close_if_unusable_or_obsolete()


@pytest.mark.django_db(transaction=True)
class TestTheServerHasLeft:
    def end(self):
        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        wait_until(lambda: _is_closed_by_server(connection.connection), "the server has left")

    def test_the_next_request_has_a_new_connection(self):
        Account.objects.count()
        before = connection.connection
        self.end()
        begin_request()
        Account.objects.count()
        assert connection.connection is not before

    def test_so_has_one_that_asks_a_prepared_statement(self):
        Account.objects.count()
        self.end()
        begin_request()
        with connection.prepared_cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]

    def test_in_the_middle_of_a_request_it_is_an_error(self):
        Account.objects.count()
        begin_request()
        Account.objects.count()
        self.end()
        with pytest.raises(OperationalError):
            Account.objects.count()
        begin_request()
        assert Account.objects.count() == 0

    def test_nobody_is_asked_whether_it_is_there(self):
        Account.objects.count()
        before = connection.connection
        begin_request()
        with CaptureQueriesContext(connection) as queries:
            Account.objects.count()
        assert len(queries) == 1
        assert connection.connection is before
        assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.django_db
class TestPrepared:
    def test_the_server_keeps_the_plan(self):
        for number in range(2):
            with connection.prepared_cursor() as cursor:
                cursor.execute("SELECT %s::int + 1 AS prepared_here", [number])
                assert cursor.fetchone() == (number + 1,)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%prepared_here'")
            assert cursor.fetchone() == (1,)

    def test_errors_are_djangos(self):
        with pytest.raises(ProgrammingError), connection.prepared_cursor() as cursor:
            cursor.execute("SELECT no_such_column")


@pytest.mark.django_db(transaction=True)
class TestPipeline:
    def test_it_works(self):
        with connection.pipeline(), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            with connection.prepared_cursor() as prepared:
                prepared.execute("SELECT %s::int", [2])
                assert prepared.fetchone() == (2,)
            assert cursor.fetchone() == (1,)
        assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_a_failure_takes_the_whole_transaction_back(self):
        with pytest.raises(ProgrammingError), connection.pipeline(), transaction.atomic():
            AccountFactory()
            with connection.cursor() as cursor:
                cursor.execute("SELECT no_such_column")
        assert not Account.objects.all().exists()
        assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_the_next_request_has_a_new_connection(self):
        """What was sent into a connection that the server has left would be lost otherwise."""
        Account.objects.count()
        TestTheServerHasLeft().end()
        begin_request()
        with connection.pipeline(), transaction.atomic():
            assert Account.objects.count() == 0
