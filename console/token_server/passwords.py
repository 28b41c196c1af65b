"""Verify registry passwords, with a cache of those verified lately.

A password that was right is remembered for some minutes, as an HMAC with a key that only this process's memory has.
It goes with the account, the version of its credential and the stored hash, all of which are read anew each time: a
changed password, in whichever process, is another version, and what was remembered no longer counts. Wrong passwords
are never remembered. A restart forgets everything.
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

    Whatever is not remembered costs one hash: a wrong password, and one for an account that does not exist or may not
    use the registry.

    :param caller: ``None`` when there is no such account.
    :param attempt: what is being tried; a wrong password is counted.
    :param marks: what was read of it just before.
    :raises console.throttling.guesses.HeldBack: after too many wrong ones: for a right one, too, or who is held back
        could tell it from others.
    :raises console.throttling.hashing.Busy: when too many others are being compared.
    """
    guesses.raise_if_limited(marks)
    fingerprint = _fingerprint(caller, password) if caller is not None else b""
    if _is_remembered(caller, fingerprint):
        return True
    with hashing.place(known=guesses.is_known(marks)):
        # Clients ask for several tokens at once: whoever waited may find that another has just hashed the same.
        if _is_remembered(caller, fingerprint):
            return True
        # Or that others have used up what may be wrong.
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
    if caller is None:
        # There is nothing to compare it with: this takes the same time.
        make_password(password, hasher="argon2")
        return False
    return check_password(password, caller.password) and caller.usable


def forget_all() -> None:
    """Forget everything that was remembered in this process."""
    with _lock:
        _remembered.clear()


def _fingerprint(caller: Caller, password: str) -> bytes:
    # A stored hash holds no NUL, so that no two sets of these have the same text.
    text = f"{caller.account}\0{caller.version}\0{caller.password}\0{password}"
    return hmac.digest(_key, text.encode(errors="surrogatepass"), "sha256")


def _is_remembered(caller: Caller | None, fingerprint: bytes) -> bool:
    if caller is None or not caller.usable:
        return False
    with _lock:
        remembered = _remembered.get(caller.account)
    return remembered is not None and hmac.compare_digest(remembered, fingerprint)
