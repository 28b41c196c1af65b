"""Links that continue a sign-up: signed, so that nothing is stored before the address is confirmed."""

from __future__ import annotations

from django.conf import settings
from django.core import signing

_SALT = "console.invitations.sign_up_links"


def hours() -> int:
    """Lifetime of a link in hours."""
    return settings.EMAIL_LINK_SECONDS // 3600


def make_token(email: str, invitation: int | None) -> str:
    """The signed token in the link.

    :param invitation: primary key of the invitation whose link was opened, if any.
    """
    return signing.dumps([email, invitation], salt=_SALT)


def read_token(token: str) -> tuple[str, int | None] | None:
    """The address and the invitation of a link; ``None`` if it is invalid or has expired."""
    try:
        email, invitation = signing.loads(token, salt=_SALT, max_age=settings.EMAIL_LINK_SECONDS)
    except signing.BadSignature:
        return None
    return email, invitation
