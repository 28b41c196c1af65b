"""Everything that people entrusted, lost and brought back: the whole product with images in it."""

import re
import shutil
import stat
import subprocess

import pytest

from console.local.postgres import client_program
from registry_client import Challenged, ManifestUnknown, RegistryClient
from tests.support.pushed_images import push_image, push_index
from tests.support.stack import Stack, wait_until

PASSWORD = "the registry password 1"
SEED = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from console.accounts.models import Account, RegistryCredential
from console.namespaces.models import Namespace
owner = Account.objects.get()
RegistryCredential.objects.create(
    account=owner, username=owner.account_id, password=make_password({!r}), activated_at=timezone.now()
)
Namespace.objects.create(owner=owner, name="team")
"""
STORAGE = "registry/data/docker/registry/v2"


@pytest.fixture
def stacks(registry_program):
    """Makes installations, each with a data folder of its own."""
    made = []

    def make():
        made.append(Stack(registry_program))
        made[-1].borrow_no_database()
        return made[-1]

    yield make
    for stack in made:
        stack.stop()


def client(stack, account_id):
    return RegistryClient(f"http://{stack.registry_address}", Challenged(account_id, PASSWORD))


def tags(stack):
    """What the index says: each tag, and the digest it stands for."""
    return {
        (name, tag): digest
        for name, tag, digest in stack.sql(
            "SELECT image.full_name, tag.name, manifest.digest FROM images_tag AS tag "
            "JOIN images_image AS image ON image.id = tag.image_id "
            "JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id"
        )
    }


def schema(stack):
    """Tables, indexes, constraints, functions, triggers and sequences, as PostgreSQL writes them."""
    program, _ = client_program("pg_dump", 18)
    host = stack.sql("SHOW unix_socket_directories")[0][0]
    command = [program, "-h", host, "-U", "postgres", "--schema-only", "--restrict-key=same", "my_images"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The list of a check's values is written with its casts elsewhere when it has been read once.
    return re.sub(r"::(text|character varying)(\[\])?|[()]", "", said)


def pull(registry, repository, tag):
    manifest = registry.manifest(repository, tag)
    for reference in manifest.references:
        assert b"".join(registry.blob(repository, reference))
    return manifest.digest


def copy_storage(one, other):
    """As the documentation says: repositories first, then blobs."""
    for part in ("repositories", "blobs"):
        shutil.copytree(one.data_dir / STORAGE / part, other / STORAGE / part)


def test_lost_and_brought_back(stacks, tmp_path):
    first = stacks()
    first.start()
    first.manage("shell", "-v0", "-c", SEED.format(PASSWORD))
    registry = client(first, first.account_id)
    pushed = {f"v{number}": push_image(registry, "team/app", f"v{number}").digest for number in range(4)}
    children = [push_image(registry, "team/multi", None) for _ in range(2)]
    multi = push_index(registry, "team/multi", "latest", children).digest
    wait_until(lambda: len(tags(first)) == 5, "everything is indexed")
    # Half-done: a job that a worker has in hand when the backup is made, and one that waits.
    first.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, lock, queueing_lock, worker_id) VALUES "
        "('nobodys', 'operations.resume_stalled', 'doing', 'here', 'here', "
        "(SELECT min(id) FROM procrastinate_workers)), "
        "('nobodys', 'operations.resume_stalled', 'todo', 'there', 'there', NULL) RETURNING id"
    )
    refresh = first.sql("SELECT version FROM accounts_registrycredential")

    backup = tmp_path / "backup.tar"
    said = first.manage("backup", str(backup))
    assert f"Copy {first.data_dir.resolve()}/registry/data now" in said
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    # Life goes on before the storage is copied: a push and a deletion that the database of the backup knows nothing of.
    late = push_image(registry, "team/app", "late").digest
    registry.delete_manifest("team/app", pushed.pop("v3"))
    kept = tmp_path / "storage"
    copy_storage(first, kept)
    before = schema(first)
    first.signal()
    first.wait()
    # One of an installation that is stopped is as good.
    stopped = tmp_path / "stopped.tar"
    first.manage("backup", str(stopped))

    second = stacks()
    assert "Restored the database and the keys as of" in second.manage("restore", str(stopped))
    with pytest.raises(AssertionError, match="is not empty"):
        second.manage("restore", str(backup))
    assert "Restored the database and the keys as of" in second.manage("restore", str(backup), "--force")
    for path in (second.data_dir / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes() == (first.data_dir / "keys" / path.name).read_bytes()
    assert stat.S_IMODE((second.data_dir / "keys").stat().st_mode) == 0o700
    shutil.copytree(kept / "registry", second.data_dir / "registry", dirs_exist_ok=True)
    second.start()
    assert not second.account_id, "no first administrator is made"
    assert schema(second) == before

    # The same password opens the same digests.
    registry = client(second, first.account_id)
    for tag, digest in pushed.items():
        assert pull(registry, "team/app", tag) == digest
    assert registry.manifest("team/multi", "latest").digest == multi
    assert second.sql("SELECT version FROM accounts_registrycredential") == refresh
    # The index comes to what the registry has: what was pushed late, less what was deleted late.
    expected = {("team/app", tag): digest for tag, digest in {**pushed, "late": late}.items()}
    expected["team/multi", "latest"] = multi
    wait_until(lambda: tags(second) == expected, "the index is the registry's")
    with pytest.raises(ManifestUnknown):
        registry.manifest("team/app", "v3")
    said = second.manage("reconcile")
    assert "team/" not in said, f"nothing is left to mend: {said}"
    # Sequences and triggers live on: new rows get new numbers, names and pieces, and the trail is final.
    push_image(registry, "team/new", "v1")
    wait_until(lambda: ("team/new", "v1") in tags(second), "a push shows")
    assert second.sql("SELECT count(*) FROM images_imagepieces WHERE full_name = 'team/new'") == [(1,)]
    with pytest.raises(Exception, match="append-only"):
        second.sql("UPDATE audit_auditevent SET actor = 'nobody' RETURNING id")
    # Jobs: the one without a worker is taken up again, the other waits on.
    states = "SELECT lock, status::text FROM procrastinate_jobs WHERE queue_name = 'nobodys' ORDER BY lock"
    wait_until(lambda: second.sql(states) == [("here", "todo"), ("there", "todo")], "the job is up again")

    # Nothing of it is touched while it runs.
    with pytest.raises(AssertionError, match="already running over this data"):
        second.manage("restore", str(backup), "--force")
