"""An application whose server waits for a second where it would wait for many, so that tests need not."""

import os

from console.local import request_buffer

request_buffer.HEAD_SECONDS = request_buffer.PIECE_SECONDS = 1.0
request_buffer.BODY_SECONDS = 2.0
request_buffer.THREAD_READ_SECONDS = request_buffer.THREAD_WRITE_SECONDS = 1.0

MUCH = 64 * 1024 * 1024


def application(environ, start_response):
    """Says how long the body was and what it ended with, or much, or which process it is."""
    if environ["PATH_INFO"] == "/much":
        body = b"x" * MUCH
    elif environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] != "/unread":
        got = environ["wsgi.input"].read()
        body = f"{len(got)} {got[-5:].decode()}".encode()
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
