"""Configuration: every environment variable that the product reads, typed and validated."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from console.installation import site as sites
from console.installation.site import Site
from console.installation.variables import EnvironmentProblem as EnvironmentProblem
from console.installation.variables import Variables

BASE_DIR = Path(__file__).resolve().parents[2]

RESTART_REQUEST = "restart_registries"

# Docker Hub's registry.
DOCKER_HUB = "https://registry-1.docker.io"

# Folder of the registry's address where the site has the cache of Docker Hub's images. No namespace can have this name.
DOCKERHUB_FOLDER = "dockerhub"

# The edge rotates its access log at a megabyte or more.
_SMALLEST_ACCESS_LOG_MB = 5

# A Unix socket's path may have 107 bytes. PostgreSQL adds "/.s.PGSQL.5432.lock" to its folder.
_LONGEST_SOCKET = 107
_LONGEST_SOCKET_DIR = _LONGEST_SOCKET - len("/.s.PGSQL.5432.lock")
# Caddy would read more than a path from these characters.
_NOT_IN_SOCKETS = frozenset("{}|")


@dataclass(frozen=True)
class Environment:
    """The configuration from environment variables, with defaults."""

    data_dir: Path
    database_url: str = field(repr=False)
    embedded_database: bool
    postgres_options: tuple[str, ...]
    # Empty: use the key in the data folder.
    secret_key: str = field(repr=False)
    admin_password: str = field(repr=False)
    allowed_hosts: tuple[str, ...]
    log_level: str
    web_workers: int
    web_threads: int
    email_host: str
    email_port: int
    email_user: str
    email_password: str = field(repr=False)
    email_tls: bool
    email_from: str
    console_host: str
    console_port: int
    console_url: str
    # One address with TLS for everything, by the edge; ``None``: only the ports of this machine.
    site: Site | None
    token_realm: str
    registry_port: int
    # Whether the edge serves the registry at that port.
    registry_port_is_open: bool
    registry_url: str
    registry_is_ours: bool
    console_registry_url: str
    registry_address: str
    registry_service: str
    token_issuer: str
    token_seconds: int
    trusted_proxies: tuple[str, ...]
    dockerhub: bool
    # Why the cache of Docker Hub is enabled but not running: "port", "program", "files", or empty.
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
    import_allowed_hosts: tuple[str, ...]
    import_token_servers: frozenset[tuple[str, str]]
    foreign_layer_urls: tuple[str, ...]
    changes_per_minute: int
    audit_summary_seconds: float
    statement_timeout: bool
    # Total size of the log files in DATA_DIR/log, and of the edge's access log there, in megabytes; 0 for none.
    log_files_mb: int
    access_log_mb: int
    local_accounts: bool
    # Who may create an account: "off" (administrators alone), "invited" or "open".
    sign_up: str
    require_second_factor: bool
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str = field(repr=False)
    oidc_name: str
    oidc_scopes: tuple[str, ...]
    oidc_groups_claim: str

    @property
    def socket_dir(self) -> Path:
        """Folder of the embedded PostgreSQL's Unix socket."""
        return socket_dir(self.data_dir)

    @property
    def service_sockets(self) -> Path:
        """Folder of the Unix sockets of gunicorn, the registries and the edge's control; nobody else may enter it."""
        return service_sockets(self.data_dir)

    @property
    def console_port_url(self) -> str:
        """The console at its own port, as this machine's processes reach it, whatever ``console_url`` is."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104
        host = everywhere.get(self.console_host, self.console_host)
        return f"http://[{host}]:{self.console_port}" if ":" in host else f"http://{host}:{self.console_port}"

    @property
    def registry_has_gate(self) -> bool:
        """Whether clients at ``registry_address`` come through the edge, and so to the gate.

        They do not where the address is that of a registry of the operator's own, or the edge serves none.
        """
        served = self.site is not None or self.registry_port_is_open
        return self.registry_is_ours or (served and not _names_host_of(self.registry_address, self.registry_url))

    @property
    def authority_certificate(self) -> Path | None:
        """The file with the certificate of the installation's own authority (``TLS=internal``)."""
        if self.site is None or self.site.tls != sites.INTERNAL:
            return None
        return self.data_dir / "keys" / "authority.crt"

    @property
    def console_registry_service(self) -> str:
        """The service name (audience of tokens) of the registry process that the console itself calls.

        The inner process has its own name, so that a user's token is not valid there.
        """
        is_inner = self.console_registry_url != self.registry_url
        return self.inner_registry_service if is_inner else self.registry_service

    @property
    def inner_registry_service(self) -> str:
        """The service name of the bundled registry's inner process."""
        return f"{self.registry_service}-inner"

    @property
    def dockerhub_inner_service(self) -> str:
        """The service name of the process that serves the content of Docker Hub's cache, only for the console."""
        return f"{self.dockerhub_service}-inner"

    @property
    def dockerhub_folder(self) -> str:
        """The folder that the cache is at the registry's or the site's address; empty where it has its own address."""
        places = {self.registry_address, self.site.netloc if self.site else ""}
        return DOCKERHUB_FOLDER if self.dockerhub_address in {f"{one}/{DOCKERHUB_FOLDER}" for one in places} else ""

    @property
    def inner_registry_file(self) -> Path:
        """The file with the address of the inner registry, for management commands while My Images runs."""
        return inner_registry_file(self.data_dir)

    @property
    def dockerhub_inner_file(self) -> Path:
        """The file with the address of the process that serves the cache's content without contacting Docker Hub."""
        return dockerhub_inner_file(self.data_dir)

    @property
    def dockerhub_missing_file(self) -> Path:
        """The file that says why the cache of Docker Hub is not running: see ``dockerhub_missing``."""
        return dockerhub_missing_file(self.data_dir)

    @property
    def restart_request(self) -> Path:
        """The file that requests a restart of the registries; it is removed when they have restarted."""
        return self.data_dir / "run" / RESTART_REQUEST


def socket_dir(data_dir: Path) -> Path:
    """Folder of the embedded PostgreSQL's socket: under ``data_dir`` unless that path is too long for a socket."""
    inside = data_dir / "run" / "postgres"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIR:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"my-images-{name}"


def service_sockets(data_dir: Path) -> Path:
    """See ``Environment.service_sockets``: under ``data_dir`` unless that path is too long for a socket."""
    inside = data_dir / "run" / "sockets"
    longest = _LONGEST_SOCKET - len("/console-9999.sock")
    if len(os.fsencode(inside)) <= longest and _NOT_IN_SOCKETS.isdisjoint(str(inside)):
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"my-images-{name}-sockets"


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
    """Read a file that a running My Images has written; ``otherwise`` if it does not exist."""
    try:
        return file.read_text().strip() or otherwise
    except OSError:
        return otherwise


def _names_host_of(address: str, url: str) -> bool:
    """Whether a registry's address (host and port, as in an image reference) is that of the service at ``url``."""
    parts = urlsplit(url)
    usual = sites.HTTPS_PORT if parts.scheme == "https" else sites.HTTP_PORT
    named = urlsplit(f"{parts.scheme}://{address}")
    return (named.hostname, named.port or usual) == (parts.hostname, parts.port or usual)


def _token_realm(console_url: str, given: bool, port: int) -> str:
    """The URL of the token endpoint: the realm of the registries.

    Without ``CONSOLE_URL`` it is on ``localhost``: clients built on go-containerregistry 0.21.4 or later (crane, ko,
    kaniko) refuse a realm whose host is a private or loopback IP address, unless it is the registry's own host and port
    (``validateRealmURL`` in ``pkg/v1/remote/transport/bearer.go``). The console listens on both addresses of that name,
    see ``console.local.edge.console_hosts``.

    :param given: whether ``console_url`` was configured; then it is used unchanged.
    """
    base = console_url if given else f"http://localhost:{port}"
    return f"{base}/token/"


def load(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the environment.

    :param environ: the variables, ``os.environ`` when not given.
    :raises EnvironmentProblem: with all invalid values, or, if each is valid, with those that contradict each other.
    """
    variables = Variables(os.environ if environ is None else environ)
    found = _read(variables)
    variables.check()
    variables.problems += _contradictions(found)
    variables.check()
    return found


def _read(variables: Variables) -> Environment:
    data_dir = Path(variables.text("DATA_DIR", str(BASE_DIR / ".data"))).expanduser().resolve()
    embedded = f"postgresql://postgres@/my_images?host={quote(str(socket_dir(data_dir)), safe='')}"
    console_port = variables.port("CONSOLE_PORT", 8000)
    site = sites.read(variables)
    console_url = site.address if site else variables.url("CONSOLE_URL", f"http://127.0.0.1:{console_port}")
    console = urlsplit(console_url)
    registry_port = variables.port("REGISTRY_PORT", 5000)
    registry_url = variables.url("REGISTRY_URL", f"http://127.0.0.1:{registry_port}")
    registry_is_ours = not variables.text("REGISTRY_URL")
    port_is_open = registry_is_ours or _has_own_port(variables, registry_url, registry_port)
    inner_registry_url = _written(inner_registry_file(data_dir), registry_url)
    service = variables.text("REGISTRY_SERVICE", "my-images-registry")
    dockerhub = variables.switch("DOCKERHUB", True)
    dockerhub_port = variables.port("DOCKERHUB_PORT", 5001)
    own_address = f"127.0.0.1:{registry_port}" if port_is_open else urlsplit(registry_url).netloc
    address = variables.text("REGISTRY_ADDRESS", site.netloc if site else own_address)
    folder_at = address
    if site and not registry_is_ours and _names_host_of(address, registry_url):
        folder_at = site.netloc
    hub_address = f"{folder_at}/{DOCKERHUB_FOLDER}" if site else f"127.0.0.1:{dockerhub_port}"
    # The cache always runs on this machine.
    dockerhub_url = f"http://127.0.0.1:{dockerhub_port}"
    # An https address without a certificate of ours implies somebody else's proxy, by default on this machine.
    proxied = console.scheme == "https" and (site is None or site.tls == sites.PROXY)
    proxies = "127.0.0.1,::1" if proxied else ""
    return Environment(
        data_dir=data_dir,
        database_url=variables.database("DATABASE_URL", embedded),
        embedded_database=not variables.text("DATABASE_URL"),
        postgres_options=variables.options("POSTGRES_OPTIONS"),
        secret_key=variables.password("SECRET_KEY"),
        admin_password=variables.password("ADMIN_PASSWORD"),
        allowed_hosts=variables.words("ALLOWED_HOSTS"),
        log_level=variables.level("LOG_LEVEL", "INFO"),
        web_workers=variables.positive("WEB_WORKERS", 2),
        web_threads=variables.positive("WEB_THREADS", 8),
        email_host=variables.text("EMAIL_HOST"),
        email_port=variables.positive("EMAIL_PORT", 25),
        email_user=variables.text("EMAIL_HOST_USER"),
        email_password=variables.password("EMAIL_HOST_PASSWORD"),
        email_tls=variables.switch("EMAIL_USE_TLS", False),
        email_from=variables.text("DEFAULT_FROM_EMAIL", f"My Images <noreply@{console.hostname}>"),
        console_host=variables.text("CONSOLE_HOST", "127.0.0.1"),
        console_port=console_port,
        console_url=console_url,
        site=site,
        token_realm=_token_realm(console_url, bool(site or variables.text("CONSOLE_URL")), console_port),
        registry_port=registry_port,
        registry_port_is_open=port_is_open,
        registry_url=registry_url,
        registry_is_ours=registry_is_ours,
        console_registry_url=inner_registry_url if registry_is_ours else registry_url,
        registry_address=address,
        registry_service=service,
        token_issuer=variables.text("TOKEN_ISSUER", "my-images-console"),
        token_seconds=variables.token_seconds("TOKEN_SECONDS", 300),
        trusted_proxies=variables.networks("TRUSTED_PROXIES", proxies),
        dockerhub=dockerhub,
        dockerhub_missing=_written(dockerhub_missing_file(data_dir), "") if dockerhub else "",
        dockerhub_port=dockerhub_port,
        dockerhub_url=dockerhub_url,
        dockerhub_inner_url=_written(dockerhub_inner_file(data_dir), dockerhub_url),
        dockerhub_address=variables.text("DOCKERHUB_ADDRESS", hub_address),
        dockerhub_service=f"{service}-dockerhub",
        dockerhub_upstream=variables.url("DOCKERHUB_UPSTREAM", DOCKER_HUB),
        dockerhub_username=variables.text("DOCKERHUB_USERNAME"),
        dockerhub_password=variables.password("DOCKERHUB_PASSWORD"),
        dockerhub_api=variables.url("DOCKERHUB_API", "https://hub.docker.com"),
        dockerhub_check_seconds=variables.seconds("DOCKERHUB_CHECK_SECONDS", 60),
        import_allowed_hosts=variables.words("IMPORT_ALLOWED_HOSTS"),
        import_token_servers=variables.pairs("IMPORT_TOKEN_SERVERS"),
        foreign_layer_urls=variables.prefixes("FOREIGN_LAYER_URLS"),
        changes_per_minute=variables.count("CHANGES_PER_MINUTE", 120),
        log_files_mb=variables.count("LOG_FILES_MB", 100),
        access_log_mb=variables.count("ACCESS_LOG_MB", 100),
        audit_summary_seconds=variables.seconds("AUDIT_SUMMARY_SECONDS", 300, zero=True),
        statement_timeout=variables.switch("STATEMENT_TIMEOUT", True),
        local_accounts=variables.switch("LOCAL_ACCOUNTS", True),
        sign_up=variables.choice("SIGN_UP", "off", ("off", "invited", "open")),
        require_second_factor=variables.switch("REQUIRE_SECOND_FACTOR", False),
        oidc_issuer=variables.issuer("OIDC_ISSUER"),
        oidc_client_id=variables.text("OIDC_CLIENT_ID"),
        oidc_client_secret=variables.secret("OIDC_CLIENT_SECRET"),
        oidc_name=variables.text("OIDC_NAME", "single sign-on"),
        # Separated by spaces, as in requests (RFC 6749, 3.3).
        oidc_scopes=tuple(variables.text("OIDC_SCOPES", "openid profile email").split()),
        oidc_groups_claim=variables.text("OIDC_GROUPS_CLAIM", "groups"),
    )


def _has_own_port(variables: Variables, registry_url: str, port: int) -> bool:
    """Whether the edge opens a port before a registry of the operator's own: if there is one, and it is another."""
    parts = urlsplit(registry_url)
    is_the_registrys = parts.port == port and parts.hostname in {"127.0.0.1", "localhost"}
    return bool(variables.text("REGISTRY_PORT")) and not is_the_registrys


def _contradictions(found: Environment) -> Iterator[str]:
    """An error message for each set of values that contradict each other."""
    if found.dockerhub and found.dockerhub_port == found.console_port:
        yield _same_port("CONSOLE_PORT", found.dockerhub_port)
    if found.dockerhub and found.registry_port_is_open and found.dockerhub_port == found.registry_port:
        yield _same_port("REGISTRY_PORT", found.dockerhub_port)
    if 0 < found.access_log_mb < _SMALLEST_ACCESS_LOG_MB:
        yield f"ACCESS_LOG_MB is {found.access_log_mb}; it must be 0, or {_SMALLEST_ACCESS_LOG_MB} or more."
    single_sign_on = {
        "OIDC_ISSUER": found.oidc_issuer,
        "OIDC_CLIENT_ID": found.oidc_client_id,
        "OIDC_CLIENT_SECRET": found.oidc_client_secret,
    }
    missing = [name for name, value in single_sign_on.items() if not value]
    if missing and len(missing) < len(single_sign_on):
        yield f"Single sign-on needs {' and '.join(missing)} as well, or none of {', '.join(single_sign_on)}."
    if "openid" not in found.oidc_scopes:
        yield "OIDC_SCOPES must contain openid, such as: openid profile email groups."
    if not found.local_accounts and not found.oidc_issuer:
        yield "With LOCAL_ACCOUNTS=off nobody could sign in; set OIDC_ISSUER as well."


def _same_port(name: str, port: int) -> str:
    return f"{name} and DOCKERHUB_PORT are both {port}; set DOCKERHUB_PORT to another, or DOCKERHUB=off."


def no_colours(environ: Mapping[str, str] | None = None) -> bool:
    """Whether terminal output has no colours (``NO_COLOR``, no-color.org); called before the rest is read."""
    return bool((os.environ if environ is None else environ).get("NO_COLOR"))
