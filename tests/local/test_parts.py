"""The parts that start the whole, one by one."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from console.installation import environment, keys
from console.local import __main__, linux, orphans, ports, registry
from console.local.children import RECONCILE_SIGNAL, Child
from console.local.problems import Problem
from console.local.supervisor import Stopped, Supervisor
from tests.support.stack import wait_until


class TestEnvironment:
    def test_it_works(self):
        found = environment.load({})
        assert (found.console_url, found.registry_url) == ("http://127.0.0.1:8000", "http://127.0.0.1:5000")
        assert found.registry_address == "127.0.0.1:5000"
        assert found.embedded_database
        assert found.registry_is_ours
        assert found.data_dir.name == ".data"

    def test_what_is_given(self):
        found = environment.load(
            {
                "DATABASE_URL": "postgresql://u@h/d",
                "REGISTRY_URL": "https://registry.example.com/",
                "CONSOLE_URL": "https://images.example.com",
                "REGISTRY_ADDRESS": "hub.example.com",
            }
        )
        assert not found.embedded_database
        assert not found.registry_is_ours
        assert found.registry_url == "https://registry.example.com"
        assert found.registry_address == "hub.example.com"

    def test_the_cache_of_docker_hub(self):
        found = environment.load({})
        assert found.dockerhub
        assert (found.dockerhub_url, found.dockerhub_address) == ("http://127.0.0.1:5001", "127.0.0.1:5001")
        assert found.dockerhub_service == f"{found.registry_service}-dockerhub"
        assert not environment.load({"DOCKERHUB": "off", "REGISTRY_PORT": "5001"}).dockerhub

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("DOCKERHUB", "perhaps"),
            ("DOCKERHUB_PORT", "0"),
            ("DOCKERHUB_PORT", "5000"),
            ("DOCKERHUB_PORT", "8000"),
            ("DOCKERHUB_UPSTREAM", "registry-1.docker.io"),
            ("DOCKERHUB_API", "hub.docker.com"),
            ("DOCKERHUB_CHECK_SECONDS", "0"),
            ("DOCKERHUB_CHECK_SECONDS", "nan"),
            ("DOCKERHUB_CHECK_SECONDS", "soon"),
        ],
    )
    def test_a_cache_that_cannot_be(self, variable, value):
        with pytest.raises(environment.EnvironmentProblem, match=variable):
            environment.load({variable: value})

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("EMAIL_PORT", "smtp"),
            ("TOKEN_SECONDS", "0"),
            ("WEB_THREADS", "-1"),
            ("CHANGES_PER_MINUTE", "-1"),
            ("CHANGES_PER_MINUTE", "many"),
            ("WEB_WORKERS", "٣"),
            ("AUDIT_SUMMARY_SECONDS", "soon"),
            ("AUDIT_SUMMARY_SECONDS", "-1"),
            ("LOG_LEVEL", "loud"),
            ("LOG_FILES_MB", "-1"),
            ("LOG_FILES_MB", "1G"),
        ],
    )
    def test_what_others_read_is_checked_before_anything_starts(self, variable, value):
        with pytest.raises(environment.EnvironmentProblem, match=f"{variable} is .*; it must be"):
            environment.load({variable: value})
        assert environment.load({variable: ""})

    def test_grants_may_be_written_down_at_once(self):
        assert environment.load({"AUDIT_SUMMARY_SECONDS": "0"})

    @pytest.mark.parametrize("value", ["registry", "ftp://x", "http://", "127.0.0.1:5000"])
    def test_an_address_that_is_none(self, value):
        with pytest.raises(environment.EnvironmentProblem, match="REGISTRY_URL"):
            environment.load({"REGISTRY_URL": value})


class TestKeys:
    def test_made_once_also_by_many_at_once(self, tmp_path):
        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda _: keys.ensure_keys(tmp_path), range(16)))
        assert len({(one.secret_key, one.notification_secret) for one in made}) == 1
        pair = made[0].token_key.read_bytes()
        bundle = made[0].token_certificate.read_bytes()
        assert bundle.startswith(pair[pair.index(b"-----BEGIN CERTIFICATE") :])
        assert bundle.count(b"BEGIN CERTIFICATE") == 2
        for file in made[0].folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(made[0].folder.stat().st_mode) == 0o700


def script(folder, name, text="exit 0"):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


class TestFindingTheRegistry:
    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))
        return folder

    def test_a_docker_engine(self, path, tmp_path):
        script(path, "docker")
        program = registry.choose(environment.load({"DATA_DIR": str(tmp_path)}), tmp_path / "config.yml")
        assert program.container == "my-images-registry-5000"
        assert "registry:2" in program.command
        assert f"--volume={tmp_path}:{tmp_path}" in program.command, "the storage is beside the configuration"

    @pytest.mark.parametrize("docker", ["exit 1", None])
    def test_nothing_at_all(self, path, tmp_path, docker):
        if docker:
            script(path, "docker", docker)
        with pytest.raises(Problem, match="install Debian's or Ubuntu's package docker-registry"):
            registry.choose(environment.load({"DATA_DIR": str(tmp_path)}), tmp_path / "config.yml")

    def test_without_one_everything_goes_on_without_the_cache_of_docker_hub(self, path, tmp_path, capsys):
        found = environment.load({"DATA_DIR": str(tmp_path), "REGISTRY_URL": "https://registry.example.com"})
        found.dockerhub_missing_file.parent.mkdir()
        assert __main__._hub(found, keys.ensure_keys(tmp_path)) == []
        assert "without the cache of Docker Hub's images: no registry program was found" in capsys.readouterr().out
        assert not found.dockerhub_inner_file.exists()
        assert environment.load({"DATA_DIR": str(tmp_path)}).dockerhub_missing == "program"
        assert environment.load({"DATA_DIR": str(tmp_path), "DOCKERHUB": "off"}).dockerhub_missing == ""

    def test_without_a_folder_for_it_as_well(self, path, tmp_path, capsys):
        found = environment.load({"DATA_DIR": str(tmp_path)})
        found.dockerhub_missing_file.parent.mkdir()
        (tmp_path / "dockerhub").touch()
        assert __main__._hub(found, keys.ensure_keys(tmp_path)) == []
        assert f"{tmp_path}/dockerhub" in capsys.readouterr().out
        assert environment.load({"DATA_DIR": str(tmp_path)}).dockerhub_missing == "files"

    def test_its_configuration_is_private_and_whole(self, tmp_path):
        found = environment.load({"DATA_DIR": str(tmp_path)})
        made = keys.ensure_keys(tmp_path)
        path = registry.write_config(tmp_path / "c.yml", registry.configuration(found, made))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = yaml.safe_load(path.read_text())
        assert content["auth"]["token"]["realm"] == "http://localhost:8000/token/"
        assert content["storage"]["delete"] == {"enabled": True}
        assert "cache" not in content["storage"]
        assert registry.configuration(found, made) == content, "the same at the next start"

    def test_its_environment(self):
        """What Distribution, its drivers and PostgreSQL would take for a part of their configuration stays out."""
        needed = dict.fromkeys(
            ["PATH", "HOME", "TZ", "LC_ALL", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "GOGC"], "x"
        )
        others = ["REGISTRY_PORT", "AWS_CA_BUNDLE", "AWS_PROFILE", "OTEL_TRACES_EXPORTER", "PGDATA", "SECRET_KEY"]
        assert registry.clean_environment(dict.fromkeys([*needed, *others, "DOCKERHUB_PASSWORD"], "x")) == needed

    def test_how_often_it_collects_garbage(self, monkeypatch):
        """The console's own reads more than it holds; whoever says something else is obeyed."""

        def told():
            program = registry.Program(("registry",))
            return __main__._registry_child("inner registry", program, 1, registry.FEWER_COLLECTIONS).environment[
                "GOGC"
            ]

        monkeypatch.delenv("GOGC", raising=False)
        assert told() == "400"
        monkeypatch.setenv("GOGC", "50")
        assert told() == "50"


def test_ports():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=f"Port {port} on 127.0.0.1 is taken, and the console needs it"):
            ports.check("127.0.0.1", port, "CONSOLE_PORT", "the console")
    ports.check("127.0.0.1", port, "CONSOLE_PORT", "the console")
    with pytest.raises(Problem, match="cannot be used"):
        ports.check("192.0.2.1", 8000, "CONSOLE_PORT", "the console")


def test_a_free_port_is_none_that_connections_are_given(tmp_path, monkeypatch):
    """Otherwise one could have it by the time that a registry is started anew."""
    given = tmp_path / "range"
    monkeypatch.setattr(ports, "_EPHEMERAL", given)
    for text, highest in (("15000\t60999\n", 15_000), ("1024\t60999\n", 11_000), (None, 30_000)):
        given.write_text(text) if text else given.unlink()
        assert 10_000 <= min(ports.candidates()) <= max(ports.candidates()) < highest
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        free = ports.free()
        monkeypatch.setattr(ports, "candidates", lambda: [taken, free])
        assert ports.free() == free
        monkeypatch.setattr(ports, "candidates", lambda: [taken])
        with pytest.raises(Problem, match="no free port"):
            ports.free()


class TestOrphans:
    def test_they_are_ended_with_their_groups(self, tmp_path):
        process = subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True)
        row = {"name": "x", "pid": process.pid, "start": linux.start_time(process.pid), "signal": signal.SIGTERM}
        (tmp_path / "children.json").write_text(json.dumps([row]))
        assert orphans.clear(tmp_path) == ["x"]
        assert process.wait(5) == -signal.SIGTERM
        wait_until(lambda: not linux.group_is_alive(process.pid), "the group is gone")
        assert orphans.clear(tmp_path) == []

    def test_a_number_that_is_somebody_elses_by_now(self, tmp_path):
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            row = {"name": "x", "pid": process.pid, "start": 1, "signal": signal.SIGKILL}
            (tmp_path / "children.json").write_text(json.dumps([row]))
            assert orphans.clear(tmp_path) == []
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()

    def test_a_record_that_cannot_be_read(self, tmp_path):
        (tmp_path / "children.json").write_text("{")
        assert orphans.clear(tmp_path) == []

    def test_the_lock(self, tmp_path):
        with orphans.lock(tmp_path), pytest.raises(Problem, match=f"already running over this data, pid {os.getpid()}"):
            orphans.lock(tmp_path)
        orphans.lock(tmp_path).close()


class TestSupervisor:
    def child(self, name, code, ready=lambda: True):
        return Child(name, [sys.executable, "-c", code], dict(os.environ), ready)

    def test_what_ends_while_it_starts(self, tmp_path):
        supervisor = Supervisor(tmp_path)
        child = self.child("thing", "raise SystemExit(3)")
        supervisor.start(child)
        with pytest.raises(Problem, match="The thing ended with exit code 3 while it was starting"):
            supervisor.wait_for(lambda: False, [child])
        supervisor.stop()

    def test_a_long_wait_is_mentioned_once(self, tmp_path, monkeypatch, capfd):
        monkeypatch.setattr("console.local.supervisor.NOTICE_SECONDS", 0.1)
        supervisor = Supervisor(tmp_path)
        child = self.child("thing", "import time; time.sleep(60)")
        supervisor.start(child)
        with pytest.raises(Problem, match="did not become ready"):
            supervisor.wait_for(lambda: False, [child], seconds=1)
        supervisor.stop()
        assert capfd.readouterr().out.count("Still waiting for the thing ...") == 1

    def test_what_never_gets_ready(self, tmp_path):
        supervisor = Supervisor(tmp_path)
        child = self.child("thing", "import time; time.sleep(60)")
        supervisor.start(child)
        with pytest.raises(Problem, match="did not become ready"):
            supervisor.wait_for(lambda: False, [child], seconds=0.2)
        supervisor.stop()
        assert not child.running

    def test_what_does_not_want_to_stop(self, tmp_path, monkeypatch, capfd):
        monkeypatch.setattr("console.local.supervisor.STOP_SECONDS", 0.5)
        supervisor = Supervisor(tmp_path)
        code = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
        child = self.child("thing", code)
        supervisor.start(child)
        wait_until(lambda: "up" in capfd.readouterr().out, "it ignores the signal")
        supervisor.stop()
        assert "did not stop in time and was killed" in capfd.readouterr().out
        assert not child.running

    def test_a_signal_while_something_is_waited_for(self, tmp_path):
        supervisor = Supervisor(tmp_path)
        supervisor.signals = 1
        with pytest.raises(Stopped):
            supervisor.wait_for(lambda: False, [])
        with pytest.raises(Stopped):
            supervisor.start(self.child("thing", ""))
        with pytest.raises(Stopped):
            supervisor.run_once(self.child("thing", ""))

    def test_something_that_fails_once(self, tmp_path):
        supervisor = Supervisor(tmp_path)
        supervisor.run_once(self.child("good", ""))
        with pytest.raises(Problem, match="could not be prepared"):
            supervisor.run_once(self.child("bad", "raise SystemExit(1)"))

    def test_a_worker_that_does_not_listen_yet_is_not_killed_by_it(self, tmp_path, capfd):
        taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, RECONCILE_SIGNAL)
        before = {number: signal.getsignal(number) for number in taken}
        code = """
import os, signal, time
os.kill(os.getpid(), signal.SIGUSR1)
print("lives", flush=True)
time.sleep(60)
"""
        supervisor = Supervisor(tmp_path)
        try:
            supervisor.listen()
            child = self.child("worker", code)
            supervisor.start(child)
            wait_until(lambda: "lives" in capfd.readouterr().out, "it goes on")
        finally:
            supervisor.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def test_the_worker_hears_of_every_registry_that_is_started_anew(self, tmp_path, capfd):
        """After a death or a full disk (the storage's guard says so), and after a change of keys."""
        code = """
import signal
print("up", flush=True)
while signal.sigwait({signal.SIGUSR1}):
    print("looks again", flush=True)
"""
        worker = self.child("worker", "import signal; signal.pthread_sigmask(0, {signal.SIGUSR1})" + code)
        registry = self.child("registry", "import time; time.sleep(60)")
        registry.reads_keys = True
        supervisor = Supervisor(tmp_path)
        said = []

        def heard(text):
            said.append(capfd.readouterr().out)
            return "".join(said).count(text)

        class Guard:
            answers = [False, True, False]

            def check(self):
                return self.answers.pop(0)

        check = __main__._storage_check(supervisor, Guard(), worker)
        supervisor.start(worker)
        supervisor.start(registry)
        try:
            wait_until(lambda: heard("up"), "the worker runs")
            assert [check(), check(), check()] == [False, True, False]
            wait_until(lambda: heard("looks again") == 1, "the worker hears of it")
            (tmp_path / environment.RESTART_REQUEST).touch()
            deadline = time.monotonic() + 20

            def until_heard():
                assert time.monotonic() < deadline
                supervisor.signals = int(heard("looks again") == 2)
                return False

            supervisor.watch(until_heard)
        finally:
            supervisor.stop()

    def test_restarts_wait_longer_each_time(self):
        child = self.child("thing", "")
        assert child.died() == "has not started"
        child.start()
        child.process.wait()
        assert [child.plan_restart() for _ in range(4)] == [0, 1, 2, 4]
        child.kill_rest()


def test_a_folder_of_another_user_stays_as_it_is(tmp_path, monkeypatch, capsys):
    """A volume's ``lost+found``, or a volume that belongs to somebody else, does not keep My Images from starting."""
    (tmp_path / "lost+found").mkdir(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    __main__.keep_private(tmp_path)
    assert stat.S_IMODE((tmp_path / "lost+found").stat().st_mode) == 0o755
    assert "belongs to another user" in capsys.readouterr().out
