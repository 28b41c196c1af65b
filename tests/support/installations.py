"""Installations without their processes: a data folder and a database at the tests' server."""

from __future__ import annotations

import json
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
from tests.support.environment import ENVIRONMENT


def server(dbname="postgres"):
    postgres.start_once()
    return psycopg.connect(host=str(ENVIRONMENT.socket_dir), dbname=dbname, user="postgres", autocommit=True)


@dataclass
class Installation:
    """One that was never started."""

    folder: Path
    database: str
    user: str = "postgres"

    def manage(self, *arguments, **variables):
        """Run a management command; the exit code, and what it said."""
        address = ENVIRONMENT.database_url.replace("/my_images?", f"/{self.database}?")
        address = address.replace("://postgres@", f"://{self.user}@")
        result = subprocess.run(
            [sys.executable, "-W", "ignore", str(BASE_DIR / "manage.py"), *map(str, arguments)],
            env={**os.environ, "DATA_DIR": str(self.folder), "DATABASE_URL": address, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, (result.stdout + result.stderr).strip()

    def done(self, *arguments):
        code, said = self.manage(*arguments)
        assert code == 0, said
        return said

    def refused(self, *arguments, **variables):
        """The one sentence of a command that ends with exit code 1."""
        code, said = self.manage(*arguments, **variables)
        assert code == 1, said
        assert said.startswith("CommandError: ")
        assert "\n" not in said
        return said.removeprefix("CommandError: ")

    def refused_each(self, *commands):
        """The sentences of commands that are refused, all in one process: starting it takes longest."""
        said = self.run(
            "import json\n"
            "from django.core.management import CommandError, call_command\n"
            "said = []\n"
            f"for command in {[[*map(str, command)] for command in commands]!r}:\n"
            "    try:\n"
            "        call_command(*command)\n"
            "        said.append('it was done')\n"
            "    except CommandError as error:\n"
            "        said.append(str(error))\n"
            "print(json.dumps(said))\n"
        )
        sentences = json.loads(said)
        assert not [sentence for sentence in sentences if "\n" in sentence]
        return sentences

    def sql(self, query, *parameters):
        with server(self.database) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def migrate(self, targets):
        """Bring each app to a migration, and no app further than those need: in one go."""
        self.run(
            "from django.db import connection\n"
            "from django.db.migrations.executor import MigrationExecutor\n"
            f"targets = {sorted(targets.items())!r}\n"
            "targets = [(app, None if name == 'zero' else name) for app, name in targets]\n"
            "MigrationExecutor(connection).migrate(targets)\n"
        )

    def run(self, code):
        """Run Python in it, with Django set up; what it prints."""
        return self.done("shell", "-v0", "-c", code)

    def schema(self):
        """Each table, index, constraint, function, trigger and sequence, as PostgreSQL writes it."""
        program, _ = client_program("pg_dump", 18)
        command = [program, "-h", ENVIRONMENT.socket_dir, "-U", "postgres", "--schema-only", "--restrict-key=same"]
        result = subprocess.run([*command, self.database], capture_output=True, text=True, check=True)
        return {" ".join(statement.split()) for statement in result.stdout.split("\n\n")}

    def state(self):
        """All that a restore that was refused must leave alone."""
        keys = {path.name: path.read_bytes() for path in (self.folder / "keys").iterdir()}
        tables = self.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
        rows = self.sql("SELECT * FROM accounts_account") if ("accounts_account",) in tables else []
        return keys, tables, rows, databases(), sorted({path.name for path in self.folder.iterdir()} - {"run"})


def databases():
    with server() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def create(folder, owner="postgres", like="template1"):
    """An installation in ``folder`` with a database: an empty one, or a copy of another's."""
    installation = Installation(folder / uuid.uuid4().hex[:8], f"installation_{uuid.uuid4().hex[:12]}", owner)
    installation.folder.mkdir()
    with server() as connection:
        connection.execute(f"CREATE DATABASE {installation.database} OWNER {owner} TEMPLATE {like}")
    return installation


def drop(installation):
    """Remove its database."""
    with server() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {installation.database} WITH (FORCE)")


@pytest.fixture
def build(tmp_path):
    """Makes installations; their databases go in the end."""
    made = []

    def build(**options):
        made.append(create(tmp_path, **options))
        return made[-1]

    yield build
    for installation in made:
        drop(installation)
