"""What tests of jobs share."""

import gc

import pytest
from django.db import connection


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
