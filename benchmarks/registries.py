"""Registries side by side: without authentication, the same behind the edge, with a password file, and My Images."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks import FOLDER
from console.installation.environment import BASE_DIR, Environment
from console.local import edge_configuration, ports, sockets
from console.local import registry as bundled
from console.local.edge import Edge
from tests.support import environment as tests_environment
from tests.support.stack import Stack, wait_until

OPEN, BEHIND_EDGE, HTPASSWD, MY_IMAGES = "no authentication", "the same behind the edge", "htpasswd", "My Images"
USERNAME, NAMESPACE = "owner", "team"

_ACTIVATE = """
from console.accounts.models import Account
from console.accounts.services import store_credential, mark_activated
from console.ownership.services import create_namespace
from django.db import transaction
account = Account.objects.get()
with transaction.atomic():
    store_credential(account, {username!r}, {password!r})
mark_activated(account)
create_namespace(Account.objects.get(), {namespace!r})
"""
_INDEXED = (
    "SELECT 1 FROM images_tag AS tag JOIN images_image AS image ON image.id = tag.image_id "
    "WHERE image.name = %s AND tag.name = %s"
)


@dataclasses.dataclass(frozen=True)
class Registry:
    """A running registry with credentials for it.

    :ivar name: its name in tables.
    :ivar console_port: port of its token server, 0 if there is none.
    :ivar settle: waits until the server has finished processing a push; called with the image's name and tag.
    """

    name: str
    port: int
    password: str = dataclasses.field(default="", repr=False)
    console_port: int = 0
    settle: Callable[[str, str], object] = lambda image, tag: None

    @property
    def address(self) -> str:
        """Host and port, as in an image reference."""
        return f"127.0.0.1:{self.port}"

    def write_credentials(self, file: Path) -> None:
        """Write credentials like ``docker login``; none for the registry without authentication."""
        pair = base64.b64encode(f"{USERNAME}:{self.password}".encode()).decode()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"auths": {self.address: {"auth": pair}} if self.password else {}}))


@contextmanager
def four(cost: int = 0) -> Iterator[list[Registry]]:
    """Run all four on the same disk during the block; their data is removed at its end.

    :param cost: bcrypt cost of the password file; the default of ``htpasswd -B`` when 0.
    """
    try:
        with ExitStack() as stack:
            password = secrets.token_urlsafe(18)
            yield [
                stack.enter_context(_bare(OPEN, {}, "")),
                stack.enter_context(_behind_edge()),
                stack.enter_context(_bare(HTPASSWD, _htpasswd(password, cost), password)),
                stack.enter_context(_product(password)),
            ]
    finally:
        # Created by the import of the stack.
        shutil.rmtree(tests_environment.FOLDER, ignore_errors=True)


@contextmanager
def two() -> Iterator[list[Registry]]:
    """Run the registry without authentication and My Images on the same disk; their data is removed at the end."""
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(_bare(OPEN, {}, "")), stack.enter_context(_product(secrets.token_urlsafe(18)))]
    finally:
        # Created by the import of the stack.
        shutil.rmtree(tests_environment.FOLDER, ignore_errors=True)


def _htpasswd(password: str, cost: int) -> dict[str, object]:
    options = ["-C", str(cost)] if cost else []
    made = subprocess.run(
        ["htpasswd", "-niB", *options, USERNAME], input=password, capture_output=True, text=True, check=True
    )
    file = FOLDER / "users"
    file.write_text(made.stdout)
    return {"htpasswd": {"realm": "benchmark", "path": str(file)}}


def _configuration(environment: Environment) -> dict[str, Any]:
    """The product's registry without authentication and notifications."""
    configuration = bundled.configuration(environment, settings.KEYS)
    del configuration["notifications"], configuration["auth"]
    return configuration


@contextmanager
def _process(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(list(command), stdout=output, stderr=subprocess.STDOUT, env=dict(variables))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _bare(name: str, auth: dict[str, object], password: str) -> Iterator[Registry]:
    """The product's registry with other authentication, and without notifications."""
    folder, port = FOLDER / name.replace(" ", "-"), ports.free()
    environment = dataclasses.replace(settings.ENVIRONMENT, data_dir=folder, registry_port=port)
    configuration = _configuration(environment)
    if auth:
        configuration["auth"] = auth
    try:
        with _serve(folder, configuration):
            wait_until(lambda: _answers(port), f"the registry with {name} answers")
            yield Registry(name, port, password)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serve(folder: Path, configuration: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    path = bundled.write_config(folder / "registry" / "config.yml", configuration)
    command = [str(bundled.find_or_install(BASE_DIR / ".cache")), "serve", str(path)]
    with _process(command, folder / "registry.log", bundled.clean_environment(os.environ)) as process:
        yield process


@contextmanager
def _behind_edge() -> Iterator[Registry]:
    """The registry without authentication at a Unix socket, and the product's edge in front, which asks nobody."""
    folder, port = FOLDER / "behind-edge", ports.free()
    environment = dataclasses.replace(
        settings.ENVIRONMENT, data_dir=folder, registry_port=port, console_port=ports.free(), site=None
    )
    sockets.make_folder(environment)
    edge = Edge(environment, straight(edge_configuration.configuration(environment, ["127.0.0.1"], dockerhub=False)))
    edge.write()
    try:
        with (
            _serve(folder, bundled.on_socket(_configuration(environment), sockets.registry(environment))),
            _process(edge.command(), folder / "edge.log", edge.variables()),
        ):
            wait_until(lambda: _answers(port), "the registry behind the edge answers")
            yield Registry(BEHIND_EDGE, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def straight(configuration: dict[str, Any]) -> dict[str, Any]:
    """The edge's configuration (``edge_configuration``) with the gate taken out of the registry's port."""
    server = configuration["apps"]["http"]["servers"]["registry"]
    # The gate has routes that ask it first, which are not the last for their requests.
    last = [route["handle"] for route in server["routes"] if route.get("terminal")]
    to_registry = next(handlers for handlers in last if handlers[-1]["handler"] == "reverse_proxy")
    server["routes"] = [{"handle": to_registry}]
    return configuration


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


@contextmanager
def _product(password: str) -> Iterator[Registry]:
    """My Images, started like ``make run``, with an activated account and a namespace."""
    # Not with the tests' settings, which trade durability for speed: that would be no fair comparison.
    product = Stack(
        bundled.find_or_install(BASE_DIR / ".cache").resolve(), data_dir=FOLDER / "my-images", POSTGRES_OPTIONS=""
    )

    def settle(image: str, tag: str) -> None:
        wait_until(lambda: product.sql(_INDEXED, image, tag), f"{image}:{tag} is in the index", 120)

    try:
        product.start()
        product.manage("shell", input=_ACTIVATE.format(username=USERNAME, password=password, namespace=NAMESPACE))
        yield Registry(MY_IMAGES, product.registry_port, password, product.console_port, settle)
    finally:
        product.stop()


def repository(registry: Registry, image: str, tag: str) -> str:
    """The full address of an image."""
    return f"{registry.address}/{NAMESPACE}/{image}:{tag}"
