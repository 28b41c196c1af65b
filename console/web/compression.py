"""Gzip compression of responses, at the fastest level."""

from __future__ import annotations

import io
import secrets
from gzip import GzipFile

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware, re_accepts_gzip
from django.utils.cache import patch_vary_headers

# Against Django's level (6): a third of the time, and answers that are a tenth longer.
_LEVEL = 3
_SHORTEST = 200


class QuickGZipMiddleware(GZipMiddleware):
    """Django's, with less effort where the answer is a page."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress the answer to a browser that takes it so."""
        if response.get("Content-Type", "").startswith("application/json"):
            # Tokens, whose signatures and certificates hardly get shorter.
            return response
        if (
            isinstance(response, HttpResponse)
            and len(response.content) >= _SHORTEST
            and not response.has_header("Content-Encoding")
            and not response.has_header("ETag")
            and re_accepts_gzip.search(request.headers.get("Accept-Encoding", ""))
        ):
            patch_vary_headers(response, ("Accept-Encoding",))
            compressed = self._compress(response.content)
            if len(compressed) < len(response.content):
                response.content = compressed
                response["Content-Length"] = str(len(compressed))
                response["Content-Encoding"] = "gzip"
            return response
        return super().process_response(request, response)

    def _compress(self, content: bytes) -> bytes:
        """``content`` compressed, of a length that nobody can foretell, as Django does it against BREACH."""
        name = "a" * secrets.randbelow(self.max_random_bytes)
        buffer = io.BytesIO()
        with GzipFile(name, "wb", _LEVEL, buffer, mtime=0) as file:
            file.write(content)
        return buffer.getvalue()
