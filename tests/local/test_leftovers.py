"""What killed parts leave behind: PostgreSQL's lock files, processes, half-written files of the registry's storage."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from console.installation import keys
from console.installation.environment import EnvironmentProblem
from console.installation.files import remove_stale_drafts
from console.local import linux, orphans, registry, stale_postgres
from console.local.postgres import Postgres
from console.local.problems import Problem
from console.local.storage_repair import SCHEDULE, repair_links, repair_schedule, repair_tags
from tests.support.hub_cache import Cache, Upstream, running
from tests.support.prepared_database import FAST
from tests.support.pushed_images import push_image
from tests.support.stack import wait_until


class Server:
    """An embedded PostgreSQL of the test's own."""

    def __init__(self, folder):
        folder.chmod(0o711)
        self.postgres = Postgres(folder / "postgres", folder / "run", FAST)
        self.data, self.sockets = self.postgres.data, self.postgres.sockets
        self.process = None

    def start(self):
        self.postgres.initialise()
        self.process = self.postgres.start()

        def ready():
            assert self.process.poll() is None, "it ended"
            return self.postgres.is_ready()

        wait_until(ready, "it answers")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)

    @property
    def lock_files(self):
        return [self.data / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"]


@pytest.fixture
def server():
    """Not below pytest's own folder, which no other user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="my-images-server-"))
    made = Server(folder)
    yield made
    made.stop()
    shutil.rmtree(folder)


class TestServer:
    def test_another_process_of_the_user_has_the_number(self, server):
        """In the file of the data folder and in that of the socket; PostgreSQL takes either for a server."""
        server.start()
        server.kill()
        owner = server.postgres.owner
        other = subprocess.Popen(["sleep", "60"], user=owner.pw_uid if owner else None)
        try:
            for file in server.lock_files:
                lines = file.read_text().splitlines()
                assert lines[0] == str(server.process.pid)
                file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            server.start()
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()

    @pytest.mark.parametrize("content", ["", "x\n", "4194304\n"])
    def test_lock_files_that_are_damaged(self, server, content):
        server.start()
        server.kill()
        for file in server.lock_files:
            file.write_text(content)
        server.start()

    def test_a_server_that_runs_keeps_its_files(self, server):
        server.start()
        with pytest.raises(Problem, match=f"already running over .*, process {server.process.pid}: stop it first"):
            stale_postgres.remove_lock_files(server.data, server.sockets, 0)
        assert all(file.exists() for file in server.lock_files)
        assert server.postgres.is_ready()
        for file in server.lock_files:
            file.write_text("")
        with pytest.raises(Problem, match="already running"):
            stale_postgres.remove_lock_files(server.data, server.sockets, 0)

    def test_a_server_that_cannot_be_seen_keeps_its_files(self, server, monkeypatch):
        """In another container: its processes are not among ours, its socket is."""
        server.start()
        monkeypatch.setattr(linux, "processes", lambda: iter(()))
        with pytest.raises(Problem, match="in a container"):
            stale_postgres.remove_lock_files(server.data, server.sockets, 0)
        assert all(file.exists() for file in server.lock_files)

    def test_a_busy_part_of_a_killed_server_is_ended(self, server):
        """It does not notice that the first process is gone, and holds the shared memory."""
        server.start()
        connection = server.postgres.connect()
        pid = connection.info.backend_pid
        connection.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
        server.kill()
        assert linux.start_time(pid) is not None
        stale_postgres.remove_lock_files(server.data, server.sockets, 0.2)
        assert linux.start_time(pid) is None
        with contextlib.suppress(psycopg.Error):
            connection.close()
        server.start()

    def test_the_making_of_the_cluster_is_killed(self, server):
        """What is half made has another name, and is made again."""
        draft = server.data.with_name("postgres.draft")
        draft.mkdir()
        (draft / "PG_VERSION").write_text("18\n")
        server.start()
        assert not draft.exists()

    @pytest.mark.parametrize("left", ["PG_VERSION", "global"])
    def test_a_cluster_that_an_earlier_version_left_half_made(self, server, left, capsys):
        server.data.mkdir(parents=True)
        if left == "global":
            (server.data / left).mkdir()
        else:
            (server.data / left).write_text("18\n")
        earlier = [server.data.with_name(name) for name in ("postgres.unfinished", "postgres.unfinished.2")]
        for folder in earlier:
            folder.mkdir()
            (folder / "kept").touch()
        server.start()
        assert (server.data.with_name("postgres.unfinished.3") / left).exists()
        assert all((folder / "kept").exists() for folder in earlier), "nothing that was set aside is deleted"
        assert "was never finished and is created again" in capsys.readouterr().out

    @pytest.mark.parametrize("file", ["postmaster.opts", "backup_label", "backup_manifest"])
    def test_a_cluster_that_was_used_is_never_set_aside(self, server, file):
        server.data.mkdir(parents=True)
        (server.data / file).touch()
        (server.data / "PG_VERSION").write_text("18\n")
        server.postgres.initialise()
        assert (server.data / file).exists()


class TestProcesses:
    @pytest.fixture
    def marked(self, tmp_path):
        """Starts processes as children of a supervisor over ``tmp_path`` are started."""
        started = []

        def start(*command, **options):
            # As a registry or PostgreSQL gets them.
            variables = registry.clean_environment({**os.environ, **orphans.mark(tmp_path)})
            started.append(subprocess.Popen(command, env=variables, start_new_session=True, **options))
            return started[-1]

        yield start
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def test_one_that_was_not_recorded_yet(self, tmp_path, marked):
        process = marked("sleep", "60")
        assert orphans.clear(tmp_path) == ["sleep"]
        assert process.wait(5) == -signal.SIGTERM

    def test_what_a_killed_one_had_started(self, tmp_path, marked):
        """Gunicorn's processes, when gunicorn itself was killed: they have the port for a while."""
        parent = marked("sh", "-c", "sleep 60 & echo $!; wait", stdout=subprocess.PIPE, text=True)
        left = int(parent.stdout.readline())
        parent.stdout.close()
        parent.kill()
        parent.wait()
        assert linux.start_time(left) is not None
        orphans.clear(tmp_path)
        assert linux.start_time(left) is None

    def test_one_that_does_not_want_to_end(self, tmp_path, marked, monkeypatch):
        monkeypatch.setattr(orphans, "_PATIENCE_SECONDS", 0.2)
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
        process = marked(sys.executable, "-c", code, stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        orphans.clear(tmp_path)
        assert process.wait(5) == -signal.SIGKILL

    def test_those_of_another_installation_are_left_alone(self, tmp_path, marked):
        process = marked("sleep", "60")
        other = tmp_path / "other"
        other.mkdir()
        assert orphans.clear(other) == []
        assert process.poll() is None

    @pytest.mark.parametrize(
        "record", ["", "[", "{}", "7", '["x"]', '[{"pid": "x"}]', '[{"pid": 1, "start": 1, "signal": 999}]', "[" * 9999]
    )
    def test_a_record_that_is_damaged(self, tmp_path, marked, record):
        (tmp_path / "children.json").write_text(record)
        process = marked("sleep", "60")
        assert orphans.clear(tmp_path) == ["sleep"]
        process.wait(5)

    def test_a_record_of_before_the_machine_was_started(self, tmp_path):
        """The number and the start, counted from then, may both be another's."""
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            row = {"name": "x", "pid": process.pid, "start": linux.start_time(process.pid), "signal": 9, "boot": "past"}
            (tmp_path / "children.json").write_text(json.dumps([row]))
            assert orphans.clear(tmp_path) == []
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()

    def test_the_lock_waits_for_a_child_that_is_only_just_started(self, tmp_path):
        """Between fork and exec it has the lock of its supervisor, which is dead by then."""
        with orphans.lock(tmp_path) as file:
            held = os.dup(file.fileno())
        release = "import sys, time; time.sleep(0.3)"
        holder = subprocess.Popen([sys.executable, "-S", "-c", release], pass_fds=[held])
        os.close(held)
        try:
            orphans.lock(tmp_path).close()
        finally:
            holder.wait()


def files_of(pair):
    return {"empty": b"", "cut off": pair[: len(pair) // 2]}


class TestKeys:
    @pytest.mark.parametrize("name", ["token_signing.pem", "token_next.pem"])
    @pytest.mark.parametrize("damage", ["empty", "cut off"])
    def test_a_signing_key(self, tmp_path, name, damage):
        made = keys.ensure_keys(tmp_path)
        file = made.folder / name
        file.write_bytes(files_of(file.read_bytes())[damage])
        with pytest.raises(EnvironmentProblem, match=f"{name} holds no key with its certificate: put the file back"):
            keys.renew_bundle(keys.ensure_keys(tmp_path))
        file.unlink()
        keys.renew_bundle(keys.ensure_keys(tmp_path))
        assert made.token_certificate.read_bytes().count(b"BEGIN CERTIFICATE") == 2

    @pytest.mark.parametrize("name", ["secret_key", "notification_secret"])
    def test_a_secret(self, tmp_path, name):
        made = keys.ensure_keys(tmp_path)
        (made.folder / name).write_bytes(b"\n")
        with pytest.raises(EnvironmentProblem, match=f"{name} is empty: put the file back from a backup"):
            keys.ensure_keys(tmp_path)

    @pytest.mark.parametrize("damage", ["empty", "cut off"])
    def test_what_the_registries_trust_is_made_again(self, tmp_path, damage):
        made = keys.ensure_keys(tmp_path)
        keys.rotate(made, 3600)
        bundle = made.token_certificate.read_bytes()
        made.token_certificate.write_bytes(files_of(bundle)[damage])
        assert keys.renew_bundle(keys.ensure_keys(tmp_path))
        assert made.token_certificate.read_bytes() == bundle

    def test_a_former_key_that_is_damaged_is_trusted_no_more(self, tmp_path):
        made = keys.ensure_keys(tmp_path)
        keys.rotate(made, 3600)
        (retired,) = made.folder.glob("token_retired_*")
        retired.write_bytes(b"")
        keys.renew_bundle(made)
        assert not retired.exists()
        assert made.token_certificate.read_bytes().count(b"BEGIN CERTIFICATE") == 2


def test_drafts_of_killed_processes_are_removed(tmp_path):
    old = [tmp_path / name for name in (".secret_key.12.0a1b2c3d", "config.12.draft", "children.draft")]
    stay = [tmp_path / name for name in ("config.yml", ".hidden", ".x.1.0a1b2c3")]
    for file in (*old, *stay):
        file.touch()
        os.utime(file, (time.time() - 4000,) * 2)
    fresh = tmp_path / ".config.yml.12.0a1b2c3d"
    fresh.touch()
    remove_stale_drafts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*stay, fresh])


def entries(schedule):
    """What the cache's list has; nothing while the registry is writing it."""
    try:
        return json.loads(schedule.read_text())
    except (OSError, ValueError):
        return {}


class TestStorage:
    @pytest.fixture
    def upstream(self, registry_program, tmp_path):
        with running(Upstream(registry_program, tmp_path / "upstream")) as started:
            yield started

    @pytest.mark.parametrize("length", [0, 30])
    def test_links_that_were_cut_off(self, upstream, length):
        """Of a tag, its history, a manifest and a layer: a registry answers 500 to whoever asks for one."""
        with upstream.client() as client:
            push_image(client, "team/app", "v1")
            second = push_image(client, "team/app", "v1")
            links = list((upstream.folder / "data").rglob("link"))
            contents = {link: link.read_bytes() for link in links}
            assert len(links) > 6
            # The order in which the tag came to name the two, whatever the file system's clock ticks in.
            for link in links:
                os.utime(link, (1000, 2000 if second.digest[7:] in str(link) else 1000))
                os.truncate(link, length)
                os.utime(link, (1000, 2000 if second.digest[7:] in str(link) else 1000))
            assert repair_links(upstream.folder / "data", 1500) < len(links), "what was changed later is not touched"
            repair_links(upstream.folder / "data", time.time() + 1)
            (tag,) = (link for link in links if link.parent.name == "current")
            assert tag.stat().st_size == length, "a push may be under way: it is repaired while no registry runs"
            assert repair_tags(upstream.folder / "data") == 1
            assert {link: link.read_bytes() for link in links} == contents
            assert client.resolve("team/app", "v1").digest == second.digest
            for digest in second.blobs:
                assert b"".join(client.blob("team/app", digest))
        assert repair_links(upstream.folder / "data", time.time() + 1) == repair_tags(upstream.folder / "data") == 0

    @pytest.mark.parametrize("content", [b"", b'{"library/deb', b"[]"])
    def test_the_list_of_what_the_cache_expires(self, registry_program, tmp_path, upstream, content):
        """With a damaged one the caching registry ends as it starts; without any it never removes what it holds."""
        with running(Cache(registry_program, tmp_path / "cache", upstream.url)) as cache:
            cache.wait_for_line("Official images are pulled from")
            with upstream.client() as theirs, cache.client() as ours:
                pushed = push_image(theirs, "library/debian", "stable")
                manifest = ours.manifest("library/debian", "stable")
                for digest in manifest.references:
                    assert b"".join(ours.blob("library/debian", digest))
                cache.wait_until_it_holds("library/debian", pushed.blobs)
            schedule = cache.folder / "dockerhub" / "data" / SCHEDULE
            before = wait_until(lambda: len(listed := entries(schedule)) == 3 and listed, "the list is written")
            cache.stop()
            schedule.write_bytes(content)
            cache.start()
            cache.wait_for_line("Repaired 1 files of the Docker Hub cache")
            cache.wait_for_line("Official images are pulled from")
            after = wait_until(lambda: entries(schedule), "the list is written again")
            assert {key: row["EntryType"] for key, row in after.items()} == {
                key: row["EntryType"] for key, row in before.items()
            }
            with cache.client() as ours:
                assert ours.resolve("library/debian", "stable").digest == pushed.digest
            assert "Can't reach" not in "\n".join(cache.lines)

    def test_a_list_that_is_whole_or_missing_is_left_alone(self, tmp_path):
        assert not repair_schedule(tmp_path)
        (tmp_path / SCHEDULE).write_text("{}")
        assert not repair_schedule(tmp_path)
        shutil.rmtree(tmp_path)
        assert not repair_schedule(tmp_path)
