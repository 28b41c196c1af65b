"""What the registry's storage folder holds, read past the registry (Distribution, "storage driver paths")."""

from __future__ import annotations

import shutil

from tests.support.environment import FOLDER

ROOT = FOLDER / "registry" / "data" / "docker" / "registry" / "v2"


def _folder(repository, root):
    return (root or ROOT) / "repositories" / repository


def tags(repository, root=None):
    """The digest that each tag of the repository points at."""
    folder = _folder(repository, root) / "_manifests" / "tags"
    return {link.parents[1].name: link.read_text() for link in folder.glob("*/current/link")}


def manifests(repository, root=None):
    """The digests of the manifests that the repository has."""
    folder = _folder(repository, root) / "_manifests" / "revisions"
    return {link.read_text() for link in folder.glob("*/*/link")}


def blobs(repository, root=None):
    """The digests of the blobs that the repository has a link to."""
    return {link.read_text() for link in (_folder(repository, root) / "_layers").glob("*/*/link")}


def left_of(repository, root=None):
    """Every link that the repository still has."""
    return sorted(str(link) for link in _folder(repository, root).rglob("link"))


def stored():
    """Digests of everything that is stored, whoever has a link to it."""
    return {data.parent.name for data in (ROOT / "blobs").glob("*/*/*/data")}


def break_tag(repository, tag, root=None):
    """Leave the tag's link empty, as a power cut may."""
    (_folder(repository, root) / "_manifests" / "tags" / tag / "current" / "link").write_text("")


def lose(repository):
    """Remove all that the storage has of the repository."""
    shutil.rmtree(_folder(repository, None))
