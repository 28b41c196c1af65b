"""Make a backup, and restore one atomically."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from console.audit.services import record
from console.backup import archive, database
from console.installation import keys
from console.installation.environment import BASE_DIR, Environment
from console.installation.version import VERSION
from console.local import postgres
from console.local.problems import Problem

log = logging.getLogger(__name__)

_SCRATCH = ".restore."


@dataclass(frozen=True)
class Made:
    """The backup that was written or restored."""

    manifest: archive.Manifest
    size: int


def storage(environment: Environment) -> str:
    """Description of the registry's storage with the images, which are not in a backup."""
    if environment.registry_is_ours:
        return str(environment.data_dir / "registry" / "data")
    return f"the storage of the registry at {environment.registry_url}"


def make(path: Path) -> Made:
    """Write a consistent backup of database and keys to ``path``, also while everything is running.

    :raises Problem: when it fails; an existing file is then not changed.
    """
    environment = settings.ENVIRONMENT
    if path.is_dir():
        raise Problem(f"{path} is a folder. Give the name of the file to write.")
    if not path.parent.is_dir():
        raise Problem(f"There is no folder {path.parent}.")
    try:
        # The temporary file is in the same folder, which needs the space anyway.
        with archive.atomically(path) as file, tempfile.TemporaryFile(dir=path.parent) as dump:
            now = timezone.now()
            with database.served(exclusively=False):
                migrations, server, program = database.dump(database.configured(), dump)
                _record(path)
            manifest = archive.Manifest(
                made_at=now.isoformat(timespec="seconds"),
                product=VERSION,
                migrations=migrations,
                postgres=server,
                dumped_by=program,
                storage=storage(environment),
            )
            archive.write(file, manifest, dump, keys.contents(settings.KEYS.folder))
    except OSError as error:
        raise Problem(f"The backup cannot be written to {path}: {error.strerror}.") from None
    return Made(manifest, path.stat().st_size)


def _record(path: Path) -> None:
    """Record an audit event of the backup."""
    try:
        # A path that is not UTF-8 cannot be stored unchanged, but must not prevent a backup.
        record("backup.make", os.fsencode(path).decode(errors="replace"))
    except (DatabaseError, InterfaceError) as error:
        # Also backs up a database of an earlier version before its upgrade, where the table may differ or be missing.
        log.warning("the backup is not recorded in the audit log: %s", error)


def restore(path: Path, *, force: bool = False) -> Made:
    """Restore database and keys, and migrate the database to this version.

    Everything, including the migrations, is prepared beside the current database and keys, and replaces them in one
    step.

    :param force: also if the current database is not empty; it is then lost.
    :raises Problem: when it fails; then nothing is changed.
    """
    environment = settings.ENVIRONMENT
    with contextlib.ExitStack() as stack:
        try:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=environment.data_dir, prefix=_SCRATCH)))
            dump = scratch / archive.DUMP
            manifest, key_files = archive.read(path, dump)
            _refuse_newer(path, manifest)
            stack.enter_context(database.served(exclusively=True))
            target = database.configured()
            _refuse_target(target, manifest, force)
            _clear_left(target, scratch)
            folder = keys.write_folder(scratch / "keys", key_files)
            keys.ensure_folder(folder)  # adds keys of later versions
            with _prepared(target, dump, manifest) as name:
                _take_places(target, name, folder)
            record("backup.restore", manifest.made_at, product=manifest.product)
        except OSError as error:
            raise Problem(f"The backup cannot be restored: {error.strerror} ({error.filename}).") from None
        except psycopg.Error as error:
            raise Problem(f"The backup cannot be restored: {str(error).splitlines()[0]}.") from None
        return Made(manifest, path.stat().st_size)


def _refuse_newer(path: Path, manifest: archive.Manifest) -> None:
    """Refuse a backup of a later version. :raises Problem: when it has an unknown migration."""
    known: set[str] = set()
    for (app, name), migration in (MigrationLoader(None).disk_migrations or {}).items():
        known.add(f"{app}.{name}")
        known.update(f"{replaced_app}.{replaced}" for replaced_app, replaced in migration.replaces)
    unknown = sorted(set(manifest.migrations) - known)
    if unknown:
        raise Problem(
            f"{path} was made by a later version of My Images ({manifest.product}; {unknown[0]} is not known "
            "here). Install that version or a later one, then try again."
        )


def _refuse_target(target: database.Database, manifest: archive.Manifest, force: bool) -> None:
    """Check the database to replace. :raises Problem: when that is not possible, or not without ``force``."""
    with target.connect() as opened:
        if database.major(opened) < manifest.postgres:
            raise Problem(
                f"The backup comes from PostgreSQL {manifest.postgres}, and the server is PostgreSQL "
                f"{database.major(opened)}. Restore it to the same or a later version."
            )
        if users := database.others(opened, target.name):
            raise Problem(
                f"Others are connected to the database {target.name} ({users}). Stop every My Images that uses it, "
                "then try again."
            )
        if not force and not database.is_empty(opened):
            raise Problem(
                f"The database {target.name} is not empty. Restore into an empty one, or use --force, which "
                "replaces everything in it and the current keys."
            )


def _clear_left(target: database.Database, scratch: Path) -> None:
    """Remove temporary databases and folders of killed restores; keys that one has already set aside are kept."""
    for left in scratch.parent.glob(f"{_SCRATCH}*"):
        if left != scratch and not (left / "keys.before").exists():
            shutil.rmtree(left, ignore_errors=True)
    with database.maintenance(target) as opened:
        for name in database.names(opened, f"{target.name[:40]}_restore_"):
            if database.others(opened, name):  # of a running restore
                continue
            with contextlib.suppress(psycopg.errors.ObjectInUse):
                database.drop(opened, name, force=False)


@contextlib.contextmanager
def _prepared(target: database.Database, dump: Path, manifest: archive.Manifest) -> Iterator[str]:
    """A temporary database with the migrated restored data; yields its name, and drops it at the end."""
    name = f"{target.name[:40]}_restore_{secrets.token_hex(4)}"
    with database.maintenance(target) as opened:
        database.create_like(opened, name, target.name)
        try:
            beside = target.named(name)
            least = max(database.major(opened), manifest.dumped_by)
            program, _ = postgres.client_program("pg_restore", least)
            options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
            beside.run(program, *options, str(dump))
            _migrate(name)
            with beside.connect() as inside:
                inside.execute("ANALYZE")
            yield name
        finally:
            database.drop(opened, name)


def _migrate(name: str) -> None:
    """Run the migrations since the backup in the database ``name``."""
    parts = urlsplit(settings.ENVIRONMENT.database_url)
    address = urlunsplit(parts._replace(path=f"/{name}"))
    result = subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), "migrate", "--no-input", "--verbosity=0"],
        env={**os.environ, "DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Problem(f"The backup is from an older version, and its database could not be migrated: {last}")


def _take_places(target: database.Database, name: str, folder: Path) -> None:
    """Replace the current database and keys with the prepared ones."""
    before = f"{target.name[:40]}_before_{secrets.token_hex(4)}"
    present = settings.KEYS.folder
    aside = folder.with_name("keys.before")
    with database.maintenance(target) as opened:
        try:
            with opened.transaction():
                database.rename(opened, target.name, before)
                database.rename(opened, name, target.name)
                present.rename(aside)
                folder.rename(present)
                archive.sync_folder(present.parent)
        except BaseException:
            if aside.exists():  # the database is unchanged, so restore the keys
                if present.exists():
                    present.rename(folder)
                aside.rename(present)
            raise
        shutil.rmtree(aside)
        database.drop(opened, before)
