"""What the environment says: every variable the program reads is read here, once, and checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

# A Unix socket's path may have 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock" to the folder.
_LONGEST_SOCKET_DIR = 107 - len("/.s.PGSQL.5432.lock")


class EnvironmentProblem(Exception):
    """A variable has a value that cannot be used. The message is one sentence for the operator."""


@dataclass(frozen=True)
class Environment:
    """The program's configuration as given by environment variables, with defaults filled in."""

    data_dir: Path
    database_url: str
    embedded_database: bool
    console_host: str
    console_port: int
    console_url: str
    registry_port: int
    registry_url: str
    registry_is_ours: bool
    console_registry_url: str
    registry_address: str
    registry_service: str
    token_issuer: str

    @property
    def socket_dir(self) -> Path:
        """Folder of the embedded PostgreSQL's Unix socket."""
        return socket_dir(self.data_dir)

    @property
    def inner_registry_file(self) -> Path:
        """Where a running My Images writes the address of its inner registry, for commands started beside it."""
        return inner_registry_file(self.data_dir)


def socket_dir(data_dir: Path) -> Path:
    """Where the embedded PostgreSQL puts its socket: under ``data_dir`` unless that path is too long for one."""
    inside = data_dir / "run" / "postgres"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIR:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"my-images-{name}"


def inner_registry_file(data_dir: Path) -> Path:
    """See ``Environment.inner_registry_file``."""
    return data_dir / "run" / "inner_registry"


def _console_registry(environ: Mapping[str, str], data_dir: Path, registry_url: str) -> str:
    """The registry that the console's own calls go to: the inner one where there is one."""
    if environ.get("REGISTRY_URL", "").strip():
        return registry_url
    try:
        return inner_registry_file(data_dir).read_text().strip() or registry_url
    except OSError:
        return registry_url


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    raw = environ.get(name, "").strip() or str(default)
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= 65535:
        raise EnvironmentProblem(f"{name} is {raw!r}; it must be a port number from 1 to 65535.")
    return int(raw)


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    value = (environ.get(name, "").strip() or default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EnvironmentProblem(f"{name} is {value!r}; it must be an address like http://127.0.0.1:5000.")
    return value


def load(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the environment.

    :param environ: the variables, ``os.environ`` when not given.
    :raises EnvironmentProblem: when a value cannot be used.
    """
    environ = os.environ if environ is None else environ
    data_dir = Path(environ.get("DATA_DIR", "").strip() or BASE_DIR / ".data").expanduser().resolve()
    console_port = _port(environ, "CONSOLE_PORT", 8000)
    registry_port = _port(environ, "REGISTRY_PORT", 5000)
    given_database = environ.get("DATABASE_URL", "").strip()
    given_registry = environ.get("REGISTRY_URL", "").strip()
    registry_url = _url(environ, "REGISTRY_URL", f"http://127.0.0.1:{registry_port}")
    service = environ.get("REGISTRY_SERVICE", "").strip() or "my-images-registry"
    return Environment(
        data_dir=data_dir,
        database_url=given_database
        or f"postgresql://postgres@/my_images?host={quote(str(socket_dir(data_dir)), safe='')}",
        embedded_database=not given_database,
        console_host=environ.get("CONSOLE_HOST", "").strip() or "127.0.0.1",
        console_port=console_port,
        console_url=_url(environ, "CONSOLE_URL", f"http://127.0.0.1:{console_port}"),
        registry_port=registry_port,
        registry_url=registry_url,
        registry_is_ours=not given_registry,
        console_registry_url=_console_registry(environ, data_dir, registry_url),
        registry_address=environ.get("REGISTRY_ADDRESS", "").strip() or urlsplit(registry_url).netloc,
        registry_service=service,
        token_issuer=environ.get("TOKEN_ISSUER", "").strip() or "my-images-console",
    )
