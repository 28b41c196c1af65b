"""Rate limits for password guesses, and how long to wait (generic cell rate algorithm)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class GuessLimit:
    """So many wrong guesses ``at_once``, and one more each ``seconds``."""

    at_once: int
    seconds: float


def guess_limits(known: bool, secret: bool = False, door: str = "") -> dict[str, GuessLimit]:
    """What a wrong guess counts towards, and what holds back the next, by ``guesses.KINDS``.

    :param known: whether a right password came from that address for that account lately. Such an address has only
        itself to blame: neither an attack on the account nor a colleague's mistakes hold it back.
    :param secret: whether it is something random that was tried. That says nothing of any password.
    :param door: where, see ``settings.GUESSES_AT``.
    """
    if secret:
        kinds: tuple[str, ...] = () if known else ("address",)
    else:
        kinds = ("here",) if known else ("here", "network", "account", "address")
    numbers = {**settings.GUESSES, **settings.GUESSES_AT.get(door, {})}
    return {kind: GuessLimit(*numbers[kind]) for kind in kinds}


def guess_wait(
    limits: Mapping[str, GuessLimit], until: Mapping[str, datetime.datetime | None], now: datetime.datetime
) -> float:
    """For how many seconds nothing more may be tried; 0 or less: it may be.

    :param until: what was counted, as a time for each limit that each wrong guess has moved on by ``seconds``.
    """
    return max(
        (
            (moment - now).total_seconds() - (limit.at_once - 1) * limit.seconds
            for kind, limit in limits.items()
            if (moment := until.get(kind)) is not None
        ),
        default=0.0,
    )
