"""Dump and restore with ``pg_dump`` and ``pg_restore``, for the embedded server or an external one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from console.local import orphans, postgres
from console.local.problems import Problem

# Sessions are not in a backup: they could be stolen from it, and ended ones would be valid again after a restore.
WITHOUT_ROWS = ("django_session",)
_START_SECONDS = 60.0
_MAINTENANCE = ("postgres", "template1")
_WORDS = frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults())


@dataclass(frozen=True)
class Database:
    """A database, by its libpq connection parameters."""

    parameters: dict[str, str]

    @property
    def name(self) -> str:
        """The database's name."""
        return self.parameters["dbname"]

    def named(self, name: str) -> Database:
        """Another database of the same server."""
        return replace(self, parameters={**self.parameters, "dbname": name})

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection, with autocommit unless ``options`` say otherwise.

        :raises Problem: when the server does not answer, or rejects it.
        """
        try:
            return psycopg.connect(**{**self.parameters, "autocommit": True, **options})
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[-1]
            raise Problem(f"The database {self.name} cannot be reached: {reason}.") from None

    def run(self, program: Path, *arguments: str, output: IO[bytes] | None = None) -> None:
        """Run one of PostgreSQL's programs with this database. The password is in the environment, not on the command
        line, which other users could read.

        :raises Problem: when it fails, with the last line of its output.
        """
        shown = {name: value for name, value in self.parameters.items() if name != "password"}
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        if password := self.parameters.get("password"):
            variables["PGPASSWORD"] = password
        result = subprocess.run(
            [str(program), f"--dbname={psycopg.conninfo.make_conninfo('', **shown)}", "--no-password", *arguments],
            env={**variables, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if result.returncode:
            lines = [line for line in result.stderr.decode(errors="replace").splitlines() if ": error: " in line]
            raise Problem(f"{program.name} failed: {(lines or ['it gave no reason'])[0].partition(': error: ')[2]}.")


def configured() -> Database:
    """The database in the settings."""
    given = connection.get_connection_params()
    return Database({name: str(value) for name, value in given.items() if name in _WORDS and value not in (None, "")})


@contextlib.contextmanager
def served(*, exclusively: bool) -> Iterator[None]:
    """Ensure that the embedded server is running in this block: that of the running installation, or a temporary one.

    :param exclusively: no installation may be running over this data, nor start meanwhile.
    :raises Problem: when one is running and must not, or the server does not start.
    """
    environment = settings.ENVIRONMENT
    run = environment.data_dir / "run"
    try:
        lock = orphans.lock(run)
    except Problem:
        if exclusively:
            raise
        yield
        return
    with lock:
        if not environment.embedded_database:
            yield
            return
        orphans.clear(run)
        data = environment.data_dir / "postgres"
        if not exclusively and not (data / "PG_VERSION").exists():
            raise Problem(f"There is nothing to back up: {environment.data_dir} has no database.")
        server = postgres.Postgres(data, environment.socket_dir, environment.postgres_options)
        server.initialise()
        process = server.start()
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not server.is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Problem(f"The PostgreSQL over {data} does not start; 'make run' shows why.")
                time.sleep(0.05)
            yield
        finally:
            connection.close()
            process.send_signal(signal.SIGINT)
            process.wait()


def major(opened: psycopg.Connection[Any]) -> int:
    """The server's major version."""
    return opened.info.server_version // 10000


def applied(opened: psycopg.Connection[Any]) -> list[str]:
    """The applied migrations of a database, as ``app.name``; none if it does not have our tables."""
    if opened.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,):
        return []
    rows = opened.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
    return [str(row[0]) for row in rows]


def dump(database: Database, file: IO[bytes]) -> tuple[list[str], int, int]:
    """Write a consistent dump of the database to ``file``, without blocking others.

    :returns: the applied migrations in the same snapshot, the server's major version, and that of ``pg_dump``.
    :raises Problem: when it fails.
    """
    with database.connect(autocommit=False) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # ``pg_dump`` uses the same snapshot.
        snapshot = str((opened.execute("SELECT pg_export_snapshot()").fetchone() or ("",))[0])
        migrations = applied(opened)
        if not migrations:
            raise Problem(f"There is nothing to back up: the database {database.name} is empty.")
        program, version = postgres.client_program("pg_dump", major(opened))
        left_out = [f"--exclude-table-data=*.{table}" for table in WITHOUT_ROWS]
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", *left_out]
        database.run(program, *options, output=file)
        return migrations, major(opened), version


def is_empty(opened: psycopg.Connection[Any]) -> bool:
    """Whether a database has no tables, views and sequences except PostgreSQL's own."""
    query = (
        "SELECT 1 FROM pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace "
        "WHERE schema.nspname !~ '^pg_' AND schema.nspname <> 'information_schema' LIMIT 1"
    )
    return opened.execute(query).fetchone() is None


def others(opened: psycopg.Connection[Any], name: str) -> int:
    """Number of other connections to the database ``name``."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    return int((opened.execute(query, [name]).fetchone() or (0,))[0])


def maintenance(database: Database) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection to another database of the same server, in order to rename ``database``.

    :raises Problem: when there is none.
    """
    problem: Problem | None = None
    for name in _MAINTENANCE:
        if name != database.name:
            try:
                return database.named(name).connect()
            except Problem as found:
                problem = problem or found
    raise problem or Problem("There is no other database to work from.")


def create_like(opened: psycopg.Connection[Any], name: str, like: str) -> None:
    """Create an empty database with the encoding and the collation of another.

    :raises Problem: when the role may not create databases.
    """
    columns = "pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text"
    locale = {15: "daticulocale", 16: "daticulocale"}.get(major(opened), "datlocale" if major(opened) > 16 else "NULL")
    found = opened.execute(
        sql.SQL("SELECT {}, {} FROM pg_database WHERE datname = %s").format(sql.SQL(columns), sql.SQL(locale)), [like]
    ).fetchone()
    if found is None:
        raise Problem(f"The server has no database {like}: create it, empty, then try again.")
    encoding, collate, ctype, provider, provider_locale = found
    clauses = [sql.SQL("TEMPLATE template0 ENCODING {}").format(encoding)]
    clauses.append(sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(collate, ctype))
    if provider in ("i", "b"):
        kind, word = ("icu", "ICU_LOCALE") if provider == "i" else ("builtin", "BUILTIN_LOCALE")
        clauses.append(sql.SQL(f"LOCALE_PROVIDER {kind} {word} {{}}").format(provider_locale))
    try:
        opened.execute(sql.SQL("CREATE DATABASE {} ").format(sql.Identifier(name)) + sql.SQL(" ").join(clauses))
    except psycopg.errors.InsufficientPrivilege:
        raise Problem(
            "A restore is prepared in a separate database, and this role may not create one. "
            "Give it CREATEDB (ALTER ROLE … CREATEDB), then try again."
        ) from None


def names(opened: psycopg.Connection[Any], beginning: str) -> list[str]:
    """The server's databases whose names have this prefix."""
    rows = opened.execute("SELECT datname FROM pg_database WHERE starts_with(datname::text, %s)", [beginning])
    return [str(row[0]) for row in rows]


def drop(opened: psycopg.Connection[Any], name: str, *, force: bool = True) -> None:
    """Drop a database.

    :param force: whether to close other connections to it.
    :raises psycopg.errors.ObjectInUse: when there are other connections, and they must not be closed.
    """
    option = sql.SQL(" WITH (FORCE)" if force else "")
    opened.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)) + option)


def rename(opened: psycopg.Connection[Any], old: str, new: str) -> None:
    """Rename a database, in the caller's transaction."""
    opened.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
