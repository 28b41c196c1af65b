"""Notices above an image's tags: work on it that failed, or is under way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from console.repositories.models import Copy, WorkFailure

# So many are shown, and the others are folded.
SHOWN = 2


class Notice(NamedTuple):
    """Work that the page tells about.

    :ivar kind: ``failure``, ``copy`` or ``transfer``: which template shows it.
    :ivar is_problem: whether it failed or cannot go on.
    """

    kind: str
    work: Any
    is_problem: bool


def notices(failures: Iterable[WorkFailure], transfers: Iterable[Any], copies: Iterable[Copy]) -> list[Notice]:
    """The notices of an image, problems first.

    :param transfers: imports (``console.imports.models.Transfer``).
    """
    found = [
        *(Notice("failure", one, True) for one in failures),
        *(Notice("transfer", one, one.progress in {"failed", "blocked"}) for one in transfers),
        *(Notice("copy", one, bool(one.problem) or one.state == Copy.State.FAILED) for one in copies),
    ]
    return sorted(found, key=lambda notice: not notice.is_problem)
