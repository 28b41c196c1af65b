"""nginx and Traefik in front of ``TLS=proxy``, with the settings that docs/operations.md gives for them."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from console.installation.environment import BASE_DIR
from tests.local.test_edge import Front
from tests.local.test_site import write_certificate
from tests.local.test_slow_clients import PATIENCE, all_of
from tests.support.ports import free_port
from tests.support.stack import wait_until

# Where Debian has programs for root; ordinary users do not look there.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
HOST = "images.example.com"


def block_after(words):
    """The first block of code after these words in the document."""
    text = (BASE_DIR / "docs" / "operations.md").read_text()
    return re.search(r"```\n(.*?)```", text[text.index(words) :], re.DOTALL)[1]


def replaced(text, **pairs):
    for old, new in pairs.values():
        assert old in text, old
        text = text.replace(old, str(new))
    return text


def nginx(folder, certificate, key, port, http_port):
    server = replaced(
        block_after("With nginx:"),
        listen=("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        certificate=("/etc/ssl/images.pem", certificate),
        key=("/etc/ssl/images.key", key),
        http_port=("127.0.0.1:8080", f"127.0.0.1:{http_port}"),
    )
    paths = "".join(f"{one}_temp_path {folder}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; error_log stderr error;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{server}}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(file), "-e", "stderr"]


def traefik(folder, certificate, key, port, http_port):
    given = block_after("Traefik streams")
    static, _line, dynamic = given.partition("# /etc/traefik/images.yml\n")
    (folder / "images.yml").write_text(
        replaced(dynamic, http_port=("127.0.0.1:8080", f"127.0.0.1:{http_port}"))
        + f"tls: {{certificates: [{{certFile: {certificate}, keyFile: {key}}}]}}\n"
    )
    file = folder / "traefik.yml"
    file.write_text(
        replaced(
            static,
            port=('":443"', f'"127.0.0.1:{port}"'),
            file=("/etc/traefik/images.yml", folder / "images.yml"),
        )
    )
    return ["traefik", f"--configfile={file}"]


class Proxied(Front):
    """The edge with stand-ins for all services, behind a proxy with the certificate."""

    def __init__(self, stack, proxy):
        if not (program := shutil.which(proxy.__name__, path=PATH)):
            pytest.skip(f"{proxy.__name__} is not there")
        self.port, http_port = free_port(), free_port()
        super().__init__(stack, SITE=f"https://{HOST}", TLS="proxy", HTTP_PORT=str(http_port))
        folder = Path(tempfile.mkdtemp(prefix="my-images-proxy-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.certificate, key = write_certificate(folder, HOST)
        _name, *options = proxy(folder, self.certificate, key, self.port, http_port)
        process = subprocess.Popen([program, *options])
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        wait_until(self.answers, "the proxy answers")

    def connect(self):
        context = ssl.create_default_context(cafile=str(self.certificate))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), PATIENCE), server_hostname=HOST)

    def answers(self):
        with contextlib.suppress(OSError):
            return self.by_tls("GET", "/v2/").startswith("HTTP/1.1 200 ")
        return False

    def by_tls(self, method, target, *headers):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers, "", ""]
        with self.connect() as connection:
            connection.sendall("\r\n".join(lines).encode())
            return all_of(connection).decode()


@pytest.fixture(scope="module", params=[nginx, traefik], ids=["nginx", "traefik"])
def front(request):
    with contextlib.ExitStack() as stack:
        yield Proxied(stack, request.param)


def test_every_service_is_reached_and_knows_client_host_and_tls(front):
    for target, service in (
        ("/images/", front.console),
        ("/v2/", front.registry),
        ("/v2/dockerhub/library/debian/tags/list", front.dockerhub),
    ):
        service.seen.clear()
        answer = front.by_tls("GET", target, "X-Forwarded-For: 198.51.100.7")
        assert answer.endswith(f"\r\n\r\n{service.name}")
        assert answer.count("\r\nStrict-Transport-Security: ") == 1
        (seen,) = service.seen
        assert seen.headers["X-Forwarded-Proto"] == "https"
        assert seen.headers["X-Forwarded-Host"] == seen.headers["Host"] == HOST
        # Who is no proxy says nothing of himself: the last address that is not a trusted one is the client's.
        assert seen.headers["X-Forwarded-For"].split(", ")[-2:] == ["127.0.0.1", "127.0.0.1"]


def test_a_long_upload_is_passed_on_as_it_comes(front):
    size = 12_000_000
    before = front.registry.arrived
    with front.connect() as connection:
        head = [
            "PATCH /v2/a/b/blobs/uploads/1 HTTP/1.1",
            f"Host: {HOST}",
            "Connection: close",
            f"Content-Length: {size}",
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * (size // 2))
        wait_until(lambda: front.registry.arrived - before > size // 2 - 1_000_000, "the first half is there")
        connection.sendall(b"x" * (size - size // 2))
        assert all_of(connection).endswith(b"registry")
    assert front.registry.arrived - before == size


def test_a_hundred_scopes_fit_into_the_address(front):
    front.console.seen.clear()
    target = "/token/?" + "&".join(f"scope=repository:{'n' * 230}:pull,push" for _ in range(100))
    assert front.by_tls("GET", target).endswith("\r\n\r\nconsole")
    assert front.console.seen[-1].target == target
