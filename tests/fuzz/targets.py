"""What is fuzzed with libFuzzer: bytes, as it makes them, for each of the checks, and inputs to begin with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import seeds
from tests.fuzz.checks import (
    MEDIA_TYPES,
    check_basic,
    check_config,
    check_cursor,
    check_events,
    check_manifest,
    check_markdown,
    check_name,
    check_reference_typed,
    check_scopes,
)


def scopes(data: bytes) -> None:
    """The ``scope`` parameters of a request, one on each line."""
    check_scopes(data.decode("utf-8", "replace").split("\n"))


def basic(data: bytes) -> None:
    """An ``Authorization`` header, whose bytes WSGI shows as Latin-1."""
    check_basic(data.decode("latin-1"))
    encoded = base64.b64encode(data).decode()
    check_basic(f"bAsIc {encoded}")


def events(data: bytes) -> None:
    """The body of a notification."""
    try:
        found = json.loads(data)["events"]
        if not isinstance(found, list):
            return
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    check_events(found)


def manifests(data: bytes) -> None:
    """A manifest, of the media type that the first byte says."""
    check_manifest(MEDIA_TYPES[data[0] % len(MEDIA_TYPES)] if data else "", data[1:])


def configurations(data: bytes) -> None:
    """An image's configuration."""
    check_config(data)


def names(data: bytes) -> None:
    """A name of any kind."""
    text = data.decode("utf-8", "surrogateescape")
    check_name(text)
    check_reference_typed(text)


def markdown(data: bytes) -> None:
    """A description, of the 25,000 characters that the form takes."""
    check_markdown(data.decode("utf-8", "replace").replace("\0", "")[:25_000])


def cursors(data: bytes) -> None:
    """A page's key, as it is and as somebody would make one up."""
    check_cursor(data.decode("utf-8", "replace"))
    check_cursor(base64.urlsafe_b64encode(data).decode().rstrip("="))


@dataclass(frozen=True)
class Target:
    """What is fuzzed with libFuzzer. ``quick`` is how many inputs are tried in the usual tests."""

    title: str
    run: Callable[[bytes], None]
    seeds: list[bytes]
    words: list[str]
    quick: int = 2000


TARGETS = {
    target.run.__name__: target
    for target in (
        Target("scope grammar", scopes, seeds.SCOPES, seeds.SCOPE_WORDS),
        Target("Basic header", basic, seeds.BASIC, ["Basic ", "=", ":"]),
        Target("event envelope", events, seeds.EVENTS, seeds.EVENT_WORDS),
        Target("manifest", manifests, seeds.MANIFESTS, seeds.MANIFEST_WORDS),
        Target("image configuration", configurations, seeds.CONFIGURATIONS, seeds.CONFIGURATION_WORDS),
        Target("names", names, seeds.NAMES, seeds.NAME_WORDS),
        Target("Markdown", markdown, seeds.MARKDOWN, seeds.MARKDOWN_WORDS, 600),
        Target("page key", cursors, seeds.CURSORS, ["[", "]", '"', ",", "2026-01-01T00:00:00+00:00"]),
    )
}
