"""Bar charts of numbers a day."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html_join

from console.web.templatetags.console import number

_BAR = '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>'
_ROW = '<tr><th scope="row">{}</th><td>{}</td></tr>'

register = template.Library()


@register.inclusion_tag("components/_bars.html")
def daily_bars(days: list[Any], field: str, title: str) -> dict[str, Any]:
    """A bar chart of one number a day, with axes, total and maximum, and the same as a table for screen readers.

    :param days: at least one, each with ``date`` and the number under the name ``field``.
    """
    counts = [getattr(day, field) for day in days]
    top = max(counts)
    scale = _scale(top)
    step = 100 / len(counts)
    # Two lists of thirty: joined here, because a template takes five times as long.
    bars, rows = [], []
    for at, (day, count) in enumerate(zip(days, counts, strict=True)):
        # Whatever happened at all is seen.
        height = max(count * 100 / scale, 2.5) if count else 0
        date, shown = day.date.isoformat(), number(count)
        rows.append((date, shown))
        sizes = (step * (at + 0.15), 100 - height, step * 0.7, height)
        bars.append((field, *(f"{one:.2f}" for one in sizes), date, shown))
    halved = scale % 2 == 0
    return {
        "title": title,
        "field": field,
        "bars": format_html_join("", _BAR, bars),
        "rows": format_html_join("", _ROW, rows),
        "total": sum(counts),
        "top": top,
        "top_date": days[counts.index(top)].date,
        "ticks": [scale, scale // 2, 0] if halved else [scale, 0],
        "lines": [0, 50] if halved else [0],
        "dates": [days[0].date, days[len(days) // 2].date],
    }


def _scale(top: int) -> int:
    """The upper end of a chart's axis: 1, or the next of 2, 4, 6, 8 and 10 with zeros, whose half is a whole number."""
    if top <= 1:
        return 1
    unit = int(10 ** (len(str(top - 1)) - 1))
    return next(one * unit for one in (1, 2, 4, 6, 8, 10) if one * unit >= top and one * unit > 1)
