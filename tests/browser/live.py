"""The console's pages from this process: for what a browser shows of rows that no registry has to have."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import OPTIONS, chromium_program


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Requests are not logged."""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the console on a free port; gives its address."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium. While it is open, this thread cannot use Django's database."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_program(), args=OPTIONS)
        try:
            yield opened
        finally:
            opened.close()
