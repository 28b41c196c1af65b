"""The registry's notifications (Distribution, "Notifications").

A push or a deletion is a hint to look at a tag again, or at a manifest by its digest; pushes and pulls are counted.
What was pushed is remembered by its digest, for the day when the image is deleted.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import (
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.dateparse import parse_datetime
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from procrastinate.exceptions import ConnectorException

from console.access.names import split_repository
from console.registry.index import activity, hints, jobs
from console.registry.index.activity import Occurrence
from console.registry.index.hints import Notice
from console.registry.index.models import UnusableEvents
from console.registry.signing import CONSOLE_SUBJECT
from console.repositories import pushed_digests
from registry_client.names import check_tag, is_digest

log = logging.getLogger(__name__)

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_LONGEST_AGO, _FURTHEST_AHEAD = datetime.timedelta(days=30), datetime.timedelta(days=1)
_ACTIONS = {"push", "pull", "delete", "mount"}
Reason = UnusableEvents.Reason


class Unusable(Exception):
    """An event that nothing can be made of."""


@dataclass
class Taken:
    """What an envelope comes to."""

    notices: list[Notice] = field(default_factory=list)
    pushes: set[tuple[str, str]] = field(default_factory=set)
    occurrences: list[Occurrence] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)


@csrf_exempt
@require_POST
def notifications(request: HttpRequest) -> HttpResponse:
    """Take in an envelope of events.

    The registry sends an event again until it is accepted and keeps all others waiting behind it. So whatever can
    never be used is counted and answered 200, and only a database that is away is answered 503.
    """
    if not constant_time_compare(
        request.headers.get("Authorization", ""), f"Bearer {settings.KEYS.notification_secret}"
    ):
        return HttpResponse(status=401)
    taken = Taken()
    try:
        events = json.loads(request.body)["events"]
        if not isinstance(events, list):
            raise TypeError
        for event in events:
            _read(event, taken)
    except UnreadablePostError:
        return HttpResponse(status=400)  # it broke off in the middle, and is sent again
    except (ValueError, TypeError, KeyError, RecursionError, RequestDataTooBig):
        taken.unusable[Reason.UNREADABLE] += 1
    if taken.unusable:
        log.warning("notifications that nothing can be made of: %s", dict(taken.unusable))
    try:
        try:
            _keep(taken)
        except (NotSupportedError, ProgrammingError):
            # A pooler mixed connections up, say: what was prepared is no longer there. All of it is done once more.
            if connection.in_atomic_block:
                raise
            connection.close()
            _keep(taken)
    except (OperationalError, InterfaceError, InternalError, ConnectorException):
        log.error("notifications wait: the database cannot be reached")
        return HttpResponse(status=503)
    return HttpResponse(status=200)


def _keep(taken: Taken) -> None:
    """Store the hints and what is to be counted, then queue the work, unless it waits already."""
    with connection.pipeline(), transaction.atomic():  # type: ignore[attr-defined]
        # All in a settled order: two envelopes taken in at once must not wait for each other.
        hints.remember(taken.notices)
        pushed_digests.remember(taken.pushes)
        activity.store(sorted(taken.occurrences, key=lambda one: one.event))
        for reason, number in sorted(taken.unusable.items()):
            activity.count_unusable(reason, number)
    if taken.notices:
        jobs.queue_sync()


def _text(value: Any) -> str:
    """A string that the database can hold: JSON can also write NUL and halves of characters."""
    return value if isinstance(value, str) and _UNSTORABLE.search(value) is None else ""


def _read(event: Any, taken: Taken) -> None:
    """Add what an event says to ``taken``."""
    try:
        _understand(event, taken)
    except Unusable as unusable:
        taken.unusable[str(unusable)] += 1


def _understand(event: Any, taken: Taken) -> None:
    if not isinstance(event, dict):
        raise Unusable(Reason.MALFORMED)
    action = _text(event.get("action"))
    if action not in _ACTIONS:
        raise Unusable(Reason.UNKNOWN)
    target, actor, request = (
        part if isinstance(part := event.get(key), dict) else {} for key in ("target", "actor", "request")
    )
    if action == "mount" or target.get("mediaType") == "application/octet-stream":
        return  # blobs are of no interest
    repository, tag, digest = (_text(target.get(key)) for key in ("repository", "tag", "digest"))
    if split_repository(repository) is None:
        raise Unusable(Reason.MALFORMED)
    try:
        if tag:
            check_tag(tag)
    except ValueError:
        raise Unusable(Reason.MALFORMED) from None
    if not is_digest(digest):
        digest = ""  # none, or of an algorithm that nobody here can verify
    if not tag and not digest:
        raise Unusable(Reason.MALFORMED)
    who = _text(actor.get("name"))[:64]
    if who == CONSOLE_SUBJECT:
        return  # the console's own changes are followed by its own looks
    number, moment = _text(event.get("id"))[:64], _moment(_text(event.get("timestamp")))
    if action == "pull":
        # A look at whether it is there (HEAD) is told as a pull too.
        if request.get("method") != "HEAD":
            if not number:
                raise Unusable(Reason.MALFORMED)  # it could not be told from a repetition
            taken.occurrences.append(Occurrence(number, repository, tag, digest, True, _near(moment)))
    elif action == "push":
        if digest:
            taken.pushes.add((repository, digest))
        if tag:
            taken.notices.append(Notice(repository, tag, moment, who, digest))
            if number:
                taken.occurrences.append(Occurrence(number, repository, tag, digest, False, _near(moment)))
        else:
            # By its digest alone: it may name a subject, which it is shown with.
            taken.notices.append(Notice(repository, digest, moment, who, digest))
    else:
        taken.notices.append(Notice(repository, tag or digest))


def _near(moment: datetime.datetime) -> datetime.datetime:
    """The time of an event that is counted; now when that is so long ago that a clock must have been wrong."""
    now = timezone.now()
    return moment if now - moment < _LONGEST_AGO else now


def _moment(text: str) -> datetime.datetime:
    """The time that an event tells; now where it tells none, or one that no clock can have shown yet."""
    now = timezone.now()
    try:
        found = parse_datetime(text)
        if found is None:
            return now
        found = found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return now
    return found if found.year > 1 and found - now < _FURTHEST_AHEAD else now
