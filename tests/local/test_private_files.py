"""No other user of the machine reads what an installation keeps: images, e-mails, keys, backups."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys

import pytest

from console.local import acl
from registry_client import Challenged, RegistryClient
from tests.backup.test_whole import PASSWORD, SEED
from tests.support.pushed_images import push_image
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
SEND_EMAIL = "from django.core.mail import send_mail; send_mail('Reset', 'a link', None, ['ann@example.com'])"
# Run as another user: of the paths on standard input, those that it can list or read.
READ_AS_ANOTHER = """
import json, os, sys
def opens(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True
print(json.dumps([path for path in json.load(sys.stdin) if opens(path)]))
"""


def readable_by(user, paths):
    """Which of these paths a user of this machine can open."""
    account = pwd.getpwnam(user)
    result = subprocess.run(
        # The system's Python: the one that runs the tests may be where that user cannot get to.
        [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-c", READ_AS_ANOTHER],
        input=json.dumps([str(path) for path in paths]),
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return json.loads(result.stdout)


def everything_in(folder):
    return [folder, *folder.rglob("*")]


@pytest.fixture(scope="module")
def used(registry_program, tmp_path_factory):
    """An installation in a folder that everybody may enter, after a day's work."""
    tmp_path = tmp_path_factory.mktemp("open")
    for above in (tmp_path, *tmp_path.parents):
        above.chmod(stat.S_IMODE(above.stat().st_mode) | 0o055)
    data_dir = tmp_path / "data"
    # As an earlier version, or a careful person with another umask, left it.
    data_dir.mkdir()
    (data_dir / "mail").mkdir()
    (data_dir / "mail" / "earlier.log").write_text("a link")
    for path in everything_in(data_dir):
        path.chmod(0o755 if path.is_dir() else 0o644)
    made = Stack(registry_program, data_dir=data_dir)
    try:
        made.start()
        made.manage("shell", "-v0", "-c", SEED.format(PASSWORD))
        with RegistryClient(f"http://{made.registry_address}", Challenged(made.account_id, PASSWORD)) as client:
            push_image(client, "team/secret", "v1")
        made.manage("shell", "-v0", "-c", SEND_EMAIL)
        made.manage("backup", str(data_dir / "backup.tar"))
        wait_until(lambda: made.sql("SELECT FROM images_tag"), "the push is in the index")
        yield made
    finally:
        made.stop()


def test_nobody_else_reads_anything(used):
    paths = everything_in(used.data_dir)
    names = {path.name for path in paths}
    assert {"backup.tar", "keys", "children.json", "earlier.log", "my-images.log"} <= names
    assert any(path.name == "data" and path.is_file() for path in paths), "the registry stored a manifest"
    assert len(list((used.data_dir / "mail").iterdir())) == 2
    assert readable_by("nobody", paths) == []


def test_neither_does_the_database_user(used):
    ours = [path for path in everything_in(used.data_dir) if path.stat().st_uid == 0 and path.suffix != ".collected"]
    assert readable_by("pgserver", ours) == []


def test_what_is_written_is_private_wherever_it_lies(used):
    """Also where somebody opens a folder later on."""
    open_to_others = [
        path
        for path in everything_in(used.data_dir)
        if path.is_file()
        and path.stat().st_mode & 0o077
        # Pages send these to everybody; one is of an earlier version.
        and not path.is_relative_to(used.data_dir / "static")
        and path.name not in {"earlier.log", "static.collected"}
    ]
    assert open_to_others == []


class TestLetPass:
    USER = "nobody"

    def passes(self, folder):
        return readable_by(self.USER, [folder / "file"]) != []

    @pytest.fixture
    def folder(self, tmp_path):
        for above in tmp_path.parents:
            above.chmod(stat.S_IMODE(above.stat().st_mode) | 0o055)
        tmp_path.chmod(0o755)
        folder = tmp_path / "folder"
        folder.mkdir(mode=0o700)
        (folder / "file").write_text("")
        (folder / "file").chmod(0o644)
        return folder

    def let_pass(self, folder):
        account = pwd.getpwnam(self.USER)
        acl.let_pass(folder, account.pw_uid, account.pw_gid)

    def test_that_user_passes_and_does_not_list(self, folder):
        assert not self.passes(folder)
        self.let_pass(folder)
        assert self.passes(folder)
        assert readable_by(self.USER, [folder]) == []

    def test_no_other_user_passes(self, folder):
        self.let_pass(folder)
        assert readable_by("daemon", [folder / "file"]) == []
        assert folder.stat().st_mode & 0o007 == 0

    def test_twice_changes_nothing_more(self, folder):
        self.let_pass(folder)
        before = os.getxattr(folder, "system.posix_acl_access")
        self.let_pass(folder)
        assert os.getxattr(folder, "system.posix_acl_access") == before

    def test_after_the_mode_was_set_anew(self, folder):
        self.let_pass(folder)
        folder.chmod(0o700)
        assert not self.passes(folder)
        self.let_pass(folder)
        assert self.passes(folder)

    def test_the_group_keeps_what_it_had(self, folder):
        folder.chmod(0o750)
        self.let_pass(folder)
        assert readable_by("daemon", [folder / "file"]) == []
        os.chown(folder, -1, pwd.getpwnam("daemon").pw_gid)
        assert readable_by("daemon", [folder]) == [str(folder)]

    def test_a_file_system_without_lists(self, folder, monkeypatch):
        def unsupported(*arguments):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "getxattr", unsupported)
        self.let_pass(folder)
        assert self.passes(folder)
        folder.chmod(0o770)
        with pytest.raises(OSError, match="not supported"):
            self.let_pass(folder)
