"""Rate limits for password guesses, and how long to wait (generic cell rate algorithm)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class GuessLimit:
    """A burst of ``at_once`` wrong guesses, and one more every ``seconds``."""

    at_once: int
    seconds: float


def guess_limits(known: bool, secret: bool = False, bucket: str = "") -> dict[str, GuessLimit]:
    """The rate limits that count a wrong guess and limit the next one, by ``guesses.KINDS``.

    :param known: whether this address has recently presented the correct password of this account. Such an address is
        limited only by its own guesses, not by an attack on the account or by others in its network.
    :param secret: whether a random secret was tried, which says nothing about a password.
    :param bucket: what is rate limited (``guesses.CONSOLE``, ``PASSWORD_RESET``, …); a key of ``settings.GUESSES_AT``
        if it has rates of its own.
    """
    if secret:
        kinds: tuple[str, ...] = () if known else ("address",)
    else:
        kinds = ("here",) if known else ("here", "network", "account", "address")
    numbers = {**settings.GUESSES, **settings.GUESSES_AT.get(bucket, {})}
    return {kind: GuessLimit(*numbers[kind]) for kind in kinds}


def guess_wait(
    limits: Mapping[str, GuessLimit], until: Mapping[str, datetime.datetime | None], now: datetime.datetime
) -> float:
    """Seconds until the next guess is allowed (rate limit); 0 or less if it is allowed now.

    :param until: for each limit the time (theoretical arrival time) that each wrong guess advances by ``seconds``.
    """
    return max(
        (
            (moment - now).total_seconds() - (limit.at_once - 1) * limit.seconds
            for kind, limit in limits.items()
            if (moment := until.get(kind)) is not None
        ),
        default=0.0,
    )
