"""Background job that deletes expired sessions."""

from __future__ import annotations

from procrastinate.contrib.django import app

from console.accounts.sessions import SessionStore
from console.jobs.queue import INDEX_QUEUE


@app.periodic(cron="17 * * * *")
@app.task(name="signin.forget_sessions", queue=INDEX_QUEUE, queueing_lock="signin.forget_sessions")
def forget_sessions(timestamp: int = 0) -> None:
    """Delete expired sessions; most are anonymous ones that began on the sign-in page."""
    SessionStore.clear_expired()
