"""Authentication of calls: the interface for the ``Authorization`` header, and its implementations."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from registry_client.challenges import Challenge, parse_challenges
from registry_client.connections import Connections, read
from registry_client.errors import Denied, RegistryUnavailable, Unauthorized, UnexpectedAnswer
from registry_client.json_documents import parse
from registry_client.realms import check_realm

_RENEWED_SECONDS_BEFORE_EXPIRY = 30
_MOST_TOKENS = 1000
_TOKEN_ANSWER_LIMIT = 1 << 20
_DEFAULT_LIFE = 60
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Authentication(Protocol):
    """Provides the ``Authorization`` header of a call."""

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """The value of the ``Authorization`` header, ``None`` for none. Must be thread-safe.

        :param scopes: the scopes of the call, in the grammar of Distribution's token scopes.
        :param challenge: ``None`` before the call. After a 401 the method is called again with the response's
            ``WWW-Authenticate`` header; if it returns another value, the call is retried with that.
        """
        ...


class Anonymous:
    """No credentials."""

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """Always ``None``."""
        return None


class _Tokens:
    """Cache of tokens by their set of scopes, each until shortly before it expires. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cached: dict[frozenset[str], tuple[str, float]] = {}

    def get(self, scopes: tuple[str, ...]) -> str | None:
        with self._lock:
            token, renewed_at = self._cached.get(frozenset(scopes), ("", 0.0))
        return token if token and monotonic() < renewed_at else None

    def put(self, scopes: tuple[str, ...], token: str, asked_at: float, life: float) -> None:
        key = frozenset(scopes)
        with self._lock:
            # Evict the oldest first, so that calls to all repositories do not fill the memory with tokens.
            self._cached.pop(key, None)
            while len(self._cached) >= _MOST_TOKENS:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = (token, asked_at + life - _RENEWED_SECONDS_BEFORE_EXPIRY)

    def drop(self, scopes: tuple[str, ...]) -> None:
        with self._lock:
            self._cached.pop(frozenset(scopes), None)


class SignedTokens:
    """Tokens that this process signs itself, as the registry's authorization server.

    :param sign: creates a token for scopes, and returns it with its lifetime in seconds. Tokens are cached for each set
        of scopes until 30 s before they expire, and dropped when the registry rejects one.
    """

    def __init__(self, sign: Callable[[tuple[str, ...]], tuple[str, float]]) -> None:
        self._sign = sign
        self._tokens = _Tokens()

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """A Bearer token for ``scopes``; after a challenge a new one."""
        if challenge is not None:
            self._tokens.drop(scopes)
        token = self._tokens.get(scopes)
        if token is None:
            now = monotonic()
            token, life = self._sign(scopes)
            self._tokens.put(scopes, token, now, life)
        return f"Bearer {token}"


class Challenged:
    """Answers the registry's challenge: fetch a token (Distribution token authentication), or send Basic.

    The registry's challenge names the realm (token server). It gets the credentials only if it belongs to the registry
    that they are for (``realms.check_realm``).

    :param username: ``None`` for anonymous: tokens are then requested without credentials.
    :param trusted_realms: pairs of a registry's and a token server's host name that are trusted although unrelated.
    :param connections: connections for the realm; by default with the usual timeouts and retries.
    """

    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        *,
        trusted_realms: Collection[tuple[str, str]] = (),
        connections: Connections | None = None,
    ) -> None:
        self._registry, self._trusted = "", trusted_realms
        self._basic: str | None = None
        if username is not None:
            pair = f"{username}:{password or ''}".encode()
            self._basic = f"Basic {base64.b64encode(pair).decode()}"
        self._connections = connections or Connections()
        self._tokens = _Tokens()
        self._learnt: Challenge | None = None

    def bind(self, registry: str) -> None:
        """Bind the credentials to a registry; called by its client.

        :param registry: scheme, host and optional port.
        :raises ValueError: when they are bound to another one.
        """
        if self._registry not in ("", registry):
            raise ValueError("These credentials were given for another registry.")
        self._registry = registry

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """The header for the challenge; before the first request, according to the last challenge.

        :raises RefusedTokenServer: when the realm does not belong to the registry.
        :raises Unauthorized: when the realm rejects the credentials.
        :raises RegistryUnavailable: when the realm does not answer.
        :raises UnexpectedAnswer: when its response has no token.
        """
        if challenge is not None:
            self._tokens.drop(scopes)
            self._learnt = self._usable(parse_challenges(challenge))
        learnt = self._learnt
        if learnt is None:
            return None
        if learnt.scheme == "basic":
            return self._basic
        token = self._tokens.get(scopes)
        if token is None:
            # A challenge may write a scope differently; its scope is only valid for the call that was challenged.
            named = learnt.parameters.get("scope", "").split() if challenge is not None else []
            now = monotonic()
            token, life = self._fetch(learnt, list(dict.fromkeys([*scopes, *named])))
            self._tokens.put(scopes, token, now, life)
        return f"Bearer {token}"

    def _usable(self, challenges: list[Challenge]) -> Challenge | None:
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return challenge
        for challenge in challenges:
            if challenge.scheme == "basic" and self._basic is not None:
                return challenge
        return None

    def _fetch(self, challenge: Challenge, scopes: list[str]) -> tuple[str, float]:
        """Request a token from the realm (Distribution token specification, "Requesting a Token")."""
        url, where = _realm(challenge, scopes)
        check_realm(self._registry, url, credentials=self._basic is not None, trusted=self._trusted)
        headers = {} if self._basic is None else {"Authorization": self._basic}
        response = self._connections.send("GET", url, headers)
        content = read(response, _TOKEN_ANSWER_LIMIT)
        status = response.status_code
        if status == 401:
            raise Unauthorized("the token server refuses the credentials", status=status, request=where)
        if status == 403:
            raise Denied("the token server denies a token", status=status, request=where)
        if status == 429 or status >= 500:
            raise RegistryUnavailable("the token server cannot answer now", status=status, request=where)
        token, life = _token_answer(content) if status == 200 else (None, 0.0)
        if token is None:
            raise UnexpectedAnswer("the token server gives no token", status=status, request=where)
        return token, life


def _realm(challenge: Challenge, scopes: list[str]) -> tuple[str, str]:
    """The URL of the token request, and the URL without its query for messages."""
    try:
        parts = urlsplit(challenge.parameters["realm"])
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise UnexpectedAnswer("the registry's challenge names a token server that cannot be asked")
    asked = [("service", challenge.parameters["service"])] if "service" in challenge.parameters else []
    asked += [("scope", scope) for scope in scopes]
    query = "&".join(part for part in (parts.query, urlencode(asked)) if part)
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")), f"GET {bare}"


def _token_answer(content: bytes) -> tuple[str | None, float]:
    try:
        document: Any = parse(content)
    except ValueError:
        return None, 0.0
    if not isinstance(document, dict):
        return None, 0.0
    token = document.get("token") or document.get("access_token")
    life = document.get("expires_in", _DEFAULT_LIFE)
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return None, 0.0
    known = isinstance(life, int | float) and not isinstance(life, bool)
    return token, min(float(life), 86400.0) if known else float(_DEFAULT_LIFE)
