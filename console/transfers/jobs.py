"""The long work of copying from other registries."""

from __future__ import annotations

import time

from procrastinate.contrib.django import app

from console.images.models import Image
from console.queue import LATER_PRIORITY, TRANSFER_QUEUE, WORK_QUEUE, KeepTrying, repository_lock
from console.transfers import copying, credentials
from console.transfers.models import Transfer

# Longer work gives its place to others after so many seconds, between two blobs, and waits for the next.
_TURN_SECONDS = 20
# Others' registries are asked less often than our own.
_LONGEST_WAIT = 60


def start(transfer: Transfer, *, later: bool = False) -> None:
    """Queue the first step, in the caller's transaction. An earlier attempt of the same transfer ends first."""
    task = fetch.configure(lock=f"transfer:{transfer.pk}", priority=LATER_PRIORITY if later else 0)
    task.defer(transfer_id=transfer.pk, attempt=transfer.attempt)


def _start_finish(transfer: Transfer) -> None:
    image = Image.objects.select_related("namespace").get(pk=transfer.image_id)
    task = finish.configure(lock=repository_lock(image.repository))
    task.defer(transfer_id=transfer.pk, attempt=transfer.attempt)


@app.task(name="transfers.fetch", queue=TRANSFER_QUEUE, retry=KeepTrying(_LONGEST_WAIT))
def fetch(transfer_id: int, attempt: int) -> None:
    """Bring blobs and manifests; begins or goes on."""
    end = time.monotonic() + _TURN_SECONDS
    try:
        copying.fetch(transfer_id, attempt, lambda: time.monotonic() > end, _start_finish)
    except copying.TurnOver:
        transfer = copying.running(transfer_id, attempt).first()
        if transfer is not None:
            start(transfer, later=True)


@app.task(name="transfers.finish", queue=WORK_QUEUE, retry=KeepTrying())
def finish(transfer_id: int, attempt: int) -> None:
    """Point the tag at what was fetched."""
    copying.finish(transfer_id, attempt, start)


@app.periodic(cron="* * * * *")
@app.task(name="transfers.forget_credentials", queue=WORK_QUEUE, queueing_lock="transfers.forget_credentials")
def forget_credentials(timestamp: int = 0) -> None:
    """Remove the credentials of imports whose time is over."""
    credentials.forget_expired()
