"""Sync a tag immediately, without a notification and a job."""

from __future__ import annotations

import datetime

from console.registry.index.sync import Outcome, TagSync


def reread_tag(
    repository: str, tag: str, *, pushed_at: datetime.datetime | None = None, pushed_by: str = ""
) -> Outcome:
    """Sync one tag's row, and its image's totals, with the registry."""
    tag_sync = TagSync(repository)
    outcome = tag_sync.sync_tag(tag, pushed_at=pushed_at, pushed_by=pushed_by)
    tag_sync.refresh_totals()
    return outcome
