"""Details of a manifest for its page: configuration, layers with their history, raw JSON.

The content is user input of any size. A page shows the beginning of each list; further pages have the rest
(``console.images.parts``). User input is limited so that a page has at most 1 MB, escaped as HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import QuerySet

from console.database.compiled import Compiled
from console.registry import foreign_layers
from console.registry.large_content import SMALL_BYTES, one_at_a_time
from console.repositories.models import Document, Manifest
from console.web.excerpts import Excerpt, excerpt, shorten
from registry_client import Descriptor, MalformedManifest
from registry_client import Manifest as RegistryManifest
from registry_client.json_documents import parse

# Limits of entries and characters of each list; more for history steps, which every image has.
_MOST_LINES, _LINE_CHARACTERS = 100, 6000
_MOST_STEPS, _STEP_CHARACTERS = 100, 24_000
# Characters of one text.
LONGEST_TEXT = 2000
# Longer manifests are cut, with a link to the whole. Very long ones are not indented.
_RAW_CHARACTERS, _MOST_INDENTED = 24 << 10, 256 << 10


@dataclass
class Step:
    """A step of an image's history, with the layer that it created, if any."""

    command: str
    digest: str = ""
    size: int | None = None
    media_type: str = ""
    created: str = ""
    # URL of a foreign layer.
    elsewhere: str = ""


@dataclass(frozen=True)
class Line:
    """An entry of one of a configuration's lists; ``value`` is the value of a label and the like."""

    text: str
    value: str = ""


@dataclass
class Details:
    """All details of a manifest and its configuration; ``lists`` has the same names as in ``Content``."""

    config: dict[str, Any]
    whole: bytes
    steps: list[Step] = field(default_factory=list)
    lists: dict[str, list[Line]] = field(default_factory=dict)
    problem: str = ""


@dataclass
class Content:
    """The details on a manifest's page.

    ``config`` and ``chart`` have single texts by name, ``lists`` the beginnings of lists: ``entrypoint``, ``command``,
    ``ports``, ``volumes``, ``environment``, ``labels``, ``annotations``; for a Helm chart ``keywords``, ``sources``,
    ``maintainers`` and ``dependencies``.
    """

    config: dict[str, Any]
    chart: dict[str, Any]
    steps: Excerpt[Step]
    lists: dict[str, Excerpt[Line]]
    raw: str
    raw_size: int
    problem: str = ""

    @property
    def is_configured(self) -> bool:
        """Whether there is an image configuration or annotations to show."""
        of_chart = _CHART_PAIRS.keys() | _CHART_TEXTS
        return bool(self.config) or any(name not in of_chart for name in self.lists)


@Compiled
def _documents(digest: str) -> QuerySet[Document]:
    return Document.objects.filter(digest=digest).order_by()


def read_details(manifest: Manifest) -> Details | None:
    """Read all details; ``None`` if the manifest is not read yet. A process reads one large manifest at a time.

    For an index, its own blobs are in the place of layers.
    """
    document = next(iter(_documents(manifest.digest)), None)
    if document is None:
        return None
    config = document.config
    found = Details(config, bytes(document.content), lists=_lists(config))
    with one_at_a_time() if len(found.whole) > SMALL_BYTES else nullcontext():
        _add_manifest(found, manifest)
    return found


def _add_manifest(found: Details, manifest: Manifest) -> None:
    """Add the details of the manifest itself."""
    # The media type of this image: another account may have pushed the same bytes with another one.
    parsed = RegistryManifest("", manifest.digest, manifest.media_type, found.whole)
    try:
        if not (layers := parsed.layers) and parsed.is_index:
            blobs = set(manifest.blobs)
            layers = tuple(entry for entry in parsed.entries if entry.digest in blobs)
        found.steps = _steps(layers, found.config.get("history", []))
        if annotations := _pairs(parsed.annotations):
            found.lists["annotations"] = annotations
    except MalformedManifest as error:
        found.problem = str(error)


def content(manifest: Manifest) -> Content | None:
    """The details for the manifest's page; ``None`` if the manifest is not read yet."""
    found = read_details(manifest)
    if found is None:
        return None
    return Content(
        _texts(found.config),
        _texts(found.config.get("chart", {})),
        excerpt(found.steps, _MOST_STEPS, _STEP_CHARACTERS, short_step, lambda step: len(step.command)),
        {
            name: excerpt(lines, _MOST_LINES, _LINE_CHARACTERS, short_line, lambda line: len(line.text + line.value))
            for name, lines in found.lists.items()
        },
        _pretty(found.whole),
        len(found.whole),
        found.problem,
    )


def short_step(step: Step) -> Step:
    """The step with its command cut for the page."""
    return replace(step, command=shorten(step.command, LONGEST_TEXT), media_type=shorten(step.media_type, 100))


def short_line(line: Line) -> Line:
    """The entry with its texts cut for the page."""
    return Line(shorten(line.text, LONGEST_TEXT), shorten(line.value, LONGEST_TEXT))


_TEXTS = ("entrypoint", "command", "ports", "volumes", "environment")
_CHART_TEXTS = {"keywords", "sources"}
# A chart's lists of objects: the keys of the text, and the key of the value.
_CHART_PAIRS = {"maintainers": (("name",), "email"), "dependencies": (("name", "version"), "repository")}


def _texts(config: dict[str, Any]) -> dict[str, Any]:
    """The single texts and booleans."""
    return {
        name: shorten(value, LONGEST_TEXT) if isinstance(value, str) else value
        for name, value in config.items()
        if isinstance(value, str | bool)
    }


def _lists(config: dict[str, Any]) -> dict[str, list[Line]]:
    chart = config.get("chart", {})
    found = {name: [Line(text) for text in config.get(name, [])] for name in _TEXTS}
    found |= {name: [Line(text) for text in chart.get(name, [])] for name in _CHART_TEXTS}
    for name, (shown, beside) in _CHART_PAIRS.items():
        found[name] = [
            Line(" ".join(filter(None, map(one.get, shown))), one.get(beside, "")) for one in chart.get(name, [])
        ]
    found["labels"] = _pairs(config.get("labels") or {})
    return {name: lines for name, lines in found.items() if lines}


def _pairs(texts: Mapping[str, str]) -> list[Line]:
    return [Line(key, value) for key, value in sorted(texts.items())]


def _steps(named: Iterable[Descriptor], history: list[dict[str, Any]]) -> list[Step]:
    """The history steps: each gets the next layer, unless it is marked as empty."""
    layers = iter(named)
    steps = []
    for entry in history:
        step = Step(entry.get("created_by") or entry.get("comment", ""), created=entry.get("created", ""))
        if not entry.get("empty") and (layer := next(layers, None)) is not None:
            _add_layer(step, layer)
        steps.append(step)
    return steps + [_add_layer(Step(""), layer) for layer in layers]


def _add_layer(step: Step, layer: Descriptor) -> Step:
    step.digest, step.size, step.media_type = layer.digest, layer.size, layer.media_type
    step.elsewhere = foreign_layers.host(layer) if layer.is_foreign else ""
    return step


def _indented(value: Any) -> str:
    """The beginning of the value as indented JSON: deeply nested values would have more indentation than content."""
    pieces, left = [], _RAW_CHARACTERS + 1
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            break
    return "".join(pieces)


def _pretty(whole: bytes) -> str:
    """The manifest's text for the page: indented if it is JSON of a usual length, cut if it is very long."""
    text = whole[: 4 * _RAW_CHARACTERS].decode("utf-8", "replace")
    if len(whole) <= _MOST_INDENTED:
        with suppress(ValueError, RecursionError):
            text = _indented(parse(whole))
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _RAW_CHARACTERS else f"{text[:_RAW_CHARACTERS]}\n…"
