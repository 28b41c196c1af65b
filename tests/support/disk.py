"""Read the registry's storage folder directly (Distribution, "storage driver paths")."""

from __future__ import annotations

import shutil

from tests.support.environment import FOLDER

ROOT = FOLDER / "registry" / "data" / "docker" / "registry" / "v2"


def _folder(repository, root):
    return (root or ROOT) / "repositories" / repository


def tags(repository, root=None):
    """The digest of each tag of the repository."""
    folder = _folder(repository, root) / "_manifests" / "tags"
    return {link.parents[1].name: link.read_text() for link in folder.glob("*/current/link")}


def manifests(repository, root=None):
    """The digests of the repository's manifests."""
    folder = _folder(repository, root) / "_manifests" / "revisions"
    return {link.read_text() for link in folder.glob("*/*/link")}


def blobs(repository, root=None):
    """The digests of the blobs that the repository links to."""
    return {link.read_text() for link in (_folder(repository, root) / "_layers").glob("*/*/link")}


def left_of(repository, root=None):
    """All remaining links of the repository."""
    return sorted(str(link) for link in _folder(repository, root).rglob("link"))


def stored():
    """The digests of all stored blobs, linked or not."""
    return {data.parent.name for data in (ROOT / "blobs").glob("*/*/*/data")}


def break_tag(repository, tag, root=None):
    """Make the tag's link empty, as a power failure may."""
    (_folder(repository, root) / "_manifests" / "tags" / tag / "current" / "link").write_text("")


def copy(repository, other):
    """Copy the repository, as pushing all of it to another name would do."""
    shutil.copytree(_folder(repository, None), _folder(other, None))


def lose(repository):
    """Remove the repository from the storage."""
    shutil.rmtree(_folder(repository, None))
