"""Quotas: how much an account may have, and the sentence that says why it may not have more."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# Transfers of one account that are fetched at a time, so that those with slow sources leave others a place.
FETCHED_AT_ONCE = 2


def allowed(own: int | None, default: int) -> int:
    """The quota in force: the account's own, or the installation's default where it has none."""
    return default if own is None else own


def has_room(used: int, quota: int) -> bool:
    """Whether one more fits into a quota of which ``used`` are taken. Every quota is compared here."""
    return used < quota


def refuse_namespace(used: int, quota: int) -> str:
    """Why an account may not have one more namespace, as a sentence; empty when it may."""
    if has_room(used, quota):
        return ""
    return _(
        "This account has reached its namespace limit (%(allowed)d). Delete a namespace, or ask an administrator."
    ) % {"allowed": quota}


def refuse_image(used: int, quota: int) -> str:
    """Why an account may not have one more image, as a sentence; empty when it may."""
    if has_room(used, quota):
        return ""
    return _("This account has reached its image limit (%(allowed)d). Delete an image, or ask an administrator.") % {
        "allowed": quota
    }


def refuse_tag(used: int, quota: int) -> str:
    """Why an image may not have one more tag, as a sentence; empty when it may."""
    if has_room(used, quota):
        return ""
    return _("This image has reached its tag limit (%(allowed)d). Delete a tag, or ask an administrator.") % {
        "allowed": quota
    }


def refuse_transfer(under_way: int) -> str:
    """Why an account may not begin one more copy from another registry, as a sentence; empty when it may.

    :param under_way: how many of its own are not finished.
    """
    if has_room(under_way, settings.MOST_TRANSFERS):
        return ""
    return ngettext(
        "%(allowed)d copy is already running. Wait until it finishes, or cancel it.",
        "%(allowed)d copies are already running. Wait until one finishes, or cancel one.",
        settings.MOST_TRANSFERS,
    ) % {"allowed": settings.MOST_TRANSFERS}


def refuse_access_token(used: int) -> str:
    """Why an account may not have one more access token, as a sentence; empty when it may."""
    if has_room(used, settings.MOST_ACCESS_TOKENS):
        return ""
    return _("This account has reached its access token limit (%(allowed)d). Revoke a token first.") % {
        "allowed": settings.MOST_ACCESS_TOKENS
    }
