"""The two registries under test: Distribution alone, and the product's registry address with tokens."""

from __future__ import annotations

import os
import subprocess

import pytest
import requests

from console.local import registry as bundled
from tests.conformance.target import BasicTokens, Target
from tests.support.ports import free_port
from tests.support.registry_users import make_user
from tests.support.stack import wait_until


@pytest.fixture(scope="session")
def bare_registry(registry_program, tmp_path_factory):
    """Distribution without authentication, and with nothing configured but the deletion."""
    folder, address = tmp_path_factory.mktemp("bare-registry"), f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    path = bundled.write_config(folder / "config.yml", configuration)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(registry_program), "serve", str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=bundled.clean_environment(os.environ),
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return requests.get(f"http://{address}/v2/", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    try:
        wait_until(answers, "the registry answers")
        yield Target(f"http://{address}")
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def product(stack):
    """The product's registry address, with the access token of a user who may do everything in a namespace."""
    user = make_user(stack)
    tokens = BasicTokens(user.username, user.tokens["delete"])
    return Target(f"http://{stack.registry_address}", tokens, user.namespace)
