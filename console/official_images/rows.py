"""Convert rows of Docker Hub's API to rows of the database; invalid values are ignored."""

from __future__ import annotations

import datetime
import re
from typing import Any

from console.official_images.models import NAME_PATTERN, TAG_PATTERN, OfficialImage, OfficialTag
from registry_client import is_digest

_NAME = re.compile(NAME_PATTERN)
_TAG = re.compile(TAG_PATTERN)
_DESCRIPTION = 500
_MOST = 1 << 62
# The "platform" of BuildKit's attestations.
_NO_PLATFORM = "unknown"
_MOST_PLATFORMS = 100
_COMMON = ("linux/amd64", "linux/arm64")


def image(row: dict[str, Any]) -> OfficialImage | None:
    """An official image, not saved; ``None`` for a row without a valid name."""
    name = row.get("name")
    if not isinstance(name, str) or len(name) > 200 or not _NAME.fullmatch(name):
        return None
    return OfficialImage(
        name=name,
        description=_text(row.get("description"))[:_DESCRIPTION],
        stars=_count(row.get("star_count")),
        pulls=_count(row.get("pull_count")),
        updated_at=_moment(row.get("last_updated")),
        listed=True,
    )


def tag(of: OfficialImage, row: dict[str, Any]) -> OfficialTag | None:
    """A tag of ``of``, not saved; ``None`` for a row without a valid name."""
    name = row.get("name")
    if not isinstance(name, str) or not _TAG.fullmatch(name):
        return None
    images = row.get("images")
    platforms = _platforms(images if isinstance(images, list) else [])
    digest = _digest(row.get("digest"))
    if not digest and len(platforms) == 1:  # older tags have it only on the image
        digest = platforms[0]["digest"]
    return OfficialTag(
        image=of,
        name=name,
        digest=digest,
        size=_count(row.get("full_size")) or max((platform["size"] for platform in platforms), default=0),
        pushed_at=_moment(row.get("tag_last_pushed")) or _moment(row.get("last_updated")),
        platforms=platforms,
    )


def _platforms(images: list[Any]) -> list[dict[str, Any]]:
    platforms = []
    for one in images[:_MOST_PLATFORMS]:
        if not isinstance(one, dict):
            continue
        system, architecture = _word(one.get("os")), _word(one.get("architecture"))
        if not system or not architecture or _NO_PLATFORM in {system, architecture}:
            continue
        parts = [system, architecture, _word(one.get("variant"))]
        name = "/".join(part for part in parts if part)
        if version := _word(one.get("os_version")):
            name = f"{name} {version}"
        platforms.append({"name": name, "digest": _digest(one.get("digest")), "size": _count(one.get("size"))})
    return sorted(platforms, key=_rank)


def _rank(platform: dict[str, Any]) -> tuple[int, str]:
    """Sort key: the most common platforms come first."""
    name = platform["name"]
    return next((rank for rank, start in enumerate(_COMMON) if name.startswith(start)), len(_COMMON)), name


def _text(value: Any) -> str:
    """A text on one line, without characters that the database cannot store."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.replace("\x00", "").encode("utf-8", "ignore").decode().split())


def _word(value: Any) -> str:
    return _text(value)[:40]


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < _MOST else 0


def _digest(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 140 and is_digest(value) else ""


def _moment(value: Any) -> datetime.datetime | None:
    """A time in RFC 3339 format."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
