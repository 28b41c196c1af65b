"""Audit events of tags, written in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.accounts.services import account_ids
from console.audit.origin import SYSTEM, origin
from console.audit.services import Event, record, record_all


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


def record_moves(changes: Sequence[TagMove]) -> None:
    """Record audit events of changed tags in the caller's transaction, with two statements for all of them."""
    accounts = account_ids({change.by for change in changes})
    address = origin().address
    record_all(
        Event(
            "tag.push" if change.pushed else "tag.gone" if change.new is None else "tag.found",
            f"{change.repository}:{change.tag}",
            accounts.get(change.by, change.by) or SYSTEM,
            {"old": change.old, "new": change.new},
            address,
        )
        for change in changes
    )


def record_kept(repository: str, tag: str, digest: str, by: str) -> None:
    """Record, in the caller's transaction, that a tag is not deleted because it was pushed after the request.

    :param by: the user name that pushed it; empty if unknown.
    """
    record("tag.kept", f"{repository}:{tag}", actor=account_ids({by}).get(by, by) or SYSTEM, digest=digest)
