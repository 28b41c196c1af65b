"""Who an identity provider says somebody is (OpenID Connect Core 1.0, authorization code flow with PKCE).

The requests are django-allauth's (``allauth.socialaccount``). What comes back is checked here: signature, issuer,
audience, time and nonce of the ``id_token``, and that what else is read of the person is of the same one.
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

log = logging.getLogger(__name__)

# None that is made with a secret both sides have, or with none at all.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_CLOCK_SECONDS = 60
_LONGEST_SUBJECT = 191
# For how long what the provider says of itself, and its keys, are remembered in a process.
_REMEMBERED_SECONDS = 300
# Half of a process's threads may wait for the provider: one that does not answer leaves the others to everybody.
_places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Problem(Exception):
    """Single sign-on does not come to an end. The message is one sentence for whoever signs in, ``status`` HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Take what to tell."""
        super().__init__(message)
        self.status = status


class SignedOut(Problem):
    """The session of whoever began is another one, or has ended."""

    def __init__(self) -> None:
        """With what to tell."""
        super().__init__(_("You signed out in the meantime. Start again."))


class _Untrusted(Exception):
    """What the provider has answered is not as it has to be; the message is for the log."""


@dataclass(frozen=True)
class Identity:
    """Somebody as the provider names them; ``email`` only when the provider has verified it."""

    issuer: str
    subject: str
    name: str
    email: str | None


class _Provider(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The provider, its configuration checked (OpenID Connect Discovery 1.0, 4.3)."""

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        """Where the provider sends people back to: the console's own address, whatever address it was asked at."""
        return settings.CONSOLE_URL + reverse("sso-callback")

    @property
    def openid_config(self) -> dict[str, Any]:
        """What the provider says of itself."""
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
    """The provider's address to send a browser to; the session remembers what for.

    :param purpose: ``login``, ``connect`` or ``confirm``, the latter two for whoever is signed in.
    :raises SignedOut: when the session ends meanwhile.
    :raises Problem: when the provider does not answer.
    """
    nonce = secrets.token_urlsafe(24)
    account = request.user.pk if purpose != "login" else None
    # "prompt" asks for it; "max_age" has the answer say when it was (OpenID Connect Core 1.0, 3.1.2.1).
    again = {"prompt": "login", "max_age": "0"} if purpose == "confirm" else {}
    provider = _provider(request)
    with _Told():
        # Fetched before the session is locked, and remembered: nobody waits for the provider under a lock.
        provider.get_oauth2_adapter(request).openid_config  # noqa: B018
    # Two windows that begin at once: each keeps what the other has stored.
    with _Told(), _locked_session(request):
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
    """Who has come back from the provider, and what :func:`ask` was told.

    :raises Problem: when that cannot be known.
    """
    provider = _provider(request)
    try:
        # Of two requests with the same answer one finds it.
        with _locked_session(request):
            state = provider.unstash_redirect_state(request, request.GET.get("state", ""))
    except PermissionDenied:
        raise Problem(_("This sign-in was started in another browser or has expired. Start again.")) from None
    if request.GET.get("error") == "access_denied":
        raise Problem(_("Signing in was cancelled."))
    with _Told():
        # RFC 9207: an answer of another provider.
        if request.GET.get("iss", settings.OIDC_ISSUER).rstrip("/") != settings.OIDC_ISSUER:
            raise _Untrusted("the answer is another issuer's")
        if "error" in request.GET or not request.GET.get("code"):
            raise _Untrusted(f"it answered {request.GET.get('error', 'no code')[:100]!r}")
        server = provider.get_oauth2_adapter(request)
        client = server.get_client(request, provider.app)
        tokens = server.get_access_token_data(request, provider.app, client, state["pkce_code_verifier"])
        return _identity(server, tokens, state), state


@contextmanager
def _locked_session(request: HttpRequest) -> Iterator[None]:
    """Read the session anew under a lock, and store it before that ends.

    What was changed before and not stored is lost. At the end of the request it is stored again only if it is new, for
    its cookie, or changed again: others may have changed it by then.
    """
    before: Any = request.session
    key = before.session_key
    with transaction.atomic():
        request.session = before.lock()
        yield
        if request.session.modified:
            request.session.save()
            request.session.modified = request.session.session_key != key


class _Told:
    """A place to ask the provider in. Tells people of whatever goes wrong in one sentence, and the log why."""

    def __enter__(self) -> None:
        """Begin.

        :raises Problem: when all places are taken: waiting for one would take a thread as well.
        """
        if not _places.acquire(blocking=False):
            log.warning("single sign-on: too many wait for %s", settings.OIDC_ISSUER)
            raise _away()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Raise a ``Problem`` in the place of what was raised."""
        _places.release()
        if isinstance(error, requests.ConnectionError | requests.Timeout):
            log.warning("single sign-on: %s does not answer: %s", settings.OIDC_ISSUER, kind.__name__)
            raise _away() from None
        known = (
            _Untrusted, OAuth2Error, requests.RequestException, jwt.PyJWTError, KeyError, TypeError, ValueError,
            AttributeError, ArithmeticError, NotImplementedError, RecursionError, UnsupportedAlgorithm,
        )  # fmt: skip
        if isinstance(error, known):
            # An OAuth2Error holds the whole answer, which may hold a token.
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
        # Whoever has only found the provider's session open was not asked for anything.
        at = claims.get("auth_time")
        if type(at) is not int or at < asked["asked_at"] - _CLOCK_SECONDS:
            raise _Untrusted("it has not asked again who it is")
    if "userinfo_endpoint" in server.openid_config and not {"name", "email"} <= claims.keys():
        more = server._fetch_user_info(tokens["access_token"])
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0, 5.3.2
            raise _Untrusted("what it tells of the person is of somebody else")
        claims = {**more, **claims}
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\x00" in subject:
        raise _Untrusted("its name for the person is too long, or none")
    email = claims.get("email")
    # Half a character (a lone surrogate) is none that can be kept: a ValueError.
    f"{subject}{email}".encode()
    # As it is, or not at all: another spelling would be another address.
    verified = isinstance(email, str) and claims.get("email_verified") is True
    names = (claims.get(name) for name in ("name", "preferred_username", "email"))
    name = next((text for text in map(_text, names) if text), "")
    return Identity(settings.OIDC_ISSUER, subject, name, email if verified else None)


def _text(value: Any) -> str:
    """What can be shown of a claim."""
    return "".join(char for char in value if char.isprintable()).strip()[:100] if isinstance(value, str) else ""


def _keys(server: _Provider, kid: str | None, *, anew: bool = False) -> list[jwt.PyJWK]:
    """The provider's keys of that name."""
    address = server.openid_config["jwks_uri"]
    remembered = f"signin.keys:{address}"
    shown: Any = None if anew else cache.get(remembered)
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
    """What an ``id_token`` says, checked (OpenID Connect Core 1.0, 3.1.3.7)."""
    kid = jwt.get_unverified_header(token).get("kid")
    # A key that is not among those remembered may be new.
    fitting = _keys(server, kid) or _keys(server, kid, anew=True)
    if len(fitting) != 1:
        raise _Untrusted("it has signed with a key that it does not show")
    claims: dict[str, Any] = jwt.decode(
        token,
        fitting[0],
        algorithms=_ALGORITHMS,
        audience=settings.OIDC_CLIENT_ID,
        issuer=server.openid_config["issuer"],
        leeway=_CLOCK_SECONDS,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
    )
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise _Untrusted("its answer belongs to another sign-in")
    if claims.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
        raise _Untrusted("its answer was made for another program")
    return claims


# --- accounts -------------------------------------------------------------------------------------------------------


def account_of(identity: Identity) -> Account | None:
    """The account that an identity belongs to."""
    found = SocialAccount.objects.filter(provider=identity.issuer, uid=identity.subject).select_related("user").first()
    return found.user if found else None


def account_for(identity: Identity) -> Account:
    """The same; made now, when somebody comes for the first time.

    An account that has the same e-mail address stays its owner's, who may connect the identity when signed in: the
    new one is without that address.

    :raises Problem: when it cannot be made just now.
    """
    found = account_of(identity)
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
            account = create_account(identity.name or _("New user"), email, None)
            _connect(account, identity)
    except (_Connected, ValidationError):
        # Somebody was quicker: the same person in another window, most likely.
        found = account_of(identity)
        if found is None:
            raise Problem(_("Could not create the account. Try again.")) from None
        return found
    return account


def connect(account: Account, identity: Identity) -> None:
    """Let an identity sign in to the account.

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
        raise Problem(_("This identity belongs to another account."))


class _Connected(Exception):
    """The identity has been connected to an account meanwhile."""


def _connect(account: Account, identity: Identity) -> None:
    shown = {"name": identity.name, "email": _text(identity.email)}
    if not insert(SocialAccount(user=account, provider=identity.issuer, uid=identity.subject, extra_data=shown)):
        raise _Connected
    record("identity.connect", account.account_id, actor=account.account_id, issuer=identity.issuer)


def disconnect(identity: SocialAccount, **detail: Any) -> None:
    """Let an identity sign in to its account no more."""
    with transaction.atomic():
        # Of two who do so at once, one.
        deleted, _rows = SocialAccount.objects.filter(pk=identity.pk).delete()
        if deleted:
            record("identity.disconnect", identity.user.account_id, issuer=identity.provider, **detail)
