"""Keeping what is known of Docker Hub's official images up to date. The worker does it; pages only ask for it."""

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
# Of an image with more tags the newest are kept.
MOST_TAGS = 3000
_MOST_IMAGES = 5000
# After a failure the next attempt waits so long, doubled with each further one up to an hour.
_FIRST_WAIT = datetime.timedelta(minutes=1)
_LONGEST_WAIT = datetime.timedelta(hours=1)
# People may ask again after so long; a page that is opened, too.
ASK_AGAIN = datetime.timedelta(minutes=1)
# Reading an image's tags ends after so many seconds, that other work gets its turn.
_TURN_SECONDS = 60.0


def state() -> Catalogue:
    """How the catalogue was last asked for; one that never was has an empty row, saved or not."""
    return Catalogue.objects.filter(pk=1).first() or Catalogue()


def held_back(now: datetime.datetime, catalogue: Catalogue) -> bool:
    """Whether Docker Hub wants no request just now."""
    return catalogue.retry_at is not None and catalogue.retry_at > now


def due(now: datetime.datetime, catalogue: Catalogue) -> bool:
    """Whether the catalogue should be read again by itself: every six hours, later and later after failures."""
    if not settings.DOCKERHUB_ENABLED or held_back(now, catalogue):
        return False
    if catalogue.refreshed_at is not None and catalogue.refreshed_at > now - CATALOGUE_AGE:
        return False
    if not catalogue.failures or catalogue.tried_at is None:
        return True
    wait: datetime.timedelta = min(_FIRST_WAIT * 2 ** min(catalogue.failures - 1, 10), _LONGEST_WAIT)
    return catalogue.tried_at <= now - wait


def may_be_asked() -> bool:
    """Note that somebody asks for the catalogue; false when somebody just did, or Docker Hub wants no request."""
    now = timezone.now()
    Catalogue.objects.get_or_create(pk=1)
    free = Catalogue.objects.filter(
        Q(asked_at=None) | Q(asked_at__lte=now - ASK_AGAIN), Q(retry_at=None) | Q(retry_at__lte=now)
    )
    return settings.DOCKERHUB_ENABLED and free.update(asked_at=now) == 1


def refresh() -> None:
    """Read the list of official images. What cannot be read leaves what is known as it is, and says so."""
    known, _made = Catalogue.objects.get_or_create(pk=1)
    Catalogue.objects.update(tried_at=timezone.now())
    try:
        with HubApi(settings.DOCKERHUB_API) as api:
            found, pages, whole = _read_images(api, {page["address"]: page for page in known.pages})
    except HubProblem as problem:
        log.warning("Docker Hub's list of official images was not read: %s", problem)
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
    """Leave Docker Hub alone for as long as it asked."""
    wait = problem.wait
    if wait is not None:
        Catalogue.objects.update(retry_at=timezone.now() + datetime.timedelta(seconds=wait))


def _read_images(
    api: HubApi, known: dict[str, dict[str, Any]]
) -> tuple[dict[str, OfficialImage], list[dict[str, Any]], bool]:
    """Read the list page by page.

    :param known: pages as they came last, by address: those that did not change since are not sent again.
    :return: the images on pages that changed; all pages, to be known next time; and whether these are all there are, so
        that an image on none of them is no longer listed.
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
    # Told apart by name: what moves from one page to another meanwhile is read twice or not at all.
    count = len({name for page in pages for name in page["names"]}) + sum(page["unusable"] for page in pages)
    return found, pages, not address and count >= total


# --- tags -----------------------------------------------------------------------------------------------------------


def tags_due(now: datetime.datetime, image: OfficialImage, catalogue: Catalogue) -> bool:
    """Whether the image's tags should be read again for somebody who looks at them."""
    if not settings.DOCKERHUB_ENABLED or held_back(now, catalogue):
        return False
    if image.tags_known_at is not None and image.tags_known_at > now - TAGS_AGE:
        return False
    return image.tags_tried_at is None or image.tags_tried_at <= now - ASK_AGAIN


def read_tags(name: str) -> None:
    """Read the tags of an official image, the newest ``MOST_TAGS`` of them; each page shows as soon as it is read."""
    image = OfficialImage.objects.filter(name=name).first()
    if image is None:
        return
    row = OfficialImage.objects.filter(pk=image.pk)
    now = timezone.now()
    if held_back(now, state()):
        row.update(tags_tried_at=now, tags_problem=Problem.BUSY)
        return
    row.update(tags_tried_at=now, tags_problem="")
    try:
        with HubApi(settings.DOCKERHUB_API) as api:
            first = api.page(api.tags(name), image.tags_etag, image.tags_modified)
            if first is not None:
                _keep_tags(api, image, first)
    except HubProblem as problem:
        log.warning("the tags of Docker Hub's image %s were not read: %s", name, problem)
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
        # As many as are kept: the older ones go.
        oldest = known.filter(name__in=seen).aggregate(oldest=Min("pushed_at"))["oldest"]
        gone = gone.filter(Q(pushed_at=None) | Q(pushed_at__lt=oldest)) if oldest else gone.none()
    elif len(seen) + unusable < last.total:
        gone = gone.none()  # fewer than there are said to be prove nothing about those that did not come
    with transaction.atomic():
        gone.delete()
        row.update(tags_etag=first.etag, tags_modified=first.modified)


def _following(api: HubApi, page: Page) -> Page | None:
    """The page after this one; ``None`` where Docker Hub shows nobody without an account how the list goes on."""
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
