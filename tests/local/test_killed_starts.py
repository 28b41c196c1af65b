"""The whole product is killed, all its processes at once, and started again at once: each start becomes ready."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
import requests

from console.local import linux
from console.local.postgres import Postgres
from tests.support.stack import Stack, processes_with, wait_until

# What a start writes, and what becomes of a damaged one. Everything that is not here is storage or PostgreSQL's own.
MADE_AGAIN = {
    "keys/token_certificate.pem", "registry/config.yml", "registry/config-reading.yml", "registry/inner.yml",
    "registry/inner-reading.yml", "registry/http_secret", "dockerhub/inner.yml", "dockerhub/plain.yml",
    "dockerhub/caching.yml", "run/lock", "run/children.json", "run/inner_registry", "run/inner_dockerhub",
    "static.collected", "static/staticfiles.json", "postgres/postmaster.pid", "postgres/postmaster.opts",
    "run/postgres/.s.PGSQL.5432.lock", "log/my-images.log", "log/access.log", "edge/config.json",
    "edge/last_clean.json", "edge/caddy/instance.uuid",
}  # fmt: skip
# tests/local/test_leftovers.py: the start ends with one sentence that names the file.
NAMED_IN_A_SENTENCE = {
    "keys/secret_key", "keys/notification_secret", "keys/token_signing.pem", "keys/token_next.pem"
}  # fmt: skip


def kill_all(whole):
    """Send every process of an installation SIGKILL, and wait for none but the first."""
    data = str(whole.data_dir / "postgres")
    for pid in {int(line.split()[0]) for line in processes_with(str(whole.data_dir))} | _working_in(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    whole.wait()


def _working_in(folder):
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str((entry / "cwd").readlink()) == folder:
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


@pytest.fixture
def whole(registry_program):
    made = Stack(registry_program)
    yield made
    made.stop()


COUNT = "from console.accounts.models import Account; print(Account.objects.count())"


def test_at_each_stage_of_the_first_start_and_afterwards(whole):
    whole.borrow_nothing()
    data = whole.data_dir

    def runs(name):
        with contextlib.suppress(OSError):
            return linux.start_time(whole.children().get(name, 0)) is not None

    stages = {
        "the cluster is half made": lambda: (data / "postgres.draft" / "PG_VERSION").exists(),
        "PostgreSQL has its lock": lambda: (data / "postgres" / "postmaster.pid").exists(),
        "the registry runs": lambda: runs("registry"),
        "static files are half collected": lambda: len(list((data / "static").rglob("*.svg"))) > 1,
    }
    for name, reached in stages.items():
        whole.launch()
        wait_until(reached, name, 90)
        kill_all(whole)
    whole.start()
    kill_all(whole)
    whole.start()
    assert requests.get(f"{whole.console_url}/sign-in/", timeout=20).status_code == 200
    assert whole.manage("shell", "-v0", "-c", COUNT).strip() == "1", "one administrator, made once"


def test_what_a_start_writes_is_damaged(whole):
    """Empty; then cut off, or with another process's number in it: it is made again, and that process lives on."""
    whole.start()
    found = {path for path in MADE_AGAIN if (whole.data_dir / path).exists()}
    assert files_beside_storage(whole.data_dir) - found - NAMED_IN_A_SENTENCE == set(), "a file without a row"
    owner = Postgres(whole.data_dir / "postgres", whole.data_dir / "run").owner
    other = subprocess.Popen(["sleep", "600"], user=owner.pw_uid if owner else None, start_new_session=True)

    def damage(content):
        changed = content
        for pid in numbers:
            changed = changed.replace(str(pid).encode(), str(other.pid).encode())
        return changed if changed != content else content[: len(content) // 2]

    try:
        for damaged in (lambda content: b"", damage):
            numbers = set(whole.children().values())
            kill_all(whole)
            for path in found:
                file = whole.data_dir / path
                content, status = file.read_bytes(), file.stat()
                file.unlink()  # a static file is shared with other tests
                file.write_bytes(damaged(content))
                os.chown(file, status.st_uid, status.st_gid)
                file.chmod(status.st_mode & 0o777)
            whole.start()
            assert requests.get(f"{whole.console_url}/sign-in/", timeout=20).status_code == 200
            assert requests.get(f"http://{whole.registry_address}/v2/", timeout=5).status_code == 401
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def files_beside_storage(data):
    """What a start has written, but for images, letters, static files and PostgreSQL's own."""
    skipped = ("registry/data/", "registry/package", "dockerhub/data/", "mail/", "static/", "postgres/")
    paths = {str(file.relative_to(data)) for file in data.rglob("*") if file.is_file()}
    return {path for path in paths if not path.startswith(skipped)}
