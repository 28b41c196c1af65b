"""Send requests byte by byte, or frame by frame, as no library would."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable

# Seconds. How long is waited for an answer, and for one that need not come: of a request that may never end.
PATIENCE, SILENCE = 60.0, 1.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS, _ACKNOWLEDGED = 1, 4, 1


def connect(port: int, tls: bool = False, protocol: str = "http/1.1") -> socket.socket:
    """Connect to a port of this machine.

    :param protocol: what is chosen with TLS (RFC 7301).
    """
    connection = socket.create_connection(("127.0.0.1", port), 10)
    if not tls:
        return connection
    # Without reading the machine's authorities for each connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(connection, server_hostname="localhost")


def exchange(connection: socket.socket, words: bytes, seconds: float = PATIENCE) -> bytes:
    """Send ``words``; returns what comes until the server closes the connection, or says nothing for so long."""
    answer = b""
    connection.settimeout(seconds)
    with contextlib.suppress(OSError), connection:
        connection.sendall(words)
        while part := connection.recv(65536):
            answer += part
    return answer


def exchange_frames(connection: socket.socket, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> list[int]:
    """Send one request of HTTP/2 (RFC 9113); returns the kinds of the frames that answer it.

    :param headers: in their order, with those that begin with a colon, and passed on as they are.
    """
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    words = _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, block)
    words += _frame(_DATA, _END_STREAM, 1, body)
    kinds: list[int] = []
    connection.settimeout(PATIENCE)
    with contextlib.suppress(OSError), connection:
        connection.sendall(words)
        stream = connection.makefile("rb")
        while len(head := stream.read(9)) == 9:
            stream.read(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            kinds.append(kind)
            if kind in {_RESET, _GOAWAY} or (kind in {_DATA, _HEADERS} and flags & _END_STREAM):
                break
            if kind == _SETTINGS and not flags & _ACKNOWLEDGED:
                connection.sendall(_frame(_SETTINGS, _ACKNOWLEDGED, 0, b""))
    return kinds


def _text(text: bytes) -> bytes:
    """A string of a header block: its length, and its bytes as they are (RFC 7541, 5.2)."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, length = len(text) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + text


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
