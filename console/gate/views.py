"""The gate: the part of the registry's API that the console answers (OCI distribution specification 1.1)."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from console.gate import chunks, deletes, lists, manifests, paging, sha512
from console.gate import referrers as referrers_list
from console.gate.errors import ProtocolError, empty_response, json_response, registry_api
from console.gate.names import digest_name, reference_name, repository_name
from console.gate.tokens import require, require_catalog
from console.registry.connection import registry
from registry_client import OCI_INDEX
from registry_client.transport import MANIFEST_LIMIT

_PIECE = 1 << 16


@registry_api("GET", "HEAD", "PUT", "DELETE")
def manifest(request: HttpRequest, name: str, reference: str) -> HttpResponse:
    """``PUT`` ("Pushing Manifests") or ``DELETE`` ("Deleting Tags", "Deleting Manifests") a manifest.

    The edge sends a ``GET`` here only if its name or reference is invalid.
    """
    repository, reference = repository_name(name), reference_name(reference)
    if request.method in {"GET", "HEAD"}:
        raise _nothing_here()
    token = require(request, repository)
    if request.method == "DELETE":
        delete = sha512.delete_manifest if sha512.is_sha512(reference) else deletes.delete_manifest
        delete(repository, reference, token.subject)
        return empty_response(HTTPStatus.ACCEPTED, {"Content-Length": "0"})
    put = sha512.put_manifest if sha512.is_sha512(reference) else manifests.put_manifest
    stored = put(repository, reference, _body(request), _media_type(request), token.subject)
    headers = {
        "Location": f"/v2/{repository}/manifests/{stored.digest}",
        "Docker-Content-Digest": stored.digest,
        "Content-Length": "0",
    }
    if stored.subject:
        headers["OCI-Subject"] = stored.subject
    return empty_response(HTTPStatus.CREATED, headers)


def _body(request: HttpRequest) -> bytes:
    """The body, as the client sent it.

    :raises ProtocolError: 413 when it is longer than a manifest may be; no more than that is read.
    """
    stated = request.META.get("CONTENT_LENGTH") or "0"
    length = int(stated) if stated.isascii() and stated.isdigit() else 0
    if length > MANIFEST_LIMIT:
        raise ProtocolError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "MANIFEST_INVALID",
            f"A manifest may have {MANIFEST_LIMIT >> 20} MiB at most.",
        )
    content = bytearray()
    while piece := request.read(min(_PIECE, length - len(content))):
        content += piece
    if len(content) != length:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", "The request ended before its body was complete.")
    return bytes(content)


def _media_type(request: HttpRequest) -> str:
    media_type: str = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if not media_type:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", "Content-Type is missing.")
    return media_type


@registry_api("GET", "HEAD")
def referrers(request: HttpRequest, name: str, digest: str) -> HttpResponse:
    """List the referrers of a manifest ("Listing Referrers")."""
    repository, subject = repository_name(name), digest_name(digest)
    require(request, repository)
    artifact_type = paging.text_parameter(request, "artifactType")
    found = referrers_list.referrers_of(repository, subject, artifact_type, paging.text_parameter(request, "last"))
    headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    if found.last:
        query = {"artifactType": artifact_type} if artifact_type else {}
        headers |= paging.next_link(f"/v2/{repository}/referrers/{subject}", {**query, "last": found.last})
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.descriptors}
    return json_response(document, content_type=OCI_INDEX, headers=headers)


@registry_api("GET", "HEAD")
def tags(request: HttpRequest, name: str) -> HttpResponse:
    """List the tags of a repository ("Listing Tags")."""
    repository = repository_name(name)
    require(request, repository)
    page = paging.read_page(request, lists.MOST_TAGS)
    found = lists.tags_of(repository, page)
    return json_response(
        {"name": repository, "tags": found.names}, headers=_next(f"/v2/{repository}/tags/list", found, page)
    )


@registry_api("GET", "HEAD")
def catalog(request: HttpRequest) -> HttpResponse:
    """List the repositories that the caller may read (Distribution, "Listing Repositories")."""
    token, whole = require_catalog(request)
    page = paging.read_page(request, lists.MOST_REPOSITORIES)
    found = lists.repositories_of(token.subject, whole, page)
    return json_response({"repositories": found.names}, headers=_next("/v2/_catalog", found, page))


def _next(path: str, found: lists.Entries, page: paging.Page) -> dict[str, str]:
    return paging.next_link(path, {"n": page.size, "last": found.names[-1]}) if found.more else {}


@registry_api("GET")
def chunk(request: HttpRequest) -> HttpResponse:
    """Check a chunk's headers before the edge sends it to the registry: 204 lets it through."""
    length = request.headers.get("X-Chunk-Length", "")
    chunks.check_chunk(
        request.headers.get("Content-Range", ""),
        int(length) if length.isascii() and length.isdigit() else None,
        paging.text_parameter(request, "_state"),
    )
    return empty_response(HTTPStatus.NO_CONTENT, {})


@registry_api("GET")
def start_upload(request: HttpRequest) -> HttpResponse:
    """Start an upload for the bytes of a ``POST`` ("Single POST"); the edge sends them to this ``Location``."""
    repository = repository_name(paging.text_parameter(request, "name"))
    digest = digest_name(paging.text_parameter(request, "digest"))
    require(request, repository, "PUT")
    location = registry().start_upload(repository)
    return empty_response(
        HTTPStatus.NO_CONTENT, {"Location": f"{location}{'&' if '?' in location else '?'}digest={digest}"}
    )


# What the edge sends to the registry, unless a name, a digest or the method is wrong: the error says which.


@registry_api("GET", "HEAD", "DELETE")
def blob(request: HttpRequest, name: str, digest: str) -> HttpResponse:
    """The address of a blob, with an invalid name or digest."""
    repository_name(name)
    digest_name(digest)
    raise _nothing_here()


@registry_api("POST")
def uploads(request: HttpRequest, name: str) -> HttpResponse:
    """The address of new uploads, with an invalid name."""
    repository_name(name)
    raise _nothing_here()


@registry_api("GET", "HEAD", "PATCH", "PUT", "DELETE")
def upload(request: HttpRequest, name: str, upload_id: str) -> HttpResponse:
    """The address of an upload, with an invalid name or identifier."""
    repository_name(name)
    raise ProtocolError(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "There is no such upload.")


@registry_api("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
def unknown(request: HttpRequest, rest: str) -> HttpResponse:
    """Any other address of the registry's API."""
    raise _nothing_here()


def _nothing_here() -> ProtocolError:
    return ProtocolError(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "The registry has nothing at this address.")
