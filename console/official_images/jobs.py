"""Background jobs that read from Docker Hub; pages never do."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import WORK_QUEUE, defer_once
from console.official_images import catalogue

# One job at a time, to limit requests to Docker Hub and leave threads of the worker to other jobs.
_LOCK = "dockerhub"


@app.periodic(cron="* * * * *")
@app.task(name="dockerhub.keep_up", queue=WORK_QUEUE, queueing_lock="dockerhub.keep_up", lock=_LOCK)
def keep_up(timestamp: int = 0) -> None:
    """Refresh the catalogue if it is older than six hours or was never read; also retries after failures."""
    if catalogue.due(timezone.now(), catalogue.state()):
        catalogue.refresh()


@app.task(name="dockerhub.refresh", queue=WORK_QUEUE)
def refresh() -> None:
    """Refresh the catalogue on a user's request."""
    if not catalogue.is_backing_off(timezone.now(), catalogue.state()):
        catalogue.refresh()


@app.task(name="dockerhub.read_tags", queue=WORK_QUEUE)
def read_tags(name: str) -> None:
    """Read the tags of an official image whose page was opened."""
    catalogue.read_tags(name)


def ask_for_catalogue() -> bool:
    """Queue a refresh of the catalogue; false if there was one a moment ago, or during a backoff."""
    return catalogue.may_be_asked() and defer_once(refresh, "dockerhub.refresh", lock=_LOCK)


def ask_for_tags(name: str) -> bool:
    """Queue the reading of an image's tags unless it is queued already; returns whether it was queued."""
    return defer_once(read_tags, f"dockerhub tags {name}", lock=_LOCK, name=name)
