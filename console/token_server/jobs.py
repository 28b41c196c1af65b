"""Background job that removes expired logins and access tokens."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from console.access_tokens import services as access_tokens
from console.jobs.queue import INDEX_QUEUE
from console.token_server import logins


@app.periodic(cron="37 3 * * *")
@app.task(name="tokens.forget_old", queue=INDEX_QUEUE, queueing_lock="tokens.forget_old")
def forget_old(timestamp: int = 0) -> None:
    """Delete the rows of expired logins, and of access tokens that expired or were revoked long ago."""
    now = timezone.now()
    logins.forget_old(now)
    access_tokens.forget_old(now)
