"""Language, time zone and theme of an account."""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections import defaultdict

from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.audit.services import record

# The other names of zones are aliases and offsets.
_REGIONS = {
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"),
}
UTC = "UTC"
# As the browser has it: the choice that is stored as an empty text.
BROWSER = "browser"
_Choices = list[tuple[str, str | Promise | list[tuple[str, str]]]]


@functools.cache
def time_zones() -> _Choices:
    """The time zones to choose from, by region; the first choice is the browser's."""
    regions: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in sorted(zoneinfo.available_timezones()):
        region, _slash, place = name.partition("/")
        if region in _REGIONS and place:
            regions[region].append((name, place.replace("_", " ")))
    return [(BROWSER, _("Browser’s time zone")), (UTC, UTC), *regions.items()]


def languages() -> _Choices:
    """The languages to choose from; the first choice is the browser's."""
    return [(BROWSER, _("Browser’s language")), *settings.LANGUAGES]


def zone_of(account: Account) -> datetime.tzinfo | None:
    """The account's time zone; ``None`` for the browser's, and for one that this machine no longer knows."""
    if not account.time_zone:
        return None
    try:
        return zoneinfo.ZoneInfo(account.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def language_of(account: Account) -> str:
    """The account's language; empty for the browser's, and for one that pages no longer have."""
    return account.language if account.language in dict(settings.LANGUAGES) else ""


def change(account: Account, **values: str) -> None:
    """Change some of ``language``, ``time_zone`` and ``theme``, which the caller has validated."""
    with transaction.atomic():
        locked = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        changes = {}
        for name, value in values.items():
            if (old := getattr(locked, name)) != value:
                changes[name] = [old, value]
            setattr(locked, name, value)
            setattr(account, name, value)
        if changes:
            locked.save(update_fields=list(changes))
            record("account.change", account.account_id, changes=changes)
