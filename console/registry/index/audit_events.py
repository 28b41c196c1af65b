"""Audit events of tags, written in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from console.accounts.services import account_ids
from console.audit.origin import SYSTEM, origin
from console.audit.services import Event, record_all


class TagMove(NamedTuple):
    """A change of a tag's digest.

    ``old`` and ``new`` are digests; ``old`` is ``None`` for a new tag, ``new`` for a removed one. ``pushed`` says
    whether there was a push event; ``by`` is its user name at the registry.
    """

    repository: str
    tag: str
    old: str | None
    new: str | None
    pushed: bool = False
    by: str = ""


def record_moves(
    changes: Sequence[TagMove], kept: Sequence[TagMove] = (), accounts: Mapping[str, str] | None = None
) -> None:
    """Record audit events of changed tags in the caller's transaction, with two statements for all of them.

    :param kept: tags that are not deleted, because they were pushed after the request.
    :param accounts: the Account IDs of the user names; ``None`` if they have to be read.
    """
    if not changes and not kept:
        return
    if accounts is None:
        accounts = account_ids({change.by for change in (*changes, *kept)})
    address = origin().address
    events = [
        Event(
            "tag.kept",
            f"{change.repository}:{change.tag}",
            accounts.get(change.by, change.by) or SYSTEM,
            {"digest": change.new},
            address,
        )
        for change in kept
    ]
    events += [
        Event(
            "tag.push" if change.pushed else "tag.gone" if change.new is None else "tag.found",
            f"{change.repository}:{change.tag}",
            accounts.get(change.by, change.by) or SYSTEM,
            {"old": change.old, "new": change.new},
            address,
        )
        for change in changes
    ]
    record_all(events)
