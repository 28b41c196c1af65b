"""Starting, watching and stopping the whole, as ``make run`` does."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys

import psycopg
import pytest
import requests

from console.installation import environment
from console.installation.environment import BASE_DIR
from tests.support.environment import ENVIRONMENT
from tests.support.stack import Stack, processes_with, wait_until


@pytest.fixture
def whole(registry_program):
    """An installation that was never started."""
    made = Stack(registry_program)
    yield made
    made.stop()


def answers(whole):
    try:
        return (
            requests.get(f"{whole.console_url}/healthz", timeout=2).status_code == 200
            and requests.get(f"http://{whole.registry_address}/v2/", timeout=2).status_code == 401
        )
    except requests.RequestException:
        return False


def test_first_start_kill_and_clean_stops(whole):
    whole.borrow_nothing()
    whole.start()
    lines = whole.log().splitlines()
    ready = lines.index(f"My Images is ready at {whole.console_url}")
    assert lines[ready + 1] == f"Registry address: {whole.registry_address}"
    assert len(whole.account_id) == 12
    assert len(whole.password) >= 12
    assert answers(whole)
    kept = (whole.data_dir / "log" / "my-images.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in kept] == [
        line for line in lines if line and not line.startswith(("Account ID:", "Password:"))
    ]
    for path in ("keys/secret_key", "keys/token_signing.pem", "keys/notification_secret", "registry/config.yml"):
        mode = (whole.data_dir / path).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600, path
    assert whole.sql("UPDATE accounts_account SET name = 'Ann' RETURNING account_id") == [(whole.account_id,)]
    whole.signal(signal.SIGKILL)
    whole.wait()

    # A start after a kill, while another program has the port of the cache of official images.
    with socket.create_server(("127.0.0.1", whole.dockerhub_port)):
        whole.start()
        assert "Password:" not in whole.log()
        assert answers(whole)
        assert whole.sql("SELECT account_id, name FROM accounts_account") == [(whole.account_id, "Ann")]
        check_that_the_cache_is_missing(whole)
        whole.signal(signal.SIGTERM)
        assert whole.wait(10) == 0
    check_that_nothing_is_left(whole)

    # A start after a clean stop tries the port again.
    whole.start()
    assert "Password:" not in whole.log()
    assert answers(whole)
    assert f"Docker Hub's official images: {whole.dockerhub_address}/library" in whole.log()
    assert {"hub", "inner hub"} <= set(whole.children())
    whole.signal(signal.SIGINT)
    assert whole.wait(10) == 0
    check_that_nothing_is_left(whole)


def check_that_the_cache_is_missing(whole):
    """The log, the children and management commands say so."""
    log = whole.log()
    (line,) = [line for line in log.splitlines() if "without the cache" in line]
    assert line.startswith(
        "My Images starts without the cache of Docker Hub's images: "
        f"port {whole.dockerhub_port} on 127.0.0.1 is taken, and"
    )
    assert "set DOCKERHUB_PORT to a free port" in line
    assert "Docker Hub's official images: off (see the lines above)" in log
    assert not {"hub", "inner hub"} & set(whole.children())
    code = "from console.access import rules; print(rules.refuse_docker_hub())"
    out = whole.manage("shell", "-v0", "-c", code)
    assert f"another program uses port {whole.dockerhub_port}" in out


def check_that_nothing_is_left(whole):
    """No process, and no file that describes one."""
    assert not processes_with(str(whole.data_dir))
    assert {entry.name for entry in (whole.data_dir / "run").iterdir() if not entry.is_dir()} == {"lock"}


@pytest.mark.parametrize("name", ["postgres", "registry", "console", "worker", "edge", "hub", "inner hub"])
def test_what_dies_is_started_again(stack, name):
    pid = stack.pid_of(name)
    os.kill(pid, signal.SIGKILL)
    seen = set()

    def started_again():
        # Whatever is asked meanwhile is answered, or refused in good order.
        with contextlib.suppress(requests.ConnectionError):
            seen.add(requests.get(f"{stack.console_url}/token/?scope=repository:aa/bb:pull", timeout=20).status_code)
        return stack.pid_of(name) != pid

    wait_until(started_again, f"{name} is started again")
    assert seen <= {200, 503}
    assert f"The {name} was killed by SIGKILL. It is restarted" in stack.log()
    wait_until(lambda: answers(stack), "everything answers again")
    wait_until(
        lambda: requests.get(f"{stack.console_url}/sign-in/", timeout=10).status_code == 200, "pages answer again"
    )


def test_a_database_that_is_started_again_leaves_a_short_log(whole):
    # Its own: a worker that another test has just started again may not notice.
    whole.start()
    before, pid = len(whole.log().splitlines()), whole.pid_of("worker")
    os.kill(whole.pid_of("postgres"), signal.SIGKILL)
    wait_until(lambda: whole.pid_of("worker") not in {pid, None}, "the worker is started again")
    wait_until(lambda: answers(whole), "everything answers again")
    added = whole.log().splitlines()[before:]
    assert not [line for line in added if "Traceback" in line]
    # What PostgreSQL's own processes say as they end is one line each.
    ours = [line for line in added if not line.startswith("postgres")]
    assert len(ours) < 15, "\n".join(ours)


def refused(whole, **variables):
    """Start it where it cannot start: the one sentence it says."""
    whole.environment.update(variables)
    whole.launch()
    assert whole.wait(15) == 1
    (line,) = [line for line in whole.log().splitlines() if line and not line.startswith("Traceback")]
    return line


@pytest.mark.parametrize(
    ("attribute", "variable"), [("console_port", "CONSOLE_PORT"), ("registry_port", "REGISTRY_PORT")]
)
def test_a_taken_port(whole, stack, attribute, variable):
    whole.borrow_no_database()
    port = str(getattr(stack, attribute))
    sentence = refused(whole, **{variable: port})
    assert f"Port {port} on 127.0.0.1 is taken" in sentence
    assert variable in sentence
    assert not (whole.data_dir / "postgres").exists(), "it is said at once"


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1", "８０"])
def test_a_port_that_is_none(value):
    with pytest.raises(environment.EnvironmentProblem, match="CONSOLE_PORT"):
        environment.load({"CONSOLE_PORT": value})


def test_the_caches_port_is_another_ones(whole):
    sentence = refused(whole, DOCKERHUB_PORT=str(whole.registry_port))
    assert sentence == (
        f"REGISTRY_PORT and DOCKERHUB_PORT are both {whole.registry_port}; "
        "set DOCKERHUB_PORT to another, or DOCKERHUB=off."
    )


def test_twice_over_the_same_data(whole, stack):
    sentence = refused(whole, DATA_DIR=str(stack.data_dir))
    assert f"already running over this data, pid {stack.process.pid}" in sentence
    assert answers(stack)


def test_with_a_database_and_a_registry_of_ones_own_and_without_the_cache(whole, stack, postgres):
    name = "given_database"
    with psycopg.connect(
        host=str(ENVIRONMENT.socket_dir), dbname="postgres", user="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    whole.borrow_no_database()
    whole.environment["DATABASE_URL"] = ENVIRONMENT.database_url.replace("/my_images?", f"/{name}?")
    whole.environment["REGISTRY_URL"] = f"http://{stack.registry_address}"
    del whole.environment["REGISTRY_PORT"]
    whole.environment["DOCKERHUB"] = "off"
    whole.start()
    assert requests.get(f"{whole.console_url}/healthz", timeout=5).status_code == 200
    assert requests.get(f"{whole.console_url}/sign-in/", timeout=10).status_code == 200
    assert set(whole.children()) == {"console", "worker", "edge"}

    assert not (whole.data_dir / "postgres").exists()

    snippet = whole.data_dir / "registry" / "external.yml"
    log = whole.log()
    assert str(snippet) in log
    assert "docs/registry.md" in log
    assert stat.S_IMODE(snippet.stat().st_mode) == 0o600
    assert f"Registry address: {stack.registry_address}" in log
    assert f"Clients call it at {stack.registry_address}, without the edge." in log

    assert "Docker Hub" not in log
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{whole.dockerhub_address}/v2/", timeout=5)
    assert not (whole.data_dir / "dockerhub").exists()


def test_a_long_path_and_the_end_of_the_make_that_started_it(registry_program, tmp_path):
    whole = Stack(registry_program, data_dir=tmp_path / ("long" * 30))
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'console.local', '--stop-with-parent']); "
        "print(p.pid, flush=True); p.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=whole.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert any(line.startswith("My Images is ready") for line in parent.stdout)
        assert answers(whole)
        parent.kill()
        parent.wait()
        wait_until(lambda: not processes_with(str(whole.data_dir)), "all has ended", 15)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        whole.stop()


def test_a_weak_administrator_password(whole):
    whole.environment["ADMIN_PASSWORD"] = "short"
    whole.launch()
    assert whole.wait(60) == 1
    assert "ADMIN_PASSWORD cannot be used" in whole.log()
    assert not processes_with(str(whole.data_dir))
