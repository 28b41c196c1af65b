"""Model field for the summary of a description, and the migration helper that fills it."""

from __future__ import annotations

from typing import Any

from django.db import models

from console.web.excerpts import shorten
from console.web.markdown import first_line

LONGEST_SUMMARY = 200
_BATCH = 1000


class SummaryField(models.CharField):  # type: ignore[type-arg]
    """The first line of the row's ``description`` without its marks, computed whenever Django writes the row.

    Lists show it: they neither read nor parse descriptions. ``save(update_fields=…)`` must name it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the options that ``deconstruct`` gives, or none."""
        defaults = {"max_length": LONGEST_SUMMARY, "blank": True, "default": "", "db_default": "", "editable": False}
        super().__init__(*arguments, **{**defaults, **options})

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Compute the summary, and leave it on the instance too."""
        summary = summary_of(model_instance.description)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, summary)
        return summary


def summary_of(description: str) -> str:
    """The summary of a description in Markdown, at most ``LONGEST_SUMMARY`` characters."""
    return shorten(first_line(description), LONGEST_SUMMARY) if description else ""


def fill_summaries(_apps: Any, schema_editor: Any) -> None:
    """Compute the summaries of all images, a batch in each transaction; for a migration that is not atomic."""
    last = -(1 << 63)
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT id, description FROM images_image WHERE id > %s AND description <> '' ORDER BY id LIMIT %s",
                [last, _BATCH],
            )
            rows = cursor.fetchall()
            if not rows:
                return
            cursor.execute(
                "UPDATE images_image SET summary = new.summary "
                "FROM unnest(%s::bigint[], %s::text[]) AS new (id, summary) WHERE images_image.id = new.id",
                [[key for key, _text in rows], [summary_of(text) for _key, text in rows]],
            )
            last = rows[-1][0]
