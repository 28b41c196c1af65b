"""What a notification leads to, done at once: the index brought in line with the registry."""

from __future__ import annotations

import datetime

from console.registry.index.sync import Outcome, TagSync


def reread_tag(
    repository: str, tag: str, *, pushed_at: datetime.datetime | None = None, pushed_by: str = ""
) -> Outcome:
    """Bring one tag's row, and its image's totals, in line with the registry."""
    reader = TagSync(repository)
    outcome = reader.sync_tag(tag, pushed_at=pushed_at, pushed_by=pushed_by)
    reader.refresh_totals()
    return outcome
