"""An application that reads bodies, whose server waits for as long as a real one."""

import os


def application(environ, start_response):
    """Says which process it is, after reading what it is sent."""
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
