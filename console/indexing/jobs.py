"""Looking again at what a notification or the clock pointed at."""

from __future__ import annotations

import datetime
import logging

from django.utils.dateparse import parse_datetime
from procrastinate.contrib.django import app

from console.images.models import Image
from console.indexing import services
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.queue import INDEX_QUEUE, KeepTrying, defer_once, repository_lock
from console.registry import registry

log = logging.getLogger(__name__)


@app.task(name="indexing.reread_tag", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_tag(repository: str, tag: str, pushed_at: str | None = None, pushed_by: str = "") -> None:
    """Bring one tag in line with the registry."""
    services.reread_tag(repository, tag, pushed_at=_moment(pushed_at), pushed_by=pushed_by)


@app.task(name="indexing.reread_image", queue=INDEX_QUEUE, retry=KeepTrying())
def reread_image(repository: str) -> None:
    """Bring all tags of an image in line with the registry."""
    services.reread_image(repository)


@app.periodic(cron="17 * * * *")
@app.task(name="indexing.reconcile", queue=INDEX_QUEUE, queueing_lock="indexing.reconcile", retry=KeepTrying(60))
def reconcile(timestamp: int = 0) -> None:
    """Look again at every image, and at repositories in somebody's namespace that have no row yet.

    Notifications live in the registry's memory only: what was queued when it died is found here.
    """
    look_again()


def look_again() -> int:
    """Queue a re-read of every repository that may need one; how many were queued."""
    repositories = {
        f"{namespace}/{name}"
        for namespace, name in Image.objects.filter(state=Image.State.ACTIVE).values_list("namespace__name", "name")
    }
    namespaces = set(Namespace.objects.values_list("name", flat=True))
    for repository in registry().catalog():
        parts = split_repository(repository)
        if parts is not None and parts[0] in namespaces:
            repositories.add(repository)
    return sum(
        defer_once(reread_image, f"image {name}", lock=repository_lock(name), repository=name)
        for name in sorted(repositories)
    )


def _moment(text: str | None) -> datetime.datetime | None:
    try:
        found = parse_datetime(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=datetime.UTC) if found is not None and found.tzinfo is None else found
