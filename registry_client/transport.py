"""A call to the registry: its address, its authorization, its answer or the exception that stands for it."""

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

# A repository of 100,000 tags is listed in one answer.
LISTING_LIMIT = 32 << 20
# What Distribution takes of a manifest (registry/handlers/manifests.go, maxManifestBodySize).
MANIFEST_LIMIT = 4 << 20
_ERROR_LIMIT = 64 << 10
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

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
        """The JSON object in it.

        :raises UnexpectedAnswer: when it is something else.
        """
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self.unexpected("the answer is not the JSON of a registry")
        return document

    def unexpected(self, message: str) -> UnexpectedAnswer:
        """The exception for an answer of which ``message`` says what is wrong with it."""
        return UnexpectedAnswer(message, status=self.status, request=self.request)


def media_type(headers: Mapping[str, str]) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Transport:
    """Calls one registry.

    :param base_url: scheme, host and perhaps port, like ``http://127.0.0.1:5000``.
    :raises ValueError: when ``base_url`` is anything else: a path would stand before ``/v2/``, where no registry client
        looks, and credentials belong to ``authentication``. Also when those were given for another registry.
    """

    def __init__(self, base_url: str, authentication: Authentication, connections: Connections) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("A registry's address looks like http://127.0.0.1:5000.")
        # Reading the port raises what is to be raised when it is none.
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
        """Make a call and read its answer.

        :param path: path and query below the registry's address, of checked names.
        :param body: what to send; an iterable is sent as it comes, and can be sent only once.
        :param expect: the statuses that are success.
        :param limit: the most bytes the answer may have.
        :param repeatable: whether making the call twice does no harm, so that it may be retried.
        :param follow: whether a redirect is followed.
        :param missing: what a 404 without a body means, for a HEAD request.
        :raises RegistryError: for everything else.
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
        """GET a body of any size, following redirects; what is left unread when the block ends is not read."""
        request = f"GET {path}"
        with _about(request):
            response = self._send("GET", path, scopes, {}, None, True, True)
            if response.status_code != 200:
                raise self._error(response, request, None)
            with response:
                yield response

    def path_of(self, answer: Answer, header: str, target: str) -> str:
        """Path and query of an address an answer points to, relative or absolute. Its host is of no interest: behind a
        proxy the registry may not know its own name, and no answer may send our tokens elsewhere.

        :raises UnexpectedAnswer: when it is no address.
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
            # A body that came as it was made is gone; another try with what was just refused is pointless.
            if fresh is not None and fresh != value and (body is None or isinstance(body, bytes)):
                value = fresh
                _body_of_refusal(response)
                response = self._connections.send(method, url, _with(headers, value), body, repeatable=repeatable)
        return self._follow(method, response, headers, value) if follow else response

    def _follow(
        self, method: str, response: requests.Response, headers: Mapping[str, str], value: str | None
    ) -> requests.Response:
        """Go where redirects lead: registries keep blobs in object stores. No other host learns our authorization."""
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
    # Where it leads stays unsaid: the addresses of object stores carry signatures.
    return UnexpectedAnswer("the answer is a redirect that is not followed", status=response.status_code)


def _body_of_refusal(response: requests.Response) -> bytes:
    try:
        return read(response, _ERROR_LIMIT)
    except errors.RegistryError:
        # The status alone already says what matters.
        return b""


@contextmanager
def _about(request: str) -> Iterator[None]:
    """Let an error say which call it is about."""
    try:
        yield
    except errors.RegistryError as error:
        error.request = error.request or request
        raise


def _with(headers: Mapping[str, str], authorization: str | None) -> dict[str, str]:
    return dict(headers) if authorization is None else {**headers, "Authorization": authorization}
