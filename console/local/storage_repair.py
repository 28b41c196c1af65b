"""Repairing small files of a registry's storage that a killed process left empty or cut off.

Distribution 2.8's file system driver empties a file as it opens it, and then writes it (``PutContent``). A kill between
the two leaves an empty file where a complete one was: every request for that tag, manifest or layer is then answered
500, and a push that asks for the layer first fails for ever.
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
# How long the caching registry keeps what it fetched (``proxy``, ``repositoryTTL``), and its two kinds of entries.
_KEPT = datetime.timedelta(days=7)
_BLOB, _MANIFEST = 0, 1
SCHEDULE = "scheduler-state.json"


def repair_links(data: Path, before: float) -> int:
    """Write the links of manifests, layers and the tags' histories that are empty or cut off again; how many.

    A registry may be running over the storage: no file is created, and each link holds what its folder is called
    after, whoever writes it.

    :param data: the registry's storage, its ``rootdirectory``.
    :param before: when no registry ran, in seconds since 1970: only files that were changed earlier are repaired.
    """
    repaired = 0
    for repository in _repositories(data):
        for kind in ("_layers", "_manifests/revisions"):
            repaired += sum(_repair(link, link.parent.name, before) for link in _links(repository / kind))
        for tag in _folders(repository / "_manifests" / "tags"):
            repaired += sum(_repair(link, link.parent.name, before) for link in _links(tag / "index"))
    return repaired


def repair_tags(data: Path) -> int:
    """Point the tags again whose link is empty or cut off, at what was pushed last; how many.

    No registry may run over the storage: a tag that is pushed at the same time would be pointed back.

    :param data: the registry's storage, its ``rootdirectory``.
    """
    repaired = 0
    for repository in _repositories(data):
        for tag in _folders(repository / "_manifests" / "tags"):
            current = tag / "current" / "link"
            # A push writes to the tag's index before it points the tag.
            if _is_cut_off(current) and (past := list(_links(tag / "index"))):
                repaired += _repair(current, max(past, key=_changed).parent.name)
    return repaired


def repair_schedule(data: Path) -> bool:
    """Make the list of when cached content expires anew if it is damaged; whether it was.

    The caching registry does not start with a damaged one, and never removes what is in none. No registry may run
    over the storage.

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
    expiry = (datetime.datetime.now(datetime.UTC) + _KEPT).strftime("%Y-%m-%dT%H:%M:%SZ")
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
    """The folders of all repositories: those with folders of the registry's own, whose names begin with ``_``."""
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
    """The links below ``folder/sha256``, each in a folder named by the digest that it holds."""
    return (digest / "link" for digest in _folders(folder / "sha256") if _HEX.fullmatch(digest.name))


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _is_cut_off(link: Path | int, before: float = math.inf) -> bool:
    """Whether a file, or what a descriptor has open, is shorter than a link and was changed before ``before``."""
    try:
        status = os.fstat(link) if isinstance(link, int) else link.stat()
    except OSError:
        return False
    return status.st_size < _LINK_LENGTH and status.st_mtime < before


def _repair(link: Path, hex_digest: str, before: float = math.inf) -> bool:
    if not _is_cut_off(link, before):
        return False
    try:
        # In place: of one that is deleted meanwhile nothing comes back.
        descriptor = os.open(link, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not _is_cut_off(descriptor, before):
            return False
        changed = os.fstat(descriptor).st_mtime_ns
        os.pwrite(descriptor, f"sha256:{hex_digest}".encode(), 0)
        # The time tells which digest a tag named last.
        os.utime(descriptor, ns=(changed, changed))
    except OSError:  # A full disk: the next repair tries again.
        return False
    finally:
        os.close(descriptor)
    return True
