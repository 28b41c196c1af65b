"""Health checks over HTTP, by TCP and by Unix sockets."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 2.0


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a Unix socket."""

    def __init__(self, path: Path, timeout: float = _SECONDS) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def answers(address: str, codes: set[int]) -> bool:
    """Whether ``address`` answers with one of ``codes``, without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_SECONDS) as response:
            return response.status in codes
    except urllib.error.HTTPError as error:
        return error.code in codes
    except (OSError, ValueError, http.client.HTTPException):
        return False


def socket_answers(path: Path, target: str, codes: set[int]) -> bool:
    """Whether the server at a Unix socket answers a GET of ``target`` with one of ``codes``."""
    try:
        return ask_socket(path, "GET", target)[0] in codes
    except (OSError, http.client.HTTPException):
        return False


def ask_socket(
    path: Path, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Send a request to a Unix socket; returns the status and the body of the response.

    :raises OSError: when nobody listens there, or the answer takes too long.
    :raises http.client.HTTPException: when the answer is not HTTP.
    """
    connection = UnixConnection(path, timeout=10.0 if body else _SECONDS)
    try:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
