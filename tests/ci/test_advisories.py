"""The check of the lock files against published advisories, with a small service in place of the Internet's."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from console.installation.environment import BASE_DIR
from tests.support.ports import free_port

LOCK = "some-package==1.0 --hash=sha256:{0}\nother-package==2.0 --hash=sha256:{0}\n".format("0" * 64)
ADVISORY = {
    "id": "PYSEC-2026-1",
    "summary": "It can be broken into.",
    "affected": [
        {
            "package": {"name": "some-package", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@pytest.fixture
def service():
    """Answers as OSV does: what is in ``known`` by package, an error where it is ``None``; keeps what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((query["package"]["name"], query["version"]))
            answer = server.known.get(query["package"]["name"], {})
            body = json.dumps(answer).encode()
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.known, server.asked = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}/v1/query"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def check(folder, url, lock=LOCK, **variables):
    path = folder / "requirements.txt"
    path.write_text(lock)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("REQUIRE_AUDIT", "COVERAGE"))
    }
    return subprocess.run(
        [sys.executable, str(BASE_DIR / ".ci" / "advisories.py"), str(path)],
        capture_output=True,
        text=True,
        env={**inherited, "ADVISORIES_URL": url, **variables},
    )


def test_nothing_found(tmp_path, service):
    done = check(tmp_path, service.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Advisories: 2 locked packages checked, 0 advisories found.\n"
    assert sorted(service.asked) == [("other-package", "2.0"), ("some-package", "1.0")]


def test_something_found(tmp_path, service):
    service.known["some-package"] = {"vulns": [ADVISORY]}
    done = check(tmp_path, service.url)
    assert done.returncode == 1
    assert "some-package 1.0: PYSEC-2026-1; mended in 1.1" in done.stderr
    assert "2 locked packages checked, 1 advisories found" in done.stdout


@pytest.mark.parametrize("required", ["0", "1"])
def test_nobody_answers(tmp_path, required):
    done = check(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query", REQUIRE_AUDIT=required)
    assert done.returncode == int(required == "1")
    assert "NOT CHECKED" in done.stderr
    assert "checked" not in done.stdout


def test_a_service_in_trouble_is_not_taken_for_a_clean_bill(tmp_path, service):
    service.known["other-package"] = None
    done = check(tmp_path, service.url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "NOT CHECKED" in done.stderr
    assert check(tmp_path, service.url, REQUIRE_AUDIT="1").returncode == 1


@pytest.mark.parametrize("lock", ["some-package>=1.0 --hash=sha256:0\n", "what is this?\n"])
def test_a_lock_file_that_cannot_be_read_is_an_error_offline_too(tmp_path, lock):
    done = check(tmp_path, f"http://127.0.0.1:{free_port()}/v1/query", lock)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_the_lock_files_of_the_checkout_can_be_read():
    done = subprocess.run(
        [sys.executable, ".ci/advisories.py", "requirements.txt", "requirements-dev.txt"],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        env={**os.environ, "ADVISORIES_URL": f"http://127.0.0.1:{free_port()}/v1/query", "REQUIRE_AUDIT": ""},
    )
    assert done.returncode == 0, done.stderr
