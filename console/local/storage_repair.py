"""Repair links in a registry's storage that a killed process left empty or truncated.

Distribution 2.8's file system driver truncates a file when it opens it, and then writes it (``PutContent``). A kill
between the two leaves an empty file in place of a complete one: every request for that tag, manifest or layer is then
answered with 500, and pushes of the layer fail for ever.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from console.installation.files import replace_file

_HEX = re.compile(r"[0-9a-f]{64}")
_LINK_LENGTH = len("sha256:") + 64
# Time to live in the caching registry (``proxy``, ``repositoryTTL``), and its two kinds of entries.
_TTL = datetime.timedelta(days=7)
_BLOB, _MANIFEST = 0, 1
SCHEDULE = "scheduler-state.json"


def repair_links(data: Path, before: float) -> int:
    """Rewrite empty or truncated links of manifests, layers and the tags' histories; returns how many.

    A registry may be running over the storage: no file is created, and the content of each link is the name of its
    folder, so a race is harmless.

    :param data: the registry's storage, its ``rootdirectory``.
    :param before: a time when no registry was running, in seconds since 1970: only older files are repaired.
    """
    repaired = 0
    for repository in _repositories(data):
        for kind in ("_layers", "_manifests/revisions"):
            repaired += sum(_repair(link, link.parent.name, before) for link in _links(repository / kind))
        for tag in _folders(repository / "_manifests" / "tags"):
            repaired += sum(_repair(link, link.parent.name, before) for link in _links(tag / "index"))
    return repaired


def repair_tags(data: Path) -> int:
    """Restore tags with an empty or truncated link to the last pushed digest; returns how many.

    No registry may be running over the storage: a concurrent push of the tag would be overwritten.

    :param data: the registry's storage, its ``rootdirectory``.
    """
    repaired = 0
    for repository in _repositories(data):
        for tag in _folders(repository / "_manifests" / "tags"):
            current = tag / "current" / "link"
            # A push writes the tag's history before the tag's link.
            if _is_cut_off(current) and (past := list(_links(tag / "index"))):
                repaired += _repair(current, max(past, key=_changed).parent.name)
    return repaired


def repair_schedule(data: Path) -> bool:
    """Rebuild the cache's expiry schedule if it is damaged; returns whether it was.

    The caching registry does not start with a damaged schedule, and never evicts content that is missing in it. No
    registry may be running over the storage.

    :param data: the storage of the cache.
    """
    file = data / SCHEDULE
    try:
        if isinstance(json.loads(file.read_bytes()), dict):
            return False
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        pass
    expiry = (datetime.datetime.now(datetime.UTC) + _TTL).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = {}
    root = _root(data)
    for repository in _repositories(data):
        for kind, entry_type in (("_layers", _BLOB), ("_manifests/revisions", _MANIFEST)):
            for link in _links(repository / kind):
                key = f"{repository.relative_to(root)}@sha256:{link.parent.name}"
                entries[key] = {"Key": key, "ExpiryData": expiry, "EntryType": entry_type}
    replace_file(file, json.dumps(entries).encode())
    return True


def _root(data: Path) -> Path:
    return data / "docker" / "registry" / "v2" / "repositories"


def _repositories(data: Path) -> Iterator[Path]:
    """The folders of all repositories: those with the registry's internal folders, whose names begin with ``_``."""
    waiting = [_root(data)]
    while waiting:
        folder = waiting.pop()
        inside = list(_folders(folder))
        if any(entry.name.startswith("_") for entry in inside):
            yield folder
        waiting.extend(entry for entry in inside if not entry.name.startswith("_"))


def _folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _links(folder: Path) -> Iterator[Path]:
    """The links below ``folder/sha256``, each in a folder named by its digest."""
    return (digest / "link" for digest in _folders(folder / "sha256") if _HEX.fullmatch(digest.name))


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _is_cut_off(link: Path | int, before: float = math.inf) -> bool:
    """Whether a file (or open descriptor) is shorter than a link, and was changed before ``before``."""
    try:
        status = os.fstat(link) if isinstance(link, int) else link.stat()
    except OSError:
        return False
    return status.st_size < _LINK_LENGTH and status.st_mtime < before


def _repair(link: Path, hex_digest: str, before: float = math.inf) -> bool:
    if not _is_cut_off(link, before):
        return False
    try:
        # In place, so that a link that is deleted meanwhile is not created again.
        descriptor = os.open(link, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not _is_cut_off(descriptor, before):
            return False
        changed = os.fstat(descriptor).st_mtime_ns
        os.pwrite(descriptor, f"sha256:{hex_digest}".encode(), 0)
        # The modification time is kept: it decides which digest a tag named last.
        os.utime(descriptor, ns=(changed, changed))
    except OSError:  # A full disk: the next repair tries again.
        return False
    finally:
        os.close(descriptor)
    return True
