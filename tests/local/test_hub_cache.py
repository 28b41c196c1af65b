"""The cache of Docker Hub's official images: with its upstream, without it, and when it comes and goes."""

import base64
import json
import os
import signal
import socket
import stat
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import yaml

from console.installation import environment, keys
from console.local import hub, hub_configuration
from registry_client import ManifestUnknown, NameUnknown, RegistryError, Unsupported
from tests.support.hub_cache import Cache, Upstream, answers, running
from tests.support.pushed_images import OCI_INDEX, push_image, push_index
from tests.support.stack import processes_with, wait_until

AWAY = "only cached official images are served"
THERE = "Official images are pulled from"


@pytest.fixture
def upstream(registry_program, tmp_path):
    with running(Upstream(registry_program, tmp_path / "upstream")) as started:
        yield started


@pytest.fixture
def cache(registry_program, tmp_path, upstream):
    with running(Cache(registry_program, tmp_path / "cache", upstream.url)) as started:
        started.wait_for_line(THERE)
        yield started


def pull(client, repository, reference):
    """All of an image of one platform: its manifest's and its blobs' bytes."""
    manifest = client.manifest(repository, reference)
    return [manifest.content, *(b"".join(client.blob(repository, digest)) for digest in manifest.references)]


def test_what_was_pulled_stays_when_the_upstream_goes(cache, upstream):
    with upstream.client() as theirs, cache.client() as ours:
        pushed = push_image(theirs, "library/debian", "stable", layers=[b"l" * 100_000])
        push_image(theirs, "library/debian", "other")
        first = pull(ours, "library/debian", "stable")
        cache.wait_until_it_holds("library/debian", pushed.blobs)
        upstream.stop()
        assert pull(ours, "library/debian", "stable") == first, "while nobody has noticed yet"
        cache.wait_for_line(AWAY)
        wait_until(lambda: answers(cache.url) == 401, "the plain one serves")
        assert pull(ours, "library/debian", "stable") == first
        with pytest.raises(ManifestUnknown):
            ours.manifest("library/debian", "other")
        assert ours.tags("library/debian") == ["stable"]
        upstream.start()
        cache.wait_for_line(THERE)
        wait_until(lambda: answers(cache.url) == 401, "the caching one serves")
        assert pull(ours, "library/debian", "other")


def test_a_tag_that_moves_is_fetched_anew(cache, upstream):
    with upstream.client() as theirs, cache.client() as ours:
        first = push_image(theirs, "library/debian", "stable")
        assert ours.resolve("library/debian", "stable").digest == first.digest
        second = push_image(theirs, "library/debian", "stable")
        assert ours.resolve("library/debian", "stable").digest == second.digest


def test_of_several_platforms_only_what_was_pulled_is_there(cache, upstream):
    with upstream.client() as theirs, cache.client() as ours:
        children = [push_image(theirs, "library/debian", None) for _ in range(3)]
        index = push_index(theirs, "library/debian", "stable", children)
        assert ours.manifest("library/debian", "stable").digest == index.digest
        pull(ours, "library/debian", children[0].digest)
        cache.wait_until_it_holds("library/debian", children[0].blobs)
        upstream.stop()
        cache.wait_for_line(AWAY)
        wait_until(lambda: answers(cache.url) == 401, "the plain one serves")
        assert ours.manifest("library/debian", "stable").media_type == OCI_INDEX
        assert pull(ours, "library/debian", children[0].digest)
        with pytest.raises(ManifestUnknown):
            ours.manifest("library/debian", children[1].digest)


def test_it_starts_without_its_upstream(registry_program, tmp_path):
    upstream = Upstream(registry_program, tmp_path / "upstream")
    with running(Cache(registry_program, tmp_path / "cache", upstream.url)) as cache, cache.client() as ours:
        cache.wait_for_line(AWAY)
        with pytest.raises(NameUnknown):
            ours.tags("library/debian")
        with pytest.raises(ManifestUnknown):
            ours.manifest("library/debian", "stable")
        with running(upstream), upstream.client() as theirs:
            push_image(theirs, "library/debian", "stable")
            cache.wait_for_line(THERE)
            wait_until(lambda: answers(cache.url) == 401, "the caching one serves")
            assert pull(ours, "library/debian", "stable")


def test_what_is_a_week_old_makes_room(cache, upstream):
    """The registry keeps the dates in a file of its own; it is told here that they have passed."""
    storage = cache.folder / "dockerhub" / "data"
    dates = storage / "scheduler-state.json"
    with upstream.client() as theirs, cache.client() as ours:
        pushed = push_image(theirs, "library/debian", "stable")
        first = pull(ours, "library/debian", "stable")
        cache.wait_until_it_holds("library/debian", pushed.blobs)
        wait_until(lambda: dates.exists() and len(json.loads(dates.read_text())) == 3, "the dates are written down")
        cache.stop()
        passed = {
            name: {**row, "ExpiryData": "2020-01-01T00:00:00Z"} for name, row in json.loads(dates.read_text()).items()
        }
        dates.write_text(json.dumps(passed))
        cache.start()
        cache.wait_for_line(THERE)
        kept = [storage / "docker/registry/v2/blobs/sha256" / blob[7:9] / blob[7:] / "data" for blob in pushed.blobs]
        wait_until(lambda: not any(path.exists() for path in kept), "the bytes are freed")
        assert pull(ours, "library/debian", "stable") == first
        cache.wait_until_it_holds("library/debian", pushed.blobs)


def test_nobody_can_push_or_delete(cache, upstream):
    """Not even with a token that allows everything; with the upstream there and away."""
    with upstream.client() as theirs, cache.client() as ours:
        pushed = push_image(theirs, "library/debian", "stable")
        pull(ours, "library/debian", "stable")

        def refused():
            with pytest.raises(Unsupported):
                push_image(ours, "library/mine", "v1")
            with pytest.raises(RegistryError):
                ours.put_manifest(
                    "library/debian", "mine", pushed.content, "application/vnd.oci.image.manifest.v1+json"
                )
            with pytest.raises(RegistryError):
                ours.delete_manifest("library/debian", pushed.digest)
            assert ours.resolve("library/debian", "stable").digest == pushed.digest

        refused()
        upstream.stop()
        cache.wait_for_line(AWAY)
        wait_until(lambda: answers(cache.url) == 401, "the plain one serves")
        refused()


def test_a_killed_registry_is_started_again(cache, upstream):
    with upstream.client() as theirs, cache.client() as ours:
        push_image(theirs, "library/debian", "stable")
        pid = cache.registry_pid()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: cache.registry_pid() not in {pid, None}, "another one runs")
        cache.wait_for_line(THERE)
        wait_until(lambda: answers(cache.url) == 401, "it answers")
        assert pull(ours, "library/debian", "stable")


def test_it_ends_when_nothing_can_be_served(registry_program, tmp_path):
    """Its supervisor then starts it again, less and less often."""
    upstream = Upstream(registry_program, tmp_path / "upstream")
    with running(Cache(registry_program, tmp_path / "cache", upstream.url)) as cache:
        cache.wait_for_line(AWAY)
        os.kill(cache.registry_pid(), signal.SIGKILL)
        assert cache.process.wait(20) == 1
        cache.wait_for_line("The registry that serves the cached images has exited")


def test_it_stops_with_all_that_it_started(cache):
    assert cache.stop() == 0
    assert not processes_with(str(cache.folder))
    assert answers(cache.url) == 0


def test_killed_it_leaves_nothing_behind(cache):
    cache.process.kill()
    # Without the edge, which is not the launcher's.
    wait_until(lambda: not [one for one in processes_with(str(cache.folder)) if "/caddy " not in one], "all has ended")


class Front:
    """A small server before the upstream, that answers some requests itself."""

    def __init__(self, upstream=None):
        self.status = None
        self.spoil = None
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                front.answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        self.upstream = upstream
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler):
        status, headers, body = self.status or 502, {"Retry-After": "1"}, b""
        if self.status is None:
            passed = {"Accept": ", ".join(handler.headers.get_all("Accept", ["*/*"]))}
            with suppress(requests.ConnectionError):
                answer = requests.request(handler.command, self.upstream.url + handler.path, headers=passed, timeout=10)
                status, headers, body = answer.status_code, answer.headers, answer.content
        whole = len(body) or int(headers.get("Content-Length", 0))
        if self.spoil is not None and "/blobs/" in handler.path:
            body = self.spoil(body)
        handler.send_response(status)
        for name in ("Content-Type", "Docker-Content-Digest", "Retry-After"):
            if name in headers:
                handler.send_header(name, headers[name])
        handler.send_header("Content-Length", str(whole))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)
        handler.close_connection = True


class Guarded(Front):
    """One that lets nobody in without a token, which ``me`` gets for the right password: as Docker Hub does."""

    def answer(self, handler):
        given = handler.headers.get("Authorization", "")
        if handler.path.startswith("/token"):
            right = given == "Basic " + base64.b64encode(b"me:s3cret: x").decode()
            body = json.dumps({"token": "good"} if right else {"details": "incorrect username or password"}).encode()
            handler.send_response(200 if right else 401)
        elif given != "Bearer good":
            body = b""
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", f'Bearer realm="{self.url}/token",service="upstream"')
        else:
            super().answer(handler)
            return
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def front_of(upstream=None, kind=Front):
    front = kind(upstream)
    thread = threading.Thread(target=front.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.server.shutdown()
        front.server.server_close()
        thread.join(5)


def test_an_upstream_that_has_had_enough(registry_program, tmp_path, upstream):
    """429 and 503: what is cached is served, and what is not says so in good order."""
    with (
        front_of(upstream) as front,
        running(Cache(registry_program, tmp_path / "cache", front.url)) as cache,
        upstream.client() as theirs,
        cache.client() as ours,
    ):
        cache.wait_for_line(THERE)
        pushed = push_image(theirs, "library/debian", "stable")
        push_image(theirs, "library/debian", "other")
        first = pull(ours, "library/debian", "stable")
        cache.wait_until_it_holds("library/debian", pushed.blobs)
        for status in (429, 503):
            front.status = status
            cache.wait_for_line(AWAY)
            wait_until(lambda: answers(cache.url) == 401, "the plain one serves")
            assert pull(ours, "library/debian", "stable") == first
            with pytest.raises(ManifestUnknown):
                ours.manifest("library/debian", "other")
            front.status = None
            cache.wait_for_line(THERE)
            wait_until(lambda: answers(cache.url) == 401, "the caching one serves")
        assert pull(ours, "library/debian", "other")


@pytest.mark.parametrize(("password", "right"), [("s3cret: x", True), ("wrong", False)])
def test_an_upstream_that_wants_credentials(registry_program, tmp_path, upstream, password, right):
    credentials = {"DOCKERHUB_USERNAME": "me", "DOCKERHUB_PASSWORD": password}
    with (
        front_of(upstream, Guarded) as front,
        running(Cache(registry_program, tmp_path / "cache", front.url, **credentials)) as cache,
        upstream.client() as theirs,
        cache.client() as ours,
    ):
        cache.wait_for_line(THERE)
        push_image(theirs, "library/debian", "stable")
        if right:
            assert pull(ours, "library/debian", "stable")
        else:
            with pytest.raises(RegistryError):
                pull(ours, "library/debian", "stable")
    assert not [line for line in cache.lines if password in line]


@pytest.mark.parametrize("spoil", [lambda body: body[:-1] + b"!", lambda body: body[: len(body) // 2]])
def test_a_blob_that_arrives_spoilt_is_not_kept(registry_program, tmp_path, upstream, spoil):
    """Other bytes than the digest says, or only half of them: the next who asks gets it whole."""
    with (
        front_of(upstream) as front,
        running(Cache(registry_program, tmp_path / "cache", front.url)) as cache,
        upstream.client() as theirs,
        cache.client() as ours,
    ):
        cache.wait_for_line(THERE)
        pushed = push_image(theirs, "library/debian", "stable", layers=[b"l" * 10_000])
        assert ours.manifest("library/debian", "stable").digest == pushed.digest
        front.spoil = spoil
        with pytest.raises(RegistryError):
            b"".join(ours.blob("library/debian", pushed.blobs[1]))
        front.spoil = None

        def whole():
            try:
                return b"".join(ours.blob("library/debian", pushed.blobs[1])) == b"l" * 10_000
            except RegistryError:
                return False

        wait_until(whole, "the blob is whole")
        cache.wait_until_it_holds("library/debian", pushed.blobs[1:])
        upstream.stop()
        cache.wait_for_line(AWAY)
        wait_until(lambda: answers(cache.url) == 401, "the plain one serves")
        assert whole()


class TestUpstream:
    @pytest.mark.parametrize(
        ("status", "there"), [(200, True), (401, True), (403, False), (404, False), (429, False), (500, False)]
    )
    def test_answers(self, status, there):
        with front_of() as front:
            front.status = status
            assert hub.answers(front.url) is there

    def test_nobody_there(self, upstream):
        upstream.stop()
        assert not hub.answers(upstream.url)
        assert not hub.answers("http://[::1")

    def test_one_that_is_silent(self, monkeypatch):
        monkeypatch.setattr(hub, "_ASK_SECONDS", 0.1)
        server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # listens, and never accepts
        try:
            assert not hub.answers(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.server_close()

    def test_one_that_speaks_no_http(self):
        """As what stands between may: the watch must go on."""
        with socket.create_server(("127.0.0.1", 0)) as server:

            def greet():
                connection, _address = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 mail.example ESMTP\r\n")

            greeter = threading.Thread(target=greet)
            greeter.start()
            assert not hub.answers(f"http://127.0.0.1:{server.getsockname()[1]}")
            greeter.join()

    def test_it_is_away_when_it_fails_several_times_in_a_row(self, monkeypatch):
        given = iter([False, True, False, False, True, False, False, False, False, True])
        monkeypatch.setattr(hub, "answers", lambda address: next(given))
        upstream = hub.Upstream("http://x", 60)
        seen = []
        for _ in range(10):
            wait = upstream.ask()
            seen.append((upstream.available, wait))
        assert seen == [
            (False, 10), (True, 60), (True, 10), (True, 10), (True, 60),
            (True, 10), (True, 10), (False, 10), (False, 10), (True, 60),
        ]  # fmt: skip


class TestConfiguration:
    def made(self, tmp_path, **variables):
        found = environment.load({"DATA_DIR": str(tmp_path), **variables})
        return found, keys.ensure_keys(tmp_path)

    def test_the_caching_one(self, tmp_path):
        content = hub_configuration.caching(*self.made(tmp_path))
        assert content["proxy"] == {"remoteurl": "https://registry-1.docker.io"}
        assert content["http"]["addr"] == "127.0.0.1:5001"
        assert content["auth"]["token"]["service"] == "my-images-registry-dockerhub"
        assert content["auth"]["token"]["realm"] == "http://localhost:8000/token/"
        assert "notifications" not in content

    def test_credentials_for_docker_hub(self, tmp_path):
        found, made = self.made(tmp_path, DOCKERHUB_USERNAME="me", DOCKERHUB_PASSWORD="s3cret: x")
        content = hub_configuration.caching(found, made)
        assert content["proxy"]["username"] == "me"
        assert content["proxy"]["password"] == "s3cret: x"
        assert "proxy" not in hub_configuration.plain(found, made, 1)
        assert "s3cret" not in repr(found)

    def test_they_are_kept_in_a_private_file(self, tmp_path):
        found, _ = self.made(tmp_path, DOCKERHUB_USERNAME="me", DOCKERHUB_PASSWORD="s3cret")
        path = hub.Cache(found).configurations[True]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert yaml.safe_load(path.read_text())["proxy"]["password"] == "s3cret"

    @pytest.mark.parametrize(
        ("version", "upstream", "given", "said"),
        [
            ("2.8.3+ds1-3", "https://registry.example.com", True, ""),
            ("2.8.3+ds1-3", "http://127.0.0.1:1", True, ""),
            ("2.8.2+ds1-1", "https://registry-1.docker.io", True, "Warning: the cache uses DOCKERHUB_USERNAME"),
            ("2.8.2+ds1-1", "https://registry.example.com", False, "The cache does not use DOCKERHUB_USERNAME"),
            ("2.8.2+ds1-1", "http://registry-1.docker.io", False, "The cache does not use DOCKERHUB_USERNAME"),
        ],
    )
    def test_a_registry_that_believes_any_token_server_gets_none(
        self, tmp_path, monkeypatch, capsys, version, upstream, given, said
    ):
        """CVE-2026-33540: without the fix an upstream can have the credentials sent to anybody."""
        monkeypatch.setenv("PATH", str(tmp_path))
        program = tmp_path / "registry" / "programs" / version / "usr" / "bin" / "docker-registry"
        program.parent.mkdir(parents=True)
        program.touch()
        credentials = {"DOCKERHUB_USERNAME": "me", "DOCKERHUB_PASSWORD": "s3cret"}
        found, _ = self.made(tmp_path, DOCKERHUB_UPSTREAM=upstream, **credentials)
        written = hub.Cache(found).configurations[True].read_text()
        assert ("s3cret" in written) == given
        out = capsys.readouterr().out
        assert out.startswith(said) if said else not out
