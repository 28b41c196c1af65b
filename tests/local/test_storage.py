"""The registry's storage: half-written files, and a disk that is full."""

import contextlib
import json
import os

import pytest
import requests

from console.local import registry as bundled
from console.local.children import Child
from console.local.storage import Guard, Room, remove_half_written
from console.local.supervisor import Supervisor
from tests.support.ports import free_port
from tests.support.pushed_images import OCI_INDEX, digest_of
from tests.support.small_disk import SmallDisk
from tests.support.stack import wait_until


def place(data, digest):
    number = digest.partition(":")[2]
    return data / "docker" / "registry" / "v2" / "blobs" / "sha256" / number[:2] / number / "data"


def put(data, content, digest=None):
    file = place(data, digest or digest_of(content))
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_half_written_files_go_and_nothing_else(tmp_path):
    gone = [
        put(tmp_path, b"", digest_of(b"a manifest that was not written at all")),
        put(tmp_path, b"m" * 4096, digest_of(b"m" * 5000)),
    ]
    kept = [put(tmp_path, b""), put(tmp_path, b"m" * 4096), put(tmp_path, b"m" * 500)]
    # A layer is moved into its place when it is whole: nobody reads it again to see that.
    kept.append(put(tmp_path, b"l" * 8 * 1024 * 1024, digest_of(b"a large layer")))
    assert remove_half_written(tmp_path) == 2
    assert not [file for file in gone if file.parent.exists()]
    assert all(file.exists() for file in kept)
    assert remove_half_written(tmp_path) == 0


def test_a_storage_that_is_not_there_yet(tmp_path):
    assert remove_half_written(tmp_path / "none") == 0


def test_room_for_bytes_and_for_files(monkeypatch, tmp_path):
    assert Room(10**9, 10**6).enough
    assert Room(10**9, 10).low
    assert Room(10**6, 10**6).low
    assert not Room(100 * 1024 * 1024, 10**6).enough
    # As a file system says it that makes room for files as it needs it.
    state = os.statvfs(tmp_path)
    none = os.statvfs_result((*state[:5], 0, 0, 0, *state[8:]))
    monkeypatch.setattr(os, "statvfs", lambda folder: none)
    assert Room.on(tmp_path).files > 0


class Guarded:
    """Two registries over one storage on a small disk where making a file takes no room, as on XFS."""

    def __init__(self, program):
        self.disk = SmallDisk(200, "tmpfs")
        self.data = self.disk.path / "data"
        self.children, reading, self.urls = [], [], []
        for name in ("registry", "inner registry"):
            port = free_port()
            whole = {
                "version": 0.1,
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(self.data)}, "delete": {"enabled": True}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
            files = self.disk.folder / f"{port}.yml", self.disk.folder / f"{port}-reading.yml"
            bundled.write_config(files[0], whole)
            bundled.write_config(files[1], bundled.reading_only(whole))
            self.urls.append(f"http://127.0.0.1:{port}/v2/team/app/manifests/")
            self.children.append(
                Child(
                    name,
                    (str(program), "serve", str(files[0])),
                    bundled.clean_environment(os.environ),
                    lambda: True,
                )
            )
            reading.append((str(program), "serve", str(files[1])))
        self.guard = Guard(self.data, self.children, reading)

    def check(self):
        """What the supervisor does in each round."""
        for child in self.children:
            if not child.running and child.retry_at is None:
                child.plan_restart()
        return self.guard.check()

    def push(self, content, number=0):
        """The answer's status; the registry may just be starting."""

        def answer():
            with contextlib.suppress(requests.ConnectionError):
                kind = {"Content-Type": OCI_INDEX}
                return requests.put(self.urls[number] + digest_of(content), content, headers=kind, timeout=20)

        return wait_until(lambda: getattr(answer(), "status_code", 0), "the registry answers")

    def pull(self, content):
        url = self.urls[0] + digest_of(content)
        return requests.get(url, headers={"Accept": OCI_INDEX}, timeout=20)


@pytest.fixture
def guarded(registry_program):
    made = Guarded(registry_program)
    try:
        made.guard.begin()
        for child in made.children:
            child.start()
        yield made
    finally:
        for child in made.children:
            child.stop()
        made.disk.remove()


def manifest(number):
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"number": str(number)}}
    ).encode()


def test_a_push_that_found_no_room_can_be_made_again(guarded, capfd):
    old, new = manifest(1), manifest(2)
    assert guarded.push(old) == 201
    assert not guarded.check()
    guarded.disk.fill()
    assert guarded.push(new) == 500
    assert place(guarded.data, digest_of(new)).stat().st_size == 0, "the registry has left half of it"
    assert guarded.check()
    assert not guarded.check()
    assert "The disk is nearly full" in capfd.readouterr().out
    assert [guarded.push(new, number) for number in (0, 1)] == [405, 405]
    assert guarded.pull(old).content == old
    guarded.disk.room()
    assert guarded.check()
    assert "There is enough disk space again" in capfd.readouterr().out
    assert guarded.push(new) == 201
    assert guarded.pull(new).content == new
    assert guarded.pull(old).content == old


def test_what_a_killed_registry_left_goes_before_it_is_started_again(guarded):
    content = manifest(1)
    assert guarded.push(manifest(0)) == 201
    put(guarded.data, b"", digest_of(content))
    guarded.children[1].process.kill()
    guarded.children[1].process.wait()
    assert wait_until(guarded.check, "it is started again")
    assert guarded.push(content) == 201
    assert guarded.pull(content).content == content


def test_a_start_on_a_full_disk(guarded):
    guarded.disk.fill()
    guarded.guard.begin()
    assert guarded.guard.read_only


def test_a_full_disk_does_not_end_the_supervisor(tmp_path, monkeypatch):
    supervisor = Supervisor(tmp_path)
    child = Child("part", ("sleep", "60"), dict(os.environ), lambda: True)
    supervisor.start(child)
    full = SmallDisk(1, "tmpfs")
    try:
        (full.path / "children.json").write_text("[]")
        full.fill()
        supervisor.folder = full.path
        rounds = []

        def look():
            rounds.append(len(rounds))
            if len(rounds) == 3:
                full.room()
            supervisor.signals = int("part" in (full.path / "children.json").read_text())
            return len(rounds) == 1

        supervisor.watch(look)
        assert len(rounds) > 3, "it could not be written down at first"
    finally:
        child.stop()
        full.remove()
