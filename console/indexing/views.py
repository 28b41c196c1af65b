"""The registry's notifications (Distribution, "Notifications"): each is a hint to look at a tag again."""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.dateparse import parse_datetime
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from procrastinate.exceptions import ConnectorException

from console.indexing import hints, jobs
from console.indexing.hints import Notice
from console.policy import split_repository
from console.queue import defer_once, repository_lock
from console.tokens.services import CONSOLE_SUBJECT
from registry_client.names import check_tag

log = logging.getLogger(__name__)

_CHANGES = {"push", "delete"}


@csrf_exempt
@require_POST
def notifications(request: HttpRequest) -> HttpResponse:
    """Take in an envelope of events.

    The registry sends an event again until it is accepted and keeps all others waiting behind it. So whatever can
    never be used is answered 200, and only a database that is away is answered 503.
    """
    if not constant_time_compare(
        request.headers.get("Authorization", ""), f"Bearer {settings.KEYS.notification_secret}"
    ):
        return HttpResponse(status=401)
    try:
        envelope = json.loads(request.body)
        events = envelope["events"]
    except (ValueError, TypeError, KeyError, RecursionError, RequestDataTooBig):
        log.warning("a notification could not be read and was left out")
        return HttpResponse(status=200)
    notices = [notice for event in (events if isinstance(events, list) else []) if (notice := _read(event))]
    try:
        _take(notices)
    except (OperationalError, InterfaceError, ConnectorException):
        log.error("notifications wait: the database cannot be reached")
        return HttpResponse(status=503)
    return HttpResponse(status=200)


def _take(notices: list[Notice]) -> None:
    """Store the hints, then queue the work, once for each repository."""
    with transaction.atomic():
        # In a settled order: two envelopes taken in at once must not wait for each other.
        hints.remember(sorted(notices, key=lambda notice: (notice.repository, notice.tag)))
    for repository in sorted({notice.repository for notice in notices}):
        defer_once(jobs.follow_hints, f"hints {repository}", lock=repository_lock(repository), repository=repository)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and "\x00" not in value else ""


def _read(event: Any) -> Notice | None:
    """What an event points at; ``None`` for one that says nothing usable."""
    if not isinstance(event, dict) or _text(event.get("action")) not in _CHANGES:
        return None
    target, actor = event.get("target"), event.get("actor")
    if not isinstance(target, dict):
        return None
    repository, tag = _text(target.get("repository")), _text(target.get("tag"))
    pushed_by = _text(actor.get("name"))[:64] if isinstance(actor, dict) else ""
    if not tag or split_repository(repository) is None:
        return None
    try:
        check_tag(tag)
    except ValueError:
        return None
    if pushed_by == CONSOLE_SUBJECT:
        return None  # the console's own changes are followed by its own looks
    if event["action"] != "push":
        return Notice(repository, tag)
    return Notice(repository, tag, _moment(_text(event.get("timestamp"))), pushed_by)


def _moment(text: str) -> datetime.datetime | None:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found.replace(tzinfo=datetime.UTC) if found is not None and found.tzinfo is None else found
