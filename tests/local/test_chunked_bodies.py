"""Chunked bodies: the edge buffers them, and gunicorn gets them with a length."""

import contextlib
import http.client
import socket

import pytest

from console.local.edge_configuration import LONGEST_FORM
from tests.local.test_slow_clients import PATIENCE, all_of, ask, impatient, server, trickle

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "half", [b"", b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"0\r\nX-Trailer: 1\r\n"]
)
def test_an_unfinished_one_holds_nobody_up(half):
    with server(1, 2) as address, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(address, PATIENCE)).sendall(HEAD + half)
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
            assert ask(connection).isdigit()


def test_one_that_stops_is_given_up():
    with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(HEAD + b"5\r\nhel")
        assert all_of(connection).startswith(b"HTTP/1.1 499 ")


@pytest.mark.parametrize("piece", [b"1\r\nx\r\n", b"x"], ids=["chunks", "one chunk"])
def test_so_is_one_that_comes_so_slowly_that_it_never_ends(piece):
    with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(HEAD + (b"" if piece.startswith(b"1") else b"FFFFF\r\n"))
        assert trickle(connection, piece).startswith(b"HTTP/1.1 499 ")


@pytest.mark.parametrize("size", [1, 100_000, 2 * 1024 * 1024, LONGEST_FORM])
@pytest.mark.parametrize("chunk", [300, 64 * 1024])
def test_they_arrive_whole(size, chunk):
    """Up to the longest: test_edge.py has what longer ones meet."""
    body = b"x" * max(0, size - 5) + b"hello"[:size]
    parts = [body[start : start + chunk] for start in range(0, size, chunk)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    with server(1, 1) as address:
        for pieces in ([framed], [framed[: len(framed) // 2], framed[len(framed) // 2 :]], [framed[:-1], framed[-1:]]):
            with socket.create_connection(address, PATIENCE) as connection:
                connection.sendall(HEAD)
                for piece in pieces:
                    connection.sendall(piece)
                assert all_of(connection).endswith(b"\r\n\r\n%d %s" % (size, body[-5:]))
