"""The one seam through which a call gets its ``Authorization`` header, and the ways to fill it."""

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
_KEPT_TOKENS = 1000
_TOKEN_ANSWER_LIMIT = 1 << 20
_DEFAULT_LIFE = 60
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Authentication(Protocol):
    """Gives a call what it is authorised with."""

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """The value of the ``Authorization`` header, ``None`` for none. Called from many threads.

        :param scopes: what the call needs, in the grammar of Distribution's token scopes.
        :param challenge: ``None`` before the call. After a 401 the method is called once more, with the value of the
            answer's ``WWW-Authenticate`` header; when it gives another value, the call is repeated with that.
        """
        ...


class Anonymous:
    """No credentials at all."""

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """Nothing, whatever is asked for."""
        return None


class _Tokens:
    """Tokens by the set of scopes they are for, each until shortly before it expires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[frozenset[str], tuple[str, float]] = {}

    def get(self, scopes: tuple[str, ...]) -> str | None:
        with self._lock:
            token, renewed_at = self._kept.get(frozenset(scopes), ("", 0.0))
        return token if token and monotonic() < renewed_at else None

    def put(self, scopes: tuple[str, ...], token: str, asked_at: float, life: float) -> None:
        key = frozenset(scopes)
        with self._lock:
            # Oldest first, so that a walk over all repositories does not fill the memory with tokens.
            self._kept.pop(key, None)
            while len(self._kept) >= _KEPT_TOKENS:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (token, asked_at + life - _RENEWED_SECONDS_BEFORE_EXPIRY)

    def drop(self, scopes: tuple[str, ...]) -> None:
        with self._lock:
            self._kept.pop(frozenset(scopes), None)


class SignedTokens:
    """Tokens that this process signs itself, because it is the registry's authorization server.

    :param sign: makes a token for scopes and returns it with its life in seconds. Tokens are kept, for each set of
        scopes, until 30 s before they expire, and dropped when the registry refuses one.
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
    """Does what the registry's challenge says: fetch a token (Distribution token authentication), or send Basic.

    The realm is where the registry says it is. It is sent the credentials only when it belongs to the registry that
    they were given for (``realms.check_realm``).

    :param username: who to be, ``None`` to be nobody; tokens are then asked for without credentials.
    :param trusted_realms: pairs of a registry's and a token server's host name that belong together all the same.
    :param connections: what the realm is asked through; the usual time-outs and retries when not given.
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
        """Say which registry the credentials were given for; its client does so.

        :param registry: scheme, host and perhaps port.
        :raises ValueError: when they were given for another one.
        """
        if self._registry not in ("", registry):
            raise ValueError("These credentials were given for another registry.")
        self._registry = registry

    def authorization(self, scopes: tuple[str, ...], challenge: str | None) -> str | None:
        """What the challenge asks for; before one, what the last challenge taught.

        :raises RefusedTokenServer: when the realm is another's than the registry's.
        :raises Unauthorized: when the realm refuses the credentials.
        :raises RegistryUnavailable: when the realm does not answer.
        :raises UnexpectedAnswer: when it answers with anything but a token.
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
            # A challenge may name a scope differently from us; only the answer to our own call concerns it.
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
        """Ask the realm for a token (Distribution token specification, "Requesting a Token")."""
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
    """The address to ask, and the same without its query for a message."""
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
