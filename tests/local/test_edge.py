"""The edge: what it passes on to which service, what it believes of a request, and how it waits for a service."""

import contextlib
import json
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from console.installation import environment
from console.local import edge_configuration, health, sockets
from console.local.edge import Edge
from console.local.problems import Problem
from tests.local.test_slow_clients import PATIENCE, all_of
from tests.support import edge
from tests.support.ports import free_port
from tests.support.stack import wait_until
from tests.support.unix_servers import Service

DIGEST = "sha256:" + "a" * 64


class Front:
    """The edge with stand-ins for all services."""

    def __init__(self, stack, **variables):
        folder = Path(tempfile.mkdtemp(prefix="my-images-edge-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        ports = {name: str(free_port()) for name in ("CONSOLE_PORT", "REGISTRY_PORT", "DOCKERHUB_PORT")}
        given = environment.load({"DATA_DIR": str(folder), "WEB_WORKERS": "1", **ports, **variables})
        self.environment = given
        sockets.make_folder(given)
        self.console = Service("console", sockets.console(given)[0])
        self.registry = Service("registry", sockets.registry(given))
        self.dockerhub = Service("dockerhub", sockets.dockerhub(given))
        for service in (self.console, self.registry, self.dockerhub):
            stack.enter_context(service)
        self.content = edge_configuration.configuration(given, ["127.0.0.1"], dockerhub=True)
        self.process = stack.enter_context(edge.running(given, self.content))

    def raw(self, port, words):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(words)
            return all_of(connection)

    def ask(self, method, target, *headers, port=None, body=b""):
        """Send a request as it is written; the answer's body, which is the name of the service."""
        lines = [f"{method} {target} HTTP/1.1", "Host: here", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        words = "\r\n".join([*lines, "", ""]).encode() + body
        answer = self.raw(port or self.environment.registry_port, words)
        return answer.partition(b"\r\n\r\n")[2].decode() if answer.startswith(b"HTTP/1.1 200 ") else answer.decode()


@pytest.fixture(scope="module")
def front():
    with contextlib.ExitStack() as stack:
        yield Front(stack)


@pytest.fixture(autouse=True)
def _nothing_seen(request):
    if "front" in request.fixturenames:
        front = request.getfixturevalue("front")
        for service in (front.console, front.registry, front.dockerhub):
            service.seen.clear()


WRITES = ["PUT", "DELETE", "POST", "PATCH", "put", "PROPFIND"]
# Every way to write the path of a manifest that the registry would take for one.
MANIFESTS = [
    "/v2/team/app/manifests/v1",
    f"/v2/team/app/manifests/{DIGEST}",
    "/v2/team/app/manifests/v1?x=/blobs/uploads/1",
    "/v2/team/app/manifests/v1/",
    "/v2/team/app/%6danifests/v1",
    "/v2/team/app%2fmanifests%2fv1",
    "/v2/team%2Fapp/manifests/v1",
    "//v2/team/app/manifests/v1",
    "/v2//team/app//manifests//v1",
    "/v2/team/./app/manifests/v1",
    "/v2/team/app/blobs/../manifests/v1",
    "/v2/team/app/blobs/uploads/../../manifests/v1",
    "/v2/team/app/blobs/%2e%2e/manifests/v1",
    "/x/../v2/team/app/manifests/v1",
    "/v2/dockerhub/../team/app/manifests/v1",
    "/v2/team/manifests/app/manifests/v1",
    "/v2/team/blobs/uploads/manifests/v1",
    "/v2/team/tags/list/manifests/v1",
    "http://elsewhere/v2/team/app/manifests/v1",
    "http://elsewhere//v2/team/app/manifests/v1",
    "/v2/team/app/manifests/v1;x=1",
]
STRAIGHT = [
    ("GET", "/v2/"),
    ("GET", "/v2/team/app/manifests/v1"),
    ("HEAD", f"/v2/team/app/manifests/{DIGEST}"),
    ("GET", f"/v2/team/app/blobs/{DIGEST}"),
    ("POST", "/v2/team/app/blobs/uploads/"),
    ("POST", f"/v2/team/app/blobs/uploads/?mount={DIGEST}&from=team/other"),
    ("PATCH", "/v2/team/app/blobs/uploads/123?_state=x"),
    ("PUT", f"/v2/team/app/blobs/uploads/123?digest={DIGEST}&x=/manifests/v1"),
    ("DELETE", f"/v2/team/app/blobs/{DIGEST}"),
    ("POST", "/v2/team/manifests/blobs/uploads/"),
]
LISTS = [
    "/v2/_catalog",
    "/v2/_catalog?n=10&last=x",
    "/v2/team/app/tags/list",
    "/v2/team/app/tags/list?n=10",
    f"/v2/team/app/referrers/{DIGEST}",
    f"/v2/team/app/referrers/{DIGEST}?artifactType=x",
    "/v2/team/app/tags//list",
    "/v2/team/app/tags/%6cist",
]


class TestRoutes:
    @pytest.mark.parametrize("target", MANIFESTS)
    @pytest.mark.parametrize("method", WRITES)
    def test_no_write_of_a_manifest_goes_past_the_gate(self, front, method, target):
        answer = front.ask(method, target, body=b"{}")
        assert answer == "console" or answer.startswith("HTTP/1.1 4"), answer
        assert not front.registry.seen and not front.dockerhub.seen

    @pytest.mark.parametrize(("method", "target"), STRAIGHT)
    def test_bytes_go_straight_to_the_registry(self, front, method, target):
        front.ask(method, target)
        assert [(one.method, one.target) for one in front.registry.seen] == [(method, target)]
        assert not front.console.seen

    @pytest.mark.parametrize("target", LISTS)
    def test_lists_come_from_the_console(self, front, target):
        assert front.ask("GET", target) == "console"
        assert not front.registry.seen

    @pytest.mark.parametrize("port", ["console_port", "registry_port", "dockerhub_port"])
    def test_a_target_without_a_path_reaches_no_service(self, front, port):
        for target in ("http:v2/team/app/manifests/v1", "http:", "x:y"):
            assert front.ask("PUT", target, port=getattr(front.environment, port), body=b"{}").startswith(
                "HTTP/1.1 400 "
            )
        assert not front.console.seen and not front.registry.seen and not front.dockerhub.seen

    def test_each_port_has_its_service(self, front):
        given = front.environment
        assert front.ask("GET", "/v2/", port=given.console_port) == "console"
        assert front.ask("GET", "/v2/", port=given.registry_port) == "registry"
        assert front.ask("GET", "/v2/library/debian/tags/list", port=given.dockerhub_port) == "dockerhub"

    @pytest.mark.parametrize(
        "words",
        [
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            b"Content-Length: 3\r\nContent-Length: 40\r\n\r\nabc",
            b"Content-Length: +3\r\n\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
            b"Content-Length: 0\r\n\r\n",
        ],
    )
    def test_a_request_has_one_end(self, front, words):
        """Nothing behind it is taken for a second one by a service (request smuggling, RFC 9112, 11.2)."""
        head = b"POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        hidden = b"PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n"
        front.raw(front.environment.registry_port, head + words + hidden)
        assert {one.target for one in front.registry.seen} <= {"/v2/a/b/blobs/uploads/"}
        assert not front.console.seen


class TestHeaders:
    CLAIMS = (
        "Forwarded: for=1.2.3.4;proto=https;host=evil.example", "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 99",
        "X-Forwarded-Prefix: /evil", "X-Forwarded-Ssl: on", "X-Forwarded-Protocol: ssl", "X-Real-Ip: 1.2.3.4",
        "X_Forwarded_For: 1.2.3.4", "X-Forwarded_Proto: https",
    )  # fmt: skip

    def seen(self, service):
        (one,) = service.seen
        return {name.lower(): value for name, value in one.headers.items()}

    @pytest.mark.parametrize("name", ["console", "registry", "dockerhub"])
    def test_what_a_client_says_of_itself_is_not_passed_on(self, front, name):
        port = getattr(front.environment, f"{name}_port")
        front.ask("GET", "/v2/", *self.CLAIMS, "Connection: X-Forwarded-For", port=port)
        found = self.seen(getattr(front, name))
        assert found["x-forwarded-for"] == "127.0.0.1"
        assert found["x-forwarded-proto"] == "http"
        assert found["x-forwarded-host"] == "here"
        left = {name for name in found if name.startswith(("x-forwarded", "x_", "forwarded", "x-real"))}
        assert left == {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
        assert "evil" not in str(found)

    def test_a_trusted_proxy_is_believed(self):
        with contextlib.ExitStack() as stack:
            front = Front(stack, TRUSTED_PROXIES="127.0.0.1")
            front.ask("GET", "/v2/", *self.CLAIMS)
            found = self.seen(front.registry)
        assert found["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
        assert found["x-forwarded-proto"] == "https"
        assert found["x-forwarded-host"] == "evil.example"
        assert "forwarded" not in found and "x-forwarded-ssl" not in found

    def test_the_proto_that_is_not_believed_is_known_to_the_console(self):
        with contextlib.ExitStack() as stack:
            front = Front(stack, CONSOLE_URL="https://images.example.com", TRUSTED_PROXIES="192.0.2.1")
            front.ask("GET", "/", "X-Forwarded-Proto: https", port=front.environment.console_port)
            found = self.seen(front.console)
        assert (found["x-claimed-proto"], found["x-forwarded-proto"]) == ("https", "http")

    def test_which_programs_answer_is_not_said(self, front):
        for target in (b"/", b"/" + b"x" * 40_000):
            head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            for port in ("console_port", "registry_port"):
                answer = front.raw(getattr(front.environment, port), head)
                assert answer.startswith(b"HTTP/1.1 ")
                assert b"\r\nServer:" not in answer


class TestServices:
    def test_a_request_waits_for_a_service_that_starts(self, front):
        """As after the death of the registry: for some seconds nobody listens."""
        front.registry.__exit__()
        later = threading.Timer(0.5, front.registry.__enter__)
        later.start()
        assert front.ask("POST", "/v2/a/b/blobs/uploads/", body=b"x" * 100) == "registry"
        later.join()
        assert [one.body for one in front.registry.seen] == [b"x" * 100]

    def test_a_service_that_stays_away(self):
        with contextlib.ExitStack() as stack:
            front = Front(stack)
            text = json.dumps(front.content).replace(str(int(10e9)), str(int(1e8)))
            status, _body = health.ask_socket(
                sockets.edge(front.environment), "POST", "/load", text.encode(), {"Content-Type": "application/json"}
            )
            assert status == 200
            front.registry.__exit__()
            front.console.__exit__()
            answer = front.ask("GET", "/v2/")
            assert answer.startswith("HTTP/1.1 503 ")
            (error,) = json.loads(answer.partition("\r\n\r\n")[2])["errors"]
            assert error["code"] == "UNAVAILABLE"
            answer = front.ask("GET", "/images/", port=front.environment.console_port)
            assert answer.endswith("\r\n\r\nMy Images does not answer at the moment. Try again in some seconds.\n")
            answer = front.ask("GET", "/images/", "Accept: text/html,*/*", port=front.environment.console_port)
            assert "\r\nContent-Type: text/html; charset=utf-8\r\n" in answer
            assert "<p>My Images does not answer at the moment. Try again in some seconds.</p>" in answer
            assert '<a href="">Try again</a>' in answer
            long = f"/images/?q={'x' * edge_configuration.LONGEST_LINE}"
            answer = front.ask("GET", long, "Accept: text/html", port=front.environment.console_port)
            assert answer.startswith("HTTP/1.1 414 ") and '<a href="/">My Images</a>' in answer
            front.registry.__enter__()
            front.console.__enter__()

    def test_an_upload_is_passed_on_as_it_comes(self, front):
        before = front.registry.arrived
        with socket.create_connection(("127.0.0.1", front.environment.registry_port), PATIENCE) as connection:
            head = (
                b"PATCH /v2/a/b/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            connection.sendall(head % 8_000_000 + b"x" * 4_000_000)
            wait_until(lambda: front.registry.arrived - before > 3_000_000, "the first half is there")
            assert not front.registry.seen
            connection.sendall(b"x" * 4_000_000)
            assert all_of(connection).endswith(b"registry")

    def test_a_form_is_passed_on_whole(self, front):
        port = front.environment.console_port
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n")
            connection.sendall(b"x" * 100_000)
            # What another client asks meanwhile comes first.
            assert front.ask("GET", "/other", port=port) == "console"
            connection.sendall(b"x" * 100_000)
            assert all_of(connection).endswith(b"console")
        assert [(one.target, len(one.body)) for one in front.console.seen] == [("/other", 0), ("/", 200_000)]

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize(
        ("port", "target", "longest"),
        [
            ("console_port", "/sign-in/", edge_configuration.LONGEST_FORM),
            ("console_port", "/token/", edge_configuration.LONGEST_FORM),
            ("registry_port", "/v2/team/app/manifests/v1", edge_configuration.LONGEST_MANIFEST),
        ],
    )
    def test_a_body_that_is_too_long_gets_the_answer_that_says_so(self, front, port, target, longest, chunked):
        """Always: a service that answers before it has read all of it closes the connection, perhaps too early."""
        port = getattr(front.environment, port)
        for size, status in ((longest, 200), (longest + 1, 413)):
            head = f"PUT {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
            length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            body = f"{size:x}\r\n{'x' * size}\r\n0\r\n\r\n" if chunked else "x" * size
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                # The answer may come before all is sent.
                with contextlib.suppress(OSError):
                    connection.sendall(f"{head}{length}\r\n\r\n{body}".encode())
                answer = all_of(connection).decode()
            assert answer.startswith(f"HTTP/1.1 {status} ")
        assert "The request is too large." in answer
        assert ('"code": "UNSUPPORTED"' in answer) == (target != "/sign-in/")

    def test_a_notification_is_never_too_long_for_the_edge(self, front):
        """The registry would send it again and again, and none after it."""
        body = b"x" * (edge_configuration.LONGEST_FORM + 1)
        port = front.environment.console_port
        assert front.ask("POST", "/indexing/notifications/", port=port, body=body) == "console"

    @pytest.mark.parametrize(("status", "code"), [(400, "UNSUPPORTED"), (431, "UNSUPPORTED"), (500, "UNKNOWN")])
    def test_what_gunicorn_says_itself_is_said_by_the_edge(self, front, status, code, monkeypatch):
        """Its own answers name it; the application's, which have this header, stay as they are."""
        monkeypatch.setattr(front.console, "status", status)
        port = front.environment.console_port
        assert front.ask("GET", "/token/", port=port).endswith("\r\n\r\nconsole")
        monkeypatch.setattr(front.console, "headers", {"Content-Security-Policy": None})
        answer = front.ask("GET", "/token/", port=port)
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert json.loads(answer.partition("\r\n\r\n")[2])["errors"][0]["code"] == code

    def test_its_log_has_no_part_of_a_request(self):
        with contextlib.ExitStack() as stack:
            front = Front(stack)
            head = (
                b"GET /a-secret?b=a-secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: a-secret\r\n\r\n"
            )
            front.console.cut = True
            answer = front.raw(front.environment.console_port, head.replace(b"GET", b"POST"))
            front.raw(front.environment.console_port, b"a-secret\r\n\r\n")
            log = (front.environment.data_dir / "edge" / "edge.log").read_text()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert "secret" not in log


class TestStaticFiles:
    NAME = "css/site.0123456789ab.css"

    @pytest.fixture
    def folder(self, front):
        folder = front.environment.data_dir / "static"
        (folder / "css").mkdir(parents=True)
        (folder / self.NAME).write_text("plain")
        (folder / f"{self.NAME}.br").write_text("brotli")
        (folder / f"{self.NAME}.gz").write_text("gzip")
        (folder / "css" / "site.css").write_text("plain")
        (front.environment.data_dir / "key.0123456789ab.pem").write_text("secret")
        yield folder
        shutil.rmtree(folder)

    @pytest.mark.parametrize(
        ("accepted", "content"), [("", "plain"), ("gzip, br", "brotli"), ("gzip", "gzip"), ("zstd", "plain")]
    )
    def test_one_with_the_hash_of_its_content(self, front, folder, accepted, content):
        head = (
            f"GET /static/{self.NAME} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: {accepted}\r\n\r\n"
        )
        answer = front.raw(front.environment.console_port, head.encode()).decode()
        assert answer.endswith(f"\r\n\r\n{content}")
        for line in (
            "Content-Type: text/css; charset=utf-8",
            "Cache-Control: max-age=315360000, public, immutable",
            "Vary: Accept-Encoding",
            "X-Content-Type-Options: nosniff",
            "Cross-Origin-Resource-Policy: same-origin",
        ):
            assert f"\r\n{line}\r\n" in answer
        assert "\r\nContent-Security-Policy: default-src 'none'; " in answer
        assert not front.console.seen

    @pytest.mark.parametrize(
        "target",
        [
            "/static/css/site.css",
            "/static/css/gone.0123456789ab.css",
            "/static/",
            "/static/css/",
            "/static/../key.0123456789ab.pem",
            "/static/%2e%2e/key.0123456789ab.pem",
            "/static/css/..%2f..%2fkey.0123456789ab.pem",
        ],
    )
    def test_everything_else_is_for_the_console(self, front, folder, target):
        assert front.ask("GET", target, port=front.environment.console_port) == "console"
        assert front.console.seen[0].target == target


class TestFiles:
    def test_nobody_else_may_read_them(self, front):
        file = front.environment.data_dir / "edge" / "config.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(front.environment.service_sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE(sockets.edge(front.environment).stat().st_mode) == 0o600

    def test_a_long_path_has_its_sockets_elsewhere(self, tmp_path):
        deep = tmp_path / ("x" * 60) / ("y" * 60)
        given = environment.load({"DATA_DIR": str(deep)})
        assert given.service_sockets.parent == Path(tempfile.gettempdir())
        sockets.make_folder(given)
        try:
            assert stat.S_IMODE(given.service_sockets.stat().st_mode) == 0o700
        finally:
            given.service_sockets.rmdir()

    def test_a_folder_that_somebody_else_has_put_there(self, tmp_path):
        given = environment.load({"DATA_DIR": str(tmp_path / ("x" * 60) / ("y" * 60))})
        given.service_sockets.symlink_to(tmp_path)
        try:
            with pytest.raises(Problem, match="belongs to another user"):
                sockets.make_folder(given)
        finally:
            given.service_sockets.unlink()


def test_caddy_takes_the_configuration_of_every_kind_of_site(tmp_path):
    """Without starting it: certificates of all three kinds, with names of their own for the registries."""
    for given in (
        {"SITE": "https://images.example.com", "ACME_EMAIL": "a@example.com"},
        {"SITE": "https://localhost:8443", "TLS": "internal", "REGISTRY_ADDRESS": "registry.localhost:8443"},
        {"REGISTRY_URL": "https://registry.example.com"},
    ):
        found = environment.load({"DATA_DIR": str(tmp_path), **given})
        content = edge_configuration.configuration(found, ["127.0.0.1", "::1"], dockerhub=True)
        front = Edge(found, content)
        front.write()
        command = [front.command()[0], "validate", "--config", str(front.file)]
        done = subprocess.run(command, env=front.variables(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
