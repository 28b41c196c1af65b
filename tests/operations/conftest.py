"""An administrator, and a queue, for the tests of operations."""

import contextlib
import gc

import pytest
from django.db import connection

from tests.support.factories import AccountFactory

# A sequence counts on when what it was asked in is undone.
FULL_DISK = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('refusals') <= 2 THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER refuse BEFORE
"""


@contextlib.contextmanager
def refusing_twice(when):
    """A database that has no room the first two times that ``when``, of a trigger, happens."""
    with connection.cursor() as cursor:
        cursor.execute(f"{FULL_DISK} {when} EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse CASCADE; DROP SEQUENCE refusals")


@pytest.fixture
def boss(client):
    """An administrator, signed in."""
    account = AccountFactory(name="Boss", is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


@pytest.fixture
def queue(transactional_db):
    """An empty queue, and none left to others: it is not emptied with the tables of the models."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")
    # A worker's threads leave their connections to the garbage collector, and the database cannot be dropped with them.
    gc.collect()
