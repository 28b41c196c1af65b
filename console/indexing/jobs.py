"""Looking again at what a notification or the clock pointed at."""

from __future__ import annotations

import logging

from procrastinate.contrib.django import app

from console.images.models import Image
from console.indexing import hints, services
from console.namespaces.models import Namespace
from console.policy import split_repository
from console.queue import INDEX_QUEUE, KeepTrying, defer_once, repository_lock
from console.registry import registry

log = logging.getLogger(__name__)


@app.task(name="indexing.follow_hints", queue=INDEX_QUEUE, retry=KeepTrying())
def follow_hints(repository: str) -> None:
    """Look at every tag of a repository that a notification pointed at."""
    hints.follow(repository)


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
