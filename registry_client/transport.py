"""Calls to a registry: URL, authorization, redirects, and conversion of errors to exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from registry_client import errors
from registry_client.authentication import Authentication, Challenged
from registry_client.connections import Connections, content_length, read
from registry_client.errors import NotFound, UnexpectedAnswer

# A repository with 100,000 tags is listed in one response.
LISTING_LIMIT = 32 << 20
# Distribution's limit of a manifest (registry/handlers/manifests.go, maxManifestBodySize).
MANIFEST_LIMIT = 4 << 20
_ERROR_LIMIT = 64 << 10
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """A response that was read completely."""

    request: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    length: int | None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty when there is none."""
        return media_type(self.headers)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        :raises UnexpectedAnswer: when it is not one.
        """
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self.unexpected("the answer is not the JSON of a registry")
        return document

    def unexpected(self, message: str) -> UnexpectedAnswer:
        """An exception for this response with ``message``."""
        return UnexpectedAnswer(message, status=self.status, request=self.request)


def media_type(headers: Mapping[str, str]) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Transport:
    """Calls one registry.

    :param base_url: scheme, host and optional port, like ``http://127.0.0.1:5000``.
    :raises ValueError: when ``base_url`` has anything else: registry clients do not support a path before ``/v2/``, and
        credentials belong in ``authentication``. Also if those are bound to another registry.
    """

    def __init__(self, base_url: str, authentication: Authentication, connections: Connections) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("A registry's address looks like http://127.0.0.1:5000.")
        # Reading the port raises ValueError if it is invalid.
        if parts.port == 0 or parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("A registry's address has no user, path or query.")
        self.origin = f"{parts.scheme}://{parts.netloc}"
        if isinstance(authentication, Challenged):
            authentication.bind(self.origin)
        self._authentication = authentication
        self._connections = connections

    def call(
        self,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        expect: tuple[int, ...] = (200,),
        limit: int = LISTING_LIMIT,
        repeatable: bool = True,
        follow: bool = False,
        missing: type[NotFound] | None = None,
    ) -> Answer:
        """Make a call and read its response.

        :param path: path and query below the registry's URL, with validated names.
        :param body: the request body; an iterable is streamed, and can be sent only once.
        :param expect: the statuses of success.
        :param limit: maximum size of the response in bytes.
        :param repeatable: whether the call is idempotent, so that it may be retried.
        :param follow: whether redirects are followed.
        :param missing: the exception for a 404 without a body, for HEAD requests.
        :raises RegistryError: for all other responses.
        """
        request = f"{method} {path.partition('?')[0]}"
        with _about(request):
            response = self._send(method, path, scopes, headers or {}, body, repeatable, follow)
            if response.status_code not in expect:
                raise self._error(response, request, missing)
            content = read(response, limit)
            length = content_length(response)
            return Answer(request, response.status_code, response.headers, content, length)

    @contextmanager
    def stream(self, path: str, scopes: tuple[str, ...]) -> Iterator[requests.Response]:
        """GET a body of any size, following redirects; the unread rest is discarded when the block ends."""
        request = f"GET {path}"
        with _about(request):
            response = self._send("GET", path, scopes, {}, None, True, True)
            if response.status_code != 200:
                raise self._error(response, request, None)
            with response:
                yield response

    def path_of(self, answer: Answer, header: str, target: str) -> str:
        """Path and query of a relative or absolute URL in a response.

        Its host is ignored: behind a proxy the registry may not know its own name, and no response may send our tokens
        elsewhere.

        :raises UnexpectedAnswer: when it is not a URL.
        """
        try:
            parts = urlsplit(urljoin(self.origin + answer.request.partition(" ")[2], target))
        except ValueError:
            raise answer.unexpected(f"{header} cannot be understood") from None
        if not target or not parts.path.startswith("/"):
            raise answer.unexpected(f"{header} is missing or cannot be understood")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _send(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        repeatable: bool,
        follow: bool,
    ) -> requests.Response:
        url = self.origin + path
        value = self._authentication.authorization(scopes, None)
        response = self._connections.send(method, url, _with(headers, value), body, repeatable=repeatable)
        if response.status_code == 401:
            fresh = self._authentication.authorization(scopes, response.headers.get("WWW-Authenticate", ""))
            # A streamed body cannot be sent again, and a retry with the same authorization is pointless.
            if fresh is not None and fresh != value and (body is None or isinstance(body, bytes)):
                value = fresh
                _body_of_refusal(response)
                response = self._connections.send(method, url, _with(headers, value), body, repeatable=repeatable)
        return self._follow(method, response, headers, value) if follow else response

    def _follow(
        self, method: str, response: requests.Response, headers: Mapping[str, str], value: str | None
    ) -> requests.Response:
        """Follow redirects to object stores, which have the blobs. Our authorization is not sent to other hosts."""
        allowed = {"https", urlsplit(self.origin).scheme}
        for _ in range(_MOST_REDIRECTS):
            if response.status_code not in _REDIRECTS:
                return response
            with response:
                try:
                    url = urljoin(response.url, response.headers.get("Location", ""))
                    parts = urlsplit(url)
                except ValueError:
                    raise _not_followed(response) from None
                if parts.scheme not in allowed or not parts.hostname or "@" in parts.netloc:
                    raise _not_followed(response)
            ours = f"{parts.scheme}://{parts.netloc}" == self.origin
            response = self._connections.send(method, url, _with(headers, value if ours else None))
        return response

    def _error(self, response: requests.Response, request: str, missing: type[NotFound] | None) -> errors.RegistryError:
        status = response.status_code
        if status in _REDIRECTS:
            with response:
                return _not_followed(response)
        content = _body_of_refusal(response)
        return errors.from_answer(status, content, media_type(response.headers), request, missing)


def _not_followed(response: requests.Response) -> UnexpectedAnswer:
    # Without the target: URLs of object stores contain signatures.
    return UnexpectedAnswer("the answer is a redirect that is not followed", status=response.status_code)


def _body_of_refusal(response: requests.Response) -> bytes:
    try:
        return read(response, _ERROR_LIMIT)
    except errors.RegistryError:
        # The status alone is sufficient.
        return b""


@contextmanager
def _about(request: str) -> Iterator[None]:
    """Add the request to errors that do not have one."""
    try:
        yield
    except errors.RegistryError as error:
        error.request = error.request or request
        raise


def _with(headers: Mapping[str, str], authorization: str | None) -> dict[str, str]:
    return dict(headers) if authorization is None else {**headers, "Authorization": authorization}
