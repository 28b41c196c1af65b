"""Access tokens that expire soon: warnings by e-mail, 14, 7 and 1 day before, and notices on pages."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.access.roles import Role
from console.accounts.models import AccessToken, Account
from console.membership.models import Grant, TeamMember
from console.namespaces.models import Namespace

# Days before the end at which somebody is warned, the first one first.
WARN_DAYS = (14, 7, 1)
_BATCH = 100
# Notices of service accounts on one page.
_MOST_NOTICES = 3


def expiring(now: datetime.datetime) -> QuerySet[AccessToken]:
    """The tokens that expire within 14 days, or within the longest of the periods that their life is longer than.

    A token that was made for a week is not said to expire soon on its first day.
    """
    within = Q()
    for days in WARN_DAYS:
        period = datetime.timedelta(days=days)
        within |= Q(expires_at__lte=now + period, created_at__lt=F("expires_at") - period)
    return AccessToken.objects.filter(within, revoked_at=None, expires_at__gt=now)


def take_due(now: datetime.datetime) -> list[tuple[AccessToken, int]]:
    """Some tokens whose next warning is due, each with its days; call it in a transaction, and mark them.

    Locked until the commit; those that another process has locked are left out.
    """
    due = Q()
    for days, fewer in zip(WARN_DAYS, (*WARN_DAYS[1:], 0), strict=True):
        period, end = datetime.timedelta(days=days), datetime.timedelta(days=fewer)
        due |= Q(
            Q(warned_days=None) | Q(warned_days__gt=days),
            expires_at__gt=now + end,
            expires_at__lte=now + period,
            created_at__lt=F("expires_at") - period,
        )
    tokens = AccessToken.objects.select_for_update(of=("self",), skip_locked=True).select_related(
        "account__service_account__namespace"
    )
    found = tokens.filter(due, revoked_at=None, account__is_active=True).order_by("expires_at")[:_BATCH]
    return [(token, min(days for days in WARN_DAYS if now + _days(days) >= _end(token))) for token in found]


def mark(token: AccessToken, days: int) -> None:
    """Mark that the warning of ``days`` days before the end is queued."""
    AccessToken.objects.filter(pk=token.pk).update(warned_days=days)


def recipients(token: AccessToken) -> list[Account]:
    """Who is warned: the person; of a service account the owners of its namespace with a confirmed e-mail."""
    account = token.account
    if not account.is_service:
        return [account] if account.email else []
    return list(owners_of(account.service_account.namespace).filter(email=F("confirmed_email")))


def owners_of(namespace: Namespace) -> QuerySet[Account]:
    """The people who own a namespace: by themselves, by a role, or by a team."""
    grants = Grant.objects.current().filter(namespace=namespace, image=None, role=int(Role.OWNER))
    members = TeamMember.objects.filter(team__in=grants.exclude(team=None).values("team"))
    owners = (
        Q(pk=namespace.owner_id)
        | Q(pk__in=grants.exclude(account=None).values("account"))
        | Q(pk__in=members.values("account"))
    )
    return Account.objects.filter(owners, is_active=True, is_service=False).order_by("pk")


def days_left(end: datetime.datetime, now: datetime.datetime) -> int:
    """Days until the end, of which the last has begun: 1 within 24 hours."""
    return max(1, -(-(end - now) // _days(1)))


@dataclass(frozen=True)
class Notice:
    """A notice on a page: a sentence, and the page with the tokens."""

    text: str
    address: str


def notices(account: Account) -> list[Notice]:
    """Notices of the tokens that expire soon: the account's own, and of service accounts that it manages; one query."""
    now = timezone.now()
    managed = Namespace.objects.allowing(account, "namespace.manage_members")
    rows = (
        expiring(now)
        .filter(Q(account=account) | Q(account__service_account__namespace__in=managed))
        .order_by("expires_at")
        .values_list(
            "expires_at",
            "account__service_account__namespace__name",
            "account__service_account__name",
        )[:_BATCH]
    )
    ends: dict[tuple[str | None, str | None], list[datetime.datetime]] = {}
    for end, namespace, service in rows:
        if end is not None:
            ends.setdefault((namespace, service), []).append(end)
    own = [notice_of(found, now, reverse("access-tokens")) for key, found in ends.items() if key[0] is None]
    services = [
        notice_of(found, now, reverse("service-account", args=key), "+".join(key))  # type: ignore[arg-type]
        for key, found in ends.items()
        if key[0] is not None
    ]
    return [*own, *services[:_MOST_NOTICES]]


def notice_for(tokens: QuerySet[AccessToken], now: datetime.datetime, address: str) -> Notice | None:
    """The notice of those of these tokens that expire soon; one query."""
    ends = list(expiring(now).filter(pk__in=tokens.values("pk")).order_by("expires_at").values_list("expires_at"))
    return notice_of([end for (end,) in ends if end], now, address) if ends else None


def notice_of(ends: Iterable[datetime.datetime], now: datetime.datetime, address: str, service: str = "") -> Notice:
    """The notice of tokens that expire at these times.

    :param service: the user name of the service account whose tokens they are.
    """
    found = list(ends)
    left = days_left(min(found), now)
    if len(found) == 1:
        tokens = _("1 access token of %s") % service if service else _("1 access token")
        text = ngettext("%(tokens)s expires within a day", "%(tokens)s expires in %(days)d days", left)
    else:
        tokens = _("%(count)d access tokens of %(service)s") if service else _("%(count)d access tokens")
        tokens %= {"count": len(found), "service": service}
        text = ngettext(
            "%(tokens)s expire soon, the first within a day", "%(tokens)s expire soon, the first in %(days)d days", left
        )
    return Notice(text % {"tokens": tokens, "days": left}, address)


def _days(count: int) -> datetime.timedelta:
    return datetime.timedelta(days=count)


def _end(token: AccessToken) -> datetime.datetime:
    assert token.expires_at is not None, "held by the query"  # noqa: S101  # nosec B101
    return token.expires_at
