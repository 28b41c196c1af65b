"""Installations without processes: a data folder, and a database on the tests' server."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from console.installation.environment import BASE_DIR
from console.local.postgres import client_program
from tests.support import postgres
from tests.support.command_process import CommandProcess
from tests.support.environment import ENVIRONMENT

_commands = CommandProcess()


def pytest_unconfigure(config):
    """End the process of the commands."""
    _commands.stop()


def server(dbname="postgres"):
    postgres.start_once()
    return psycopg.connect(host=str(ENVIRONMENT.socket_dir), dbname=dbname, user="postgres", autocommit=True)


@dataclass
class Installation:
    """An installation that is not started."""

    folder: Path
    database: str
    user: str = "postgres"

    @property
    def variables(self):
        """Its environment variables."""
        address = ENVIRONMENT.database_url.replace("/my_images?", f"/{self.database}?")
        address = address.replace("://postgres@", f"://{self.user}@")
        return {"DATA_DIR": str(self.folder), "DATABASE_URL": address}

    def manage(self, *arguments):
        """Run a management command, in a process that earlier ones have started; returns exit code and output."""
        return _commands.run([str(part) for part in arguments], self.variables)

    def manage_alone(self, *arguments, **variables):
        """Run a management command in a process of its own, with variables of its own; returns exit code and output."""
        result = subprocess.run(
            [sys.executable, "-W", "ignore", str(BASE_DIR / "manage.py"), *map(str, arguments)],
            env={**os.environ, **self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, (result.stdout + result.stderr).strip()

    def done(self, *arguments):
        code, output = self.manage(*arguments)
        assert code == 0, output
        return output

    def refused(self, *arguments, **variables):
        """Run a command that fails with exit code 1; returns its error message."""
        code, output = self.manage_alone(*arguments, **variables) if variables else self.manage(*arguments)
        assert code == 1, output
        assert output.startswith("CommandError: ")
        assert "\n" not in output
        return output.removeprefix("CommandError: ")

    def sql(self, query, *parameters):
        with server(self.database) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def migrate(self, targets):
        """Migrate each app to a migration in one run, and other apps only as far as these need."""
        self.done(
            "shell",
            "-v0",
            "-c",
            "from django.db import connection\n"
            "from django.db.migrations.executor import MigrationExecutor\n"
            f"targets = {sorted(targets.items())!r}\n"
            "targets = [(app, None if name == 'zero' else name) for app, name in targets]\n"
            "MigrationExecutor(connection).migrate(targets)\n",
        )

    def run(self, code):
        """Run Python code in a new process with Django set up; returns its output."""
        status, output = self.manage_alone("shell", "-v0", "-c", code)
        assert status == 0, output
        return output

    def schema(self):
        """Each table, index, constraint, function, trigger and sequence, as defined in PostgreSQL."""
        program, _ = client_program("pg_dump", 18)
        command = [program, "-h", ENVIRONMENT.socket_dir, "-U", "postgres", "--schema-only", "--restrict-key=same"]
        result = subprocess.run([*command, self.database], capture_output=True, text=True, check=True)
        return {" ".join(statement.split()) for statement in result.stdout.split("\n\n")}

    def state(self):
        """Everything that a refused restore must not change."""
        keys = {path.name: path.read_bytes() for path in (self.folder / "keys").iterdir()}
        tables = self.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
        rows = self.sql("SELECT * FROM accounts_account") if ("accounts_account",) in tables else []
        return keys, tables, rows, databases(), sorted({path.name for path in self.folder.iterdir()} - {"run"})


def databases():
    with server() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def create(folder, owner="postgres", like="template1"):
    """Create an installation in ``folder`` with a database: an empty one, or a copy of another."""
    installation = Installation(folder / uuid.uuid4().hex[:8], f"installation_{uuid.uuid4().hex[:12]}", owner)
    installation.folder.mkdir()
    with server() as connection:
        connection.execute(f"CREATE DATABASE {installation.database} OWNER {owner} TEMPLATE {like}")
    return installation


def drop(installation):
    """Drop its database."""
    with server() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {installation.database} WITH (FORCE)")


@pytest.fixture
def build(tmp_path):
    """Factory of installations; their databases are dropped at the end."""
    made = []

    def build(**options):
        made.append(create(tmp_path, **options))
        return made[-1]

    yield build
    for installation in made:
        drop(installation)
