"""That a backup is in the audit trail, and that nothing about that throws a backup away."""

import os
from pathlib import Path

import pytest
from django.db import InterfaceError

from console.audit.models import AuditEvent
from console.backup import services

pytestmark = pytest.mark.django_db


def test_a_path_that_is_not_utf_8():
    services._record(Path(os.fsdecode(b"/backups/Z\xfcrich.tar")))
    assert AuditEvent.objects.get(action="backup.make").target == "/backups/Z\ufffdrich.tar"


def test_the_connection_is_gone(monkeypatch, caplog):
    def record(*_arguments):
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(services, "record", record)
    services._record(Path("/backups/today.tar"))
    assert "the backup is not recorded in the audit log: connection already closed" in caplog.text
