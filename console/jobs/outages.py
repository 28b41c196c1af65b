"""Classify errors: outages of the registry or the database, which are retried without limit."""

from __future__ import annotations

from http import HTTPStatus

from django.db import InterfaceError, OperationalError

from console.database.statements import took_too_long
from registry_client import RegistryUnavailable, Unauthorized


def is_of_one_tag(error: BaseException) -> bool:
    """Whether the registry answered 500 because it cannot read a single tag: a permanent error, not an outage."""
    return isinstance(error, RegistryUnavailable) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR


def is_outage(error: BaseException) -> bool:
    """Whether the registry does not answer, or rejects the console's own token: not the fault of the requested item."""
    return isinstance(error, Unauthorized) or (isinstance(error, RegistryUnavailable) and not is_of_one_tag(error))


def is_database_outage(error: BaseException) -> bool:
    """Whether the database does not answer or lacks a resource; a rejected row or statement is no outage.

    A statement that times out, or is too long or complex (PostgreSQL's errors of class 54), would fail at each retry.
    """
    refused = took_too_long(error) or (getattr(error.__cause__, "sqlstate", None) or "").startswith("54")
    return isinstance(error, (OperationalError, InterfaceError)) and not refused
