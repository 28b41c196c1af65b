"""``REGISTRY_URL``: the edge, and so the gate, before a registry of the operator's own."""

import contextlib
import http.server
import os
import subprocess
import threading

import pytest
import yaml

from console.installation import environment
from console.local import edge_configuration
from console.local import registry as bundled
from registry_client import Challenged, Denied, RegistryClient
from tests.local.test_edge import Front
from tests.local.test_site import Site
from tests.support.ports import free_port
from tests.support.pushed_images import push_image
from tests.support.registry_users import make_user
from tests.support.stack import Stack, wait_until

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


@pytest.fixture(scope="module")
def behind_the_edge(registry_program):
    """The product with a registry of the operator's own, which has the settings that the first start writes."""
    port = free_port()
    stack = Stack(registry_program, REGISTRY_URL=f"http://127.0.0.1:{port}")
    process = None
    try:
        stack.start()
        settings = yaml.safe_load((stack.data_dir / "registry" / "external.yml").read_text())
        settings["version"] = 0.1
        settings["http"] = {"addr": f"127.0.0.1:{port}"}
        settings["storage"]["filesystem"] = {"rootdirectory": str(stack.data_dir / "theirs")}
        file = bundled.write_config(stack.data_dir / "theirs.yml", settings)
        process = subprocess.Popen(
            [str(registry_program), "serve", str(file)],
            env=bundled.clean_environment(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        yield stack
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)
        stack.stop()


def test_the_gate_before_a_real_one(behind_the_edge):
    stack = behind_the_edge
    assert f"Registry address: {stack.registry_address}" in stack.log()
    assert "without the edge" not in stack.log()
    user = make_user(stack)
    repository = f"{user.namespace}/app"
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as client:
        wait_until(lambda: reached(client), "the registry answers")
        pushed = push_image(client, repository, "v1")
        # There when the push returns, not when the registry's notification is.
        assert stack.sql("SELECT count(*) FROM images_tag WHERE name = 'v1'") == [(1,)]
        assert client.tags(repository) == ["v1"]
        assert client.resolve(repository, "v1").digest == pushed.digest
        stack.sql("UPDATE accounts_account SET tag_quota = 1 RETURNING id")
        with pytest.raises(Denied):
            push_image(client, repository, "v2")


def reached(client):
    with contextlib.suppress(Exception):
        client.ping()
        return True
    return False
