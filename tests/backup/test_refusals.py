"""What a backup and a restore refuse, and that they leave everything as it was then."""

import dataclasses
import getpass
import io
import json
import os
import shutil
import stat
import tarfile

import psycopg
import pytest

from console.backup import archive
from console.local import orphans
from tests.support.environment import ENVIRONMENT
from tests.support.installations import create, databases, drop, server
from tests.support.postgres import MIGRATED


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A installation with its tables and one account, and its backup, made once."""
    installation = create(tmp_path_factory.mktemp("first"), like=MIGRATED)
    installation.sql(
        "INSERT INTO accounts_account (password, is_superuser, account_id, name, is_active, is_staff, created_at) "
        "VALUES ('!', false, '123456789012', 'Ann', true, false, now())"
    )
    installation.sql("INSERT INTO django_session VALUES ('a-session', 'data', now() + interval '1 day')")
    file = installation.folder / "backup.tar"
    installation.done("backup", file)
    yield installation, file
    drop(installation)


@pytest.fixture
def full(first, build):
    """The same once more."""
    installation = build(like=first[0].database)
    shutil.copytree(first[0].folder / "keys", installation.folder / "keys")
    return installation


@pytest.fixture
def backup(first, tmp_path):
    return shutil.copy2(first[1], tmp_path / "backup.tar")


def rewrite(file, *, dump=None, **changes):
    """The same backup with something else in it, and right checksums."""
    with tarfile.open(file) as tar:
        content = json.loads(tar.extractfile(archive.MANIFEST).read())
        keys = {
            name.removeprefix("keys/"): tar.extractfile(name).read()
            for name in tar.getnames()
            if name.startswith("keys/")
        }
        dump = tar.extractfile(archive.DUMP).read() if dump is None else dump
    manifest = dataclasses.replace(archive.Manifest(**content), files={}, **changes)
    with file.open("wb") as target:
        archive.write(target, manifest, io.BytesIO(dump), keys)


def test_there_and_back(full, backup, build):
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    other = build()
    said = other.done("restore", backup)
    assert "Restored the database and the keys as of" in said
    assert other.sql("SELECT account_id, name FROM accounts_account") == [("123456789012", "Ann")]
    assert other.sql("SELECT * FROM django_session") == [], "nobody is signed in by a backup"
    assert other.sql("SELECT * FROM django_migrations ORDER BY id") == full.sql(
        "SELECT * FROM django_migrations ORDER BY id"
    )
    keys = {path.name: path.read_bytes() for path in (full.folder / "keys").iterdir()}
    assert {path.name: path.read_bytes() for path in (other.folder / "keys").iterdir()} == keys
    assert len(keys) == 5
    for path in (other.folder / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((other.folder / "keys").stat().st_mode) == 0o700
    by = f"command:{getpass.getuser()}"
    assert other.sql("SELECT action, actor FROM audit_auditevent") == [("backup.restore", by)]
    assert ("backup.make", by) in full.sql("SELECT action, actor FROM audit_auditevent")
    assert not [name for name in databases() if name.startswith((f"{other.database}_", f"{full.database}_"))]
    assert sorted(path.name for path in other.folder.iterdir()) == ["keys", "run"]


def test_over_what_is_there(full, backup):
    full.sql("UPDATE accounts_account SET name = 'Ben'")
    (full.folder / "keys" / "secret_key").write_text("another")
    before = full.state()
    assert f"The database {full.database} is not empty" in full.refused("restore", backup)
    assert full.state() == before
    full.done("restore", backup, "--force")
    assert full.sql("SELECT name FROM accounts_account") == [("Ann",)]
    assert (full.folder / "keys" / "secret_key").read_text() != "another"


def damage_middle(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage_manifest(file):
    file.write_bytes(file.read_bytes().replace(b'"made_at": "20', b'"made_at": "19', 1))


def damage_key(file):
    content = file.read_bytes()
    at = content.index(b"-----BEGIN PRIVATE KEY-----") + 60
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def take_away_dump(file):
    with tarfile.open(file) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar if member.name != archive.DUMP]
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))


def name_a_path(file):
    with file.open("r+b") as target:
        manifest = archive.Manifest("now", "1", [], 16, 16, "", {})
        keys = {"../../escaped": b"content"}
        archive.write(target, manifest, io.BytesIO(b"dump"), keys)


DAMAGE = [
    (damage_middle, "the checksum of database.dump is wrong"),
    (damage_manifest, "the checksum of its manifest is wrong"),
    (damage_key, "the checksum of keys/"),
    (take_away_dump, "database.dump is missing"),
    (lambda file: os.truncate(file, file.stat().st_size // 2), "damaged"),
    (lambda file: file.write_text("hello"), "damaged"),
    (lambda file: os.truncate(file, 0), "damaged"),
    (name_a_path, "lists files that do not belong to a backup"),
    (lambda file: file.unlink(), "There is no file"),
]


def test_a_damaged_file(backup, build):
    files = []
    for number, (spoil, _why) in enumerate(DAMAGE):
        files.append(shutil.copy2(backup, backup.with_name(f"{number}.tar")))
        spoil(files[-1])
    other = build()
    other.done("check")
    before = other.state()
    said = [other.refused("restore", file) for file in files]
    for sentence, (_spoil, why) in zip(said, DAMAGE, strict=True):
        assert why in sentence
    assert other.state() == before


def test_of_a_later_version(full, backup, build):
    files = [shutil.copy2(backup, backup.with_name(f"{number}.tar")) for number in range(3)]
    rewrite(files[0], migrations=[*full.sql("SELECT 'images.0001_initial'")[0], "images.9999_later"], product="7.0")
    rewrite(files[1], format=archive.FORMAT + 1)
    rewrite(files[2], migrations=[], postgres=99)
    other = build()
    said = [other.refused("restore", file) for file in files]
    assert "made by a later version of My Images (7.0; images.9999_later is not known here)" in said[0]
    assert "in a format that this version does not know" in said[1]
    assert "Restore it to the same or a later version" in said[2]
    assert other.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_a_failure_in_the_middle_leaves_everything(full, backup):
    """A dump that is whole and no dump; and one that cannot be brought to this version."""
    before = full.state()
    good = backup.read_bytes()
    rewrite(backup, dump=b"PGDMP and nothing else")
    assert "pg_restore failed" in full.refused("restore", backup, "--force")
    assert full.state() == before
    backup.write_bytes(good)
    # The dump has a table that a migration makes: it was not recorded.
    full.sql("DELETE FROM django_migrations WHERE app = 'favorites'")
    full.done("backup", backup)
    full.done("migrate", "-v0", "--fake", "favorites")
    before = full.state()
    assert "could not be migrated" in full.refused("restore", backup, "--force")
    assert full.state() == before


def test_keys_that_cannot_take_their_place(full, backup):
    """The database is then the one that it was."""
    full.sql("UPDATE accounts_account SET name = 'Ben'")
    keys = full.folder / "keys"
    real = full.folder.with_name(f"{full.folder.name}-keys")
    keys.rename(real)
    keys.symlink_to(real)
    before = full.state()[:4]
    file = full.folder / "sitecustomize.py"
    # The folder cannot be made what it was restored to be.
    file.write_text(
        "import pathlib\nold = pathlib.Path.rename\n"
        "def rename(self, target):\n"
        "    if self.parent.name.startswith('.restore.') and self.name == 'keys':\n"
        "        raise PermissionError(13, 'Permission denied', str(self))\n"
        "    return old(self, target)\n"
        "pathlib.Path.rename = rename\n"
    )
    assert "Permission denied" in full.refused("restore", backup, "--force", PYTHONPATH=str(full.folder))
    assert full.state()[:4] == before


def test_what_a_killed_one_left_behind(full, backup):
    left = full.folder / ".restore.left"
    aside = full.folder / ".restore.aside"
    (left / "keys").mkdir(parents=True)
    (aside / "keys.before").mkdir(parents=True)
    name = f"{full.database}_restore_00000000"
    with server() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with server(name):
        full.done("restore", backup, "--force")
        assert name in databases(), "somebody is at work in it"
    full.done("restore", backup, "--force")
    assert name not in databases()
    assert not left.exists()
    assert aside.exists(), "keys that were in use are not thrown away"


def test_while_it_is_in_use(full, backup, build):
    with server(full.database):
        assert "Others are connected to the database" in full.refused("restore", backup, "--force")
    with orphans.lock(full.folder / "run"):
        assert f"already running over this data, pid {os.getpid()}" in full.refused("restore", backup, "--force")
        full.done("backup", backup.with_name("meanwhile.tar"))


def test_a_role_that_may_make_no_database(backup, build):
    with server() as connection:
        connection.execute("CREATE ROLE humble LOGIN")
    installation = build(owner="humble")
    try:
        assert "Give it CREATEDB" in installation.refused("restore", backup)
        with server() as connection:
            connection.execute("ALTER ROLE humble CREATEDB")
        installation.done("restore", backup)
        assert installation.sql("SELECT name FROM accounts_account") == [("Ann",)]
    finally:
        with server() as connection:
            connection.execute(f"DROP DATABASE {installation.database} WITH (FORCE)")
            connection.execute("DROP ROLE humble")


def test_a_backup_that_cannot_be_made(build, tmp_path):
    installation = build()
    old = tmp_path / "old.tar"
    old.write_text("the last good one")
    files = (tmp_path / "backup.tar", tmp_path, tmp_path / "none" / "backup.tar", old)
    for file, why in zip(files, ("is empty", "is a folder", "There is no folder", "is empty"), strict=True):
        assert why in installation.refused("backup", file)
    assert "has no database" in installation.refused("backup", tmp_path / "backup.tar", DATABASE_URL="")
    assert old.read_text() == "the last good one"
    with server() as connection:
        connection.execute(f"DROP DATABASE {installation.database}")
    assert "cannot be reached" in installation.refused("backup", old)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_older_one_is_brought_to_this_version(full, build, tmp_path):
    columns = (
        "SELECT count(*) FROM information_schema.columns "
        "WHERE table_name = 'accounts_account' AND column_name = 'confirmed_email'"
    )
    full.done("migrate", "-v0", "accounts", "0005")
    assert full.sql(columns) == [(0,)]
    file = tmp_path / "older.tar"
    full.done("backup", file)
    newer = build()
    newer.done("restore", file)
    assert newer.sql(columns) == [(1,)]
    assert newer.sql("SELECT account_id, name FROM accounts_account") == [("123456789012", "Ann")]
    newer.done("migrate", "--check", "-v0")


def test_secrets_show_nowhere(tmp_path):
    """A database's password is in no argument, which others on the machine can read."""
    from console.backup.database import Database

    said = tmp_path / "said"
    program = tmp_path / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}; echo "PASSWORD=$PGPASSWORD" >> {said}\n')
    program.chmod(0o755)
    Database({"dbname": "x", "host": "h", "password": "the secret"}).run(program, "--option")
    arguments, password = said.read_text().splitlines()
    assert "secret" not in arguments
    assert password == "PASSWORD=the secret"


def test_a_snapshot_of_one_moment(full, tmp_path, monkeypatch):
    """What is committed after the snapshot was taken is not in the dump, whenever pg_dump gets to it."""
    from console.backup import database
    from console.local import postgres

    found = postgres.client_program

    def meanwhile(name, least):
        full.sql("UPDATE accounts_account SET name = 'Later'")
        full.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('images', '9999_later', now())")
        return found(name, least)

    monkeypatch.setattr(postgres, "client_program", meanwhile)
    target = database.Database({"host": str(ENVIRONMENT.socket_dir), "dbname": full.database, "user": "postgres"})
    file = tmp_path / "dump"
    with file.open("w+b") as output:
        migrations, _, _ = database.dump(target, output)
    assert "images.9999_later" not in migrations
    assert full.sql("SELECT name FROM accounts_account") == [("Later",)]
    with server() as connection:
        connection.execute(f"CREATE DATABASE {full.database}_copy")
        try:
            target.named(f"{full.database}_copy").run(found("pg_restore", 18)[0], "--no-owner", str(file))
            with psycopg.connect(**target.named(f"{full.database}_copy").parameters) as copy:
                assert copy.execute("SELECT name FROM accounts_account").fetchall() == [("Ann",)]
        finally:
            connection.execute(f"DROP DATABASE {full.database}_copy")


def test_the_program_for_a_server(monkeypatch):
    from pathlib import Path

    from console.local import postgres
    from console.local.problems import Problem

    versions = {"a": 15, "b": 18, "c": 16, "d": 0}
    monkeypatch.setattr(postgres, "POSTGRES_VERSIONS", {1: Path("/a"), 2: Path("/b"), 3: Path("/c"), 4: Path("/d")})
    monkeypatch.setattr(postgres, "_version", lambda program: versions.get(program.parent.name, 0))
    monkeypatch.setattr(postgres.shutil, "which", lambda name: None)
    assert [postgres.client_program("pg_dump", least)[1] for least in (14, 15, 16, 17, 18)] == [15, 15, 16, 18, 18]
    with pytest.raises(Problem, match="The server is PostgreSQL 19, and no such pg_dump was found"):
        postgres.client_program("pg_dump", 19)
