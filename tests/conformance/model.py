"""A registry in memory that conforms, as a transport of ``requests``: it shows that each check can be passed."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from registry_client import OCI_INDEX
from registry_client.names import DIGEST_PATTERN, REPOSITORY_PATTERN, TAG_PATTERN, Digest

_PATH = re.compile(r"/v2/(.+)/(blobs/uploads|blobs|manifests|tags|referrers)/([^/]*)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CHUNK = re.compile(r"(\d+)-(\d+)")
_LARGEST = 4 << 20


class Refused(Exception):
    """An error of the protocol."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


@dataclass
class Repository:
    """What one repository has."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    # Bytes and media type, by digest.
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Request:
    """A request to one repository."""

    method: str
    name: str
    rest: str
    query: dict[str, str]
    headers: Any
    body: bytes


Reply = tuple[int, dict[str, str], bytes]


class ConformingRegistry(BaseAdapter):
    """Mount it on a session instead of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self._repositories: dict[str, Repository] = defaultdict(Repository)

    def send(self, request: requests.PreparedRequest, *_options: object, **_more: object) -> requests.Response:
        """Answer a request."""
        try:
            status, headers, body = self._reply(request)
        except Refused as error:
            body = json.dumps({"errors": [{"code": error.code, "message": ""}]}).encode()
            status, headers = error.status, {"Content-Type": "application/json"}
        headers = {"Content-Length": str(len(body)), **headers}
        sent = b"" if request.method == "HEAD" else body
        response = requests.Response()
        response.status_code, response.url, response.request = status, str(request.url), request
        response.headers = requests.structures.CaseInsensitiveDict(headers)
        response.raw = HTTPResponse(
            io.BytesIO(sent), headers, status, preload_content=False, request_method=request.method
        )
        return response

    def close(self) -> None:
        """Nothing to close."""

    def _reply(self, request: requests.PreparedRequest) -> Reply:
        parts = urlsplit(str(request.url))
        if parts.path == "/v2/":
            return 200, {}, b"{}"
        match = _PATH.fullmatch(parts.path)
        if not match or not re.fullmatch(REPOSITORY_PATTERN, match[1]):
            raise Refused(404, "NAME_INVALID")
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body or ())
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Request(str(request.method), match[1], match[3], query, request.headers, body)
        handle = getattr(self, f"_{match[2].replace('/', '_')}_{asked.method.lower().replace('head', 'get')}", None)
        if handle is None:
            raise Refused(405, "UNSUPPORTED")
        return handle(asked)

    # Blobs.

    def _blobs_get(self, request: Request) -> Reply:
        body = self._repositories[request.name].blobs.get(_digest(request.rest))
        if body is None:
            raise Refused(404, "BLOB_UNKNOWN")
        headers = {"Docker-Content-Digest": request.rest}
        match = _RANGE.fullmatch(request.headers.get("Range", ""))
        if not match:
            return 200, headers, body
        size = len(body)
        first = int(match[1]) if match[1] else size - int(match[2])
        last = min(int(match[2] or size), size - 1) if match[1] else size - 1
        if first >= size or first > last:
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {}, b""
        return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}, body[first : last + 1]

    def _blobs_delete(self, request: Request) -> Reply:
        if self._repositories[request.name].blobs.pop(_digest(request.rest), None) is None:
            raise Refused(404, "BLOB_UNKNOWN")
        return 202, {}, b""

    def _blobs_uploads_post(self, request: Request) -> Reply:
        if "digest" in request.query:
            return self._store(request, request.query["digest"], request.body)
        if "mount" in request.query:
            digest = _digest(request.query["mount"])
            sources = [request.query["from"]] if "from" in request.query else list(self._repositories)
            for source in sources:
                if digest in self._repositories[source].blobs:
                    return self._store(request, digest, self._repositories[source].blobs[digest])
        upload = str(uuid.uuid4())
        self._repositories[request.name].uploads[upload] = b""
        return 202, {"Location": f"/v2/{request.name}/blobs/uploads/{upload}?state=1"}, b""

    def _blobs_uploads_get(self, request: Request) -> Reply:
        return 204, self._progress(request, self._upload(request)), b""

    def _blobs_uploads_patch(self, request: Request) -> Reply:
        return 202, self._progress(request, self._append(request)), b""

    def _blobs_uploads_put(self, request: Request) -> Reply:
        digest = _digest(request.query.get("digest", ""))
        body = self._append(request)
        del self._repositories[request.name].uploads[request.rest]
        return self._store(request, digest, body)

    def _blobs_uploads_delete(self, request: Request) -> Reply:
        self._upload(request)
        del self._repositories[request.name].uploads[request.rest]
        return 204, {}, b""

    def _upload(self, request: Request) -> bytes:
        body = self._repositories[request.name].uploads.get(request.rest)
        if body is None:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN")
        return body

    def _append(self, request: Request) -> bytes:
        body = self._upload(request)
        if "Content-Range" in request.headers:
            match = _CHUNK.fullmatch(request.headers["Content-Range"])
            if not match or int(match[2]) - int(match[1]) + 1 != len(request.body):
                raise Refused(400, "BLOB_UPLOAD_INVALID")
            if int(match[1]) != len(body):
                raise Refused(416, "BLOB_UPLOAD_INVALID")
        self._repositories[request.name].uploads[request.rest] = body + request.body
        return body + request.body

    def _progress(self, request: Request, body: bytes) -> dict[str, str]:
        location = f"/v2/{request.name}/blobs/uploads/{request.rest}?state=1"
        return {"Location": location, "Range": f"0-{max(len(body) - 1, 0)}"}

    def _store(self, request: Request, digest: str, body: bytes) -> Reply:
        if Digest.of(body, _digest(digest).partition(":")[0]) != digest:
            raise Refused(400, "DIGEST_INVALID")
        self._repositories[request.name].blobs[digest] = body
        return 201, {"Location": f"/v2/{request.name}/blobs/{digest}", "Docker-Content-Digest": digest}, b""

    # Manifests.

    def _manifests_put(self, request: Request) -> Reply:
        repository = self._repositories[request.name]
        is_digest = ":" in request.rest
        if not is_digest and not re.fullmatch(TAG_PATTERN, request.rest):
            raise Refused(400, "MANIFEST_INVALID")
        digest = _digest(request.rest) if is_digest else Digest.of(request.body)
        if len(request.body) > _LARGEST:
            raise Refused(413, "SIZE_INVALID")
        document, kind = _manifest(request)
        if Digest.of(request.body, digest.partition(":")[0]) != digest:
            raise Refused(400, "DIGEST_INVALID")
        for part in [document.get("config"), *document.get("layers", []), *document.get("manifests", [])]:
            known = part is None or part["digest"] in {**repository.blobs, **repository.manifests} or "urls" in part
            if not known:
                raise Refused(400, "MANIFEST_BLOB_UNKNOWN")
        repository.manifests[digest] = (request.body, kind)
        if not is_digest:
            repository.tags[request.rest] = digest
        headers = {"Location": f"/v2/{request.name}/manifests/{request.rest}", "Docker-Content-Digest": digest}
        if "subject" in document:
            headers["OCI-Subject"] = document["subject"]["digest"]
        return 201, headers, b""

    def _manifests_get(self, request: Request) -> Reply:
        repository = self._repositories[request.name]
        digest = self._found(repository, request.rest)
        body, kind = repository.manifests[digest]
        return 200, {"Content-Type": kind, "Docker-Content-Digest": digest}, body

    def _manifests_delete(self, request: Request) -> Reply:
        repository = self._repositories[request.name]
        digest = self._found(repository, request.rest)
        if ":" in request.rest:
            del repository.manifests[digest]
            repository.tags = {tag: other for tag, other in repository.tags.items() if other != digest}
        else:
            del repository.tags[request.rest]
        return 202, {}, b""

    def _found(self, repository: Repository, reference: str) -> str:
        digest = _digest(reference) if ":" in reference else repository.tags.get(reference, "")
        if digest not in repository.manifests:
            raise Refused(404, "MANIFEST_UNKNOWN")
        return digest

    # Lists.

    def _tags_get(self, request: Request) -> Reply:
        after = request.query.get("last", "")
        tags = [tag for tag in sorted(self._repositories[request.name].tags) if tag > after]
        number = request.query.get("n", str(len(tags)))
        if not number.isdecimal():
            raise Refused(400, "UNSUPPORTED")
        page, headers = tags[: int(number)], {"Content-Type": "application/json"}
        if page and len(page) < len(tags):
            headers["Link"] = f'</v2/{request.name}/tags/list?n={number}&last={page[-1]}>; rel="next"'
        return 200, headers, json.dumps({"name": request.name, "tags": page}).encode()

    def _referrers_get(self, request: Request) -> Reply:
        subject, headers = _digest(request.rest), {"Content-Type": OCI_INDEX}
        found = []
        for digest, (body, kind) in self._repositories[request.name].manifests.items():
            document = json.loads(body)
            if document.get("subject", {}).get("digest") == subject:
                entry = {"mediaType": kind, "digest": digest, "size": len(body)}
                artifact = document.get("artifactType") or document.get("config", {}).get("mediaType")
                more = {"artifactType": artifact, "annotations": document.get("annotations")}
                found.append({**entry, **{name: value for name, value in more.items() if value}})
        if "artifactType" in request.query:
            headers["OCI-Filters-Applied"] = "artifactType"
            found = [entry for entry in found if entry.get("artifactType") == request.query["artifactType"]]
        return 200, headers, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}).encode()


def _digest(value: str) -> str:
    if not re.fullmatch(DIGEST_PATTERN, value):
        raise Refused(400, "DIGEST_INVALID")
    return value


def _manifest(request: Request) -> tuple[dict[str, Any], str]:
    """The document of a pushed manifest, and its media type."""
    kind = request.headers.get("Content-Type", "").partition(";")[0]
    try:
        document = json.loads(request.body)
        kind = kind or document["mediaType"]
        parts = [document.get("config") or {}, *document.get("layers", []), *document.get("manifests", [])]
        digests = [part["digest"] for part in parts if part]
        valid = document.get("mediaType", kind) == kind and all(re.fullmatch(DIGEST_PATTERN, one) for one in digests)
    except (ValueError, TypeError, KeyError, AttributeError):
        valid = False
    if not valid:
        raise Refused(400, "MANIFEST_INVALID")
    return document, kind
