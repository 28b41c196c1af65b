"""Background job that deletes expired rate-limit marks."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import INDEX_QUEUE
from console.throttling.models import Mark


@app.periodic(cron="*/10 * * * *")
@app.task(name="guessing.forget", queue=INDEX_QUEUE, queueing_lock="guessing.forget")
def forget(timestamp: int = 0) -> None:
    """Delete expired marks; they no longer limit anything."""
    with transaction.atomic():
        # Rows that are locked are being extended just now; skipping them also prevents deadlocks.
        expired = Mark.objects.select_for_update(skip_locked=True).filter(until__lte=timezone.now())
        Mark.objects.filter(pk__in=expired.values("pk")).delete()
