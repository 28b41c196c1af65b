"""Webhook for the registry's notifications (Distribution, "Notifications").

A push or delete event becomes a hint to sync a tag, or a manifest by its digest; pushes and pulls are counted. The
digests of pushes are stored, because the deletion of the image needs them.
"""

from __future__ import annotations

import datetime
import json
import logging
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
from registry_client.json_documents import is_storable
from registry_client.names import check_tag, is_digest

log = logging.getLogger(__name__)

_LONGEST_AGO, _FURTHEST_AHEAD = datetime.timedelta(days=30), datetime.timedelta(days=1)
_ACTIONS = {"push", "pull", "delete", "mount"}
Reason = UnusableEvents.Reason


class Unusable(Exception):
    """The event is rejected; the message is the reason."""


@dataclass
class ParsedEvents:
    """The parsed events of an envelope."""

    notices: list[Notice] = field(default_factory=list)
    pushes: set[tuple[str, str]] = field(default_factory=set)
    occurrences: list[Occurrence] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)


@csrf_exempt
@require_POST
def notifications(request: HttpRequest) -> HttpResponse:
    """Receive an envelope of events.

    The registry resends an event until it is accepted, and all later ones are blocked behind it. So invalid events are
    counted and answered with 200; only a database outage is answered with 503.
    """
    if not constant_time_compare(
        request.headers.get("Authorization", ""), f"Bearer {settings.KEYS.notification_secret}"
    ):
        return HttpResponse(status=401)
    parsed = ParsedEvents()
    try:
        events = json.loads(request.body)["events"]
        if not isinstance(events, list):
            raise TypeError
        for event in events:
            _read(event, parsed)
    except UnreadablePostError:
        return HttpResponse(status=400)  # the request was cut off; the registry resends it
    except (ValueError, TypeError, KeyError, RecursionError, RequestDataTooBig):
        parsed.unusable[Reason.UNREADABLE] += 1
    if parsed.unusable:
        log.warning("rejected notifications: %s", dict(parsed.unusable))
    try:
        try:
            _store(parsed)
        except (NotSupportedError, ProgrammingError):
            # A prepared statement is missing, for example after a connection pooler switched connections. Retry once.
            if connection.in_atomic_block:
                raise
            connection.close()
            _store(parsed)
    except (OperationalError, InterfaceError, InternalError, ConnectorException):
        log.error("notifications are not stored, the registry will resend them: the database cannot be reached")
        return HttpResponse(status=503)
    return HttpResponse(status=200)


def _store(parsed: ParsedEvents) -> None:
    """Store hints, digests and activity in one transaction, then queue the sync unless it is queued already."""
    with connection.pipeline(), transaction.atomic():  # type: ignore[attr-defined]
        # All in a fixed order, against deadlocks with concurrent requests.
        hints.remember(parsed.notices)
        pushed_digests.remember(parsed.pushes)
        activity.store(sorted(parsed.occurrences, key=lambda one: one.event))
        for reason, number in sorted(parsed.unusable.items()):
            activity.count_unusable(reason, number)
    if parsed.notices:
        jobs.queue_sync()


def _text(value: Any) -> str:
    """A string that the database can store; empty for one with NUL or lone surrogates, which JSON allows."""
    return value if isinstance(value, str) and is_storable(value) else ""


def _read(event: Any, parsed: ParsedEvents) -> None:
    """Parse an event and add it to ``parsed``; invalid events are counted."""
    try:
        _parse(event, parsed)
    except Unusable as unusable:
        parsed.unusable[str(unusable)] += 1


def _parse(event: Any, parsed: ParsedEvents) -> None:
    if not isinstance(event, dict):
        raise Unusable(Reason.MALFORMED)
    action = _text(event.get("action"))
    if action not in _ACTIONS:
        raise Unusable(Reason.UNKNOWN)
    target, actor, request = (
        part if isinstance(part := event.get(key), dict) else {} for key in ("target", "actor", "request")
    )
    if action == "mount" or target.get("mediaType") == "application/octet-stream":
        return  # events of blobs are not needed
    repository, tag, digest = (_text(target.get(key)) for key in ("repository", "tag", "digest"))
    if split_repository(repository) is None:
        raise Unusable(Reason.MALFORMED)
    try:
        if tag:
            check_tag(tag)
    except ValueError:
        raise Unusable(Reason.MALFORMED) from None
    if not is_digest(digest):
        digest = ""  # missing, or of an unsupported algorithm
    if not tag and not digest:
        raise Unusable(Reason.MALFORMED)
    who = _text(actor.get("name"))[:64]
    if who == CONSOLE_SUBJECT:
        return  # the console syncs its own changes itself
    number, moment = _text(event.get("id"))[:64], _moment(_text(event.get("timestamp")))
    if action == "pull":
        # The registry also sends a pull event for a HEAD request.
        if request.get("method") != "HEAD":
            if not number:
                raise Unusable(Reason.MALFORMED)  # a resent event could not be recognised
            parsed.occurrences.append(Occurrence(number, repository, tag, digest, True, _near(moment)))
    elif action == "push":
        if digest:
            parsed.pushes.add((repository, digest))
        if tag:
            parsed.notices.append(Notice(repository, tag, moment, who, digest))
            if number:
                parsed.occurrences.append(Occurrence(number, repository, tag, digest, False, _near(moment)))
        else:
            # Without a tag: it may have a subject, under which it is shown.
            parsed.notices.append(Notice(repository, digest, moment, who, digest))
    else:
        parsed.notices.append(Notice(repository, tag or digest))


def _near(moment: datetime.datetime) -> datetime.datetime:
    """The time of an event to count; the current time if it is too long ago (a wrong clock)."""
    now = timezone.now()
    return moment if now - moment < _LONGEST_AGO else now


def _moment(text: str) -> datetime.datetime:
    """The time of an event; the current time if it is missing, invalid, or too far in the future."""
    now = timezone.now()
    try:
        found = parse_datetime(text)
        if found is None:
            return now
        found = found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return now
    return found if found.year > 1 and found - now < _FURTHEST_AHEAD else now
