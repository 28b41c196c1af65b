"""An account's own activity: what it did, and what was done to what is its own."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from django.db.models import Max
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.audit.activity import Asked, Page, Place, read
from console.audit.models import AuditEvent
from console.namespaces.models import Namespace

# Kinds of events, and the first words of their actions. Registry access is shown alone: there are very many of it.
KINDS: dict[str, tuple[Promise, tuple[str, ...]]] = {
    "account": (_("Account and sign-in"), ("account", "identity", "password", "second_factor", "service")),
    "credentials": (_("Access tokens and Docker logins"), ("access_token", "accesstoken", "login")),
    "namespaces": (_("Namespaces"), ("namespace", "service_account")),
    "members": (_("Members and teams"), ("invitation", "member", "team")),
    "images": (_("Images and tags"), ("failure", "image", "index", "tag")),
    "access": (_("Registry access"), ("token",)),
}
# Names of periods, and their length in days.
PERIODS: dict[str, tuple[Promise, int]] = {
    "day": (_("Last 24 hours"), 1),
    "week": (_("Last 7 days"), 7),
    "month": (_("Last 30 days"), 30),
    "year": (_("Last 365 days"), 365),
}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
# Until the year 9999, and PostgreSQL's largest bigint.
_LATEST, _LARGEST = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND, (1 << 63) - 1


def events_of(account: Account, query: QueryDict) -> Page:
    """The page of an account's activity that the URL selects, with ``kind``, ``time`` and ``before``.

    Unknown values count as absent.
    """
    kind, period = query.get("kind", ""), query.get("time", "")
    days = PERIODS[period][1] if period in PERIODS else None
    return read(
        Asked(
            account=account.account_id,
            owned=owned_since(account),
            kinds=KINDS[kind][1] if kind in KINDS else (),
            since=timezone.now() - datetime.timedelta(days=days) if days else None,
            before=_place(query.get("before", "")),
        )
    )


def owned_since(account: Account) -> Mapping[str, datetime.datetime]:
    """The account's namespaces, and since when each is its own. What happened there before is another's business."""
    created = dict(Namespace.objects.owned_by(account).values_list("name", "created_at"))
    came = AuditEvent.objects.filter(action="namespace.transferred", target__in=created).order_by()
    transferred = dict(came.values_list("target").annotate(Max("at")))
    return {name: max(at, transferred.get(name, at)) for name, at in created.items()}


def cursor(place: Place) -> str:
    """A place as it stands in the URL."""
    return f"{(place.at - _EPOCH) // _MICROSECOND}-{place.pk}"


def _place(text: str) -> Place | None:
    at, _dash, pk = text.partition("-")
    # ASCII digits of a bounded length: ``int`` also takes others, and is slow for very many.
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (at, pk)):
        return None
    if int(at) > _LATEST or int(pk) > _LARGEST:
        return None
    return Place(_EPOCH + datetime.timedelta(microseconds=int(at)), int(pk))
