"""Comparison of two manifests of an image: configuration, lists such as environment names and labels, layers.

Everything comes from the index. How much there is, the client that pushes decides: a page shows the beginning of each
list, and what somebody wrote takes a page of 1 MB at most (see ``console.images.config_details``).
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.images.config_details import Details, Line, Step
from console.repositories.models import Manifest
from console.web.excerpts import Excerpt, excerpt, shorten

# Of each list so many entries, with so many characters; of layers, which have their commands, more.
_MOST_LINES, _LINE_CHARACTERS = 100, 4000
_MOST_LAYERS, _LAYER_CHARACTERS = 100, 16_000
# Characters of one text.
_LONGEST_TEXT = 500
# Arguments of an entrypoint or a command that are shown.
_MOST_ARGUMENTS = 50


class Mark(enum.StrEnum):
    """What became of an entry between the first and the second."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Change:
    """An entry of a list, or a single fact, with what it was and what it is."""

    mark: Mark
    text: str | Promise
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Counts:
    """How many entries of a list have which mark."""

    same: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0


@dataclass(frozen=True)
class ListComparison:
    """One list, such as the labels: what changed first, then what is the same."""

    title: str | Promise
    rows: Excerpt[Change]
    counts: Counts


@dataclass(frozen=True)
class LayerChange:
    """A layer of either."""

    mark: Mark
    step: Step


@dataclass(frozen=True)
class LayerComparison:
    """The layers of both, in order: what is removed stands where the two begin to differ. Sizes in bytes."""

    rows: Excerpt[LayerChange] = field(default_factory=Excerpt)
    counts: Counts = field(default_factory=Counts)
    same_size: int = 0
    added_size: int = 0
    removed_size: int = 0


@dataclass(frozen=True)
class Comparison:
    """What differs between two manifests."""

    facts: list[Change]
    lists: list[ListComparison]
    layers: LayerComparison


_FACTS = (
    ("author", _("Author")),
    ("entrypoint", _("Entrypoint")),
    ("command", _("Command")),
    ("user", _("User")),
    ("working_dir", _("Working directory")),
    ("stop_signal", _("Stop signal")),
)
_CHART_FACTS = (("name", _("Chart")), ("version", _("Chart version")), ("app_version", _("App version")))
_LISTS = (
    ("environment", _("Environment names")),
    ("ports", _("Ports")),
    ("volumes", _("Volumes")),
    ("labels", _("Labels")),
    ("annotations", _("Annotations")),
    ("dependencies", _("Dependencies")),
)


def compare(before: Details, after: Details) -> Comparison:
    """Compare what two manifests say."""
    facts = [_fact(title, _text(before, name), _text(after, name)) for name, title in _FACTS]
    charts = [details.config.get("chart") or {} for details in (before, after)]
    facts += [_fact(title, *(str(chart.get(name, "")) for chart in charts)) for name, title in _CHART_FACTS]
    lists = [_compare_lists(title, before.lists.get(name, []), after.lists.get(name, [])) for name, title in _LISTS]
    return Comparison(
        [fact for fact in facts if fact.before or fact.after],
        [one for one in lists if one.rows.rows],
        _compare_layers(_layers(before), _layers(after)),
    )


def _text(details: Details, name: str) -> str:
    """A single value, or a list of arguments as it would be typed."""
    value = details.config.get(name)
    if isinstance(value, list):
        more = ["…"] if len(value) > _MOST_ARGUMENTS else []
        return " ".join([*value[:_MOST_ARGUMENTS], *more])
    return value if isinstance(value, str) else ""


def _fact(title: str | Promise, before: str, after: str) -> Change:
    mark = Mark.SAME if before == after else Mark.CHANGED if before and after else Mark.ADDED if after else Mark.REMOVED
    return Change(mark, title, shorten(before, _LONGEST_TEXT), shorten(after, _LONGEST_TEXT))


def _compare_lists(title: str | Promise, before: Sequence[Line], after: Sequence[Line]) -> ListComparison:
    old, new = ({line.text: line.value for line in lines} for lines in (before, after))
    changed, same = [], []
    for text in dict.fromkeys([*old, *new]):
        if text not in new:
            changed.append(Change(Mark.REMOVED, text, before=old[text]))
        elif text not in old:
            changed.append(Change(Mark.ADDED, text, after=new[text]))
        elif old[text] != new[text]:
            changed.append(Change(Mark.CHANGED, text, old[text], new[text]))
        else:
            same.append(Change(Mark.SAME, text, after=new[text]))
    rows = changed + same
    shown = excerpt(rows, _MOST_LINES, _LINE_CHARACTERS, _short, _length)
    return ListComparison(title, shown, _counts(row.mark for row in rows))


def _short(change: Change) -> Change:
    texts = (shorten(str(text), _LONGEST_TEXT) for text in (change.text, change.before, change.after))
    return Change(change.mark, *texts)


def _length(change: Change) -> int:
    return len(f"{change.text}{change.before}{change.after}")


def _counts(marks: Iterable[Mark]) -> Counts:
    return Counts(**{str(mark): number for mark, number in Counter(marks).items()})


def _layers(details: Details) -> list[Step]:
    return [step for step in details.steps if step.digest]


def _compare_layers(before: Sequence[Step], after: Sequence[Step]) -> LayerComparison:
    """Compare by digest, in time linear in their number: two tall images have ten thousand each."""
    first = next(
        (at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old.digest != new.digest),
        min(len(before), len(after)),
    )
    old, new = ({step.digest for step in steps} for steps in (before, after))
    removed = [LayerChange(Mark.REMOVED, step) for step in before[first:] if step.digest not in new]
    marked = [LayerChange(Mark.SAME if step.digest in old else Mark.ADDED, step) for step in after]
    rows = [*marked[:first], *removed, *marked[first:]]
    sizes = {mark: sum(row.step.size or 0 for row in rows if row.mark is mark) for mark in Mark}
    return LayerComparison(
        excerpt(rows, _MOST_LAYERS, _LAYER_CHARACTERS, _short_layer, lambda row: len(row.step.command)),
        _counts(row.mark for row in rows),
        sizes[Mark.SAME],
        sizes[Mark.ADDED],
        sizes[Mark.REMOVED],
    )


def _short_layer(row: LayerChange) -> LayerChange:
    step = Step(shorten(row.step.command, _LONGEST_TEXT), row.step.digest, row.step.size)
    return LayerChange(row.mark, step)


def platforms(manifest: Manifest) -> dict[str, str]:
    """The digests of the first manifests that an index names, by platform; of any other manifest its own.

    An image that is no index is there under its platform, if that is known.
    """
    if manifest.kind != Manifest.Kind.INDEX:
        return {manifest.platforms[0] if manifest.platforms else "": manifest.digest}
    found: dict[str, str] = {}
    for child in manifest.first_children:
        found.setdefault(child["platform"] or "", child["digest"])
    return found
