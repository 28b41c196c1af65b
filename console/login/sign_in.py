"""Sign-in steps: from a verified password, passkey, link or identity to a session.

Every sign-in method calls :func:`begin`, which redirects to the second factor if the account has one. Only
:func:`finish` starts a session of the account.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme

from console.accounts.models import Account
from console.audit.services import record
from console.login import factors

PASSWORD, LINK, SINGLE_SIGN_ON = "password", "link", "single sign-on"
CODE, RECOVERY_CODE, PASSKEY = "code", "recovery code", "passkey"
_BACKEND = "console.accounts.backends.AccountBackend"
_VOUCHED = "console.accounts.backends.VouchedBackend"
_PENDING, _WAYS, _CONFIRMED = "signin.pending", "signin.ways", "signin.confirmed"
_LONGEST_ADDRESS = 2048


def inside(request: HttpRequest, address: Any) -> str:
    """``address`` if it is a URL of this site, absolute or beginning with ``/``; otherwise empty (open redirect).

    Also empty for the URL of the request itself (redirect loop), and if it is too long for Django's redirects.
    """
    address = address.strip() if isinstance(address, str) else ""
    good = len(iri_to_uri(address)) <= _LONGEST_ADDRESS and url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    if not good:
        return ""
    parts = urlsplit(address)
    return address if (parts.netloc or address.startswith("/")) and parts.path != request.path else ""


def for_a_while(request: HttpRequest) -> None:
    """Set a short lifetime for an anonymous session, which contains only the state of the sign-in."""
    if not request.user.is_authenticated:
        request.session.set_expiry(settings.STRANGERS_SESSION_SECONDS)


def begin(request: HttpRequest, account: Account, way: str, place: str = "") -> HttpResponse:
    """Continue after the first factor was verified: to the second factor, or to a session.

    :param way: the sign-in method, one of the constants above.
    :param place: the URL to redirect to in the end; ignored if it is not on this site.
    """
    place = inside(request, place)
    if way == PASSKEY or not factors.is_enrolled(account):
        return finish(request, account, [way], place)
    # Against session fixation.
    request.session.cycle_key()
    for_a_while(request)
    request.session[_PENDING] = {
        "account": account.pk,
        "known": account.get_session_auth_hash(),
        "way": way,
        "place": place,
        "at": time.time(),
    }
    return HttpResponseRedirect(resolve_url("second-factor"))


def pending(request: HttpRequest) -> tuple[Account, str, str] | None:
    """The sign-in in progress after the first factor: account, sign-in method, and final URL; or ``None``."""
    stored = request.session.get(_PENDING)
    if not stored or time.time() - stored["at"] > settings.SECOND_FACTOR_SECONDS:
        request.session.pop(_PENDING, None)
        return None
    account = auth.load_backend(_backend([stored["way"]])).get_user(stored["account"])
    # A new password, a deactivation or ending all sessions cancels it, too.
    if account is None or account.get_session_auth_hash() != stored["known"]:
        del request.session[_PENDING]
        return None
    return account, stored["way"], stored["place"]


def finish(request: HttpRequest, account: Account, used: list[str], place: str = "") -> HttpResponse:
    """Start the account's session after all factors were verified; the session gets a new key.

    :raises PermissionDenied: when the account is deactivated, or a service account.
    """
    if not account.is_active or account.is_service:
        raise PermissionDenied
    request.session.pop(_PENDING, None)
    if auth.SESSION_KEY in request.session and not request.user.is_authenticated:
        # An expired session: it must not be revived for others who know its key.
        request.session.flush()
    record("account.sign_in", account.account_id, actor=account.account_id, by=used)
    auth.login(request, account, backend=_backend(used))
    request.session.set_expiry(None)
    request.session[_WAYS] = used
    confirm(request)
    return HttpResponseRedirect(inside(request, place) or resolve_url(settings.LOGIN_REDIRECT_URL))


def _backend(used: list[str]) -> str:
    """The authentication backend for these sign-in methods."""
    return _VOUCHED if used[0] in {LINK, SINGLE_SIGN_ON} else _BACKEND


def ways(request: HttpRequest) -> list[str]:
    """The sign-in methods that were used in this session."""
    return list(request.session.get(_WAYS, []))


def add_ways(request: HttpRequest, used: Iterable[str]) -> None:
    """Add sign-in methods to the session."""
    request.session[_WAYS] = list(dict.fromkeys([*ways(request), *used]))


def confirm(request: HttpRequest) -> None:
    """Store in the session that the user has just reauthenticated."""
    request.session[_CONFIRMED] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the user has reauthenticated within the last minutes."""
    confirmed_at: float = request.session.get(_CONFIRMED, 0.0)
    return time.time() - confirmed_at < settings.CONFIRMED_SECONDS
