"""The bundled registry: its program and its configuration."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from console.installation.environment import Environment
from console.installation.files import replace_file
from console.installation.keys import Keys
from console.local import orphans, registry_program
from console.local.log import say
from console.local.problems import Problem

NOTHING_FOUND = (
    "No registry program was found: install Debian's or Ubuntu's package docker-registry (or CNCF Distribution as "
    "'registry' on the PATH), start a Docker Engine, or set REGISTRY_URL to a registry that is already running."
)

# ``token_urlsafe(32)`` has 43 characters.
_SECRET_LENGTH = 43

# Go's garbage collection (package runtime, "Environment Variables"). The registry allocates 4 MiB for each blob that it
# reads, but uses little memory otherwise: with the default of 100 it would spend most time on garbage collection.
FEWER_COLLECTIONS = MappingProxyType({"GOGC": "400"})


@dataclass(frozen=True)
class Program:
    """A command that runs the registry; ``container`` is the name of its Docker container, if it runs in one."""

    command: tuple[str, ...]
    container: str = ""


def find_or_install(data_dir: Path) -> Path:
    """The registry's program, downloaded if there is none with the fix (``registry_program.find_or_fetch``).

    :param data_dir: packages are unpacked below it; nothing is installed into the system and no service started.
    :raises Problem: when there is none and the download fails; the message says what to install.
    """
    found = registry_program.find_or_fetch(data_dir)
    if found is None:
        raise Problem(NOTHING_FOUND)
    return found.path


def prepare(environment: Environment, stopped: Callable[[], bool]) -> None:
    """Download the program if needed, and log its version and whether it has the fix.

    If there is no program at all, ``choose`` raises an error that says what to do.

    :param stopped: whether to abort the download; called repeatedly.
    """
    found = registry_program.find_or_fetch(environment.data_dir, stopped)
    if found is not None or _engine_answers():
        say(registry_program.sentence(found))


def choose(environment: Environment, config: Path, name: str = "registry") -> Program:
    """Choose how to run the registry here, with ``config``.

    :param name: distinguishes the containers of one installation, if any.
    :raises Problem: when it cannot be run.
    """
    # Packages are only downloaded by ``prepare``.
    found = registry_program.find(environment.data_dir)
    if found is not None:
        return Program((str(found.path), "serve", str(config)))
    if not _engine_answers():
        raise Problem(NOTHING_FOUND)
    name = f"my-images-{name.replace(' ', '-')}-{environment.registry_port}"
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
    # The storage is beside the configuration.
    folders = (config.parent, environment.data_dir / "keys", environment.service_sockets)
    mounts = [f"--volume={folder}:{folder}" for folder in folders]
    # The supervisor logs its output, so the engine must not write it to a file, which has no size limit by default.
    options = ["--rm", "--name", name, "--network=host", "--log-driver=none"]
    # The process is root's in the container: others must be able to use its socket, in a folder that only we can enter.
    serve = ["--entrypoint=sh", "registry:2", "-c", 'umask 0 && exec registry serve "$1"', "sh", str(config)]
    run = ["docker", "run", *options, *mounts, *serve]
    return Program(tuple(run), container=name)


def _engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        return subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def configuration(environment: Environment, keys: Keys, *, host: str = "127.0.0.1") -> dict[str, Any]:
    """The registry's configuration (Distribution, "Configuring a registry"), valid for 2.8 and 3.

    There is no cache of blob descriptors: with one, a garbage-collected blob would still be reported as existing.
    """
    storage = environment.data_dir / "registry"
    secret = storage / "http_secret"
    # It only signs the state of unfinished uploads: a damaged one can be replaced.
    if not secret.is_file() or len(secret.read_bytes().strip()) < _SECRET_LENGTH:
        storage.mkdir(parents=True, exist_ok=True)
        replace_file(secret, secrets.token_urlsafe(32).encode())
    return {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage / "data")},
            "delete": {"enabled": True},
            # Unfinished uploads do not count towards a quota, so they are purged within a day and an hour.
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "1h", "dryrun": False}},
        },
        "http": {
            "addr": f"{host}:{environment.registry_port}",
            "secret": secret.read_text().strip(),
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        },
        "catalog": {"maxentries": 100000},
        **_validation(environment),
        "auth": {
            "token": {
                "realm": environment.token_realm,
                "service": environment.registry_service,
                "issuer": environment.token_issuer,
                "rootcertbundle": str(keys.token_certificate),
            }
        },
        "notifications": {
            "endpoints": [
                {
                    "name": "console",
                    "url": f"{environment.console_port_url}/indexing/notifications/",
                    "headers": {"Authorization": [f"Bearer {keys.notification_secret}"]},
                    "timeout": "5s",
                    "threshold": 3,
                    "backoff": "1s",
                    "ignore": {"mediatypes": ["application/octet-stream"]},
                }
            ]
        },
    }


def _validation(environment: Environment) -> dict[str, Any]:
    """Allowed URLs of foreign layers: none by default."""
    allowed = list(environment.foreign_layer_urls)
    return {"validation": {"manifests": {"urls": {"allow": allowed}}}} if allowed else {}


def inner_configuration(environment: Environment, keys: Keys, port: int) -> dict[str, Any]:
    """The configuration of a second process over the same storage, only for the console's own calls.

    It sends no notifications: the console does not need events of its own changes, and those of a reconcile or a large
    deletion would block the notifications of pushes. Distribution supports several processes over one storage
    ("Deploying a registry server", "Load balancing considerations").
    """
    whole = configuration(environment, keys)
    del whole["notifications"]
    whole["auth"]["token"]["service"] = environment.inner_registry_service
    # Only one of the two processes purges unfinished uploads.
    whole["storage"]["maintenance"] = {"uploadpurging": {"enabled": False}}
    whole["http"]["addr"] = f"127.0.0.1:{port}"
    return whole


def on_socket(whole: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The same configuration at a Unix socket, where nobody but the edge reaches it (Distribution, ``http.net``)."""
    return {**whole, "http": {**whole["http"], "net": "unix", "addr": str(path)}}


def reading_only(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration in read-only mode (Distribution, ``maintenance.readonly``)."""
    storage = {**whole["storage"], "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}}}
    return {**whole, "storage": storage}


def write_config(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a configuration with mode 0600: it contains secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, yaml.safe_dump(dict(content), sort_keys=False).encode())
    return path


def external_snippet(environment: Environment, keys: Keys) -> dict[str, Any]:
    """The part of an external registry's configuration that the console needs."""
    whole = configuration(environment, keys)
    return {
        "storage": {"delete": {"enabled": True}},
        "auth": whole["auth"],
        "notifications": {
            "endpoints": [
                {
                    **whole["notifications"]["endpoints"][0],
                    "url": f"{environment.console_url}/indexing/notifications/",
                }
            ]
        },
        "catalog": whole["catalog"],
        **_validation(environment),
    }


# Environment variables for the registry and PostgreSQL: paths, locale and time, proxies and certificates, Go's runtime,
# and the address of a Docker Engine, if the registry runs in a container.
_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LANGUAGE|LC_[A-Z]+|XDG_RUNTIME_DIR|LD_LIBRARY_PATH"
    r"|(?:HTTPS?|NO)_PROXY|(?:https?|no)_proxy|SSL_CERT_(?:FILE|DIR)|GO(?:GC|MEMLIMIT|MAXPROCS|DEBUG|TRACEBACK)"
    r"|DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS|TLS_VERIFY|API_VERSION)"
)


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Filter the environment variables: only those that the registry and PostgreSQL need.

    Distribution reads each ``REGISTRY_…`` as configuration, its S3 client reads ``AWS_…`` (the registry panics at its
    start with ``AWS_CA_BUNDLE``), and 3.x sends traces according to ``OTEL_…``; PostgreSQL reads ``PG…``. Secrets of
    the console, such as the password for Docker Hub, are not passed either. The mark of the data folder is passed: by
    it the next start finds processes that a killed supervisor left running (``orphans``).
    """
    return {name: value for name, value in variables.items() if name == orphans.MARK or _PASSED_ON.fullmatch(name)}
