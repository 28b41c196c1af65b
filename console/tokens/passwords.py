"""Checking registry passwords, which every login, push and pull sends, without hashing each of them again.

A password that was right is remembered for some minutes, as an HMAC with a key that only this process's memory has.
It goes with the account, the version of its credential and the stored hash, all of which are read anew each time: a
changed password, in whichever process, is another version, and what was remembered no longer counts. Wrong passwords
are never remembered. A restart forgets everything.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading

from cachetools import TTLCache
from django.contrib.auth.hashers import check_password, make_password

from console.policy import Caller

REMEMBERED_SECONDS = 300
_MOST = 10_000

_key = secrets.token_bytes(32)
_remembered: TTLCache[int, bytes] = TTLCache(_MOST, REMEMBERED_SECONDS)
_lock = threading.Lock()
# One hash takes 100 MB and several threads: more at a time would be slower, and could use up a small machine's memory.
_hashing = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))


def is_right(caller: Caller, password: str) -> bool:
    """Whether ``password`` is the caller's registry password."""
    fingerprint = _fingerprint(caller, password)
    if _is_remembered(caller, fingerprint):
        return True
    with _hashing:
        # Clients ask for several tokens at once: whoever waited may find that another has just hashed the same.
        if _is_remembered(caller, fingerprint):
            return True
        if not check_password(password, caller.password):
            return False
    with _lock:
        _remembered[caller.account] = fingerprint
    return True


def pretend(password: str) -> None:
    """Take the time that a wrong password takes, where there is nothing to compare ``password`` with."""
    with _hashing:
        make_password(password, hasher="argon2")


def forget_all() -> None:
    """Forget everything that was remembered in this process."""
    with _lock:
        _remembered.clear()


def _fingerprint(caller: Caller, password: str) -> bytes:
    # A stored hash holds no NUL, so that no two sets of these have the same text.
    text = f"{caller.account}\0{caller.version}\0{caller.password}\0{password}"
    return hmac.digest(_key, text.encode(errors="surrogatepass"), "sha256")


def _is_remembered(caller: Caller, fingerprint: bytes) -> bool:
    with _lock:
        remembered = _remembered.get(caller.account)
    return remembered is not None and hmac.compare_digest(remembered, fingerprint)
