"""``REGISTRY_URL``: the edge, and so the gate, before a registry of the operator's own."""

import contextlib
import http.server
import threading

import pytest

from console.installation import environment
from console.local import edge_configuration
from tests.local.test_edge import Front
from tests.local.test_site import Site
from tests.support.ports import free_port

REGISTRY = "https://registry.example.com"


class Elsewhere:
    """A registry at a port of its own, which remembers what it is asked."""

    def __init__(self):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                seen.append((self.command, self.path, dict(self.headers.items())))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", str(len(b"elsewhere")))
                self.end_headers()
                self.wfile.write(b"elsewhere")
                return body

            do_PUT = do_PATCH = do_POST = do_DELETE = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.netloc = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def elsewhere():
    registry = Elsewhere()
    yield registry
    registry.close()


def test_a_port_before_it(elsewhere):
    with contextlib.ExitStack() as stack:
        front = Front(stack, REGISTRY_URL=f"http://{elsewhere.netloc}")
        assert front.environment.registry_address == f"127.0.0.1:{front.environment.registry_port}"
        assert front.ask("PATCH", "/v2/team/app/blobs/uploads/1", body=b"x") == "elsewhere"
        assert front.ask("PUT", "/v2/team/app/manifests/v1", body=b"{}") == "console"
        assert front.ask("GET", "/v2/team/app/tags/list") == "console"
        assert not front.registry.seen
    ((method, path, headers),) = elsewhere.seen
    assert (method, path) == ("PATCH", "/v2/team/app/blobs/uploads/1")
    # Its own name, for a proxy with several; the client's for the addresses of uploads.
    assert (headers["Host"], headers["X-Forwarded-Host"]) == (elsewhere.netloc, "here")


def test_the_site_before_it(elsewhere):
    with contextlib.ExitStack() as stack:
        site = Site(stack, TLS="internal", REGISTRY_URL=f"http://{elsewhere.netloc}")
        assert site.environment.registry_address == site.name
        assert site.get("/v2/")[2] == "elsewhere"
        assert site.get("/v2/team/app/manifests/v1", "DELETE")[2] == "console"
        assert site.get("/v2/dockerhub/library/debian/manifests/stable")[2] == "dockerhub"
    ((_method, _path, headers),) = elsewhere.seen
    assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-Host"]) == ("https", site.name)


@pytest.mark.parametrize(
    ("given", "address", "has_gate"),
    [
        ({}, "registry.example.com", False),
        ({"REGISTRY_PORT": "5000"}, "127.0.0.1:5000", True),
        ({"SITE": "https://images.example.com"}, "images.example.com", True),
        ({"SITE": "https://images.example.com", "REGISTRY_ADDRESS": "hub.example.com"}, "hub.example.com", True),
        (
            {"SITE": "https://images.example.com", "REGISTRY_ADDRESS": "registry.example.com"},
            "registry.example.com",
            False,
        ),
        ({"REGISTRY_PORT": "5000", "REGISTRY_ADDRESS": "registry.example.com:443"}, "registry.example.com:443", False),
        # Nothing of ours listens there.
        ({"REGISTRY_ADDRESS": "hub.example.com"}, "hub.example.com", False),
    ],
)
def test_whether_clients_come_through_the_gate(given, address, has_gate):
    found = environment.load({"REGISTRY_URL": REGISTRY, **given})
    assert (found.registry_address, found.registry_has_gate) == (address, has_gate)


def test_the_bundled_one_always_has_it():
    assert environment.load({"REGISTRY_ADDRESS": "hub.example.com"}).registry_has_gate


def test_a_port_that_the_registry_itself_has():
    found = environment.load({"REGISTRY_URL": "http://127.0.0.1:5000", "REGISTRY_PORT": "5000"})
    assert (found.registry_port_is_open, found.registry_has_gate) == (False, False)


def test_the_cache_stays_at_the_site_where_the_registry_has_another_address():
    found = environment.load(
        {
            "SITE": "https://images.example.com",
            "REGISTRY_URL": REGISTRY,
            "REGISTRY_ADDRESS": "registry.example.com",
        }
    )
    assert (found.dockerhub_address, found.dockerhub_folder) == ("images.example.com/dockerhub", "dockerhub")


def test_no_certificate_is_asked_for_the_registrys_own_name(tmp_path):
    found = environment.load(
        {
            "DATA_DIR": str(tmp_path),
            "SITE": "https://images.example.com",
            "REGISTRY_URL": REGISTRY,
            "REGISTRY_ADDRESS": "registry.example.com",
            "REGISTRY_PORT": str(free_port()),
        }
    )
    whole = edge_configuration.configuration(found, ["127.0.0.1"], dockerhub=True)
    assert whole["apps"]["tls"]["certificates"]["automate"] == ["images.example.com"]
