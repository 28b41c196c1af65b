"""Audit events of tags, written in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.accounts.services import account_ids
from console.audit.origin import SYSTEM
from console.audit.services import Event, record, record_all


class TagMove(NamedTuple):
    """That a tag points elsewhere now.

    ``old`` and ``new`` are digests, ``old`` is ``None`` for a tag that was not there, ``new`` for one that is gone.
    ``pushed`` says whether somebody is known to have pushed it; ``by`` is their user name at the registry.
    """

    repository: str
    tag: str
    old: str | None
    new: str | None
    pushed: bool = False
    by: str = ""


def record_moves(changes: Sequence[TagMove]) -> None:
    """Write down what tags point at now, in the caller's transaction: two statements for all of them."""
    accounts = account_ids({change.by for change in changes})
    record_all(
        Event(
            "tag.push" if change.pushed else "tag.gone" if change.new is None else "tag.found",
            f"{change.repository}:{change.tag}",
            accounts.get(change.by, change.by) or SYSTEM,
            {"old": change.old, "new": change.new},
        )
        for change in changes
    )


def record_kept(repository: str, tag: str, digest: str, by: str) -> None:
    """Write down, in the caller's transaction, that a tag stays which was to be deleted: it was pushed after that.

    :param by: the user name at the registry of whoever pushed it; empty when nobody is known.
    """
    record("tag.kept", f"{repository}:{tag}", actor=account_ids({by}).get(by, by) or SYSTEM, digest=digest)
