"""Read what a repository holds: its tags, their digests, and manifests that the index has stored."""

from __future__ import annotations

from contextlib import suppress

from console.jobs.outages import is_of_one_tag
from console.registry.connection import registry
from console.repositories.models import Document, Manifest
from registry_client import ManifestUnknown, NameUnknown, RegistryUnavailable


class NotThereYet(RegistryUnavailable):
    """A tag was pushed just now, and the registry has not pointed it at its manifest yet: retry a little later."""


def tags_of(repository: str) -> list[str]:
    """The tags that the registry lists now; none for a repository that it does not know."""
    try:
        return registry().tags(repository)
    except NameUnknown:
        return []


def digest_of(repository: str, tag: str) -> str:
    """The digest that a tag points at in the registry now; empty when there is no such tag.

    Distribution rewrites a manifest's links while it is pushed under another tag, and may answer 404 once meanwhile. So
    the second 404 counts.
    """
    for _twice in range(2):
        with suppress(ManifestUnknown, NameUnknown):
            return registry().resolve(repository, tag).digest
    return ""


def readable_digest(repository: str, tag: str) -> str | None:
    """As ``digest_of``, or ``None`` for a tag whose link in the storage is broken (the registry answers 500 for it).

    :raises registry_client.RegistryError: when the registry does not answer.
    """
    try:
        return digest_of(repository, tag)
    except RegistryUnavailable as error:
        if not is_of_one_tag(error):
            raise
        return None


def stored_manifest(repository: str, digest: str) -> tuple[bytes, str] | None:
    """The bytes of a manifest that the index has, and its media type in this repository; ``None`` if it has none.

    The bytes of a digest are the same in every repository; its media type may have been pushed as another one.
    """
    found = (
        Manifest.objects.filter(image__full_name=repository, digest=digest).values_list("media_type", flat=True).first()
    )
    document = Document.objects.filter(digest=digest).first()
    if document is None:
        return None
    return bytes(document.content), found or document.media_type
