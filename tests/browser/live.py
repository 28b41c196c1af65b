"""The console's pages from this process: for what a browser shows of rows that no registry has to have."""

from __future__ import annotations

import contextlib
import mimetypes
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import OPTIONS, chromium_program


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Requests are not logged."""


def with_static_files(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application with what the edge serves in the product: static files, compressed for those who take it."""
    root = Path(settings.STATIC_ROOT)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        file = root / path.removeprefix(settings.STATIC_URL)
        if not (path.startswith(settings.STATIC_URL) and ".." not in path and file.is_file()):
            return application(environ, start_response)
        headers = [("Content-Type", mimetypes.guess_type(path)[0] or ""), ("Cache-Control", "max-age=3600")]
        packed = file.with_name(f"{file.name}.br")
        if "br" in environ.get("HTTP_ACCEPT_ENCODING", "") and packed.exists():
            file = packed
            headers.append(("Content-Encoding", "br"))
        start_response("200 OK", headers)
        return [file.read_bytes()]

    return answer


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the console on a free port; gives its address."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(with_static_files(get_wsgi_application()))
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
