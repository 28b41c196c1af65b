"""The registry of the tests, and its program."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
import requests
from django.conf import settings

from console.installation.environment import BASE_DIR
from console.local import registry as bundled
from tests.support.environment import ENVIRONMENT, FOLDER

CACHE = BASE_DIR / ".cache"


@pytest.fixture(scope="session")
def registry_program() -> Path:
    """The registry's program: on the PATH, or unpacked once into the checkout's cache."""
    return bundled.find_or_install(CACHE)


@pytest.fixture(scope="session")
def registry_server(registry_program):
    """A real registry with the console's token authentication, at ``settings.REGISTRY_URL``."""
    configuration = bundled.configuration(ENVIRONMENT, settings.KEYS)
    del configuration["notifications"]
    path = bundled.write_config(FOLDER / "registry" / "config.yml", configuration)
    with (FOLDER / "registry" / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(registry_program), "serve", str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=bundled.clean_environment(os.environ),
        )
    deadline = time.monotonic() + 30
    while True:
        try:
            if requests.get(f"{settings.REGISTRY_URL}/v2/", timeout=5).status_code == 401:
                break
        except requests.ConnectionError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((FOLDER / "registry" / "log").read_text())
        time.sleep(0.02)
    yield process
    process.terminate()
    process.wait(10)
