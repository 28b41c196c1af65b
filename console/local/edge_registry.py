"""The edge's routes of the registry's address: what goes straight to the registry, and what the gate answers.

Only requests that are well-formed go straight through: their path is that of an operation of the OCI distribution
specification, as the registry reads it, and their method is one that writes no manifest. Everything else below ``/v2/``
is for the gate (``console.gate``), which answers it, or says in the protocol's form what is wrong with it.

The registry deviates from the specification in some places that can be seen in a request's head. Those are mended here:
see ``docs/registry.md``, "OCI conformance".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Handler = dict[str, Any]
# Of an address at the console, further headers, and what is done with 204: a handler that asks there first.
AskGate = Callable[[str, Mapping[str, str], Handler], Handler]

# Where the gate checks the head of a chunk (``console.gate.chunks``), and where it starts an upload.
CHUNK_PATH, START_PATH = "/v2/_chunk", "/v2/_upload"

# Those of ``registry_client``, which the supervisor does not import: it would hold another 10 MiB of memory. A test
# compares them.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = f"{_COMPONENT}(?:/{_COMPONENT})*"
TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_SHA256, _SHA512 = "sha256:[a-f0-9]{64}", "sha512:[a-f0-9]{128}"
DIGEST = f"{_SHA256}|{_SHA512}"
MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)

# What is behind ``/v2/`` and a repository's name. One expression for each kind of method, because every request of a
# pull or a push is compared.
_UPLOAD = "blobs/uploads/[A-Za-z0-9_=-][A-Za-z0-9._=-]*"
_READABLE = f"(?:{REPOSITORY}/(?:blobs/(?:{DIGEST})|manifests/(?:{TAG}|{DIGEST})|{_UPLOAD}))?"
_DELETABLE = f"{REPOSITORY}/(?:blobs/(?:{DIGEST})|{_UPLOAD})"


def _path(pattern: str) -> Handler:
    """A matcher of the path with its escapes decoded, as the registry reads it, and as it is otherwise.

    Caddy's matchers of paths would remove ``//`` and ``..`` first, but the registry gets the path with them.
    """
    return _value("http.request.uri.path", pattern)


def _value(placeholder: str, pattern: str) -> Handler:
    return {"vars_regexp": {f"{{{placeholder}}}": {"pattern": pattern}}}


_STRAIGHT = [
    {"method": ["GET", "HEAD"], **_path(f"^/v2/{_READABLE}$")},
    {"method": ["POST"], **_path(f"^/v2/{REPOSITORY}/blobs/uploads/?$")},
    {"method": ["PATCH", "PUT"], **_path(f"^/v2/{REPOSITORY}/{_UPLOAD}$")},
    {"method": ["DELETE"], **_path(f"^/v2/{_DELETABLE}$")},
    {"method": ["GET", "HEAD", "OPTIONS"], **_path("^/v2/?$")},
]

# A manifest of another type is "unknown" to the registry, or converted to one of 2015. It ignores Accept of a blob.
_ACCEPTED = r"application/vnd\.(?:docker\.distribution\.manifest|oci\.image\.(?:manifest|index))\."
_ACCEPT_MANIFESTS = {
    "match": [
        {
            "method": ["GET", "HEAD"],
            "not": [{"header_regexp": {"Accept": {"pattern": _ACCEPTED}}}],
        }
    ],
    "handle": [{"handler": "headers", "request": {"set": {"Accept": [", ".join(MEDIA_TYPES)]}}}],
}

# The bytes of a "form", as curl sends them unless told otherwise, would be read as parameters; others get 500.
_BYTES = "application/octet-stream"
_BYTES_ARE_BYTES = {
    "match": [
        {
            "method": ["POST", "PATCH", "PUT"],
            **_path("/blobs/uploads/[^/]*$"),
            "header": {"Content-Type": ["*"]},
            "not": [{"header": {"Content-Type": [_BYTES]}}],
        }
    ],
    "handle": [{"handler": "headers", "request": {"set": {"Content-Type": [_BYTES]}}}],
}

# Other digests than sha256 are mounted with a link that leads nowhere. Without the parameters an upload starts instead.
_MOUNT_SHA256_ALONE = {
    "match": [
        {
            "method": ["POST"],
            **_value("http.request.uri.query.mount", "."),
            "not": [_value("http.request.uri.query.mount", f"^{_SHA256}$")],
        }
    ],
    "handle": [{"handler": "rewrite", "query": {"delete": ["mount", "from"]}}],
}


def _answer_sha512(placeholder: str, *statuses: int) -> Handler:
    """A handler that puts the client's digest, which the registry has verified, in place of its own sha256 digest."""
    require = {"status_code": list(statuses), "headers": {"Docker-Content-Digest": ["*"]}}
    return {
        "handler": "headers",
        "response": {"require": require, "set": {"Docker-Content-Digest": [f"{{{placeholder}}}"]}},
    }


_SHA512_DIGESTS = [
    {
        "match": [
            {
                "method": ["GET", "HEAD"],
                "vars_regexp": {
                    "{http.request.uri.path}": {"name": "blob", "pattern": f"/blobs/({_SHA512})$"},
                },
            }
        ],
        "handle": [_answer_sha512("http.regexp.blob.1", 200, 206)],
    },
    {
        "match": [{"method": ["PUT"], **_value("http.request.uri.query.digest", f"^{_SHA512}$")}],
        "handle": [_answer_sha512("http.request.uri.query.digest", 201)],
    },
]

_NOTHING_HERE = {"handler": "error", "status_code": "404"}


def _single_post(ask_gate: AskGate) -> Handler:
    """The route of a ``POST`` with the bytes of a blob: the gate starts an upload, and the request becomes its ``PUT``.

    The registry would start the upload and ignore the bytes, so that they had to be sent again.
    """
    uri = f"{START_PATH}?name={{http.regexp.uploads.1}}&digest={{http.request.uri.query.digest}}"
    put = {"handler": "rewrite", "method": "PUT", "uri": "{http.reverse_proxy.header.Location}"}
    path = {"name": "uploads", "pattern": f"^/v2/({REPOSITORY})/blobs/uploads/?$"}
    in_path = {"match": [{"vars_regexp": {"{http.request.uri.path}": path}}], "handle": [ask_gate(uri, {}, put)]}
    whole = {
        "method": ["POST"],
        **_value("http.request.uri.query.digest", f"^(?:{DIGEST})$"),
        "not": [{"header": {"Content-Length": ["0"]}}, _value("http.request.uri.query.mount", ".")],
    }
    return {
        "match": [{**whole, "header": {name: ["*"]}} for name in ("Content-Length", "Transfer-Encoding")],
        "handle": [{"handler": "subroute", "routes": [in_path]}],
    }


def _chunk_in_order(ask_gate: AskGate) -> Handler:
    """The route of a chunk with its place in the blob: the gate decides by the head whether it goes on.

    The registry appends every chunk, wherever it belongs. The bytes are not read meanwhile.
    """
    ask = ask_gate(
        f"{CHUNK_PATH}?{{http.request.uri.query}}",
        {"X-Chunk-Length": "{http.request.header.Content-Length}"},
        {"handler": "vars"},
    )
    with_range = {"method": ["PATCH", "PUT"], "header": {"Content-Range": ["*"]}, **_path("/blobs/uploads/[^/]+$")}
    return {"match": [with_range], "handle": [ask]}


def routes(straight: Sequence[Handler], gate: Sequence[Handler], ask_gate: AskGate) -> list[Handler]:
    """The routes of the registry's address.

    :param straight: the handlers that pass a request on to the registry.
    :param gate: those that pass it on to the console.
    :param ask_gate: makes a handler that asks the console whether a request goes on.
    """
    return [
        _single_post(ask_gate),
        _chunk_in_order(ask_gate),
        _ACCEPT_MANIFESTS,
        _BYTES_ARE_BYTES,
        _MOUNT_SHA256_ALONE,
        *_SHA512_DIGESTS,
        {"match": _STRAIGHT, "handle": list(straight), "terminal": True},
        {"match": [_path("^/v2/")], "handle": list(gate), "terminal": True},
        {"handle": [_NOTHING_HERE], "terminal": True},
    ]
