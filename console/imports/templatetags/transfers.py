"""Template tags for imports."""

from __future__ import annotations

from collections.abc import Iterable

from django import template

from console.imports import jobs
from console.imports.models import Transfer

register = template.Library()


@register.simple_tag
def with_next_tries(transfers: Iterable[Transfer]) -> list[Transfer]:
    """The imports, each with ``next_try``: the seconds until its retry, ``None`` if not known."""
    shown = list(transfers)
    known = jobs.seconds_until_next_try(one for one in shown if one.progress == "blocked")
    for one in shown:
        one.next_try = known.get(one.pk)  # type: ignore[attr-defined]
    return shown
