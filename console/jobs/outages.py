"""Classify errors: outages of the registry or the database, which are retried without an end."""

from __future__ import annotations

from http import HTTPStatus

from django.db import InterfaceError, OperationalError

from console.database.statements import took_too_long
from registry_client import RegistryUnavailable, Unauthorized


def is_of_one_tag(error: BaseException) -> bool:
    """Whether a registry that works answers so because of a single tag that it cannot read (500), and will again."""
    return isinstance(error, RegistryUnavailable) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR


def is_outage(error: BaseException) -> bool:
    """Whether the registry does not answer, or does not let the console in: what is asked for is not at fault."""
    return isinstance(error, Unauthorized) or (isinstance(error, RegistryUnavailable) and not is_of_one_tag(error))


def is_database_outage(error: BaseException) -> bool:
    """Whether the database does not answer or is short of something; a row or statement that it refuses is no outage.

    A statement that takes too long, is too long or too complex (PostgreSQL's errors of class 54) stays so, however
    often it is tried.
    """
    refused = took_too_long(error) or (getattr(error.__cause__, "sqlstate", None) or "").startswith("54")
    return isinstance(error, (OperationalError, InterfaceError)) and not refused
