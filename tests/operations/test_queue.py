"""Which failures the queue tries for ever, and which it ends one day."""

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from procrastinate.jobs import Job

from console.queue import KeepTrying
from registry_client import Denied, MalformedManifest, RegistryUnavailable, Unauthorized


def decision(error, attempts):
    job = Job(id=1, queue="work", lock=None, queueing_lock=None, task_name="x", attempts=attempts)
    return KeepTrying().get_retry_decision(exception=error, job=job)


@pytest.mark.parametrize(
    "error",
    [
        DataError("too long"),
        IntegrityError("twice"),
        MalformedManifest("odd"),
        Denied("no", status=403),
        RegistryUnavailable("broken", status=500),
        RuntimeError("a defect"),
    ],
)
def test_what_is_refused_ends_one_day(error):
    assert decision(error, 4999) is not None
    assert decision(error, 5000) is None


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("no room"),
        InterfaceError("closed"),
        RegistryUnavailable("down"),
        RegistryUnavailable("down", status=503),
        Unauthorized("who", status=401),
    ],
)
def test_an_outage_is_waited_for(error):
    assert decision(error, 5000) is not None
