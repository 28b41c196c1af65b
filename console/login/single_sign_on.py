"""Single sign-on with an identity provider (OpenID Connect Core 1.0, authorization code flow with PKCE).

The requests are django-allauth's (``allauth.socialaccount``). The response is verified here: signature, issuer,
audience, time and nonce of the ``id_token``, and that the user info has the same subject.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings
from django.contrib.auth import get_user
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from console.accounts.models import Account
from console.accounts.services import create_account
from console.audit.services import record
from console.database.conflicts import insert
from console.login import sign_in
from console.teams import groups

log = logging.getLogger(__name__)

# Only asymmetric algorithms: no HMAC, and not "none".
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_CLOCK_SECONDS = 60
_LONGEST_SUBJECT = 191
# How long the provider's configuration and keys are cached in a process.
_REMEMBERED_SECONDS = 300
# Concurrency limit: at most half of a process's threads wait for the provider, in case it does not answer.
_slots = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Problem(Exception):
    """Single sign-on failed. The message is one sentence for the user, ``status`` the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Take the message and the status."""
        super().__init__(message)
        self.status = status


class SignedOut(Problem):
    """The session in which it was started has ended, or belongs to another account."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__(_("You signed out in the meantime. Start again."))


class _Untrusted(Exception):
    """The provider's response is invalid; the message is for the log."""


@dataclass(frozen=True)
class Identity:
    """A verified identity; ``email`` only if the provider has verified it, ``groups`` as the provider names them."""

    issuer: str
    subject: str
    name: str
    email: str | None
    groups: tuple[str, ...] = ()


class _Provider(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The provider, with its configuration verified (OpenID Connect Discovery 1.0, 4.3)."""

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        """The redirect URI: always on ``CONSOLE_URL``, whatever the ``Host`` of the request."""
        return settings.CONSOLE_URL + reverse("sso-callback")

    @property
    def openid_config(self) -> dict[str, Any]:
        """The provider's configuration document."""
        key = f"signin.configuration:{settings.OIDC_ISSUER}"
        known: dict[str, Any] | None = cache.get(key)
        if known is not None:
            return known
        found = super().openid_config
        if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in _ENDPOINTS):
            raise _Untrusted("its configuration is none of OpenID Connect")
        if str(found.get("issuer")).rstrip("/") != settings.OIDC_ISSUER:
            raise _Untrusted(f"it calls itself {found.get('issuer')!r}, not {settings.OIDC_ISSUER!r}")
        cache.set(key, found, _REMEMBERED_SECONDS)
        return found


class _SignIn(OpenIDConnectProvider):  # type: ignore[misc]
    oauth2_adapter_class = _Provider


def _provider(request: HttpRequest) -> _SignIn:
    return _SignIn(request, app=get_adapter().get_app(request, settings.OIDC_ISSUER))


def ask(request: HttpRequest, purpose: str, place: str = "") -> str:
    """The provider's URL to redirect the browser to; the purpose is stored in the session.

    :param purpose: ``login``, ``connect`` or ``confirm``; the latter two need a signed-in account.
    :raises SignedOut: when the session ends meanwhile.
    :raises Problem: when the provider does not answer.
    """
    nonce = secrets.token_urlsafe(24)
    account = request.user.pk if purpose != "login" else None
    # "prompt" requests reauthentication; "max_age" adds "auth_time" to the response (OpenID Connect Core 1.0, 3.1.2.1).
    again = {"prompt": "login", "max_age": "0"} if purpose == "confirm" else {}
    provider = _provider(request)
    with _ProviderCall():
        # Fetched and cached before the session is locked: no lock is held while waiting for the provider.
        provider.get_oauth2_adapter(request).openid_config  # noqa: B018
    # Lock against a race of two windows: each keeps the state of the other.
    with _ProviderCall(), _locked_session(request):
        if account is not None and get_user(request).pk != account:
            raise SignedOut
        answer = provider.redirect(
            request,
            process=purpose,
            next_url=place,
            auth_params={"nonce": nonce, **again},
            nonce=nonce,
            account=account,
            asked_at=time.time(),
        )
        sign_in.for_a_while(request)
    return str(answer.url)


def receive(request: HttpRequest) -> tuple[Identity, dict[str, Any]]:
    """Verify the provider's redirect back; returns the identity, and the arguments of :func:`ask`.

    :raises Problem: when it is invalid, or the provider does not answer.
    """
    provider = _provider(request)
    try:
        # In a race of two requests with the same state only one finds it.
        with _locked_session(request):
            state = provider.unstash_redirect_state(request, request.GET.get("state", ""))
    except PermissionDenied:
        raise Problem(_("This sign-in was started in another browser or has expired. Start again.")) from None
    if request.GET.get("error") == "access_denied":
        raise Problem(_("Signing in was cancelled. Start again, or sign in another way."))
    with _ProviderCall():
        # RFC 9207: the response of another provider (mix-up attack).
        if request.GET.get("iss", settings.OIDC_ISSUER).rstrip("/") != settings.OIDC_ISSUER:
            raise _Untrusted("the response is from another issuer")
        if "error" in request.GET or not request.GET.get("code"):
            raise _Untrusted(f"it answered {request.GET.get('error', 'no code')[:100]!r}")
        server = provider.get_oauth2_adapter(request)
        client = server.get_client(request, provider.app)
        tokens = server.get_access_token_data(request, provider.app, client, state["pkce_code_verifier"])
        return _identity(server, tokens, state), state


@contextmanager
def _locked_session(request: HttpRequest) -> Iterator[None]:
    """Read the session again under a lock, and save it before the lock is released.

    Unsaved changes from before are lost. At the end of the request it is saved again only if it is new, for its cookie,
    or was changed again: other requests may have changed it by then.
    """
    before: Any = request.session
    key = before.session_key
    with transaction.atomic():
        request.session = before.lock()
        yield
        if request.session.modified:
            request.session.save()
            request.session.modified = request.session.session_key != key


class _ProviderCall:
    """Holds a slot for a call to the provider; turns errors into a ``Problem`` for the user, with a log entry."""

    def __enter__(self) -> None:
        """Take a slot.

        :raises Problem: when all slots are taken: waiting for one would occupy a thread as well.
        """
        if not _slots.acquire(blocking=False):
            log.warning("single sign-on: too many requests wait for %s", settings.OIDC_ISSUER)
            raise _away()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Release the slot, and replace the exception with a ``Problem``."""
        _slots.release()
        if isinstance(error, requests.ConnectionError | requests.Timeout):
            log.warning("single sign-on: %s does not answer: %s", settings.OIDC_ISSUER, kind.__name__)
            raise _away() from None
        known = (
            _Untrusted, OAuth2Error, requests.RequestException, jwt.PyJWTError, KeyError, TypeError, ValueError,
            AttributeError, ArithmeticError, NotImplementedError, RecursionError, UnsupportedAlgorithm,
        )  # fmt: skip
        if isinstance(error, known):
            # An OAuth2Error contains the whole response, which may contain a token.
            why = error if isinstance(error, _Untrusted | jwt.PyJWTError) else ""
            log.warning("single sign-on: %s is not trusted: %s %s", settings.OIDC_ISSUER, kind.__name__, why)
            raise Problem(_("%s sent an invalid response. Try again, or tell an administrator.") % _named())


def _away() -> Problem:
    return Problem(_("Can’t reach %s. Try again later.") % _named(), status=503)


def _named() -> str:
    return settings.OIDC_NAME[:1].upper() + settings.OIDC_NAME[1:]


def _identity(server: _Provider, tokens: dict[str, Any], asked: dict[str, Any]) -> Identity:
    claims = _claims(server, tokens["id_token"], asked["nonce"])
    if asked["process"] == "confirm":
        # An attacker who only found the provider's session open was not asked to sign in again.
        at = claims.get("auth_time")
        if type(at) is not int or at < asked["asked_at"] - _CLOCK_SECONDS:
            raise _Untrusted("it did not reauthenticate the user")
    wanted = {"name", "email"} | ({settings.OIDC_GROUPS_CLAIM} if groups.any_mapped() else set())
    if "userinfo_endpoint" in server.openid_config and not wanted <= claims.keys():
        more = server._fetch_user_info(tokens["access_token"])
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0, 5.3.2
            raise _Untrusted("the user info has another subject")
        claims = {**more, **claims}
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\x00" in subject:
        raise _Untrusted("the subject is missing or too long")
    email = claims.get("email")
    # A lone surrogate cannot be stored: ValueError.
    f"{subject}{email}".encode()
    # Used only if it is valid unchanged: a normalised one could be another address.
    verified = isinstance(email, str) and claims.get("email_verified") is True
    names = (claims.get(name) for name in ("name", "preferred_username", "email"))
    name = next((text for text in map(_text, names) if text), "")
    held = groups.read_claim(claims.get(settings.OIDC_GROUPS_CLAIM))
    return Identity(settings.OIDC_ISSUER, subject, name, email if verified else None, held)


def _text(value: Any) -> str:
    """A claim as text without control characters."""
    return "".join(char for char in value if char.isprintable()).strip()[:100] if isinstance(value, str) else ""


def _keys(server: _Provider, kid: str | None, *, refresh: bool = False) -> list[jwt.PyJWK]:
    """The provider's keys with that key ID, from the cache unless ``refresh``."""
    address = server.openid_config["jwks_uri"]
    remembered = f"signin.keys:{address}"
    shown: Any = None if refresh else cache.get(remembered)
    fetch = shown is None
    if fetch:
        with get_adapter().get_requests_session() as session:
            answer = session.get(address)
            answer.raise_for_status()
            shown = answer.json()
    keys = jwt.PyJWKSet.from_dict(shown).keys
    if fetch:
        cache.set(remembered, shown, _REMEMBERED_SECONDS)
    return [key for key in keys if kid is None or key.key_id == kid]


def _claims(server: _Provider, token: str, nonce: str) -> dict[str, Any]:
    """The verified claims of an ``id_token`` (OpenID Connect Core 1.0, 3.1.3.7)."""
    kid = jwt.get_unverified_header(token).get("kid")
    # A key that is not in the cache may be new.
    matching = _keys(server, kid) or _keys(server, kid, refresh=True)
    if len(matching) != 1:
        raise _Untrusted("it has signed with a key that it does not publish")
    claims: dict[str, Any] = jwt.decode(
        token,
        matching[0],
        algorithms=_ALGORITHMS,
        audience=settings.OIDC_CLIENT_ID,
        issuer=server.openid_config["issuer"],
        leeway=_CLOCK_SECONDS,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
    )
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise _Untrusted("its response belongs to another sign-in")
    if claims.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
        raise _Untrusted("its response was issued for another client")
    return claims


# --- accounts -------------------------------------------------------------------------------------------------------


def account_of(identity: Identity) -> Account | None:
    """The account that is connected to an identity."""
    found = SocialAccount.objects.filter(provider=identity.issuer, uid=identity.subject).select_related("user").first()
    return found.user if found else None


def account_for(identity: Identity) -> Account:
    """The account that is connected to an identity; created at the first sign-in.

    An existing account with the same e-mail address is not connected automatically (account takeover): its owner can do
    that when signed in. The new account then has no address.

    :raises Problem: when it cannot be created now.
    """
    found = account_of(identity)
    if found is not None and found.is_service:
        raise Problem(_("This is a service account: it cannot sign in."))
    if found is not None:
        return found
    email = identity.email
    try:
        Account._meta.get_field("email").clean(email, None)
        free = not Account.objects.filter(email__iexact=email).exists()
    except ValidationError:
        free = False
    email = email if free else None
    try:
        with transaction.atomic():
            account = create_account(identity.name or _("New user"), email, None, email_confirmed=True)
            _connect(account, identity)
    except (_Connected, ValidationError):
        # Race: probably the same person in another window.
        found = account_of(identity)
        if found is None:
            raise Problem(_("Could not create the account. Try again.")) from None
        return found
    return account


def connect(account: Account, identity: Identity) -> None:
    """Connect an identity to the account, as a sign-in method.

    :raises Problem: when it belongs to another account.
    """
    owner = account_of(identity)
    if owner is None:
        try:
            with transaction.atomic():
                _connect(account, identity)
            return
        except _Connected:
            owner = account_of(identity)
    if owner != account:
        raise Problem(_("This identity belongs to another account. Disconnect it there first, or use another one."))


class _Connected(Exception):
    """The identity was connected to an account meanwhile (race)."""


def _connect(account: Account, identity: Identity) -> None:
    shown = {"name": identity.name, "email": _text(identity.email)}
    if not insert(SocialAccount(user=account, provider=identity.issuer, uid=identity.subject, extra_data=shown)):
        raise _Connected
    record("identity.connect", account.account_id, actor=account.account_id, issuer=identity.issuer)


def sync_groups(account: Account, identity: Identity) -> None:
    """Update the teams that the account is in by the groups of the identity it has just signed in with."""
    groups.sync(account, identity.issuer, identity.subject, identity.groups)


def disconnect(identity: SocialAccount, **detail: Any) -> None:
    """Disconnect an identity from its account, which ends the memberships by its groups."""
    with transaction.atomic():
        # In a race only one request records the event.
        deleted, _rows = SocialAccount.objects.filter(pk=identity.pk).delete()
        if deleted:
            record("identity.disconnect", identity.user.account_id, issuer=identity.provider, **detail)
            groups.end(identity.user)
