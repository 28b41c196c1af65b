"""``python -m tests.local.acme FOLDER``, in namespaces of its own: a site that gets its certificate by ACME.

The authority is Caddy's ACME server; a name server of a few lines leads all names to this machine. Ports 443 and 80 are
free here, whatever runs on the machine. Prints what was seen, one line each.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from cryptography import x509

from console.installation import environment
from console.local import edge_configuration, sockets
from console.local.edge import Edge, program
from tests.support import edge
from tests.support.unix_servers import Service

NAME, AUTHORITY, AUTHORITY_PORT = "images.example.com", "ca.example.com", 9443
_SIOCSIFFLAGS, _UP = 0x8914, 0x1 | 0x40  # netdevice(7): IFF_UP, IFF_RUNNING
_SECONDS = 60
# The shortest life of a certificate that this authority knows, in Go's nanoseconds.
_ACME_SERVER = {"handler": "acme_server", "resolvers": ["udp/127.0.0.1:53"], "lifetime": 300 * 10**9}


def open_loopback() -> None:
    """Bring the loopback interface up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _UP))


class Names(socketserver.BaseRequestHandler):
    """Answers each question for an IPv4 address with 127.0.0.1, and any other with nothing (RFC 1035)."""

    def handle(self) -> None:
        """Answer one datagram."""
        data, answering = self.request
        end = data.index(b"\0", 12) + 5
        kind = struct.unpack(">H", data[end - 4 : end - 2])[0]
        address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes([127, 0, 0, 1]) if kind == 1 else b""
        head = data[:2] + b"\x85\x80" + struct.pack(">HHHH", 1, bool(address), 0, 0)
        answering.sendto(head + data[12:end] + address, self.client_address)


def authority(folder: Path) -> subprocess.Popen[bytes]:
    """Start the authority; its root is below ``folder``."""
    content = {
        "admin": {"disabled": True},
        "storage": {"module": "file_system", "root": str(folder)},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {
            "http": {
                "http_port": 9080,
                "servers": {
                    "acme": {
                        "listen": [f":{AUTHORITY_PORT}"],
                        "automatic_https": {"disable": True},
                        "tls_connection_policies": [{}],
                        "routes": [{"handle": [_ACME_SERVER]}],
                    }
                },
            },
            "tls": {
                "certificates": {"automate": [AUTHORITY]},
                "automation": {"policies": [{"subjects": [AUTHORITY], "issuers": [{"module": "internal"}]}]},
            },
            "pki": {"certificate_authorities": {"local": {"install_trust": False, "name": "The Tests' Authority"}}},
        },
    }
    file = folder / "authority.json"
    file.write_text(json.dumps(content))
    variables = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return subprocess.Popen([str(program()), "run", "--config", str(file)], env=variables)


def until(ready, what: str):
    """Poll until ``ready()`` is true; returns it."""
    deadline = time.monotonic() + _SECONDS
    while not (found := ready()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {_SECONDS} s: {what}")
        time.sleep(0.05)
    return found


def _serial(connection: ssl.SSLSocket) -> int:
    return x509.load_der_x509_certificate(connection.getpeercert(True) or b"").serial_number


def main(folder: Path) -> None:
    """Start everything, and fetch a page."""
    open_loopback()
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
    names = socketserver.ThreadingUDPServer(("127.0.0.1", 53), Names)
    threading.Thread(target=names.serve_forever, daemon=True).start()
    ca = folder / "ca"
    ca.mkdir()
    process = authority(ca)
    root = ca / "pki" / "authorities" / "local" / "root.crt"
    try:
        until(root.exists, "the authority has a root")
        os.environ["SSL_CERT_FILE"] = str(root)
        directory = f"https://{AUTHORITY}:{AUTHORITY_PORT}/acme/local/directory"
        given = environment.load(
            {
                "DATA_DIR": str(folder / "data"),
                "WEB_WORKERS": "1",
                "SITE": f"https://{NAME}",
                "ACME_EMAIL": "somebody@example.com",
                "ACME_DIRECTORY": directory,
            }
        )
        sockets.make_folder(given)
        content = edge_configuration.configuration(given, ["127.0.0.1"], dockerhub=False)
        # Renewals are looked for each second, and due some seconds after a certificate was issued.
        automation = content["apps"]["tls"]["automation"]
        automation["renew_interval"] = 10**9
        automation["policies"][0]["renewal_window_ratio"] = 0.98
        context = ssl.create_default_context(cafile=str(root))

        def connect() -> ssl.SSLSocket:
            return context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 5), server_hostname=NAME)

        def page() -> tuple[str, str]:
            with contextlib.suppress(OSError), connect() as connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
                certificate = x509.load_der_x509_certificate(connection.getpeercert(True) or b"")
                return answer.decode(), certificate.issuer.rfc4514_string()
            return "", ""

        with Service("console", sockets.console(given)[0]), edge.running(given, content):
            answer, issuer = until(lambda: (found := page()) and found[0] and found, "the site has a certificate")
            print(f"status: {answer.split()[1]}")
            print(f"issuer: {issuer}")
            with socket.create_connection(("127.0.0.1", 80), 5) as connection:
                connection.sendall(b"GET /x HTTP/1.1\r\nHost: images.example.com\r\nConnection: close\r\n\r\n")
                lines = connection.makefile().read().splitlines()
            print(f"plain: {lines[0].split()[1]} {next(one for one in lines if one.startswith('Location'))}")
            kept = connect()
            serial = _serial(kept)
            failed = 0

            def renewed() -> bool:
                nonlocal failed
                try:
                    with connect() as connection:
                        return _serial(connection) != serial
                except OSError:
                    failed += 1
                    return False

            until(renewed, "the certificate is renewed")
            kept.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            print(f"after renewal: {kept.recv(65536).split()[1].decode()}, {failed} failed")
            print(f"kept: {len(list((given.data_dir / 'edge' / 'certificates').rglob('*.crt')))}")
            print(f"log: {(Edge(given, content).file.parent / 'edge.log').read_text()!r}")
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
