"""Servers for tests of the registry client: real registries, a token server, and a misbehaving HTTP server."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import jwt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port

SERVICE, ISSUER = "test-registry", "test-issuer"


def wait_until(condition, seconds=10.0):
    """Poll ``condition``; returns whether it became true before the timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def running_registry(program, folder, *, deletes=True, auth=None, port=None, kill=False, more=None):
    """Run a registry with its storage in ``folder``. Yields its URL, with ``kill`` also a function that kills it.

    :param more: further parts of its configuration.
    """
    port = port or free_port()
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "delete": {"enabled": deletes},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
        **(more or {}),
    }
    if auth is not None:
        configuration["auth"] = auth
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(configuration))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "serve", str(file)], stdout=log, stderr=log, env=clean)
        try:
            _wait_until_it_answers(url, process, folder / "log")
            yield (url, process.kill) if kill else url
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_it_answers(url, process, log):
    def answers():
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/v2/", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True

    assert wait_until(answers, 30), f"no registry at {url}: {log.read_text()}"


class Signer:
    """Signs registry tokens, as the authorization server of a registry that trusts ``certificate``."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test signer")])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.header = {"x5c": [base64.b64encode(der).decode()]}

    def token(self, scopes, life=300):
        now = int(time.time())
        access = []
        for scope in scopes:
            head, _, actions = scope.rpartition(":")
            kind, _, name = head.partition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        claims = {
            "iss": ISSUER,
            "sub": "tester",
            "aud": SERVICE,
            "iat": now,
            "nbf": now,
            "exp": now + life,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        return jwt.encode(claims, self.key, algorithm="ES256", headers=self.header)


@dataclass
class Request:
    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def path(self):
        return urlsplit(self.target).path

    @property
    def query(self):
        return parse_qs(urlsplit(self.target).query)


@dataclass
class Reply:
    """A response. With ``cut`` the connection is closed after so many bytes of the body, and after ``after``."""

    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


def json_reply(document, status=200, **headers):
    content = json.dumps(document).encode()
    return Reply(status, content, {"Content-Type": "application/json", **headers})


def error_reply(status, code, message="", **headers):
    return json_reply({"errors": [{"code": code, "message": message, "detail": {"a": 1}}]}, status, **headers)


class _HTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Do not wait for handlers of open connections; they end with the process.
    block_on_close = False

    def handle_error(self, request, client_address):
        """Do nothing: clients that disconnect are part of the tests."""


class Server:
    """An HTTP server of one test. ``answer`` gets each request and returns its ``Reply``; ``requests`` has all."""

    def __init__(self, answer: Callable[[Request], Reply] | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = self.open_connections = 0
        self._counting = threading.Lock()
        self.answer = answer or (lambda request: Reply(404))
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with outer._counting:
                    outer.connections += 1
                    outer.open_connections += 1

            def finish(self):
                try:
                    super().finish()
                finally:
                    with outer._counting:
                        outer.open_connections -= 1

            def log_message(self, *args):
                pass

            def handle_any(self):
                request = Request(self.command, self.path, dict(self.headers.items()), self._body())
                outer.requests.append(request)
                reply = outer.answer(request)
                reply.before()
                with contextlib.suppress(OSError):
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                        if value is not None:
                            self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
                if reply.cut is not None:
                    self.wfile.flush()
                    reply.after()
                    self.close_connection = True

            def _body(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    content = b""
                    while size := int(self.rfile.readline(), 16):
                        content += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return content
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self._server = _HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def replies(self, *replies: Reply) -> None:
        """Send these responses in order, the last one repeatedly."""
        waiting = list(replies)
        self.answer = lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TokenServer(Server):
    """The token server of a registry, with one account; ``granted`` limits its scopes."""

    def __init__(self, signer: Signer, username: str, password: str) -> None:
        super().__init__(self._grant)
        self.signer = signer
        self.credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.anonymous_scopes: set[str] = set()

    def _grant(self, request: Request) -> Reply:
        scopes = request.query.get("scope", [])
        given = request.headers.get("Authorization")
        if given is None:
            scopes = [scope for scope in scopes if scope in self.anonymous_scopes]
        elif given != f"Basic {self.credentials}":
            return error_reply(401, "UNAUTHORIZED", f"no such account: {given}")
        if request.query.get("service") != [SERVICE]:
            return error_reply(400, "UNSUPPORTED", "another service")
        return json_reply({"token": self.signer.token(scopes), "expires_in": 300})
