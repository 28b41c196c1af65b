"""Rules for sign-in methods, and what they permit."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.utils.translation import gettext as _


def signs_in_with_password(has_password: bool) -> bool:
    """Whether an account can sign in with a password.

    :param has_password: whether the account has one.
    """
    return settings.LOCAL_ACCOUNTS and has_password


def provider_may_confirm(*, enrolled: bool, with_password: bool) -> bool:
    """Whether single sign-on may be used for reauthentication.

    Not if the account has a password or second factor: an attacker at an open session may also find the provider's
    session open.

    :param enrolled: whether the account has a second factor here.
    :param with_password: whether it signs in with a password.
    """
    return not enrolled and not with_password


def refuse_disconnect(*, with_password: bool) -> str:
    """Error message if an account's identity at the provider cannot be disconnected; empty if it can."""
    if with_password:
        return ""
    return _("This is your only way to sign in. Ask an administrator to set a password first.")


def refuse_administration(ways: Iterable[str]) -> str:
    """Error message if the sign-in method is not sufficient for the administration; empty if it is.

    :param ways: the methods of the current session, see ``console.login.sign_in``. For single sign-on the identity
        provider decides which factors it asks for.
    """
    if not settings.REQUIRE_SECOND_FACTOR or set(ways) & {"code", "recovery code", "passkey", "single sign-on"}:
        return ""
    return _("The administration requires a second factor. Set one up, or sign in with it.")


def may_administer(superuser: bool, target_superuser: bool) -> bool:
    """Whether an administrator may change an account and its data: a superuser's only as a superuser.

    Otherwise an administrator of accounts could take over a superuser's account (privilege escalation).

    :param superuser: whether the administrator is a superuser.
    :param target_superuser: whether the account is a superuser's.
    """
    return superuser or not target_superuser
