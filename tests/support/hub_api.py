"""A fake Docker Hub API: serves pages in the documented format, and misbehaves on demand."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

PREFIX = "/v2/repositories/library/"


def image(name, *, description="", stars=1, pulls=10, updated="2026-11-20T10:00:00.123456Z"):
    """A row of the list of repositories, including fields that are not used."""
    return {
        "name": name,
        "namespace": "library",
        "repository_type": "image",
        "status": 1,
        "status_description": "active",
        "description": description,
        "is_private": False,
        "star_count": stars,
        "pull_count": pulls,
        "last_updated": updated,
        "last_modified": updated,
        "date_registered": "2014-06-05T19:14:45Z",
        "affiliation": "",
        "media_types": ["application/vnd.oci.image.index.v1+json"],
        "content_types": ["image"],
        "categories": [{"name": "Operating systems", "slug": "operating-systems"}],
    }


def platform(architecture, size=100, *, system="linux", variant=None, version=None):
    digest = "sha256:" + hashlib.sha256(f"{architecture}{variant}{size}".encode()).hexdigest()
    return {
        "architecture": architecture,
        "features": "",
        "variant": variant,
        "digest": digest,
        "os": system,
        "os_features": "",
        "os_version": version,
        "size": size,
        "status": "active",
        "last_pulled": "2026-11-24T08:00:00Z",
        "last_pushed": "2026-11-20T10:00:00Z",
    }


def tag(name, *, pushed="2026-11-20T10:00:00.5Z", images=None, size=None):
    """A row of the list of tags."""
    images = [platform("amd64")] if images is None else images
    return {
        "creator": 7,
        "id": 42,
        "images": images,
        "last_updated": pushed,
        "last_updater": 7,
        "last_updater_username": "doijanky",
        "name": name,
        "repository": 21,
        "full_size": images[0]["size"] if size is None and images else size,
        "v2": True,
        "tag_status": "active",
        "tag_last_pulled": "2026-11-24T08:00:00Z",
        "tag_last_pushed": pushed,
        "media_type": "application/vnd.oci.image.index.v1+json",
        "content_type": "image",
        "digest": "sha256:" + hashlib.sha256(name.encode()).hexdigest(),
    }


class Hub:
    """``images`` and ``tags`` are its content; ``asked`` has the requested paths, with their conditions.

    ``answers`` replaces the next responses: each is ``(status, headers, body)``, or ``None`` for the usual one.
    """

    def __init__(self, port: int = 0) -> None:
        self.images: list[dict] = []
        self.tags: dict[str, list[dict]] = {}
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.asked: list[tuple[str, str | None]] = []
        # The first offset that is rejected for anonymous clients.
        self.offset_limit: int | None = None
        self.validators = True
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request) -> None:
        condition = request.headers.get("If-None-Match")
        self.asked.append((request.path, condition))
        status, headers, body = self._answer(request.path)
        if (given := self.answers.pop(0) if self.answers else None) is not None:
            status, headers, body = given
        elif status == 200 and self.validators:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if condition == headers["ETag"]:
                status, body = 304, b""
        if status == 200 and "gzip" in request.headers.get("Accept-Encoding", "") and not given:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if status != 304:
            request.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        request.end_headers()
        request.wfile.write(body)

    def _answer(self, address: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(address)
        query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        name, _, rest = parts.path.removeprefix(PREFIX).partition("/")
        rows = self.images if parts.path == PREFIX else self.tags.get(name) if rest == "tags" else None
        if not parts.path.startswith(PREFIX) or rows is None:
            return 404, {}, json.dumps({"message": "object not found", "errinfo": {}}).encode()
        size, number = query.get("page_size", 10), query.get("page", 1)
        start = (number - 1) * size
        if self.offset_limit is not None and start >= self.offset_limit:
            return 403, {}, json.dumps({"message": "pagination offset too large for anonymous requests"}).encode()

        def link(page: int) -> str:
            return f"{self.url}{parts.path}?page={page}&page_size={size}"

        answer = {
            "count": len(rows),
            "next": link(number + 1) if start + size < len(rows) else None,
            "previous": link(number - 1) if number > 1 else None,
            "results": rows[start : start + size],
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
