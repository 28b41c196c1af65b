"""Record when and from where access tokens and logins were last used: at most once a minute each."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from console.accounts.models import AccessToken
from console.token_server.lookup import TokenUse
from console.token_server.models import Login
from console.token_server.token_request import Secret, TokenRequest

_INTERVAL = datetime.timedelta(minutes=1)
# When the address differs from the one before.
_INTERVAL_ELSEWHERE = datetime.timedelta(seconds=1)


def record(request: TokenRequest, use: TokenUse) -> None:
    """Record the use of the access token or login that a request presented, if the last record is old enough."""
    now = timezone.now()
    if use.last_at is None or use.last_at < now - _interval(use.last_from, request.address):
        presented = AccessToken if isinstance(request.credentials, Secret) else Login
        update(presented.objects.filter(pk=use.presented), request.address, now)


def _interval(last_from: str | None, address: str | None) -> datetime.timedelta:
    return _INTERVAL if address == last_from else _INTERVAL_ELSEWHERE


def update(row: QuerySet[Any], address: str | None, now: datetime.datetime) -> None:
    """Set ``last_used_at`` and ``last_used_from``, unless another process has done so within the interval.

    Many machines may use one token at the same time: they cause few writes, so that none waits for another's.

    :param row: one access token or login.
    :param address: the client's IP address, or ``None`` if the server does not know it.
    """
    elsewhere = Q(last_used_from__isnull=False) if address is None else ~Q(last_used_from=address)
    row.filter(
        Q(last_used_at=None)
        | Q(last_used_at__lt=now - _INTERVAL)
        | Q(elsewhere, last_used_at__lt=now - _INTERVAL_ELSEWHERE)
    ).update(last_used_at=now, last_used_from=address)
