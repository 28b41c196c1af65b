"""How an account signs in, and what it may do as it has signed in."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.utils.translation import gettext as _


def signs_in_with_password(has_password: bool) -> bool:
    """Whether an account signs in with a password.

    :param has_password: whether one is stored for it.
    """
    return settings.LOCAL_ACCOUNTS and has_password


def provider_may_confirm(*, enrolled: bool, with_password: bool) -> bool:
    """Whether an answer of the identity provider shows once more that it is the account's owner who sits here.

    Not where something else is asked for: somebody who finds a session open may find the provider's open as well.

    :param enrolled: whether the account has a second factor here.
    :param with_password: whether it signs in with a password.
    """
    return not enrolled and not with_password


def refuse_disconnect(*, with_password: bool) -> str:
    """Why an account's identity at the provider cannot be taken off it, as a sentence; empty when it can."""
    if with_password:
        return ""
    return _("This is your only way to sign in. Ask an administrator to set a password first.")


def refuse_administration(ways: Iterable[str]) -> str:
    """Why an administrator may not use the administration as signed in now, as a sentence; empty when they may.

    :param ways: how they have signed in, see ``console.login.sign_in``. What single sign-on asks for is the
        provider's to decide.
    """
    if not settings.REQUIRE_SECOND_FACTOR or set(ways) & {"code", "recovery code", "passkey", "single sign-on"}:
        return ""
    return _("The administration requires a second factor. Set one up, or sign in with it.")


def may_administer(superuser: bool, target_superuser: bool) -> bool:
    """Whether an administrator may change an account and what belongs to it: a superuser's only as a superuser.

    Who administers accounts must not be able to open a superuser's.

    :param superuser: whether the administrator is a superuser.
    :param target_superuser: whether the account is a superuser's.
    """
    return superuser or not target_superuser
