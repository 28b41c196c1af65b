"""Count network traffic with a relay between a client and the servers. Timed requests do not use it."""

from __future__ import annotations

import dataclasses
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from benchmarks.registries import Registry

_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^ ]* HTTP/1\.1\r\n")
_PIECE = 1 << 18
# A request's first line may come in two pieces.
_KEPT = 8192


@dataclasses.dataclass
class Traffic:
    """Counters: bytes of HTTP with all headers, in both directions, and requests."""

    sent: int = 0
    received: int = 0
    requests: int = 0
    token_bytes: int = 0
    token_requests: int = 0

    @property
    def bytes(self) -> int:
        """All bytes, to and from the registry and the token server."""
        return self.sent + self.received + self.token_bytes


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, up: Callable[[int, int], None], down: Callable[[int], None]) -> None:
        """Relay to ``port``; ``up`` is called with bytes and requests of a piece, ``down`` with bytes."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.up, self.down = port, up, down
        self.replaced = (b"", b"")

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            thread = threading.Thread(target=self._up, args=(target,), daemon=True)
            thread.start()
            old, new = self.server.replaced
            with suppress(ConnectionError):
                for piece in _pieces(target):
                    self.server.down(len(piece))
                    self.request.sendall(piece.replace(old, new) if old else piece)
            _close(self.request)
            thread.join()

    def _up(self, target: socket.socket) -> None:
        tail = b""
        with suppress(ConnectionError):
            for piece in _pieces(self.request):
                tail += piece
                found = list(_REQUEST.finditer(tail))
                self.server.up(len(piece), len(found))
                tail = tail[found[-1].end() if found else 0 :][-_KEPT:]
                target.sendall(piece)
        _close(target)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while piece := source.recv(_PIECE):
        yield piece


def _close(target: socket.socket) -> None:
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def counting(registry: Registry) -> Iterator[tuple[Registry, Traffic]]:
    """Run relays for the registry and its token server during the block; yields the registry and the counters."""
    traffic, lock = Traffic(), threading.Lock()

    def up(size: int, requests: int) -> None:
        with lock:
            traffic.sent += size
            traffic.requests += requests

    def down(size: int) -> None:
        with lock:
            traffic.received += size

    def token_up(size: int, requests: int) -> None:
        with lock:
            traffic.token_bytes += size
            traffic.token_requests += requests

    def token_down(size: int) -> None:
        with lock:
            traffic.token_bytes += size

    with ExitStack() as stack:
        front = stack.enter_context(_serving(_Server(registry.port, up, down)))
        seen = dataclasses.replace(registry, port=front.port)
        if registry.console_port:
            tokens = stack.enter_context(_serving(_Server(registry.console_port, token_up, token_down)))
            # The registry's challenge names the token server: it must name the relay, in as many bytes.
            old, new = f"127.0.0.1:{registry.console_port}/", f"127.0.0.1:{tokens.port}/"
            if len(old) != len(new):
                raise RuntimeError("the relay's port is not as long as the token server's")
            front.replaced = (old.encode(), new.encode())
            seen = dataclasses.replace(seen, console_port=tokens.port)
        yield seen, traffic


@contextmanager
def _serving(server: _Server) -> Iterator[_Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
