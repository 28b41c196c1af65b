"""What the environment says: every variable the program reads is read here, once, and checked."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

BASE_DIR = Path(__file__).resolve().parents[2]

RESTART_REQUEST = "restart_registries"

# The registry that Docker Hub's images come from.
DOCKER_HUB = "https://registry-1.docker.io"

# A Unix socket's path may have 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock" to the folder.
_LONGEST_SOCKET_DIR = 107 - len("/.s.PGSQL.5432.lock")
# It is a part of the key of each identity.
_LONGEST_ISSUER = 200
_LONGEST_COUNT = 6
_SWITCH = {"on": True, "1": True, "true": True, "yes": True, "off": False, "0": False, "false": False, "no": False}
# Read by the settings and by gunicorn.
_COUNTS = ("EMAIL_PORT", "TOKEN_SECONDS", "WEB_THREADS", "WEB_WORKERS")


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
    token_realm: str
    registry_port: int
    registry_url: str
    registry_is_ours: bool
    console_registry_url: str
    registry_address: str
    registry_service: str
    token_issuer: str
    trusted_proxies: tuple[str, ...]
    dockerhub: bool
    # Why the running My Images serves no cache although it is wanted: "port", "program", "files", or empty.
    dockerhub_missing: str
    dockerhub_port: int
    dockerhub_url: str
    dockerhub_inner_url: str
    dockerhub_address: str
    dockerhub_service: str
    dockerhub_upstream: str
    dockerhub_username: str
    dockerhub_password: str = field(repr=False)
    dockerhub_api: str
    dockerhub_check_seconds: float
    import_token_servers: frozenset[tuple[str, str]]
    foreign_layer_urls: tuple[str, ...]
    changes_per_minute: int
    statement_timeout: bool
    # The log's files in DATA_DIR/log, all together, in megabytes; 0 for none.
    log_files_mb: int
    local_accounts: bool
    require_second_factor: bool
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str = field(repr=False)
    oidc_name: str

    @property
    def socket_dir(self) -> Path:
        """Folder of the embedded PostgreSQL's Unix socket."""
        return socket_dir(self.data_dir)

    @property
    def console_registry_service(self) -> str:
        """The name, and so the audience of tokens, of the registry process that answers the console's own calls.

        The inner process has a name of its own: a token that a person was given opens nothing there.
        """
        is_inner = self.console_registry_url != self.registry_url
        return self.inner_registry_service if is_inner else self.registry_service

    @property
    def inner_registry_service(self) -> str:
        """The name of the bundled registry's inner process."""
        return f"{self.registry_service}-inner"

    @property
    def dockerhub_inner_service(self) -> str:
        """The name of the process that serves what Docker Hub's cache holds, for the console alone."""
        return f"{self.dockerhub_service}-inner"

    @property
    def inner_registry_file(self) -> Path:
        """Where a running My Images writes the address of its inner registry, for commands started beside it."""
        return inner_registry_file(self.data_dir)

    @property
    def dockerhub_inner_file(self) -> Path:
        """Where it writes the address of the process that serves what Docker Hub's cache holds, and asks nobody."""
        return dockerhub_inner_file(self.data_dir)

    @property
    def dockerhub_missing_file(self) -> Path:
        """Where it writes why it serves no cache of Docker Hub's images: see ``dockerhub_missing``."""
        return dockerhub_missing_file(self.data_dir)

    @property
    def restart_request(self) -> Path:
        """A file that whoever wants the registries started again puts here; it is removed when they are."""
        return self.data_dir / "run" / RESTART_REQUEST


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


def dockerhub_inner_file(data_dir: Path) -> Path:
    """See ``Environment.dockerhub_inner_file``."""
    return data_dir / "run" / "inner_dockerhub"


def dockerhub_missing_file(data_dir: Path) -> Path:
    """See ``Environment.dockerhub_missing_file``."""
    return data_dir / "run" / "missing_dockerhub"


def _written(file: Path, otherwise: str) -> str:
    """The address in a file of a running My Images."""
    try:
        return file.read_text().strip() or otherwise
    except OSError:
        return otherwise


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


def _switch(environ: Mapping[str, str], name: str, default: bool) -> bool:
    raw = environ.get(name, "").strip().lower()
    if not raw:
        return default
    if raw not in _SWITCH:
        raise EnvironmentProblem(f"{name} is {raw!r}; it must be on or off.")
    return _SWITCH[raw]


def _seconds(environ: Mapping[str, str], name: str, default: float, *, zero: bool = False) -> float:
    raw = environ.get(name, "").strip() or str(default)
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (value == 0 and not zero):
        least = "zero or more" if zero else "above zero"
        raise EnvironmentProblem(f"{name} is {raw!r}; it must be a number of seconds, {least}.")
    return value


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    raw = environ.get(name, "").strip() or str(default)
    if not raw.isascii() or not raw.isdigit() or len(raw) > _LONGEST_COUNT:
        raise EnvironmentProblem(f"{name} is {raw!r}; it must be a whole number, zero or more.")
    return int(raw)


def _check_elsewhere_read(environ: Mapping[str, str]) -> None:
    """See that what the settings and gunicorn read themselves can be read, before anything is started.

    :raises EnvironmentProblem: naming the first that cannot.
    """
    for name in _COUNTS:
        raw = environ.get(name, "").strip()
        # The registry takes a token for a minute longer than it says: a life of three seconds, for tests, is -57.
        digits = raw.removeprefix("-") if name == "TOKEN_SECONDS" else raw
        if raw and not (digits.isascii() and digits.isdigit() and int(digits)):
            raise EnvironmentProblem(f"{name} is {raw!r}; it must be a whole number above zero.")
    _seconds(environ, "AUDIT_SUMMARY_SECONDS", 300, zero=True)
    level = environ.get("LOG_LEVEL", "").strip()
    if level and level.upper() not in logging.getLevelNamesMapping():
        raise EnvironmentProblem(f"LOG_LEVEL is {level!r}; it must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")


def _networks(environ: Mapping[str, str], name: str, default: str) -> tuple[str, ...]:
    given = [part.strip() for part in (environ.get(name, "").strip() or default).split(",") if part.strip()]
    try:
        return tuple(str(ipaddress.ip_network(one)) for one in given)
    except ValueError as problem:
        raise EnvironmentProblem(f"{name}: {problem}; it must be addresses or networks like 10.0.0.0/8.") from None


def _pairs(environ: Mapping[str, str], name: str) -> frozenset[tuple[str, str]]:
    """Pairs of host names, as ``registry.example.com=login.example.com``, separated by commas."""
    pairs = set()
    for entry in environ.get(name, "").lower().split(","):
        left, _, right = (part.strip().rstrip(".") for part in entry.partition("="))
        if left and right and not re.search(r"[/:=\s]", left + right):
            pairs.add((left, right))
        elif entry.strip():
            raise EnvironmentProblem(
                f"{name} has {entry.strip()!r}; it must be host names like registry.example.com=login.example.com."
            )
    return frozenset(pairs)


def _prefixes(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Regular expressions for addresses that begin as is given, each in the syntax that Go and Python share.

    :return: one for any address over http or https when nothing is given, and none for ``none``.
    """
    given = [part for part in re.split(r"[\s,]+", environ.get(name, "")) if part]
    if given == ["none"]:
        return ()
    for prefix in given:
        # With the slash: "https://example.com" is also the beginning of "https://example.com.evil.example".
        if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/[!-~]*", prefix):
            raise EnvironmentProblem(
                f"{name} has {prefix!r}; it must be beginnings of addresses like https://mcr.microsoft.com/, or none."
            )
    return tuple(f"^{re.escape(prefix)}" for prefix in given) or (r"(?i)^https?://",)


def _secret(environ: Mapping[str, str], name: str) -> str:
    """A secret, or what the file that ``name_FILE`` names has in its place."""
    given, file = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if not file:
        return given
    if given:
        raise EnvironmentProblem(f"{name} and {name}_FILE are both set; keep one.")
    try:
        found = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise EnvironmentProblem(f"{name}_FILE is {file!r}, which cannot be read.") from None
    if not found:
        raise EnvironmentProblem(f"{name}_FILE is {file!r}, which is empty.")
    return found


def _issuer(environ: Mapping[str, str]) -> str:
    """The identity provider's address; over plain http on this machine alone (OpenID Connect Discovery 1.0, 3)."""
    value = environ.get("OIDC_ISSUER", "").strip().rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        inside = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        good = bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and inside))
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or len(value) > _LONGEST_ISSUER:
        raise EnvironmentProblem(f"OIDC_ISSUER is {value!r}; it must be an address like https://login.example.com.")
    return value


def _single_sign_on(environ: Mapping[str, str]) -> dict[str, Any]:
    """Who signs in how: by a password, by an identity provider, or by either."""
    issuer, client = _issuer(environ), environ.get("OIDC_CLIENT_ID", "").strip()
    secret = _secret(environ, "OIDC_CLIENT_SECRET")
    given = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": client, "OIDC_CLIENT_SECRET": secret}
    missing = [name for name, value in given.items() if not value]
    if missing and len(missing) < len(given):
        raise EnvironmentProblem(
            f"Single sign-on needs {' and '.join(missing)} as well, or none of {', '.join(given)}."
        )
    local = _switch(environ, "LOCAL_ACCOUNTS", True)
    if not local and not issuer:
        raise EnvironmentProblem("With LOCAL_ACCOUNTS=off nobody could sign in; set OIDC_ISSUER as well.")
    return {
        "local_accounts": local,
        "require_second_factor": _switch(environ, "REQUIRE_SECOND_FACTOR", False),
        "oidc_issuer": issuer,
        "oidc_client_id": client,
        "oidc_client_secret": secret,
        "oidc_name": environ.get("OIDC_NAME", "").strip() or "single sign-on",
    }


def _token_realm(console_url: str, given: bool, port: int) -> str:
    """The token endpoint's address, which the registries name as their realm.

    Without ``CONSOLE_URL`` it is on ``localhost``: clients built on go-containerregistry 0.21.4 or later (crane, ko,
    kaniko) refuse a realm whose host is a private or loopback IP address, unless it is the registry's own host and port
    (``validateRealmURL`` in ``pkg/v1/remote/transport/bearer.go``). The console listens on both addresses of that name,
    see ``console.local.gunicorn.hosts``.

    :param given: whether ``console_url`` was configured; then it is used as it is.
    """
    base = console_url if given else f"http://localhost:{port}"
    return f"{base}/token/"


def load(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the environment.

    :param environ: the variables, ``os.environ`` when not given.
    :raises EnvironmentProblem: when a value cannot be used.
    """
    environ = os.environ if environ is None else environ
    _check_elsewhere_read(environ)
    data_dir = Path(environ.get("DATA_DIR", "").strip() or BASE_DIR / ".data").expanduser().resolve()
    console_port = _port(environ, "CONSOLE_PORT", 8000)
    registry_port = _port(environ, "REGISTRY_PORT", 5000)
    given_database = environ.get("DATABASE_URL", "").strip()
    given_registry = environ.get("REGISTRY_URL", "").strip()
    registry_url = _url(environ, "REGISTRY_URL", f"http://127.0.0.1:{registry_port}")
    service = environ.get("REGISTRY_SERVICE", "").strip() or "my-images-registry"
    dockerhub_port = _port(environ, "DOCKERHUB_PORT", 5001)
    dockerhub = _switch(environ, "DOCKERHUB", True)
    console_url = _url(environ, "CONSOLE_URL", f"http://127.0.0.1:{console_port}")
    for name, port in (("CONSOLE_PORT", console_port), ("REGISTRY_PORT", None if given_registry else registry_port)):
        if dockerhub and port == dockerhub_port:
            raise EnvironmentProblem(
                f"{name} and DOCKERHUB_PORT are both {port}; set DOCKERHUB_PORT to another, or DOCKERHUB=off."
            )
    # The cache is always one of ours, on this machine.
    dockerhub_url = f"http://127.0.0.1:{dockerhub_port}"
    return Environment(
        data_dir=data_dir,
        database_url=given_database
        or f"postgresql://postgres@/my_images?host={quote(str(socket_dir(data_dir)), safe='')}",
        embedded_database=not given_database,
        console_host=environ.get("CONSOLE_HOST", "").strip() or "127.0.0.1",
        console_port=console_port,
        console_url=console_url,
        token_realm=_token_realm(console_url, bool(environ.get("CONSOLE_URL", "").strip()), console_port),
        registry_port=registry_port,
        registry_url=registry_url,
        registry_is_ours=not given_registry,
        console_registry_url=registry_url if given_registry else _written(inner_registry_file(data_dir), registry_url),
        registry_address=environ.get("REGISTRY_ADDRESS", "").strip() or urlsplit(registry_url).netloc,
        registry_service=service,
        token_issuer=environ.get("TOKEN_ISSUER", "").strip() or "my-images-console",
        # We speak no TLS: with an https address there is somebody before us who does, on this machine unless told.
        trusted_proxies=_networks(
            environ, "TRUSTED_PROXIES", "127.0.0.1,::1" if urlsplit(console_url).scheme == "https" else ""
        ),
        dockerhub=dockerhub,
        dockerhub_missing=_written(dockerhub_missing_file(data_dir), "") if dockerhub else "",
        dockerhub_port=dockerhub_port,
        dockerhub_url=dockerhub_url,
        dockerhub_inner_url=_written(dockerhub_inner_file(data_dir), dockerhub_url),
        dockerhub_address=environ.get("DOCKERHUB_ADDRESS", "").strip() or f"127.0.0.1:{dockerhub_port}",
        dockerhub_service=f"{service}-dockerhub",
        dockerhub_upstream=_url(environ, "DOCKERHUB_UPSTREAM", DOCKER_HUB),
        dockerhub_username=environ.get("DOCKERHUB_USERNAME", "").strip(),
        dockerhub_password=environ.get("DOCKERHUB_PASSWORD", ""),
        dockerhub_api=_url(environ, "DOCKERHUB_API", "https://hub.docker.com"),
        dockerhub_check_seconds=_seconds(environ, "DOCKERHUB_CHECK_SECONDS", 60),
        foreign_layer_urls=_prefixes(environ, "FOREIGN_LAYER_URLS"),
        changes_per_minute=_count(environ, "CHANGES_PER_MINUTE", 120),
        log_files_mb=_count(environ, "LOG_FILES_MB", 100),
        statement_timeout=_switch(environ, "STATEMENT_TIMEOUT", default=True),
        import_token_servers=_pairs(environ, "IMPORT_TOKEN_SERVERS"),
        **_single_sign_on(environ),
    )
