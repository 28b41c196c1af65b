"""Audit events of the token endpoint: counted in memory, because a token writes no row."""

from __future__ import annotations

from collections.abc import Sequence

from console.access.grants import CATALOG_ACTIONS, Access
from console.access.roles import ACTIONS, Role
from console.audit import summaries
from console.audit.origin import ANONYMOUS
from console.token_server.lookup import Found
from console.token_server.token_request import TokenRequest

_KNOWN_ACTIONS = ACTIONS[Role.OWNER] | CATALOG_ACTIONS
# One target for all refusals of anonymous callers: names that they make up would fill the audit log.
_ANY = "-"


def count(request: TokenRequest, found: Found, granted: Sequence[Access]) -> None:
    """Count the scopes of an answer: ``token.grant`` for what was granted, ``token.refuse`` where nothing was."""
    service, address, caller = request.service, request.address, found.caller
    actor, shown = caller.account_id if caller else ANONYMOUS, _credential(found)
    if not request.asked:
        summaries.count("token.grant", service, actor=actor, address=address, shown=shown)
    given = {(one.type, one.name): one.actions for one in granted}
    for one in request.asked:
        actions = given.get((one.type, one.name), frozenset())
        target = one.name if one.type == "repository" else f"{one.type}:{one.name}"
        summaries.count(
            "token.grant" if actions else "token.refuse",
            target if actions or caller else _ANY,
            actor=actor,
            address=address,
            shown=shown,
            service=service,
            granted=tuple(sorted(actions)),
            refused=tuple(sorted((one.actions - actions) & _KNOWN_ACTIONS)),
        )


def _credential(found: Found) -> str:
    """The kind of credential that the caller presented."""
    if found.caller is None:
        return "nothing"
    if found.caller.token is not None:
        return f"access token {found.use.presented}" if found.use else "access token"
    return "login" if found.use else "password"


def count_refusal(address: str | None) -> None:
    """Count a request whose credentials were wrong."""
    summaries.count("token.refuse", _ANY, actor=ANONYMOUS, address=address, shown="something wrong")
