"""The statements of the token endpoint and the gate with many members, beside those of a version without roles.

    python -m benchmarks.members --before COMMIT

The database has 10,000 members in 1,000 namespaces, and 100 teams. Both versions of a statement read the same database
in turn on one connection. Compared is the processor time of its server process, so other work hardly counts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from benchmarks.seed import FAST, create_account, tidy
from benchmarks.tools import installation, say, table
from console.access.token_secrets import hash_secret
from console.access_tokens import services as access_tokens
from console.accounts.models import Account
from console.database.statements import frequent_cursor, with_prepared_statements
from console.gate import lookup as gate_lookup
from console.installation.environment import BASE_DIR
from console.membership.models import Grant, Team, TeamMember
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.token_server import lookup
from console.token_server.models import Login

# Each member is in so many teams; each team has so many roles; the owner that is asked about has so many namespaces.
_TEAMS_OF_EACH, _NAMESPACES_OF_A_TEAM, _OWN = 2, 20, 3
_ROUNDS, _TIMES = 200, 50


def fill(members: int, namespaces: int, teams: int) -> dict[str, Account]:
    """Create namespaces with members and teams; accounts to ask as, by what they are."""
    owner, member, of_team, everywhere, stranger = (
        create_account(name) for name in ("Owner", "Member", "Of a team", "Everywhere", "Stranger")
    )
    people = Account.objects.bulk_create(
        (Account(name=f"Member {at}", password="!", checklist_closed=True) for at in range(members)), batch_size=1000
    )
    spaces = Namespace.objects.bulk_create(
        Namespace(owner=owner if at < _OWN else people[at], name=f"shared-{at}") for at in range(namespaces)
    )
    Image.objects.bulk_create(
        (Image(namespace=space, name="app" if not at else f"app-{at}") for space in spaces for at in range(10)),
        batch_size=1000,
    )
    roles = [
        Grant(namespace=spaces[at % len(spaces)], account=person, role=1 + at % 4, granted_by=owner)
        for at, person in enumerate(people)
    ]
    roles += [Grant(namespace=space, account=everywhere, role=2) for space in spaces]
    groups = Team.objects.bulk_create(Team(name=f"team-{at}") for at in range(teams))
    TeamMember.objects.bulk_create(
        (
            TeamMember(team=groups[(at + turn * 7) % teams], account=person)
            for at, person in enumerate(people)
            for turn in range(_TEAMS_OF_EACH)
        ),
        batch_size=5000,
    )
    TeamMember.objects.bulk_create(TeamMember(team=group, account=everywhere) for group in groups)
    roles += [
        Grant(namespace=spaces[(at * 31 + turn * 17) % len(spaces)], team=group, role=2)
        for at, group in enumerate(groups)
        for turn in range(_NAMESPACES_OF_A_TEAM)
    ]
    target = spaces[0]
    roles += [Grant(namespace=target, account=member, role=2), Grant(namespace=target, team=groups[0], role=3)]
    Grant.objects.bulk_create(roles, batch_size=5000, ignore_conflicts=True)
    TeamMember.objects.create(team=groups[0], account=of_team)
    tidy()
    return {"owner": owner, "member": member, "by a team": of_team, "in all": everywhere, "stranger": stranger}


def earlier(commit: str, path: str) -> types.ModuleType:
    """A module as it was in a commit."""
    source = subprocess.run(
        ["git", "show", f"{commit}:{path}"], cwd=BASE_DIR, check=True, capture_output=True, text=True
    )
    module = types.ModuleType(f"earlier_{path.replace('/', '_')}")
    sys.modules[module.__name__] = module
    exec(compile(source.stdout, path, "exec"), module.__dict__)
    return module


Ask = Callable[[], object]


def token_statements(module: Any, account: Account, secret: str, login: Login, repository: str) -> dict[str, Ask]:
    """Calls of the token endpoint's statements for one repository."""
    names = {"names": repository, "namespaces": repository.partition("/")[0]}
    marks = {"marks": ""}
    username = account.credential.username
    return {
        "password": lambda: module._rows(module._BY_USERNAME, {**names, **marks, "username": username}),
        "access token": lambda: module._rows(
            module._BY_SECRET, {**names, **marks, "username": username, "secret_hash": hash_secret(secret)}
        ),
        "login": lambda: module._rows(module._BY_LOGIN, {**names, **marks, "login": login.pk}),
    }


def gate_statement(module: Any, account: Account, repository: str) -> Ask:
    """A call of the gate's statement for a push of a tag."""
    parameters = {
        "username": account.credential.username, "repository": repository, "namespace": repository.partition("/")[0],
        "tag": "v1", "digest": f"sha256:{0:064}", "tag_quota": 100,
    }  # fmt: skip

    def ask() -> None:
        with frequent_cursor() as cursor:
            cursor.execute(module._FACTS, parameters)
            cursor.fetchone()

    return ask


def compare(before: Ask, now: Ask, rounds: int) -> tuple[float, float]:
    """Ask both in turn; the median milliseconds of each that PostgreSQL computed, without what it waited."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        state = Path("/proc", str(cursor.fetchone()[0]), "schedstat")
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for at in (0, 1) if turn % 2 else (1, 0):
            ask = (before, now)[at]
            ask()
            begun = _nanoseconds(state)
            for _ in range(_TIMES):
                ask()
            taken[at].append((_nanoseconds(state) - begun) / 1e6 / _TIMES)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _nanoseconds(state: Path) -> int:
    """How long a process has run on a processor (Linux, ``/proc/PID/schedstat``)."""
    return int(state.read_text().split()[0])


def plan(statement: str, parameters: dict[str, Any]) -> str:
    """The plan of a statement, with what it took."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.members", description=__doc__)
    parser.add_argument("--before", required=True, help="a commit of a version without roles")
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=1_000)
    parser.add_argument("--teams", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"of {_TIMES} statements of each version")
    parser.add_argument("--plans", action="store_true", help="print the plans, too")
    given = parser.parse_args(arguments)
    with installation(registry=False, options=FAST):
        say("Filling ...")
        who = fill(given.members, given.namespaces, given.teams)
        old = earlier(given.before, "console/token_server/lookup.py")
        old_gate = earlier(given.before, "console/gate/lookup.py")
        rows: list[tuple[object, ...]] = []
        for name, account in who.items():
            secret = access_tokens.create(account, "benchmark", can_push=True)[1]
            login = Login.objects.create(account=account, version=account.credential.version, client="docker")
            for repository in ("shared-0/app", "shared-0/new"):
                asked = [token_statements(module, account, secret, login, repository) for module in (old, lookup)]
                for kind in asked[0]:
                    before, now = compare(asked[0][kind], asked[1][kind], given.rounds)
                    what = "a new image" if repository.endswith("new") else "an image"
                    rows.append((f"{kind}, {name}, {what}", before, now, before / now))
            gate = [gate_statement(module, account, "shared-0/app") for module in (old_gate, gate_lookup)]
            before, now = with_prepared_statements(lambda gate=gate: compare(*gate, given.rounds))
            rows.append((f"gate, {name}", before, now, before / now))
        table("Statements with many members", ("Statement", "before, ms", "now, ms", "ratio"), rows)
        if given.plans:
            names = {"names": "shared-0/app", "namespaces": "shared-0", "marks": ""}
            print(plan(lookup._BY_USERNAME, {**names, "username": who["in all"].credential.username}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
