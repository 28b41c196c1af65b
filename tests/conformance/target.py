"""The registry under test: its address, and how requests get their tokens."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from requests.adapters import BaseAdapter

from registry_client.challenges import parse_challenges
from tests.conformance.answers import Answer

# Seconds. A registry that takes longer fails the check.
TIMEOUT = 60
_REPOSITORY = re.compile(r"/v2/(.+)/(?:blobs|manifests|tags|referrers)/")
_ACCESS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}


class TokenProvider(Protocol):
    """Gets tokens for a registry's challenges."""

    def token(self, challenge: Mapping[str, str]) -> str:
        """A token for the challenge's parameters: ``realm``, ``service``, ``scope``."""


class BasicTokens:
    """Gets tokens from the challenge's realm, with a user name and a password, as ``docker`` does."""

    def __init__(self, username: str, password: str) -> None:
        self._credentials = (username.encode(), password.encode())
        self._session = requests.Session()
        self._session.trust_env = False

    def token(self, challenge: Mapping[str, str]) -> str:
        """A token from the realm."""
        parameters = {"service": challenge.get("service", ""), "scope": challenge.get("scope", "").split()}
        response = self._session.get(challenge["realm"], params=parameters, auth=self._credentials, timeout=TIMEOUT)
        response.raise_for_status()
        answer = response.json()
        return str(answer.get("access_token") or answer["token"])


class Target:
    """A registry's address.

    :param address: its URL, without ``/v2/``.
    :param tokens: gets tokens; ``None`` for a registry without authentication.
    :param namespace: the beginning of the names of all repositories.
    :param transport: answers instead of a server.
    """

    def __init__(
        self,
        address: str,
        tokens: TokenProvider | None = None,
        namespace: str = "conformance",
        transport: BaseAdapter | None = None,
    ) -> None:
        self.address, self.namespace = address, namespace
        self._tokens = tokens
        # New repositories in each run.
        self._suffix = secrets.token_hex(4)
        self._cached: dict[tuple[str, ...], str] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        # No Accept and no Accept-Encoding that requests adds on its own.
        self._session.headers.clear()
        if transport is not None:
            self._session.mount(address, transport)

    def repository_name(self, name: str) -> str:
        """A repository's name that no other run of the checks uses."""
        return f"{self.namespace}/{name}-{self._suffix}"

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        stream: bool = False,
    ) -> Answer:
        """Send a request, with a token if one is asked for.

        :param url: a path from ``/v2/`` on, or the absolute URL of an upload.
        :param body: without it, POST, PUT and PATCH have ``Content-Length: 0``.
        :param stream: send the body with chunked transfer encoding, without ``Content-Length``.
        """
        url = urljoin(self.address, url)
        access = _access(method, url)
        if self._tokens is not None and access not in self._cached:
            # Without the body, which would be sent in vain.
            self._authorize(access, self._send(method, url, headers or {}, None, access))
        sent = _pieces(body) if stream and body is not None else body
        response = self._send(method, url, headers or {}, sent, access)
        if self._tokens is not None and response.status_code == 401:
            self._authorize(access, response)
            sent = _pieces(body) if stream and body is not None else body
            response = self._send(method, url, headers or {}, sent, access)
        return Answer(response)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
        access: tuple[str, ...],
    ) -> requests.Response:
        token = self._cached.get(access)
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        return self._session.request(method, url, data=body, headers={**authorization, **headers}, timeout=TIMEOUT)

    def _authorize(self, access: tuple[str, ...], response: requests.Response) -> None:
        for challenge in parse_challenges(response.headers.get("WWW-Authenticate", "")):
            if response.status_code == 401 and challenge.scheme == "bearer":
                assert self._tokens is not None
                self._cached[access] = self._tokens.token(challenge.parameters)

    # The verbs that checks use.

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return self.send("GET", url, headers)

    def head(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """HEAD."""
        return self.send("HEAD", url, headers)

    def delete(self, url: str) -> Answer:
        """DELETE."""
        return self.send("DELETE", url)


def _access(method: str, url: str) -> tuple[str, ...]:
    """What a token is reused for: requests of the same kind to the same repository, and the same source of a mount."""
    parts = urlsplit(url)
    match = _REPOSITORY.match(parts.path)
    source = parse_qs(parts.query).get("from", [""])[0]
    return _ACCESS.get(method, "push"), match[1] if match else "", source


def _pieces(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    yield body[len(body) // 2 :]
