"""The version of My Images: its one place, and where it is shown."""

import subprocess
import sys
import tomllib

import pytest

from console.installation.environment import BASE_DIR
from console.installation.version import VERSION
from tests.support.responses import text_of
from tests.web.test_basics import PAGES

# Pages of somebody who is not signed in, and of errors, say nothing of it.
WITHOUT = {"/sign-in/", "/nothing/here/"}


def test_pyproject_reads_it_from_its_one_place():
    pyproject = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
    assert "version" not in pyproject["project"]
    assert "version" in pyproject["project"]["dynamic"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "console.installation.version.VERSION"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", [path for path in PAGES if path not in WITHOUT and "app" not in path])
def test_it_is_in_the_foot_of_each_page(client, team, path):
    assert f'<footer class="foot small muted">My Images {VERSION}</footer>' in text_of(client.get(path))


@pytest.mark.django_db
@pytest.mark.parametrize("path", sorted(WITHOUT))
def test_strangers_do_not_learn_it(client, path):
    assert VERSION not in text_of(client.get(path))


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_the_command_line_says_it_without_an_installation(asked, tmp_path):
    """Django answers both words itself, with a version of its own."""
    ended = subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), asked],
        env={"DATA_DIR": str(tmp_path / "none"), "CONSOLE_PORT": "no port"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == (f"{VERSION}\n", "")
    assert not (tmp_path / "none").exists()
