"""Sign-in steps: from a right password, passkey, link or identity to a session.

Every way in ends in :func:`begin`. It goes on to the second factor where the account has one, and only :func:`finish`
signs anybody in.
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
    """``address`` when it is one of this site, whole or from its root on, else nothing.

    Nor is it one when it leads to where it was asked for, again and again, or is longer than Django redirects to.
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
    """Let a stranger's session, which holds nothing but what was asked for at sign-in, end soon."""
    if not request.user.is_authenticated:
        request.session.set_expiry(settings.STRANGERS_SESSION_SECONDS)


def begin(request: HttpRequest, account: Account, way: str, place: str = "") -> HttpResponse:
    """Go on with somebody who has shown who they are in one way.

    :param way: one of the constants above.
    :param place: where to in the end; an address that is not one of this site is left out.
    """
    place = inside(request, place)
    if way == PASSKEY or not factors.is_enrolled(account):
        return finish(request, account, [way], place)
    # Nobody who knew this session's key before knows it now.
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
    """Who has shown one factor in this session and not yet the second, how, and where they go in the end."""
    kept = request.session.get(_PENDING)
    if not kept or time.time() - kept["at"] > settings.SECOND_FACTOR_SECONDS:
        request.session.pop(_PENDING, None)
        return None
    account = auth.load_backend(_backend([kept["way"]])).get_user(kept["account"])
    # A new password, a deactivation or the end of all sessions ends this, too.
    if account is None or account.get_session_auth_hash() != kept["known"]:
        del request.session[_PENDING]
        return None
    return account, kept["way"], kept["place"]


def finish(request: HttpRequest, account: Account, used: list[str], place: str = "") -> HttpResponse:
    """Sign somebody in who has shown all that is asked for; the session gets a new key.

    :raises PermissionDenied: when the account is deactivated.
    """
    if not account.is_active:
        raise PermissionDenied
    request.session.pop(_PENDING, None)
    if auth.SESSION_KEY in request.session and not request.user.is_authenticated:
        # One that is over: it does not begin again, for whoever else has its key.
        request.session.flush()
    record("account.sign_in", account.account_id, actor=account.account_id, by=used)
    auth.login(request, account, backend=_backend(used))
    request.session.set_expiry(None)
    request.session[_WAYS] = used
    confirm(request)
    return HttpResponseRedirect(inside(request, place) or resolve_url(settings.LOGIN_REDIRECT_URL))


def _backend(used: list[str]) -> str:
    """Which backend keeps the session of somebody who came in so."""
    return _VOUCHED if used[0] in {LINK, SINGLE_SIGN_ON} else _BACKEND


def ways(request: HttpRequest) -> list[str]:
    """How somebody has signed in in this session."""
    return list(request.session.get(_WAYS, []))


def add_ways(request: HttpRequest, used: Iterable[str]) -> None:
    """Write down that somebody has shown more in this session."""
    request.session[_WAYS] = list(dict.fromkeys([*ways(request), *used]))


def confirm(request: HttpRequest) -> None:
    """Write down that it is the account's owner who sits here, just now."""
    request.session[_CONFIRMED] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether that was shown within the last minutes."""
    confirmed_at: float = request.session.get(_CONFIRMED, 0.0)
    return time.time() - confirmed_at < settings.CONFIRMED_SECONDS
