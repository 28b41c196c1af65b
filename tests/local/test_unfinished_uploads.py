"""Layers whose push broke off: how long they stay, and how an operator sees what they take."""

import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from console.installation.environment import BASE_DIR
from console.local import registry as bundled
from console.registry.connection import registry
from tests.support.environment import ENVIRONMENT, FOLDER
from tests.support.pushed_images import digest_of

pytestmark = pytest.mark.django_db

LENGTH = 3 * 1024 * 1024


def test_what_they_take(registry_server):
    command = re.search(r"^find DATA_DIR/\S+ .*_uploads.*$", Path(BASE_DIR / "docs/operations.md").read_text(), re.M)[0]

    def taken():
        command_here = command.replace("DATA_DIR", str(FOLDER)).replace("-sch", "-sck")
        return int(subprocess.run(command_here, shell=True, check=True, capture_output=True).stdout.split()[0])

    def broken_off():
        yield b"x" * LENGTH
        raise EOFError

    registry().upload_blob("team/app", digest_of(b"x"), [b"x"], 1)
    before = taken()
    with pytest.raises(EOFError):
        registry().upload_blob("team/app", digest_of(b"no"), broken_off(), 2 * LENGTH)
    assert taken() - before >= LENGTH // 1024 // 2


def test_they_go_within_a_day_and_an_hour():
    maintenance = bundled.configuration(ENVIRONMENT, settings.KEYS)["storage"]["maintenance"]
    assert maintenance == {"uploadpurging": {"enabled": True, "age": "24h", "interval": "1h", "dryrun": False}}
