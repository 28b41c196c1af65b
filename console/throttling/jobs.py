"""Background job that forgets expired rate limits."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import INDEX_QUEUE
from console.throttling.models import Mark


@app.periodic(cron="*/10 * * * *")
@app.task(name="guessing.forget", queue=INDEX_QUEUE, queueing_lock="guessing.forget")
def forget(timestamp: int = 0) -> None:
    """Remove marks whose time is over: they say nothing any more."""
    with transaction.atomic():
        # Those that somebody is just writing are left: they are not over any more, and nobody waits for two of them.
        over = Mark.objects.select_for_update(skip_locked=True).filter(until__lte=timezone.now())
        Mark.objects.filter(pk__in=over.values("pk")).delete()
