"""How gunicorn's processes take connections."""

import contextlib
import dataclasses
import http.client
import os
import signal
import socket
import subprocess
import time
from collections import Counter

import pytest

from console.environment import BASE_DIR
from console.local import gunicorn
from tests.environment import ENVIRONMENT, free_port

# Seconds. Long enough for anything that works; what does not work takes minutes.
PATIENCE = 20


def application(environ, start_response):
    """Says which process it is."""
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def ask(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


@contextlib.contextmanager
def server(processes, threads):
    environment = dataclasses.replace(ENVIRONMENT, console_port=free_port())
    variables = {"WEB_WORKERS": str(processes), "WEB_THREADS": str(threads)}
    command = gunicorn.command(environment, "tests.local.test_web_worker:application", variables)
    process = subprocess.Popen(command, cwd=BASE_DIR)
    address = environment.console_host, environment.console_port
    try:
        deadline = time.monotonic() + 60
        found = set()
        while len(found) < processes:  # all of them serve
            assert process.poll() is None and time.monotonic() < deadline
            with (
                contextlib.suppress(OSError),
                contextlib.closing(http.client.HTTPConnection(*address, timeout=5)) as one,
            ):
                found.add(ask(one))
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


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

    @pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
    def test_processes_have_equally_many(self, at_once):
        """Connections are kept, so that whoever has most of them has most of the work for as long."""
        with server(2, 4) as address, contextlib.ExitStack() as stack:
            connections = [
                stack.enter_context(contextlib.closing(http.client.HTTPConnection(*address, timeout=PATIENCE)))
                for _ in range(40)
            ]
            if at_once:
                for connection in connections:
                    connection.connect()
            shares = Counter(ask(connection) for connection in connections)
        assert len(shares) == 2
        assert min(shares.values()) >= 12, shares
