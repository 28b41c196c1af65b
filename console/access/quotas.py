"""Quotas: how much an account may have, and the error message when a quota is exceeded."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# Imports of one account that run at the same time, so that those from slow sources do not block other accounts.
FETCHED_AT_ONCE = 2


def allowed(own: int | None, default: int) -> int:
    """The effective quota: the account's own, or the installation's default."""
    return default if own is None else own


def has_room(used: int, quota: int) -> bool:
    """Whether one more fits into a quota of which ``used`` are taken. All quotas are compared here."""
    return used < quota


def refuse_namespace(used: int, quota: int) -> str:
    """Error message if an account may not have one more namespace; empty if it may."""
    if has_room(used, quota):
        return ""
    return _(
        "This account has reached its namespace limit (%(allowed)d). Delete a namespace, or ask an administrator."
    ) % {"allowed": quota}


def refuse_image(used: int, quota: int, *, own: bool = True) -> str:
    """Error message if an account may not have one more image; empty if it may.

    :param own: whether the account that acts is this one, and not a member of its namespace.
    """
    if has_room(used, quota):
        return ""
    if not own:
        return _(
            "The owner’s account has reached its image limit (%(allowed)d). "
            "Ask the owner to delete an image, or ask an administrator."
        ) % {"allowed": quota}
    return _("This account has reached its image limit (%(allowed)d). Delete an image, or ask an administrator.") % {
        "allowed": quota
    }


def refuse_tag(used: int, quota: int) -> str:
    """Error message if an image may not have one more tag; empty if it may."""
    if has_room(used, quota):
        return ""
    return _("This image has reached its tag limit (%(allowed)d). Delete a tag, or ask an administrator.") % {
        "allowed": quota
    }


def refuse_transfer(under_way: int) -> str:
    """Error message if an account may not start one more import; empty if it may.

    :param under_way: how many of its imports are not finished.
    """
    if has_room(under_way, settings.MOST_TRANSFERS):
        return ""
    return ngettext(
        "%(allowed)d import is already running. Wait until it finishes, or cancel it.",
        "%(allowed)d imports are already running. Wait until one finishes, or cancel one.",
        settings.MOST_TRANSFERS,
    ) % {"allowed": settings.MOST_TRANSFERS}


def refuse_service_account(used: int) -> str:
    """Error message if a namespace may not have one more service account; empty if it may."""
    if has_room(used, settings.MOST_SERVICE_ACCOUNTS):
        return ""
    return _("This namespace has reached its service account limit (%(allowed)d). Delete a service account first.") % {
        "allowed": settings.MOST_SERVICE_ACCOUNTS
    }


def refuse_access_token(used: int) -> str:
    """Error message if an account may not have one more access token; empty if it may."""
    if has_room(used, settings.MOST_ACCESS_TOKENS):
        return ""
    return _("This account has reached its access token limit (%(allowed)d). Revoke a token first.") % {
        "allowed": settings.MOST_ACCESS_TOKENS
    }


def refuse_team(used: int) -> str:
    """Error message if an account may not create one more team; empty if it may.

    :param used: how many teams it manages as their longest-serving manager.
    """
    if has_room(used, settings.MOST_TEAMS):
        return ""
    return _("This account has reached its team limit (%(allowed)d). Delete a team first.") % {
        "allowed": settings.MOST_TEAMS
    }
