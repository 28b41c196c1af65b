"""Audit events of the token endpoint: counted in memory, because a token writes no row."""

from __future__ import annotations

from collections.abc import Sequence

from console.access.grants import CATALOG_ACTIONS, OWNER_ACTIONS, Access
from console.audit import summaries
from console.audit.origin import ANONYMOUS
from console.token_server.lookup import Found
from console.token_server.token_request import TokenRequest

_KNOWN_ACTIONS = OWNER_ACTIONS | CATALOG_ACTIONS
# What nobody in particular may not have is not kept apart: names that strangers make up would fill the trail.
_SOMETHING = "-"


def count(found: Found, request: TokenRequest, granted: Sequence[Access]) -> None:
    """Count an answer of the token endpoint: ``token.grant`` for what was granted, ``token.refuse`` where nothing was.

    :param found: the caller, as it was read.
    """
    service, address = request.service, request.address
    caller = found.caller
    actor, shown = caller.account_id if caller else ANONYMOUS, _shown(found)
    if not request.asked:
        summaries.count("token.grant", service, actor=actor, address=address, shown=shown)
    given = {(one.type, one.name): one.actions for one in granted}
    for one in request.asked:
        actions = given.get((one.type, one.name), frozenset())
        target = one.name if one.type == "repository" else f"{one.type}:{one.name}"
        summaries.count(
            "token.grant" if actions else "token.refuse",
            target if actions or caller else _SOMETHING,
            actor=actor,
            address=address,
            shown=shown,
            service=service,
            granted=tuple(sorted(actions)),
            refused=tuple(sorted((one.actions - actions) & _KNOWN_ACTIONS)),
        )


def _shown(found: Found) -> str:
    """What was shown to prove who asks."""
    if found.caller is None:
        return "nothing"
    if found.caller.token is not None:
        return f"access token {found.use.shown}" if found.use else "access token"
    return "login" if found.use else "password"


def count_refusal(address: str | None) -> None:
    """Count somebody whom nothing was believed of what they showed."""
    summaries.count("token.refuse", _SOMETHING, actor=ANONYMOUS, address=address, shown="something wrong")
