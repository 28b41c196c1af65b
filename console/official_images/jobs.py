"""Asking Docker Hub, which pages never do themselves."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from console.jobs.queue import WORK_QUEUE, defer_once
from console.official_images import catalogue

# One at a time: Docker Hub is spared, and other work keeps its workers.
_LOCK = "dockerhub"


@app.periodic(cron="* * * * *")
@app.task(name="dockerhub.keep_up", queue=WORK_QUEUE, queueing_lock="dockerhub.keep_up", lock=_LOCK)
def keep_up(timestamp: int = 0) -> None:
    """Read the catalogue when it is six hours old, or was never read; what failed is tried again here."""
    if catalogue.due(timezone.now(), catalogue.state()):
        catalogue.refresh()


@app.task(name="dockerhub.refresh", queue=WORK_QUEUE)
def refresh() -> None:
    """Read the catalogue because somebody asked for it."""
    if not catalogue.held_back(timezone.now(), catalogue.state()):
        catalogue.refresh()


@app.task(name="dockerhub.read_tags", queue=WORK_QUEUE)
def read_tags(name: str) -> None:
    """Read the tags of an official image that somebody looks at."""
    catalogue.read_tags(name)


def ask_for_catalogue() -> bool:
    """Queue the reading of the catalogue; false when that was done a moment ago, or Docker Hub wants no request."""
    return catalogue.may_be_asked() and defer_once(refresh, "dockerhub.refresh", lock=_LOCK)


def ask_for_tags(name: str) -> bool:
    """Queue the reading of an image's tags unless that is waiting already; whether it was queued."""
    return defer_once(read_tags, f"dockerhub tags {name}", lock=_LOCK, name=name)
