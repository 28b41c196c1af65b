"""Removing what lies in a repository that has no image: what a token from before pushed to a name that was freed."""

from __future__ import annotations

from console.audit.services import record
from console.images import deletion, pushed
from console.images.models import PushedDigest
from console.registry import at_once, registry


def clear(repository: str) -> int:
    """Delete all that is known to lie in a repository: what tags name, what was pushed by digest, what these name.

    The links to the blobs go too, so that whoever gets the name next cannot read them, even knowing their digests.

    :return: how many manifests there were.
    :raises registry_client.RegistryError: when the registry fails; calling again goes on from there.
    """
    tags = deletion.tags_of(repository)
    fresh = set(PushedDigest.objects.filter(repository=repository).values_list("digest", flat=True))
    fresh |= set(at_once(lambda tag: deletion.digest_of(repository, tag), tags)) - {""}
    digests: set[str] = set()
    while fresh:
        digests |= fresh
        named = at_once(lambda digest: deletion.children_of(repository, digest), sorted(fresh))
        fresh = {child for some in named for child in some} - digests
    if not digests:
        return 0
    # Written down before anything goes: what only an index named would not be found again.
    pushed.remember((repository, digest) for digest in digests)
    blobs = {
        blob for some in at_once(lambda digest: deletion.blobs_of(repository, digest), sorted(digests)) for blob in some
    }
    at_once(lambda blob: registry().delete_blob(repository, blob, missing_ok=True), sorted(blobs))
    at_once(lambda digest: registry().delete_manifest(repository, digest, missing_ok=True), sorted(digests))
    PushedDigest.objects.filter(repository=repository, digest__in=digests).delete()
    record("image.clear", repository, tags=len(tags), manifests=len(digests))
    return len(digests)
