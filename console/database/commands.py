"""Error message of management commands when the database cannot be reached or is not set up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError
from psycopg.errors import UndefinedTable


@contextmanager
def running_installation() -> Iterator[None]:
    """Turn a missing database into an error message for the operator.

    :raises CommandError: when the database cannot be reached, or does not have the tables of My Images.
    """
    try:
        yield
    except OperationalError:
        raise CommandError(_sentence()) from None
    except ProgrammingError as problem:
        if not isinstance(problem.__cause__, UndefinedTable):
            raise
        raise CommandError(_sentence()) from None


def _sentence() -> str:
    if settings.ENVIRONMENT.embedded_database:
        return (
            f"My Images is not running with DATA_DIR={settings.ENVIRONMENT.data_dir}: start it, or run this command "
            "with the same DATA_DIR and other variables as make run."
        )
    return (
        "My Images has no database at DATABASE_URL, or it cannot be reached: start My Images, or run this command with "
        "the same DATABASE_URL and other variables as make run."
    )
