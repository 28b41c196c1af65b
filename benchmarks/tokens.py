"""Throughput of the token endpoint under load by ``wrk``, for each kind of token request.

The endpoint and the two views of ``benchmarks.reference`` are served by the same processes, as in production. The
requests are those of Docker, including ``Accept-Encoding``.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import jwt
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from benchmarks import FOLDER, reference
from benchmarks.seed import FAST, create_account, tidy
from benchmarks.tools import console, installation, say, table
from benchmarks.wrk import Load, load
from console.access_tokens import services as access_tokens
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.repositories.models import Image

CONNECTIONS = (1, 16, 64)
CONSTANT, NAIVE = "(a) constant answer", "(b) naive view, Basic"
EARLY = "(c) constant, answered early"
_APPLICATION = "benchmarks.reference_wsgi:application"
# Rounds of requests of all accounts to warm up, so that each process has served each account.
_WARM_ROUNDS = 6
_WARM_CONNECTIONS = 16
_ACTIONS = ("pull", "push")


@dataclass(frozen=True)
class User:
    """An account with its registry password and image."""

    account: Account
    password: str
    repository: str

    @property
    def username(self) -> str:
        """The registry user name."""
        return str(self.account.credential.username)


@dataclass(frozen=True)
class Ask:
    """A request, and the repository and actions that its token must allow; ``None`` to check nothing."""

    method: str
    target: str
    headers: dict[str, str]
    body: str
    allowed: tuple[str, tuple[str, ...]] | None

    @property
    def raw(self) -> bytes:
        """The raw HTTP request."""
        headers = {"Host": urlsplit(settings.CONSOLE_URL).netloc, **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n" + self.body).encode()


_HEADERS = {"User-Agent": "docker/27.5.1 go/go1.22.11", "Accept-Encoding": "gzip"}


def _get(
    repository: str, actions: Sequence[str], username: str = "", secret: str = "", address: str = "/token/"
) -> Ask:
    query = {"scope": f"repository:{repository}:{','.join(actions)}", "service": settings.REGISTRY_SERVICE}
    headers = dict(_HEADERS)
    if username:
        query = {"account": username, **query}
        headers["Authorization"] = "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()
    return Ask("GET", f"{address}?{urlencode(query)}", headers, "", (repository, tuple(sorted(actions))))


def _post(user: User, **form: str) -> Ask:
    form = {
        "service": settings.REGISTRY_SERVICE, "client_id": "docker",
        "scope": f"repository:{user.repository}:{','.join(_ACTIONS)}", **form,
    }  # fmt: skip
    headers = {**_HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
    return Ask("POST", "/token/", headers, urlencode(form), (user.repository, _ACTIONS))


def basic(user: User) -> Ask:
    """The request of ``docker push`` with the registry password."""
    return _get(user.repository, _ACTIONS, user.username, user.password)


def _naive(user: User) -> Ask:
    return _get(user.repository, _ACTIONS, user.username, user.password, "/reference/naive/")


# --- what is asked for ----------------------------------------------------------------------------------------------


def access_secret(account: Account) -> str:
    """Create an access token for pull and push in all namespaces; returns its secret."""
    return access_tokens.create(account, "benchmark", can_push=True)[1]


def create_users(number: int) -> list[User]:
    """Create activated accounts, each with a password, a namespace and an image.

    All hashes differ: otherwise one entry in the cache of verified passwords would match all of them.
    """
    users = []
    for at in range(number):
        account = create_account(f"Client {at}")
        password = f"a registry password {account.account_id}"
        account.credential.password = make_password(password, hasher="argon2")
        account.credential.save(update_fields=["password"])
        namespace = Namespace.objects.create(owner=account, name=f"client-{account.account_id}")
        image = Image.objects.create(namespace=namespace, name="app")
        users.append(User(account, password, image.repository))
    tidy()
    return users


def create_others(images: int) -> None:
    """Create images of another account, for realistic table sizes; a hundred in each namespace."""
    owner = create_account("Others")
    spaces = Namespace.objects.bulk_create(Namespace(owner=owner, name=f"others-{at}") for at in range(images // 100))
    Image.objects.bulk_create(
        (Image(namespace=space, name=f"app-{at}") for space in spaces for at in range(100)), batch_size=1000
    )


def create_public_image(owner: User) -> str:
    """Create a public image; returns its repository."""
    namespace = Namespace.objects.get(owner=owner.account)
    return Image.objects.create(namespace=namespace, name="public", visibility=Image.Visibility.PUBLIC).repository


def kinds(users: Sequence[User], public: str) -> dict[str, list[Ask]]:
    """The kinds of token requests, with the requests; of the last kind one for each account."""
    one = users[0]
    asked = {"Basic, registry password": [basic(one)]}
    asked["Basic, access secret"] = [_get(one.repository, _ACTIONS, one.username, access_secret(one.account))]
    asked["POST, password"] = [_post(one, grant_type="password", username=one.username, password=one.password)]
    asked["POST, refresh token"] = [_post(one, grant_type="refresh_token", refresh_token=_refresh_token(one))]
    asked["anonymous, public image"] = [_get(public, ("pull",))]
    asked[f"Basic, {len(users)} accounts in turn"] = [basic(user) for user in users]
    return asked


def _refresh_token(user: User) -> str:
    ask = basic(user)
    response = Client(SERVER_NAME="127.0.0.1").get(f"{ask.target}&offline_token=true", headers=ask.headers)
    return str(_decoded(response.content)["refresh_token"])


# --- answers --------------------------------------------------------------------------------------------------------


def _decoded(content: bytes) -> dict[str, object]:
    """The JSON of a response, compressed or not."""
    return dict(json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content))


def check(ask: Ask, status: int, content: bytes) -> None:
    """Verify a response.

    :raises RuntimeError: when it is an error, or its token allows something else.
    """
    if not 200 <= status < 300:
        raise RuntimeError(f"{ask.method} {urlsplit(ask.target).path} answers {status}")
    if ask.allowed is not None:
        repository, actions = ask.allowed
        token = str(_decoded(content)["access_token"])
        access = jwt.decode(token, options={"verify_signature": False})["access"]
        if access != [{"type": "repository", "name": repository, "actions": list(actions)}]:
            raise RuntimeError(f"{ask.method} {urlsplit(ask.target).path} allows something else than was asked for")


def milliseconds(asks: Sequence[Ask]) -> list[float]:
    """Time each request, sequentially on one connection, so that one process serves all of them."""
    server = http.client.HTTPConnection(urlsplit(settings.CONSOLE_URL).netloc, timeout=60)
    taken = []
    try:
        for ask in asks:
            begun = time.perf_counter()
            server.request(ask.method, ask.target, ask.body or None, ask.headers)
            response = server.getresponse()
            content = response.read()
            taken.append((time.perf_counter() - begun) * 1000)
            check(ask, response.status, content)
    finally:
        server.close()
    return taken


def queries(ask: Ask) -> int:
    """Number of SQL queries of a request with warm caches."""
    client = Client(SERVER_NAME="127.0.0.1")

    def send() -> None:
        body, kind = ask.body, "application/x-www-form-urlencoded"
        response = client.generic(ask.method, ask.target, body, content_type=kind, headers=ask.headers)
        check(ask, response.status_code, response.content)

    for _ in range(2):
        send()
    with CaptureQueriesContext(connection) as captured:
        send()
    return len(captured)


# --- the run --------------------------------------------------------------------------------------------------------


def warm(asked: dict[str, list[Ask]]) -> None:
    """Warm up each process with each request, and verify one response of each."""
    for name, asks in asked.items():
        say(f"Warming: {name} ...")
        milliseconds(asks)
        answers = 0
        while answers < _WARM_ROUNDS * len(asks):
            run = load(settings.CONSOLE_URL, [ask.raw for ask in asks], _WARM_CONNECTIONS, 1, least=1)
            if run.failed:
                raise RuntimeError(f"{name}: {run.failed} requests failed")
            answers += run.answers


def measure(asked: dict[str, list[Ask]], connections: int, seconds: int, repeat: int) -> tuple[dict[str, Load], int]:
    """Run all kinds in turn, ``repeat`` times; returns the best run of each, and the number of failures."""
    best: dict[str, Load] = {}
    failed = 0
    for _ in range(repeat):
        for name, asks in asked.items():
            say(f"{connections} connections: {name} ...")
            found = load(settings.CONSOLE_URL, [ask.raw for ask in asks], connections, seconds)
            failed += found.failed
            if name not in best or found.rate > best[name].rate:
                best[name] = found
    return best, failed


def report(connections: int, best: dict[str, Load], seconds: int, repeat: int) -> None:
    """Print the results for so many connections as a table."""
    naive = best[NAIVE].rate

    def against(run: Load) -> list[str]:
        return [f"{run.rate / best[reference].rate:.2f}" for reference in (CONSTANT, EARLY)]

    rows = [
        (name, run.rate, run.p50, run.p99, run.cpu, *against(run), f"{run.rate / naive:.1f}", run.failed)
        for name, run in best.items()
    ]
    table(
        f"Tokens, {connections} {'connection' if connections == 1 else 'connections'}",
        ("Kind", "requests/s", "p50 ms", "p99 ms", "CPU ms", "× (a)", "× (c)", "× (b)", "failed"),
        rows,
        [
            f"The best of {repeat} runs of {seconds} s each (longer where there were fewer than 20 answers), all kinds"
            " in turn, everything warm, connections kept open. “CPU”: of gunicorn and PostgreSQL together, an answer."
            " “failed”: answers of 400 and above, and requests without one.",
            "“× (a)”, “× (b)” and “× (c)” are requests/s as a multiple of references of the same processes: (a) a"
            " view that repeats one token answer, with the middleware of pages; (b) a view that for each request reads"
            " the account, verifies the password with argon2id, looks the owner up, loads the key from disk and signs;"
            " (c) as (a), but answered where the endpoint is, before the middleware that only pages need.",
        ],
    )


def report_cold(users: Sequence[User]) -> None:
    """Measure the first request of each account after a start of gunicorn, and print it as a table."""
    rows = []
    measured = (
        ("Basic, password not yet verified by this process", basic),
        ("Basic, the same once more", basic),
        ("(b) naive view, Basic", _naive),
    )
    for name, ask in measured:
        taken = milliseconds([ask(user) for user in users])
        rows.append((name, statistics.median(taken), max(taken)))
    table(
        f"The first token: {len(users)} accounts, one request each",
        ("Request", "median ms", "slowest ms"),
        rows,
        ["One after the other on one connection, after a start of gunicorn. (b) is the reference of the other tables."],
    )


def report_queries(asked: dict[str, list[Ask]]) -> None:
    """Count the SQL queries of each kind and print them as a table."""
    with override_settings(ROOT_URLCONF="benchmarks.reference"):
        rows = [(name, queries(asks[0])) for name, asks in asked.items() if len(asks) == 1]
    table(
        "SQL queries for a token",
        ("Kind", "queries"),
        rows,
        [
            "Warm. Beside them Django asks the database once a request whether the connection is still alive"
            " (CONN_HEALTH_CHECKS), where a request uses it."
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed, measure, print; 1 when a response was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each kind; the best is shown")
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    parser.add_argument("--accounts", type=int, default=50, help="that ask in turn")
    parser.add_argument("--images", type=int, default=10_000, help="of others, in the same database")
    given = parser.parse_args(arguments)
    failed = 0
    with installation(registry=False, options=FAST):
        call_command("collectstatic", interactive=False, verbosity=0)
        if not Image.objects.exists():
            create_others(given.images)
        users = create_users(given.accounts)
        product = kinds(users, create_public_image(users[0]))
        asked = {
            CONSTANT: [Ask("GET", "/reference/constant/", dict(_HEADERS), "", None)],
            EARLY: [Ask("GET", "/reference/early/", dict(_HEADERS), "", None)],
            NAIVE: [_naive(users[0])],
        }
        asked |= product
        _keep_answer(product["Basic, registry password"][0])
        report_queries(asked)
        # gunicorn imports the reference by name, which must use the same data folder.
        with console(_APPLICATION, BENCHMARK_DATA_DIR=str(FOLDER)):
            warm(asked)
            for connections in given.connections:
                best, broken = measure(asked, connections, given.seconds, given.repeat)
                failed += broken
                report(connections, best, given.seconds, given.repeat)
        with console(_APPLICATION, BENCHMARK_DATA_DIR=str(FOLDER)):
            # Warm up everything except the passwords.
            warm({name: asks for name, asks in asked.items() if name in {CONSTANT, "anonymous, public image"}})
            report_cold(users)
    if failed:
        say(f"{failed:,} requests failed.")
    return int(failed > 0)


def _keep_answer(ask: Ask) -> None:
    """Store a response of the endpoint for the view ``constant``."""
    headers = {name: value for name, value in ask.headers.items() if name != "Accept-Encoding"}
    response = Client(SERVER_NAME="127.0.0.1").get(ask.target, headers=headers)
    check(ask, response.status_code, response.content)
    reference.ANSWER.write_bytes(response.content)


if __name__ == "__main__":
    sys.exit(main())
