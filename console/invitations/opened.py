"""Invitations whose links were opened in a session: the session keeps the hashes, never the secrets.

So a link's secret is in one request alone, and its page, which people stay on and send ``Referer`` from, has none.
"""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from console.access.token_secrets import hash_secret
from console.login.sign_in import for_a_while
from console.membership.models import Invitation

_KEY = "invitations.opened"
_MOST = 10


def find(secret: str) -> Invitation | None:
    """The invitation whose link has this secret, in any state."""
    return _rows().filter(secret_hash=hash_secret(secret)).first()


def remember(request: HttpRequest, invitation: Invitation) -> None:
    """Keep in the session that the link of an invitation was opened; the oldest are forgotten."""
    for_a_while(request)
    opened = {**request.session.get(_KEY, {}), str(invitation.pk): invitation.secret_hash}
    request.session[_KEY] = dict(list(opened.items())[-_MOST:])


def readable(request: HttpRequest, pk: int) -> Invitation | None:
    """The invitation with this primary key if it is for the account, or its link was opened in this session."""
    account = request.user.pk
    opened = request.session.get(_KEY, {}).get(str(pk))
    mine = Q(account=account) if account else Q(pk=None)
    invitation = _rows().filter(mine | Q(secret_hash__isnull=False), pk=pk).first()
    if invitation is None or invitation.secret_hash is None:
        return invitation
    return invitation if opened and constant_time_compare(opened, invitation.secret_hash) else None


def _rows() -> QuerySet[Invitation]:
    return Invitation.objects.select_related("namespace", "image__namespace", "invited_by", "account")
