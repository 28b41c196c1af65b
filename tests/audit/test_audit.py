"""The audit log."""

import pytest
from django.db import DatabaseError, transaction
from django.test import RequestFactory

from console.accounts.models import Account
from console.audit.middleware import client_address
from console.audit.models import AuditEvent
from console.audit.origin import SYSTEM, Origin, set_origin
from console.audit.services import record
from tests.support.factories import AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_origin():
    yield
    set_origin(None)


def test_it_works():
    set_origin(Origin(lambda: "123456789012", "192.0.2.1"))
    event = record("image.create", "team/app", type="private")
    assert (event.actor, event.address, event.detail) == ("123456789012", "192.0.2.1", {"type": "private"})
    assert "image.create team/app" in str(event)


def test_without_a_request_it_was_the_system():
    assert record("x.y", "z").actor == SYSTEM
    assert record("x.y", "z", actor="somebody").actor == "somebody"


def test_a_password_that_is_taken_away():
    account = AccountFactory()
    account.set_unusable_password()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        account.save()
        raise ZeroDivisionError
    assert not AuditEvent.objects.exists()
    account = Account.objects.get()
    account.set_unusable_password(), account.set_unusable_password(), account.save(), account.save()
    account = Account.objects.get()
    account.set_unusable_password(), account.save()
    event = AuditEvent.objects.get()
    assert (event.action, event.target) == ("account.password", account.account_id)
    assert event.detail == {"changes": {"usable": [True, False]}}
    account.set_password("a brand new word 9"), account.save()
    assert AuditEvent.objects.latest("id").detail == {}


def test_a_long_target_is_cut():
    assert len(record("x.y", "z" * 1000).target) == 400


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_nobody_can_change_what_was_written(verb):
    event = record("x.y", "z")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        if verb == "delete":
            event.delete()
        else:
            AuditEvent.objects.update(actor="somebody else")
    assert AuditEvent.objects.get().actor == SYSTEM


def test_what_is_rolled_back_was_not_done():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("x.y", "z")
        raise ZeroDivisionError
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("given", "found"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("", None), ("unix:", None)]
    # The interface's name is the machine's own, and no part of what PostgreSQL takes for an address.
    + [("fe80::1%eth0", "fe80::1")],
)
def test_addresses(given, found):
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=given)) == found
