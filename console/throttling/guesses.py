"""Rate limits for password guesses (generic cell rate algorithm).

Wrong guesses are counted under up to four keys: the account from this address, the account from this network, the
account from wherever it is not known, and the address for all accounts. ``guess_limits`` says which of them
count, and how many there may be. What counts is kept as a single time for each key (the "generic cell rate
algorithm"): each wrong guess moves it on by the seconds after which one more is allowed, and who would have to wait is
seen by how far it is ahead. So counting is one statement, nothing has to be reset, and a row whose time has come is
worth nothing and can go.
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
# Requests for a password-reset e-mail: nothing is guessed, but they have a rate limit too.
PASSWORD_RESET = "letter"  # noqa: S105
# Where an account asks for another e-mail address.
EMAIL_CHANGE = "email change"
# What is read of an attempt, in this order: the address is known for the account; and the four that are counted.
KINDS = ("known", "here", "network", "account", "address")
Marks = Mapping[str, datetime.datetime | None]

# For a statement of one's own: the marks of ``asked_for``, in the order of ``KINDS``, as one array of seconds.
# OFFSET keeps the planner at one look into the index for each key.
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
# Sets marks that are over, and says which those were: of two who do so at once, one.
_REMEMBER = """
    INSERT INTO guessing_mark AS mark (key, until)
    SELECT key, %(until)s FROM unnest(%(keys)s::uuid[]) AS asked (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET until = EXCLUDED.until WHERE mark.until <= %(over)s
    RETURNING key
"""
_KNOWN_IS_RENEWED = datetime.timedelta(days=1)
_TOLD_EVERY = datetime.timedelta(hours=1)


class HeldBack(TryAgainLater):
    """Too many wrong passwords. The sentence is the same whether there is such an account or not."""


@dataclass(frozen=True)
class Attempt:
    """Somebody tries something at a door.

    ``account`` is whom for, as that door names accounts and those that do not exist; ``None`` when that is not said.
    ``name`` is how the audit trail names an account that exists. ``address`` is where the attempt comes from.
    """

    door: str
    account: str | None
    address: str | None
    name: str = ""

    @functools.cached_property
    def keys(self) -> dict[str, str]:
        """The key of each of ``KINDS``: a UUID's 32 digits."""
        address, network = _places(self.address)
        account = (self.door, self.account or "", "one" if self.account is not None else "none")
        return {
            "known": mark_key("known", *account, address),
            "here": mark_key("here", *account, address),
            "network": mark_key("network", *account, network),
            "account": mark_key("account", *account),
            # One for all doors.
            "address": mark_key("address", address),
        }


def mark_key(*parts: str) -> str:
    """The key of a mark: a keyed hash of ``parts``, as a UUID's 32 digits."""
    # With the lengths, so that no two lists of parts have the same text.
    text = "".join([f"{len(part)}:{part}" for part in parts]).encode(errors="surrogatepass")
    return hmac.digest(_salted(settings.SECRET_KEY), text, "sha256").hex()[:32]


@functools.lru_cache(1)
def _salted(secret: str) -> bytes:
    """The key that ``django.utils.crypto.salted_hmac`` makes of these anew for each of the five."""
    return hashlib.sha256(b"console.guessing" + secret.encode()).digest()


@functools.lru_cache(4096)
def _places(address: str | None) -> tuple[str, str]:
    """What counts as one address, and as one network: with IPv6 everybody has a whole /64, and often a /48."""
    if address is None:
        return "", ""
    found = ipaddress.ip_address(address)
    own, around = (32, 24) if found.version == 4 else (64, 48)
    return (
        str(ipaddress.ip_network((found, own), strict=False)),
        str(ipaddress.ip_network((found, around), strict=False)),
    )


def read_marks(attempt: Attempt) -> Marks:
    """What is remembered that matters for an attempt; one query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {MARKS}", asked_for(attempt))
        return as_marks(cursor.fetchone()[0])


def asked_for(attempt: Attempt | None) -> dict[str, str]:
    """The parameters of ``MARKS``."""
    return {"marks": " ".join(attempt.keys.values()) if attempt else ""}


def as_marks(row: Iterable[float | None]) -> Marks:
    """What ``MARKS`` gave, by kind."""
    moments = (None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC) for at in row)
    return dict(zip(KINDS, moments, strict=True))


def is_known(marks: Marks, now: datetime.datetime | None = None) -> bool:
    """Whether a right password came from there for the account lately."""
    known = marks["known"]
    return known is not None and known > (now or timezone.now())


def raise_if_limited(marks: Marks, *, secret: bool = False, door: str = "") -> None:
    """Refuse an attempt before anything is compared, if there were too many wrong ones.

    :param secret: whether it is something random that is tried, not a password.
    :param door: where it is tried, for doors with numbers of their own.
    :raises HeldBack: with the seconds after which one more is allowed.
    """
    now = timezone.now()
    seconds = guess_wait(guess_limits(is_known(marks, now), secret, door), marks, now)
    if seconds > 0:
        raise HeldBack(seconds)


def record_failure(attempt: Attempt, marks: Marks, *, secret: bool = False) -> None:
    """Count a wrong guess; the first in an hour that uses up what is allowed goes into the audit trail.

    So does, in summary, how many there were for each account that exists, from each address.
    """
    name, address = attempt.name or "-", attempt.address
    summaries.count("password.wrong", name, actor=ANONYMOUS, address=address, door=attempt.door, secret=secret)
    now = timezone.now()
    limits = guess_limits(is_known(marks, now), secret, attempt.door)
    if not limits:
        return
    after = _count(attempt, limits, now)
    for kind, limit in limits.items():
        if guess_wait({kind: limit}, after, now) > 0:
            _tell(attempt, kind, limit, now)


def count_request(attempt: Attempt) -> None:
    """Count something that nobody may ask for too often, whether there is such an account or not.

    :raises HeldBack: when it was asked for too often.
    """
    raise_if_limited(read_marks(attempt), door=attempt.door)
    now = timezone.now()
    limits = guess_limits(known=False, door=attempt.door)
    after = _count(attempt, limits, now)
    # Of several that asked at once each may have seen that one more is allowed: what was counted before this one says.
    # Less half of a step, for each of them has read the clock for itself.
    before = {
        kind: until - datetime.timedelta(seconds=1.5 * limits[kind].seconds) for kind, until in after.items() if until
    }
    if guess_wait(limits, before, now) > 0:
        raise HeldBack(guess_wait(limits, after, now))


def _count(attempt: Attempt, limits: Mapping[str, GuessLimit], now: datetime.datetime) -> Marks:
    """Move the marks of these limits on; where they are after that."""
    keys = {attempt.keys[kind]: kind for kind in limits}
    steps = [datetime.timedelta(seconds=limits[kind].seconds) for kind in keys.values()]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"now": now, "keys": list(keys), "steps": steps})
        return {keys[key.hex]: until for key, until in cursor.fetchall()}


def _tell(attempt: Attempt, kind: str, limit: GuessLimit, now: datetime.datetime) -> None:
    """Write down that guesses are being held back: once an hour for an account, and for an address as a whole.

    Of names that nobody has nothing is written: it could be a password, typed into the wrong field. Whoever tries many
    of them is told of by the address.
    """
    if kind == "address":
        target = attempt.address or "-"
    elif attempt.name:
        target = attempt.name
    else:
        return
    if not _remember([mark_key("told", kind, attempt.door, target)], now + _TOLD_EVERY, now):
        return
    log.warning(
        "wrong passwords at the %s are held back: %s (%s), from %s", attempt.door, target, kind, attempt.address
    )
    # Nobody is signed in, and whoever it is, it is not said to be the account's owner.
    record("password.held_back", target, actor=SYSTEM, door=attempt.door, limit=kind, wrong=limit.at_once)


def record_success(attempt: Attempt, marks: Marks, also: Iterable[Attempt] = ()) -> None:
    """Remember that a right password came from there: the address is known for the account from now on.

    :param also: the same account's at other doors.
    """
    now = timezone.now()
    until = now + datetime.timedelta(days=settings.KNOWN_ADDRESS_DAYS)
    known = marks["known"]
    if known is None or known <= until - _KNOWN_IS_RENEWED:
        _remember([one.keys["known"] for one in (attempt, *also)], until, until - _KNOWN_IS_RENEWED)


def _remember(keys: list[str], until: datetime.datetime, over: datetime.datetime) -> bool:
    """Set those marks that end before ``over``; whether there were any."""
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, {"keys": keys, "until": until, "over": over})
        return bool(cursor.fetchall())


def check(attempt: Attempt, compare: Callable[[], bool], also: Iterable[Attempt] = ()) -> bool:
    """Try a password: whether ``compare`` says that it is right. Wrong ones are counted, and of those that may not be
    tried now none is compared.

    :param compare: hashes the password, once, also when there is nothing to compare it with.
    :param also: the same account's attempts at other doors, which know the address as well when it was right.
    :raises HeldBack: after too many wrong ones.
    :raises hashing.Busy: when too many others are being compared.
    """
    marks = read_marks(attempt)
    raise_if_limited(marks, door=attempt.door)
    with hashing.place(known=is_known(marks)):
        # Whoever waited may find that others have used up what was allowed.
        marks = read_marks(attempt)
        raise_if_limited(marks, door=attempt.door)
        if not compare():
            record_failure(attempt, marks)
            return False
    record_success(attempt, marks, also)
    return True
