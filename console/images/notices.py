"""Notices above an image's tags: work on it that failed, or is under way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from console.registry import retry
from console.repositories.models import Copy, Image, WorkFailure

# Notices shown at first; the others are collapsed.
SHOWN = 2


class Notice(NamedTuple):
    """A notice about work in the background.

    :ivar kind: ``failure``, ``copy`` or ``transfer``: which template shows it.
    :ivar is_problem: whether it failed or cannot go on.
    """

    kind: str
    work: Any
    is_problem: bool


def notices_of(image: Image) -> list[Notice]:
    """The notices of an image that was read with ``under_way`` (``console.images.views.own_image``).

    Most images have no such work, and cost no query.
    """
    work: Any = image
    return notices(
        retry.failures_of(image) if work.has_failures else [],
        work.transfers.select_related("image__namespace").order_by("pk") if work.has_transfers else [],
        work.copies.order_by("pk") if work.has_copies else [],
    )


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
