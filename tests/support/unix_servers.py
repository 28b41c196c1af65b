"""HTTP servers at Unix sockets that stand in for the services behind the edge."""

from __future__ import annotations

import http.server
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Seen:
    """A request as a service got it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Service:
    """A service that answers every request with its name, and remembers it.

    :ivar arrived: bytes of bodies that have arrived so far.
    :ivar cut: whether it closes connections without an answer.
    """

    name: str
    path: Path
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    arrived: int = 0
    cut: bool = False

    def __enter__(self) -> Service:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "service", ""

            def address_string(self):
                return "edge"

            def log_message(self, *arguments):
                pass

            def body(self):
                if self.headers.get("Transfer-Encoding", "") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        yield self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                left = int(self.headers.get("Content-Length", 0))
                while left and (piece := self.rfile.read1(min(left, 65536))):
                    left -= len(piece)
                    yield piece

            def answer(self):
                body = b""
                for piece in self.body():
                    service.arrived += len(piece)
                    body = (body + piece)[-1_000_000:]
                service.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
                if service.cut:
                    self.close_connection = True
                    return
                content = service.name.encode()
                self.send_response(service.status)
                for name, value in {"Content-Security-Policy": "default-src 'none'", **service.headers}.items():
                    if value is not None:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self):
                connection, _address = super().get_request()
                return connection, ("edge", 0)

        self.path.unlink(missing_ok=True)
        self._server = Server(str(self.path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)
        self._thread.join()
