"""An application for tests of what is in front of it: of bodies, of long answers, and of the process that answers."""

import os

MUCH = 64 * 1024 * 1024


def application(environ, start_response):
    """Says how long the body was and what it ended with, or much, or which process it is."""
    if environ["PATH_INFO"] == "/much":
        body = b"x" * MUCH
    elif environ["PATH_INFO"] == "/headers":
        names = [name for name in environ if name.startswith(("HTTP_", "wsgi.url_scheme", "REMOTE_ADDR"))]
        body = "\n".join(f"{name}: {environ[name]}" for name in sorted(names)).encode()
    elif environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] != "/unread":
        got = environ["wsgi.input"].read()
        body = f"{len(got)} {got[-5:].decode()}".encode()
    else:
        body = str(os.getpid()).encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*headers, ("Content-Security-Policy", "default-src 'none'")])
    return [body]
