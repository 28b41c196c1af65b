"""Time-outs, retries, reuse of connections, many threads."""

import ssl
import subprocess
import sys
import threading

import pytest
import requests
from requests.adapters import HTTPAdapter

from registry_client import (
    OCI_MANIFEST,
    RegistryClient,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
    UnexpectedAnswer,
    connections,
)
from tests.support.http_servers import Reply, Server, error_reply, json_reply, running_registry
from tests.support.ports import free_port
from tests.support.pushed_images import digest_of, push_blob, push_image

DIGEST = digest_of(b"{}")
MANIFEST = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": DIGEST}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("call", "success"),
    [
        (lambda client: client.tags("a"), json_reply({"tags": []})),
        (lambda client: client.resolve("a", "1"), Reply(200, b"{}", MANIFEST)),
        (lambda client: client.manifest("a", "1"), Reply(200, b"{}", MANIFEST)),
        (lambda client: client.put_manifest("a", "1", b"{}", OCI_MANIFEST), Reply(201)),
        (lambda client: client.delete_manifest("a", DIGEST), Reply(202)),
        (lambda client: list(client.blob("a", DIGEST)), Reply(200, b"{}")),
    ],
)
def test_what_may_be_repeated_is(server, faulty, status, call, success):
    server.replies(error_reply(status, "UNKNOWN"), error_reply(status, "UNKNOWN"), success)
    call(faulty)
    assert len(server.requests) == 3
    assert len({(request.method, request.target, request.body) for request in server.requests}) == 1


def test_retries_are_bounded(server):
    server.replies(error_reply(503, "UNAVAILABLE", "try later", **{"Retry-After": "3600"}))
    for retries in (0, 1, 3):
        server.requests.clear()
        with RegistryClient(server.url, retries=retries) as client, pytest.raises(RegistryUnavailable) as caught:
            client.tags("a")
        assert len(server.requests) == retries + 1
        assert (caught.value.status, caught.value.code, caught.value.message) == (503, "UNAVAILABLE", "try later")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409])
def test_what_would_not_change_is_not_repeated(server, faulty, status):
    server.replies(error_reply(status, "ODD"))
    with pytest.raises(RegistryError):
        faulty.tags("a")
    assert len(server.requests) == 1


def test_a_connection_that_breaks_is_tried_again(server, faulty):
    # Status 0 makes the line that follows no HTTP at all.
    server.replies(Reply(0, cut=0), Reply(0, cut=0), json_reply({"tags": ["1"]}))
    assert faulty.tags("a") == ["1"]
    server.replies(Reply(0, cut=0))
    with pytest.raises(RegistryUnavailable) as caught:
        faulty.tags("a")
    assert caught.value.status is None


def test_a_body_that_breaks_off(server, faulty):
    server.replies(Reply(200, b'{"tags": []}', {"Content-Type": "application/json"}, cut=5))
    with pytest.raises(RegistryUnavailable, match="broke off"):
        faulty.tags("a")


def test_an_answer_that_does_not_come(server):
    release = threading.Event()
    server.replies(Reply(200, before=release.wait))
    try:
        with RegistryClient(server.url, read_timeout=0.1, retries=1) as client:
            with pytest.raises(RegistryUnavailable, match=r"did not answer within 0\.1 s") as caught:
                client.tags("a")
            assert caught.value.status is None and server.url in str(caught.value)
            with pytest.raises(RegistryUnavailable, match="did not answer"):
                client.upload_blob("a", DIGEST, [b"{}"])
        assert [request.method for request in server.requests] == ["GET", "GET", "POST"]
    finally:
        release.set()


def test_nobody_there(monkeypatch):
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    url = f"http://127.0.0.1:{free_port()}"
    with RegistryClient(url) as client:
        for call in (client.ping, lambda: client.upload_blob("a", DIGEST, [b"{}"])):
            with pytest.raises(RegistryUnavailable, match="cannot be reached") as caught:
                call()
            assert caught.value.status is None and url in str(caught.value)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (requests.ConnectTimeout(), "did not accept a connection within 3 s"),
        (requests.exceptions.SSLError(ssl.SSLError("x")), "the certificate or the TLS"),
        (requests.exceptions.ProxyError(), "the proxy in front"),
        (requests.ConnectionError(), "broke"),
    ],
)
def test_each_reason_is_said_in_a_sentence(monkeypatch, error, text):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(HTTPAdapter, "send", fail)
    with RegistryClient("https://registry.example") as client, pytest.raises(RegistryUnavailable, match=text):
        client.ping()


def test_plain_http_where_https_is_expected(server):
    client = RegistryClient(server.url.replace("http:", "https:"))
    with client, pytest.raises(RegistryUnavailable, match="TLS"):
        client.ping()


def test_a_time_out_goes_with_every_call(server, monkeypatch):
    seen = []
    send = HTTPAdapter.send

    def recording(adapter, *args, **options):
        seen.append(options["timeout"])
        return send(adapter, *args, **options)

    monkeypatch.setattr(HTTPAdapter, "send", recording)
    server.replies(error_reply(404, "NAME_UNKNOWN"))
    with RegistryClient(server.url, connect_timeout=1.5, read_timeout=2.5) as client:
        for call in (client.ping, lambda: client.upload_blob("a", DIGEST, [])):
            with pytest.raises(RegistryError):
                call()
    assert seen == [(1.5, 2.5)] * 2


def test_connections_are_reused(server, faulty):
    server.replies(json_reply({"tags": []}))
    for _ in range(10):
        faulty.tags("a")
    server.replies(error_reply(404, "NAME_UNKNOWN"))
    for _ in range(10):
        with pytest.raises(RegistryError):
            faulty.tags("a")
    server.replies(Reply(200, b"{}", MANIFEST))
    for _ in range(10):
        faulty.resolve("a", "1")
    assert server.connections == 1


def test_a_token_challenge_does_not_cost_a_connection(server):
    class Seam:
        def authorization(self, scopes, challenge):
            return "Bearer new" if challenge else "Bearer old"

    server.answer = lambda request: (
        json_reply({"tags": []})
        if request.headers["Authorization"] == "Bearer new"
        else error_reply(401, "UNAUTHORIZED", **{"WWW-Authenticate": "Bearer realm=x"})
    )
    with RegistryClient(server.url, Seam()) as client:
        for _ in range(5):
            client.tags("a")
    assert server.connections == 1 and len(server.requests) == 10


def test_an_upload_uses_one_connection(server, faulty):
    server.answer = lambda request: Reply(201 if request.method == "PUT" else 202, b"", {"Location": "/v2/x"})
    for _ in range(3):
        faulty.upload_blob("a", DIGEST, [b"{}"])
    assert server.connections == 1


def test_threads_share_connections(server, faulty):
    """A thread that begins finds open what one that ended has left."""
    server.replies(json_reply({"tags": []}))
    for _ in range(10):
        thread = threading.Thread(target=faulty.tags, args=("a",))
        thread.start()
        thread.join()
    assert len(server.requests) == 10 and server.connections == 1


def test_close_closes_and_the_client_can_be_used_again(server):
    server.replies(json_reply({"tags": []}))
    client = RegistryClient(server.url)
    client.tags("a")
    client.close()
    client.tags("a")
    client.close()
    assert server.connections == 2


def test_a_registry_that_was_restarted(registry_program, tmp_path):
    """Connections that were kept open are of no use then, and nobody notices, whatever the call."""
    port = free_port()
    with running_registry(registry_program, tmp_path, port=port) as url:
        client = RegistryClient(url)
        pushed = push_image(client, "a", "1")
    with running_registry(registry_program, tmp_path, port=port), client:
        push_blob(client, "a", b"next")
        assert client.resolve("a", "1").digest == pushed.digest


def test_many_threads_share_a_client(client, repository):
    shared = push_blob(client, repository, b"shared" * 1000)
    failures, start = [], threading.Barrier(16)

    def work(number):
        try:
            name = f"{repository}/{number}"
            start.wait(30)
            for turn in range(5):
                layer = f"layer {number} {turn}".encode()
                pushed = push_image(client, name, f"t{turn}", layers=[layer])
                manifest = client.manifest(name, f"t{turn}")
                assert manifest.content == pushed.content
                assert client.read_blob(name, manifest.layers[0].digest, 100) == layer
                assert b"".join(client.blob(repository, shared, chunk_size=100)) == b"shared" * 1000
            assert sorted(client.tags(name)) == [f"t{turn}" for turn in range(5)]
            client.delete_manifest(name, client.resolve(name, "t0").digest)
            assert sorted(client.tags(name)) == [f"t{turn}" for turn in range(1, 5)]
        except BaseException as error:
            failures.append((number, error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_oversized_error_bodies_are_not_read(server, faulty):
    server.replies(Reply(403, b" " * (1 << 20), {"Content-Type": "application/json"}))
    with pytest.raises(RegistryError, match="403: Forbidden"):
        faulty.tags("a")
    server.replies(Reply(401, b" " * (1 << 20), {"WWW-Authenticate": "Bearer realm=x"}))
    with pytest.raises(Unauthorized):
        faulty.tags("a")


def test_an_endless_list_is_refused(server, faulty):
    server.replies(Reply(200, b"{}", {"Content-Length": str(1 << 40)}))
    with pytest.raises(UnexpectedAnswer, match="larger"):
        faulty.tags("a")


def test_the_environments_proxy_is_used_but_not_for_our_own_machine(server, monkeypatch):
    proxy = Server(lambda request: json_reply({"tags": ["through the proxy"]}))
    try:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        server.replies(json_reply({"tags": ["direct"]}))
        with RegistryClient(server.url) as client:
            assert client.tags("a") == ["direct"]
        with RegistryClient(server.url.replace("127.0.0.1", "localhost")) as client:
            assert client.tags("a") == ["direct"]
        with RegistryClient("http://registry.example:5000") as client:
            assert client.tags("a") == ["through the proxy"]
        assert [request.target for request in proxy.requests] == ["http://registry.example:5000/v2/a/tags/list"]
    finally:
        proxy.close()
        connections._surroundings.cache_clear()


def test_it_needs_neither_django_nor_the_console():
    program = (
        "import sys, registry_client\n"
        "wrong = [name for name in sys.modules if name.split('.')[0] in ('django', 'console')]\n"
        "assert not wrong, wrong\n"
        "for name in registry_client.__all__: getattr(registry_client, name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
