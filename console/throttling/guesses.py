"""Rate limits for password guesses (generic cell rate algorithm).

Each wrong guess counts against up to four limits: the account from this address, the account from this network, the
account from all addresses that it does not know, and the address for all accounts. ``guess_limits`` says which of them
apply and their rates. The state of a limit (its *mark*) is one time, the "theoretical arrival time" of the algorithm:
a wrong guess moves it forward by the interval of the limit, and the distance to now is the time to wait. So counting is
one upsert, nothing has to be reset, and a mark in the past can be deleted.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils import timezone

from console.audit import summaries
from console.audit.origin import ANONYMOUS, SYSTEM
from console.audit.services import record
from console.throttling import hashing
from console.throttling.hashing import TryAgainLater
from console.throttling.limits import GuessLimit, guess_limits, guess_wait

log = logging.getLogger(__name__)

CONSOLE, REGISTRY = "console", "registry"
# Requests for a password-reset e-mail: nothing is guessed, but they are rate limited too.
PASSWORD_RESET = "password reset"  # noqa: S105
EMAIL_CHANGE = "email change"
# The marks of an attempt, in the order of ``MARKS``: whether the account knows the address, and the four limits.
KINDS = ("known", "here", "network", "account", "address")
Marks = Mapping[str, datetime.datetime | None]

# A subquery for other statements: the marks of ``mark_parameters``, in the order of ``KINDS``, as an array of seconds.
# OFFSET makes the planner use one index lookup for each key.
MARKS = """ARRAY(
    SELECT extract(epoch FROM mark.until)::float8
    FROM unnest(string_to_array(%(marks)s, ' ')::uuid[]) WITH ORDINALITY AS asked (key, place)
    LEFT JOIN LATERAL (SELECT until FROM guessing_mark WHERE key = asked.key OFFSET 0) AS mark ON true
    ORDER BY asked.place
)"""
_COUNT = """
    INSERT INTO guessing_mark AS mark (key, until)
    SELECT key, %(now)s + step FROM unnest(%(keys)s::uuid[], %(steps)s::interval[]) AS asked (key, step) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET until = greatest(mark.until, %(now)s) + (EXCLUDED.until - %(now)s)
    RETURNING key, until
"""
# Sets marks that are in the past, and returns which: of two concurrent statements, one returns a row.
_SET = """
    INSERT INTO guessing_mark AS mark (key, until)
    SELECT key, %(until)s FROM unnest(%(keys)s::uuid[]) AS asked (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET until = EXCLUDED.until WHERE mark.until <= %(over)s
    RETURNING key
"""
_KNOWN_RENEWAL = datetime.timedelta(days=1)
_REPORT_INTERVAL = datetime.timedelta(hours=1)


class RateLimited(TryAgainLater):
    """Too many wrong passwords. The message is the same whether the account exists or not."""


@dataclass(frozen=True)
class Attempt:
    """One attempt to guess a password, a code or a secret.

    :param bucket: what is rate limited: ``CONSOLE``, ``REGISTRY``, or another with rates of its own.
    :param account: the account's name at this entrance, whether it exists or not; ``None`` if none is given.
    :param address: the client's IP address, or ``None`` if the server does not know it.
    :param name: the account's name in the audit log; empty if there is no such account.
    """

    bucket: str
    account: str | None
    address: str | None
    name: str = ""

    @functools.cached_property
    def keys(self) -> dict[str, str]:
        """The mark's key for each of ``KINDS``: the 32 digits of a UUID."""
        address, network = _places(self.address)
        account = (self.bucket, self.account or "", "one" if self.account is not None else "none")
        return {
            "known": mark_key("known", *account, address),
            "here": mark_key("here", *account, address),
            "network": mark_key("network", *account, network),
            "account": mark_key("account", *account),
            # Shared by all entrances.
            "address": mark_key("address", address),
        }


def mark_key(*parts: str) -> str:
    """The key of a mark: a keyed hash of ``parts``, as the 32 digits of a UUID."""
    # The lengths make the text unambiguous.
    text = "".join([f"{len(part)}:{part}" for part in parts]).encode(errors="surrogatepass")
    return hmac.digest(_salted(settings.SECRET_KEY), text, "sha256").hex()[:32]


@functools.lru_cache(1)
def _salted(secret: str) -> bytes:
    """The HMAC key of ``django.utils.crypto.salted_hmac``, which would derive it again for each mark."""
    return hashlib.sha256(b"console.guessing" + secret.encode()).digest()


@functools.lru_cache(4096)
def _places(address: str | None) -> tuple[str, str]:
    """The prefixes that count as one address and as one network: with IPv6 a client has a whole /64, often a /48."""
    if address is None:
        return "", ""
    found = ipaddress.ip_address(address)
    own, around = (32, 24) if found.version == 4 else (64, 48)
    return (
        str(ipaddress.ip_network((found, own), strict=False)),
        str(ipaddress.ip_network((found, around), strict=False)),
    )


def read_marks(attempt: Attempt) -> Marks:
    """Read the marks of an attempt with one query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {MARKS}", mark_parameters(attempt))
        return as_marks(cursor.fetchone()[0])


def mark_parameters(attempt: Attempt | None) -> dict[str, str]:
    """The parameters of ``MARKS``."""
    return {"marks": " ".join(attempt.keys.values()) if attempt else ""}


def as_marks(row: Iterable[float | None]) -> Marks:
    """The marks that ``MARKS`` returned, by kind."""
    moments = (None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC) for at in row)
    return dict(zip(KINDS, moments, strict=True))


def is_known(marks: Marks, now: datetime.datetime | None = None) -> bool:
    """Whether the account has been signed in to from this address within ``KNOWN_ADDRESS_DAYS``."""
    known = marks["known"]
    return known is not None and known > (now or timezone.now())


def raise_if_limited(marks: Marks, *, secret: bool = False, bucket: str = "") -> None:
    """Refuse an attempt before its password is hashed, if a limit is reached.

    :param secret: whether a random secret is guessed, not a password.
    :param bucket: what is rate limited, if it has rates of its own.
    :raises RateLimited: with the seconds until the next attempt is allowed.
    """
    now = timezone.now()
    seconds = guess_wait(guess_limits(is_known(marks, now), secret, bucket), marks, now)
    if seconds > 0:
        raise RateLimited(seconds)


def record_failure(attempt: Attempt, marks: Marks, *, secret: bool = False) -> None:
    """Count a wrong guess. Reaching a limit is an audit event, at most once an hour.

    The audit log also gets a summary: the number of wrong guesses for each existing account and address.
    """
    name, address = attempt.name or "-", attempt.address
    summaries.count("password.wrong", name, actor=ANONYMOUS, address=address, door=attempt.bucket, secret=secret)
    now = timezone.now()
    limits = guess_limits(is_known(marks, now), secret, attempt.bucket)
    if not limits:
        return
    after = _count(attempt, limits, now)
    for kind, limit in limits.items():
        if guess_wait({kind: limit}, after, now) > 0:
            _report_limit(attempt, kind, limit, now)


def count_request(attempt: Attempt) -> None:
    """Count a rate-limited request in which nothing is guessed, whether the account exists or not.

    :raises RateLimited: when the limit is reached.
    """
    raise_if_limited(read_marks(attempt), bucket=attempt.bucket)
    now = timezone.now()
    limits = guess_limits(known=False, bucket=attempt.bucket)
    after = _count(attempt, limits, now)
    # Concurrent requests may all have seen that one more is allowed: decide by what was counted before this one.
    # Less half of an interval, because each process has read its own clock.
    before = {
        kind: until - datetime.timedelta(seconds=1.5 * limits[kind].seconds) for kind, until in after.items() if until
    }
    if guess_wait(limits, before, now) > 0:
        raise RateLimited(guess_wait(limits, after, now))


def _count(attempt: Attempt, limits: Mapping[str, GuessLimit], now: datetime.datetime) -> Marks:
    """Move the marks of these limits forward, and return them."""
    keys = {attempt.keys[kind]: kind for kind in limits}
    steps = [datetime.timedelta(seconds=limits[kind].seconds) for kind in keys.values()]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"now": now, "keys": list(keys), "steps": steps})
        return {keys[key.hex]: until for key, until in cursor.fetchall()}


def _report_limit(attempt: Attempt, kind: str, limit: GuessLimit, now: datetime.datetime) -> None:
    """Log that a limit is reached, and record an audit event: at most once an hour for an account or an address.

    Names that do not exist are not recorded: one may be a password, typed into the wrong field. Who tries many of them
    is recorded by address.
    """
    if kind == "address":
        target = attempt.address or "-"
    elif attempt.name:
        target = attempt.name
    else:
        return
    if not _set([mark_key("told", kind, attempt.bucket, target)], now + _REPORT_INTERVAL, now):
        return
    log.warning(
        "rate limit reached for wrong passwords at the %s: %s (%s), from %s",
        attempt.bucket,
        target,
        kind,
        attempt.address,
    )
    # Nobody is signed in: the actor is not known to be the account's owner.
    record("password.held_back", target, actor=SYSTEM, door=attempt.bucket, limit=kind, wrong=limit.at_once)


def record_success(attempt: Attempt, marks: Marks, also: Iterable[Attempt] = ()) -> None:
    """Remember the address as known for the account, after a right password.

    :param also: the same account's attempts at other entrances, which then know the address as well.
    """
    now = timezone.now()
    until = now + datetime.timedelta(days=settings.KNOWN_ADDRESS_DAYS)
    known = marks["known"]
    if known is None or known <= until - _KNOWN_RENEWAL:
        _set([one.keys["known"] for one in (attempt, *also)], until, until - _KNOWN_RENEWAL)


def _set(keys: list[str], until: datetime.datetime, over: datetime.datetime) -> bool:
    """Set the marks that end before ``over``; return whether there were any."""
    with connection.cursor() as cursor:
        cursor.execute(_SET, {"keys": keys, "until": until, "over": over})
        return bool(cursor.fetchall())


def check(attempt: Attempt, compare: Callable[[], bool], also: Iterable[Attempt] = ()) -> bool:
    """Verify a password under the rate limits, and return whether it is right. A wrong one is counted.

    :param compare: hashes the password once, also when there is no hash to compare it with. Not called when a limit
        is reached.
    :param also: the same account's attempts at other entrances, which know the address as well if it is right.
    :raises RateLimited: when a limit is reached.
    :raises hashing.Busy: when too many passwords are being hashed.
    """
    marks = read_marks(attempt)
    raise_if_limited(marks, bucket=attempt.bucket)
    with hashing.slot(known=is_known(marks)):
        # Others may have reached the limit while this one waited.
        marks = read_marks(attempt)
        raise_if_limited(marks, bucket=attempt.bucket)
        if not compare():
            record_failure(attempt, marks)
            return False
    record_success(attempt, marks, also)
    return True
