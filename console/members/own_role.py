"""The reader's own role on a namespace, and why they have it."""

from __future__ import annotations

from dataclasses import dataclass

from console.access.roles import Role
from console.access.rules import NamespaceFacts, verbs_on
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.sharing.reasons import Reason, Source, reasons_of
from console.sharing.words import role_in_words


@dataclass(frozen=True)
class OwnRole:
    """An account's role on a whole namespace.

    :ivar role: ``None`` for an account with roles on single images only.
    :ivar words: the role and where it comes from, as a sentence.
    :ivar verbs: what the account may do with the namespace.
    """

    role: Role | None
    words: str
    verbs: frozenset[str]
    reasons: list[Reason]


def own_role(account: Account, namespace: Namespace) -> OwnRole:
    """The role of an account on a namespace; one query, none for the namespace's own account."""
    if namespace.owner_id == account.pk:
        reasons = [Reason(account, Role.OWNER, Source.OWNER, namespace.name)]
    else:
        reasons = reasons_of(account, namespace)
    role = reasons[0].role if reasons else None
    verbs = verbs_on(account.actor, NamespaceFacts(role, namespace.in_transfer))
    return OwnRole(role, role_in_words(reasons), verbs, reasons)
