"""Background job for roles: end those that have expired."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import WORK_QUEUE
from console.sharing.services import end_expired


@app.periodic(cron="* * * * *")
@app.task(name="members.end_expired", queue=WORK_QUEUE, queueing_lock="members.end_expired", lock="members.end_expired")
def end_expired_roles(timestamp: int = 0) -> None:
    """Delete the roles that have expired, in batches, and record each. The rules ignore an expired role at once."""
    while end_expired(timezone.now()):
        pass
