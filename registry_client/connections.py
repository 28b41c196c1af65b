"""HTTP connections: sessions, connection pools, timeouts and retries."""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.util import Retry

from registry_client.errors import AnswerTooLarge, RegistryError, RegistryUnavailable, UnexpectedAnswer
from registry_client.guard import AddressGuard, GuardedAdapter

_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 2.0
_KEPT_CONNECTIONS = 64
_PIECE = 1 << 16


class Connections:
    """Persistent HTTP connections, shared by all threads.

    Requests go to the adapters of ``requests`` without a session, which would take half of a request's time: it merges
    settings, cookies, redirects and credentials, of which there are none here.

    :param connect_timeout: timeout of a connection in seconds.
    :param read_timeout: timeout of a response, or its next piece, in seconds.
    :param retries: number of retries of idempotent calls: after a failed connection, a timeout, a 429 or a 5xx.
    :param guard: restricts the target addresses, for URLs from users (SSRF); the environment's proxies are not used
        then, because they resolve names themselves.

    ``asked_at`` is the time of the last request, by the monotonic clock.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 30.0,
        retries: int = 3,
        user_agent: str = "my-images",
        guard: AddressGuard | None = None,
    ) -> None:
        self._timeout = (connect_timeout, read_timeout)
        self._guarded = guard is not None
        self.asked_at = monotonic()
        self._user_agent = user_agent
        backoff = {"backoff_factor": _BACKOFF_SECONDS, "backoff_max": _LONGEST_BACKOFF_SECONDS}
        # Retry-After is ignored: it may be an hour, and the caller waits.
        repeating = Retry(
            total=retries,
            other=0,
            allowed_methods=None,
            status_forcelist=_RETRIED_STATUSES,
            raise_on_status=False,
            respect_retry_after_header=False,
            **backoff,  # type: ignore[arg-type]
        )
        # A failed connection has sent nothing, so a retry is safe for every call.
        single = Retry(
            total=retries,
            read=False,
            other=0,
            status=0,
            allowed_methods=None,
            raise_on_status=False,
            respect_retry_after_header=False,
            **backoff,  # type: ignore[arg-type]
        )
        make = HTTPAdapter if guard is None else functools.partial(GuardedAdapter, guard)
        self._adapters = {
            repeat: make(pool_maxsize=_KEPT_CONNECTIONS, max_retries=retry)
            for repeat, retry in ((True, repeating), (False, single))
        }

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
        *,
        repeatable: bool = True,
    ) -> requests.Response:
        """Send a request and return its response with an unread body; redirects are not followed.

        :param repeatable: whether it is idempotent, so that it may be retried.
        :raises RegistryUnavailable: when there is no response.
        :raises RefusedAddress: when the guard refuses the address.
        """
        self.asked_at = monotonic()
        proxies, verify = _surroundings(_origin(url))
        if self._guarded:
            proxies = ()
        try:
            return self._adapters[repeatable].send(
                self._prepared(method, url, headers, body),
                stream=True,
                timeout=self._timeout,
                verify=verify,
                proxies=dict(proxies),
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise RegistryUnavailable(self._what_happened(error, url)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            # The message may contain the invalid header, and with it a token.
            raise RegistryError(f"the request to {_origin(url)} cannot be sent") from None

    def interrupt(self) -> None:
        """Close all connections of the guard, also those in use: waiting readers get an error."""
        for adapter in self._adapters.values():
            if isinstance(adapter, GuardedAdapter):
                adapter.interrupt()

    def close(self) -> None:
        """Close all open connections."""
        for adapter in self._adapters.values():
            adapter.close()

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> requests.PreparedRequest:
        request = requests.PreparedRequest()
        request.prepare_method(method)
        request.prepare_url(url, None)
        # No compression: digests are of the stored bytes.
        request.prepare_headers(
            {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        )
        request.prepare_body(body, None)
        request.prepare_hooks(None)
        return request

    def _what_happened(self, error: requests.RequestException, url: str) -> str:
        origin = _origin(url)
        inner = error.args[0] if error.args else None
        reason = getattr(inner, "reason", inner)
        if isinstance(error, requests.exceptions.SSLError):
            return f"the certificate or the TLS of {origin} is not accepted"
        if isinstance(error, requests.exceptions.ProxyError):
            return f"the proxy in front of {origin} cannot be reached"
        if isinstance(error, requests.ConnectTimeout):
            return f"{origin} did not accept a connection within {self._timeout[0]:g} s"
        if isinstance(error, requests.ReadTimeout) or isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            return f"{origin} did not answer within {self._timeout[1]:g} s"
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            return f"{origin} cannot be reached"
        return f"the connection to {origin} broke"


def pieces(response: requests.Response, size: int = _PIECE) -> Iterator[bytes]:
    """The body of a response in pieces of at most ``size`` bytes.

    :raises RegistryUnavailable: when it is incomplete.
    """
    try:
        yield from response.iter_content(size)
    except requests.exceptions.ContentDecodingError:
        raise UnexpectedAnswer("the answer's encoding is broken", status=response.status_code) from None
    except requests.RequestException as error:
        message = f"the answer of {_origin(response.url)} broke off"
        raise RegistryUnavailable(message, status=response.status_code) from error


def content_length(response: requests.Response) -> int | None:
    """The ``Content-Length`` of a response in bytes; ``None`` if missing or invalid."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read(response: requests.Response, limit: int) -> bytes:
    """Read the whole body, which returns the connection to the pool.

    :param limit: maximum size in bytes.
    :raises AnswerTooLarge: when it is larger; not more than that is read.
    """
    with response:
        content = bytearray()
        if (content_length(response) or 0) <= limit or response.request.method == "HEAD":
            for piece in pieces(response):
                content += piece
                if len(content) > limit:
                    break
            else:
                return bytes(content)
        raise AnswerTooLarge(f"the answer is larger than {limit} bytes", status=response.status_code)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@functools.lru_cache(maxsize=64)
def _surroundings(origin: str) -> tuple[tuple[tuple[str, str], ...], str | bool]:
    """The environment's proxies and certificate authorities for ``origin``; no proxy for this machine itself."""
    host = urlsplit(origin).hostname or ""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    proxies = {} if loopback else get_environ_proxies(origin)
    verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return tuple(proxies.items()), verify
