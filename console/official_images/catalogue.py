"""Refresh the catalogue of Docker Hub's official images and their tags. Runs in the worker; pages queue it."""

from __future__ import annotations

import datetime
import logging
import time
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q
from django.utils import timezone

from console.official_images import rows
from console.official_images.hub_api import PAGE_ROWS, HubApi, HubProblem, Page
from console.official_images.models import Catalogue, OfficialImage, OfficialTag, Problem

log = logging.getLogger(__name__)

CATALOGUE_AGE = datetime.timedelta(hours=6)
TAGS_AGE = datetime.timedelta(hours=1)
# Limit of stored tags of an image; the newest are stored.
MOST_TAGS = 3000
_MOST_IMAGES = 5000
# Backoff after a failure: doubled with each further failure, up to an hour.
_FIRST_WAIT = datetime.timedelta(minutes=1)
_LONGEST_WAIT = datetime.timedelta(hours=1)
# Minimum time between two requests by users, or by opening a page.
ASK_AGAIN = datetime.timedelta(minutes=1)
# Reading an image's tags stops after so many seconds, so that other jobs have their turn.
_TURN_SECONDS = 60.0


def state() -> Catalogue:
    """The state of the catalogue; before the first refresh an empty row, saved or not."""
    return Catalogue.objects.filter(pk=1).first() or Catalogue()


def is_backing_off(now: datetime.datetime, catalogue: Catalogue) -> bool:
    """Whether no request may be sent now: backoff after a failure, or Docker Hub's rate limit."""
    return catalogue.retry_at is not None and catalogue.retry_at > now


def due(now: datetime.datetime, catalogue: Catalogue) -> bool:
    """Whether the catalogue is due for a refresh: every six hours, with backoff after failures."""
    if not settings.DOCKERHUB_ENABLED or is_backing_off(now, catalogue):
        return False
    if catalogue.refreshed_at is not None and catalogue.refreshed_at > now - CATALOGUE_AGE:
        return False
    if not catalogue.failures or catalogue.tried_at is None:
        return True
    wait: datetime.timedelta = min(_FIRST_WAIT * 2 ** min(catalogue.failures - 1, 10), _LONGEST_WAIT)
    return catalogue.tried_at <= now - wait


def may_be_asked() -> bool:
    """Record a user's request for a refresh; false if there was one just before, or during a backoff."""
    now = timezone.now()
    Catalogue.objects.get_or_create(pk=1)
    free = Catalogue.objects.filter(
        Q(asked_at=None) | Q(asked_at__lte=now - ASK_AGAIN), Q(retry_at=None) | Q(retry_at__lte=now)
    )
    return settings.DOCKERHUB_ENABLED and free.update(asked_at=now) == 1


def refresh() -> None:
    """Read the list of official images. After a failure the stored list is unchanged, with the problem recorded."""
    known, _made = Catalogue.objects.get_or_create(pk=1)
    Catalogue.objects.update(tried_at=timezone.now())
    try:
        with HubApi(settings.DOCKERHUB_API) as api:
            found, pages, whole = _read_images(api, {page["address"]: page for page in known.pages})
    except HubProblem as problem:
        log.warning("Docker Hub's list of official images cannot be read: %s", problem)
        _failed(problem)
        Catalogue.objects.update(problem=problem.kind, failures=min(known.failures + 1, 1000))
        return
    names = {name for page in pages for name in page["names"]}
    with transaction.atomic():
        OfficialImage.objects.bulk_create(
            [found[name] for name in sorted(found)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["description", "stars", "pulls", "updated_at", "listed"],
        )
        if whole:
            OfficialImage.objects.filter(listed=True).exclude(name__in=names).update(listed=False)
        now = timezone.now()
        Catalogue.objects.update(
            refreshed_at=now,
            problem="",
            failures=0,
            retry_at=None,
            pages=[page for page in pages if page["etag"] or page["modified"]],
        )
    log.info("Docker Hub lists %d official images", len(names))


def _failed(problem: HubProblem) -> None:
    """Record a failure, and back off for as long as Docker Hub asked."""
    wait = problem.wait
    if wait is not None:
        Catalogue.objects.update(retry_at=timezone.now() + datetime.timedelta(seconds=wait))


def _read_images(
    api: HubApi, known: dict[str, dict[str, Any]]
) -> tuple[dict[str, OfficialImage], list[dict[str, Any]], bool]:
    """Read the list page by page.

    :param known: the pages of the last refresh by URL, for conditional requests.
    :return: the images on changed pages; all pages, for the next refresh; and whether the list is complete, so that
        images on none of the pages are no longer listed.
    """
    found: dict[str, OfficialImage] = {}
    pages: list[dict[str, Any]] = []
    address, total = api.images(), 0
    while address and len(pages) * PAGE_ROWS < _MOST_IMAGES:
        before = known.get(address, {})
        page = api.page(address, before.get("etag", ""), before.get("modified", ""))
        if page is None:
            pages.append(before)
        else:
            images = [image for row in page.rows if (image := rows.image(row))]
            found |= {image.name: image for image in images}
            pages.append(
                {
                    "address": address,
                    "etag": page.etag,
                    "modified": page.modified,
                    "names": [image.name for image in images],
                    "unusable": len(page.rows) - len(images),
                    "total": page.total,
                    "following": page.following,
                }
            )
        address, total = pages[-1]["following"], pages[-1]["total"]
    if not any(page["names"] for page in pages):
        raise HubProblem(Problem.UNEXPECTED, "it lists no official image at all")
    # Counted by name: an image that moves to another page meanwhile is read twice or not at all.
    count = len({name for page in pages for name in page["names"]}) + sum(page["unusable"] for page in pages)
    return found, pages, not address and count >= total


# --- tags -----------------------------------------------------------------------------------------------------------


def tags_due(now: datetime.datetime, image: OfficialImage, catalogue: Catalogue) -> bool:
    """Whether the image's tags should be read again when its page is opened."""
    if not settings.DOCKERHUB_ENABLED or is_backing_off(now, catalogue):
        return False
    if image.tags_known_at is not None and image.tags_known_at > now - TAGS_AGE:
        return False
    return image.tags_tried_at is None or image.tags_tried_at <= now - ASK_AGAIN


def read_tags(name: str) -> None:
    """Read the newest ``MOST_TAGS`` tags of an official image; each page of them is stored as soon as it is read."""
    image = OfficialImage.objects.filter(name=name).first()
    if image is None:
        return
    row = OfficialImage.objects.filter(pk=image.pk)
    now = timezone.now()
    if is_backing_off(now, state()):
        row.update(tags_tried_at=now, tags_problem=Problem.BUSY)
        return
    row.update(tags_tried_at=now, tags_problem="")
    try:
        with HubApi(settings.DOCKERHUB_API) as api:
            first = api.page(api.tags(name), image.tags_etag, image.tags_modified)
            if first is not None:
                _keep_tags(api, image, first)
    except HubProblem as problem:
        log.warning("the tags of Docker Hub's image %s cannot be read: %s", name, problem)
        Catalogue.objects.get_or_create(pk=1)
        _failed(problem)
        row.update(tags_tried_at=timezone.now(), tags_problem=problem.kind)
        return
    row.update(tags_known_at=timezone.now())


def _keep_tags(api: HubApi, image: OfficialImage, first: Page) -> None:
    row, known = OfficialImage.objects.filter(pk=image.pk), OfficialTag.objects.filter(image=image)
    seen: set[str] = set()
    unusable = number = 0
    page: Page | None = first
    end = time.monotonic() + _TURN_SECONDS
    while page is not None:
        tags = [tag for one in page.rows if (tag := rows.tag(image, one))]
        _write({tag.name: tag for tag in tags})
        row.update(tags_total=page.total, tags_tried_at=timezone.now())
        seen |= {tag.name for tag in tags}
        unusable += len(page.rows) - len(tags)
        number += 1
        last, page = page, None
        if last.following and number * PAGE_ROWS < MOST_TAGS:
            if time.monotonic() > end:
                raise HubProblem(Problem.UNREACHABLE, "reading the tags takes too long")
            page = _following(api, last)
    gone = known.exclude(name__in=seen)
    if number * PAGE_ROWS >= MOST_TAGS:
        # The limit is reached: older tags are deleted.
        oldest = known.filter(name__in=seen).aggregate(oldest=Min("pushed_at"))["oldest"]
        gone = gone.filter(Q(pushed_at=None) | Q(pushed_at__lt=oldest)) if oldest else gone.none()
    elif len(seen) + unusable < last.total:
        gone = gone.none()  # an incomplete list does not prove that a tag is gone
    with transaction.atomic():
        gone.delete()
        row.update(tags_etag=first.etag, tags_modified=first.modified)


def _following(api: HubApi, page: Page) -> Page | None:
    """The next page; ``None`` if Docker Hub does not return more pages to anonymous clients."""
    try:
        return api.page(page.following)
    except HubProblem as problem:
        if problem.kind != Problem.REFUSED:
            raise
        return None


def _write(tags: dict[str, OfficialTag]) -> None:
    OfficialTag.objects.bulk_create(
        [tags[name] for name in sorted(tags)],
        update_conflicts=True,
        unique_fields=["image", "name"],
        update_fields=["digest", "size", "pushed_at", "platforms"],
    )
