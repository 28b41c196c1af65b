"""What slow, idle and unusual clients meet: the edge, which gives gunicorn whole requests."""

import contextlib
import dataclasses
import http.client
import select
import socket
import time
from collections import Counter

import pytest

from console.local.edge_configuration import LONGEST_FORM
from tests.support import edge
from tests.support.environment import ENVIRONMENT
from tests.support.ports import free_port

# Seconds. Long enough for anything that works; what does not work takes minutes.
PATIENCE = 20


def ask(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def server(processes, threads, change=lambda content: None):
    environment = dataclasses.replace(ENVIRONMENT, console_port=free_port(), web_workers=processes, web_threads=threads)
    return edge.served(environment, "tests.local.application:application", change=change)


def impatient(processes=1, threads=1):
    """The edge waits for a second where it would wait for many, so that tests need not."""

    def change(content):
        if isinstance(content, dict):
            for name in {"read_header_timeout", "read_timeout", "write_timeout"} & content.keys():
                content[name] = 1_000_000_000
        for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
            change(part)

    return server(processes, threads, change)


def all_of(connection):
    """What comes until the server closes the connection."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    return answer


def trickle(connection, words=b"x"):
    """Send something again and again until the server has had enough; what it says in the end."""
    deadline = time.monotonic() + PATIENCE
    while not select.select([connection], [], [], 0.1)[0]:
        assert time.monotonic() < deadline, "the server waits and waits"
        with contextlib.suppress(OSError):
            connection.sendall(words)
    return all_of(connection)


class TestConnections:
    def test_those_without_a_request_hold_nobody_up(self):
        """Browsers open them in advance. With a thread for each, forty would keep two threads for two minutes."""
        with server(1, 2) as address, contextlib.ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(socket.create_connection(address, PATIENCE))
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
                assert ask(connection).isdigit()

    def test_one_that_waits_gets_its_answer_later(self):
        with (
            server(1, 1) as address,
            contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as early,
        ):
            early.connect()
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as late:
                assert ask(late) == ask(early) == ask(late) == ask(early)

    def test_half_a_request_is_completed(self):
        with server(1, 2) as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(b"GET / HTT")
            connection.sendall(b"P/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := connection.recv(4096):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 OK")

    def test_processes_have_equally_many(self):
        """Each request goes to the process with the fewest."""
        with server(2, 4) as address, contextlib.ExitStack() as stack:
            connections = [
                stack.enter_context(contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)))
                for _ in range(40)
            ]
            shares = Counter(ask(connection) for connection in connections)
        assert len(shares) == 2
        assert min(shares.values()) >= 8, shares

    def test_five_hundred_idle_ones(self):
        with server(2, 4) as address, contextlib.ExitStack() as stack:
            idle = [
                stack.enter_context(contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)))
                for _ in range(500)
            ]
            for connection in idle:
                ask(connection)
            assert all(ask(connection).isdigit() for connection in idle)


HEAD = b"GET / HTTP/1.1\r\nHost: here\r\nX-Long: "
POST = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


class TestSlowClients:
    @pytest.mark.parametrize(
        "half",
        [b"G", HEAD, HEAD + b"x\r\n", b"\r\n", POST % 1000, POST % 1000 + b"x" * 999],
        ids=["a letter", "a header", "a line", "an empty line", "a body", "a longer body"],
    )
    def test_half_a_request_holds_nobody_up(self, half):
        """With a thread for each, and the patience of a real server, one would wait for longer than this test does."""
        with server(1, 2) as address, contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(socket.create_connection(address, PATIENCE)).sendall(half)
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
                assert ask(connection).isdigit()

    def test_nor_does_half_of_a_later_one(self):
        with server(1, 2) as address, contextlib.ExitStack() as stack:
            for _ in range(20):
                one = stack.enter_context(socket.create_connection(address, PATIENCE))
                one.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + HEAD)
                assert one.recv(4096).startswith(b"HTTP/1.1 200 OK")
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
                assert ask(connection).isdigit()

    def test_nor_does_one_who_does_not_hang_up(self):
        """Gunicorn's own loop waits two seconds for each of them, one after the other."""
        with server(1, 2) as address, contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(socket.create_connection(address, PATIENCE)).sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
                assert ask(connection).isdigit()

    def test_nor_does_a_body_that_is_neither_wanted_nor_there(self):
        """Chunks that do not end: nobody knows how much there is to wait for."""
        with impatient() as address, contextlib.ExitStack() as stack:
            for _ in range(60):
                one = stack.enter_context(socket.create_connection(address, PATIENCE))
                one.sendall(b"POST /unread HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
            with contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as connection:
                assert ask(connection).isdigit()

    def test_a_head_that_does_not_end_in_time_is_given_up(self):
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(HEAD)
            assert trickle(connection) == b""

    def test_so_is_a_body_that_stops(self):
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(POST % 1000 + b"x" * 500)
            assert all_of(connection).startswith(b"HTTP/1.1 499 ")

    def test_and_one_that_comes_so_slowly_that_it_never_ends(self):
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(POST % 1_000_000)
            assert trickle(connection).startswith(b"HTTP/1.1 499 ")

    def test_a_body_that_a_thread_reads_is_not_waited_for_for_ever(self):
        with impatient() as address, contextlib.ExitStack() as stack:
            one = stack.enter_context(socket.create_connection(address, PATIENCE))
            # More than is gathered: the application reads it as it comes, if it does.
            one.sendall(POST % (8 * 1024 * 1024) + b"x")
            assert all_of(one).startswith(b"HTTP/1.1 499 ")
            assert b" 200 " in self.whole(address, POST % 5 + b"hello")

    def test_an_answer_that_nobody_takes_is_given_up(self):
        with impatient() as address, socket.create_connection(address, PATIENCE) as deaf:
            deaf.sendall(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n")
            assert b" 200 " in self.whole(address, POST % 5 + b"hello")

    def test_an_endless_head_is_refused(self):
        with server(1, 1) as address, socket.create_connection(address, PATIENCE) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(HEAD + b"x" * (70 * 1024))
            assert all_of(connection).startswith(b"HTTP/1.1 431 ")

    @pytest.mark.parametrize(
        ("line", "headers", "status"),
        [
            (b"GET /" + b"x" * 33_000 + b" HTTP/1.1", b"", b"414"),
            (b"GET /" + b"x" * 32_000 + b" HTTP/1.1", b"", b"200"),
            (b"GET / HTTP/1.1", b"X-Long: " + b"x" * 62_000 + b"\r\n", b"431"),
            (b"GET / HTTP/1.1", b"X-Long: " + b"x" * 60_000 + b"\r\n", b"200"),
            (b"GET / HTTP/1.1", b"X-Many: x\r\n" * 101, b"431"),
            (b"GET / HTTP/1.1", b"X-Long : x\r\n", b"400"),
            (b"GET / HTTP/1.1", b"X-Folded: x\r\n y\r\n", b"200"),
        ],
        ids=["request line", "shorter request line", "header", "shorter header", "headers", "space", "folded"],
    )
    def test_limits_of_a_head(self, line, headers, status):
        head = line + b"\r\nHost: here\r\nConnection: close\r\n" + headers + b"\r\n"
        with server(1, 1) as address:
            answer = self.whole(address, head)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"gunicorn" not in answer and b"<html" not in answer

    @pytest.mark.parametrize("size", [0, 5, 8192, 100_000, 2 * 1024 * 1024, LONGEST_FORM])
    def test_bodies_arrive_whole(self, size):
        """Up to the longest: test_edge.py has what longer ones meet."""
        body = b"x" * max(0, size - 5) + b"hello"[:size]
        with impatient() as address:
            for pieces in ([body], [body[: size // 2], body[size // 2 :]], [body[:1], body[1:2], body[2:]]):
                with socket.create_connection(address, PATIENCE) as connection:
                    connection.sendall(POST % size)
                    for piece in pieces:
                        connection.sendall(piece)
                    assert all_of(connection).endswith(b"\r\n\r\n%d %s" % (size, body[-5:]))

    def test_requests_one_behind_the_other(self):
        one = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n%s"
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(one % b"first" + one % b"later" + (POST % 5)[:30])
            connection.sendall((POST % 5)[30:] + b"third")
            answers = all_of(connection)
        assert [answers.count(word) for word in (b"5 first", b"5 later", b"5 third")] == [1, 1, 1]
        assert answers.index(b"first") < answers.index(b"later") < answers.index(b"third")

    def test_who_waits_to_be_told_to_go_on_is_told(self):
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            head = (POST % 5).replace(b"Host", b"Expect: 100-continue\r\nHost")
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"hello")
            assert all_of(connection).endswith(b"5 hello")

    def test_half_a_request_of_somebody_who_hung_up_is_not_carried_out(self):
        """A form that broke off must not be taken for a shorter one."""
        with impatient() as address, socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(POST % 1000 + b"x" * 500)
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 " not in all_of(connection)

    @staticmethod
    def whole(address, words):
        with socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(words)
            return all_of(connection)
