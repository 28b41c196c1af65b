"""Timing attack on sign-in: wrong passwords must take equally long for existing and unknown accounts.

The whole request is measured in this process, with the real hasher and PostgreSQL, but without network and gunicorn,
which do not depend on accounts. All kinds take turns in random order, so that other load on the machine affects them
equally.
"""

from __future__ import annotations

import argparse
import base64
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from benchmarks.seed import FAST
from benchmarks.tools import installation, say, stopwatch, table
from console.accounts import services
from console.accounts.models import Account
from console.audit import summaries


@dataclass(frozen=True)
class Taken:
    """Milliseconds of one attempt: wall-clock time, and CPU time of this process."""

    clock: float
    cpu: float


_CONSOLE, _REGISTRY = "the console password", "the registry password 1"
# A larger difference from the median of a wrong password is a failure, in percent.
MOST_PERCENT = 5.0


def create_account(name: str, *, activated: bool = True, active: bool = True, usable: bool = True) -> Account:
    """Create an account like the product, with its password hasher."""
    account = services.create_account(name, f"{name}@example.com", _CONSOLE if usable else None)
    if activated:
        with transaction.atomic():
            services.store_credential(account, account.account_id, _REGISTRY)
            services.mark_activated(account)
    if not active:
        services.set_active(account, False)
    return Account.objects.get(pk=account.pk)


def unused_id() -> str:
    """An unused Account ID."""
    while Account.objects.filter(account_id=(found := str(random.randrange(10**11, 10**12)))).exists():
        pass
    return found


def kinds() -> dict[str, dict[str, tuple[str, str]]]:
    """For each endpoint the attempts by name: user name and password."""
    ann, gone = create_account("ann"), create_account("gone", active=False)
    without, link = create_account("without", activated=False), create_account("link", usable=False)
    return {
        "token endpoint": {
            "wrong password": (ann.account_id, "wrong"),
            "unknown user name": (unused_id(), "wrong"),
            "deactivated, wrong password": (gone.account_id, "wrong"),
            "deactivated, right password": (gone.account_id, _REGISTRY),
            "no registry password yet": (without.account_id, "wrong"),
        },
        "sign-in": {
            "wrong password": (ann.account_id, "wrong"),
            "unknown Account ID": (unused_id(), "wrong"),
            "wrong password, by e-mail": ("ann@example.com", "wrong"),
            "unknown e-mail address": ("nobody@example.com", "wrong"),
            "deactivated, wrong password": (gone.account_id, "wrong"),
            "deactivated, right password": (gone.account_id, _CONSOLE),
            "no console password": (link.account_id, "wrong"),
        },
    }


def ask_for_token(username: str, password: str) -> int:
    """Try a password at the token endpoint; returns the status."""
    header = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    query = {"service": settings.REGISTRY_SERVICE, "account": username}
    return Client().get("/token/", query, headers={"Authorization": header}).status_code


def sign_in(username: str, password: str) -> int:
    """Try a password at the sign-in form; returns the status."""
    return Client().post("/sign-in/", {"username": username, "password": password}).status_code


_ENDPOINTS: dict[str, tuple[Callable[[str, str], int], int]] = {
    "token endpoint": (ask_for_token, 401),
    "sign-in": (sign_in, 200),
}


def check(endpoint: str, name: str, username: str, password: str) -> int:
    """Try a password once; returns the number of SQL queries.

    :raises RuntimeError: when it is not rejected.
    """
    call, status = _ENDPOINTS[endpoint]
    with CaptureQueriesContext(connection) as captured:
        if (found := call(username, password)) != status:
            raise RuntimeError(f"{endpoint}, {name}: {found} and not {status}")
    return len(captured)


def measure(endpoint: str, asked: dict[str, tuple[str, str]], tries: int, seconds: float) -> dict[str, list[Taken]]:
    """Time each attempt of each kind; at most ``tries`` of each, within ``seconds``."""
    call, _status = _ENDPOINTS[endpoint]
    found: dict[str, list[Taken]] = {name: [] for name in asked}
    order = list(asked)
    gc.disable()  # would affect one kind by chance
    try:
        with stopwatch() as passed:
            for _ in range(tries):
                if passed() > seconds:
                    break
                random.shuffle(order)
                for name in order:
                    begun, used = time.perf_counter(), time.process_time()
                    call(*asked[name])
                    used, taken = time.process_time() - used, time.perf_counter() - begun
                    found[name].append(Taken(taken * 1000, used * 1000))
                gc.collect(0)
    finally:
        gc.enable()
    return found


def report(endpoint: str, found: dict[str, list[Taken]], queries: dict[str, int]) -> list[str]:
    """Print a table; returns the kinds that differ too much from a wrong password."""
    medians = {
        name: (statistics.median(one.clock for one in times), statistics.median(one.cpu for one in times))
        for name, times in found.items()
    }
    usual = medians["wrong password"]
    rows, far = [], []
    for name, (clock, cpu) in medians.items():
        ratios = clock / usual[0], cpu / usual[1]
        rows.append((name, len(found[name]), clock, f"{ratios[0]:.3f}", cpu, f"{ratios[1]:.3f}", queries[name]))
        if min(abs(ratio - 1) for ratio in ratios) * 100 > MOST_PERCENT:
            far.append(f"{endpoint}, {name}: {ratios[0]:.3f}, {ratios[1]:.3f} of CPU")
    table(
        f"Wrong passwords: {endpoint}",
        ("What is tried", "tries", "ms", "× wrong", "CPU ms", "× wrong", "queries"),
        rows,
        [
            "Whole requests in one process, one after the other, all kinds in turn; medians. “CPU”: of this process,"
            " with its hashing threads, which a busy machine changes less. “× wrong”: as a multiple of a wrong password"
            f" for an account that exists; where both are more than {MOST_PERCENT:g} % off, it is a failure."
        ],
    )
    return far


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed, measure, print; 1 when the time reveals whether an account exists."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guesses", description=__doc__)
    parser.add_argument("--tries", type=int, default=2000, help="of each kind, at most")
    parser.add_argument("--seconds", type=float, default=60, help="for each endpoint, at most")
    parser.add_argument("--cheap", action="store_true", help="with hashes that cost nothing: what all the rest takes")
    given = parser.parse_args(arguments)
    if given.cheap:
        for name, value in {"time_cost": 1, "memory_cost": 8, "parallelism": 1}.items():
            setattr(Argon2PasswordHasher, name, value)
    far: list[str] = []
    # Without rate limits.
    allowed = dict.fromkeys(settings.GUESSES, (10**6, 1))
    # Static files are not collected: pages use their plain names.
    storages = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with (
        installation(registry=False, options=FAST),
        override_settings(GUESSES=allowed, ALLOWED_HOSTS=["testserver"], STORAGES=storages),
    ):
        for endpoint, asked in kinds().items():
            say(f"{endpoint} ...")
            # Twice, because the first one fills caches.
            queries = {name: check(endpoint, name, *one) for _ in range(2) for name, one in asked.items()}
            far += report(endpoint, measure(endpoint, asked, given.tries, given.seconds), queries)
        summaries.flush()
    for one in far:
        say(f"Further than {MOST_PERCENT:g} % from a wrong password: {one}")
    # Without the hash tiny differences are some percent, so that is no failure.
    return int(bool(far) and not given.cheap)


if __name__ == "__main__":
    sys.exit(main())
