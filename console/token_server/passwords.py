"""Verify registry passwords, with a cache of those verified lately.

A right password is cached for some minutes, as an HMAC with a key that exists in this process's memory only. The HMAC
covers the account, the version of its credential and the stored hash, which each request reads again: a password change
in any process changes the version, and the cached entry no longer matches. Wrong passwords are never cached.
"""

from __future__ import annotations

import hmac
import secrets
import threading

from cachetools import TTLCache
from django.contrib.auth.hashers import check_password, make_password

from console.access.grants import Caller
from console.throttling import guesses, hashing
from console.throttling.guesses import Attempt, Marks

REMEMBERED_SECONDS = 300
_MOST = 10_000

_key = secrets.token_bytes(32)
_remembered: TTLCache[int, bytes] = TTLCache(_MOST, REMEMBERED_SECONDS)
_lock = threading.Lock()


def verify_password(caller: Caller | None, password: str, attempt: Attempt, marks: Marks) -> bool:
    """Whether ``password`` is the caller's registry password, and the caller may use the registry at all.

    A password that is not cached costs one hash, also for an account that does not exist or may not use the registry.

    :param caller: ``None`` when there is no such account.
    :param attempt: what the rate limits count when the password is wrong.
    :param marks: the state of the rate limits.
    :raises console.throttling.guesses.RateLimited: when a limit is reached; for a right password as well, so that a
        rate-limited client cannot tell which is right.
    :raises console.throttling.hashing.Busy: when too many passwords are being hashed.
    """
    guesses.raise_if_limited(marks)
    fingerprint = _fingerprint(caller, password) if caller is not None else b""
    if _is_remembered(caller, fingerprint):
        return True
    with hashing.slot(known=guesses.is_known(marks)):
        # Clients request several tokens at once: another thread may have hashed the same password meanwhile.
        if _is_remembered(caller, fingerprint):
            return True
        # Or others may have reached the limit.
        marks = guesses.read_marks(attempt)
        guesses.raise_if_limited(marks)
        if not _compare(caller, password):
            guesses.record_failure(attempt, marks)
            return False
        if caller is not None:
            with _lock:
                _remembered[caller.account] = fingerprint
    return True


def _compare(caller: Caller | None, password: str) -> bool:
    if caller is None or not caller.password:
        # No hash to compare with, as of a service account: this takes the same time.
        make_password(password, hasher="argon2")
        return False
    return check_password(password, caller.password) and caller.usable


def forget_all() -> None:
    """Empty this process's cache."""
    with _lock:
        _remembered.clear()


def _fingerprint(caller: Caller, password: str) -> bytes:
    # No field but the last can contain NUL, so the text is unambiguous.
    text = f"{caller.account}\0{caller.version}\0{caller.password}\0{password}"
    return hmac.digest(_key, text.encode(errors="surrogatepass"), "sha256")


def _is_remembered(caller: Caller | None, fingerprint: bytes) -> bool:
    if caller is None or not caller.usable:
        return False
    with _lock:
        remembered = _remembered.get(caller.account)
    return remembered is not None and hmac.compare_digest(remembered, fingerprint)
