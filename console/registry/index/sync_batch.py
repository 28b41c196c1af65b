"""Sync a batch of pushed tags, of one repository or of many, with one set of statements."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from django.utils import timezone

from console.jobs.outages import is_of_one_tag
from console.registry.connection import at_once
from console.registry.index import store
from console.registry.index.tag_rows import Outcome
from console.registry.index.write_tags import Answer, Tagged, key_of, read_rows, write
from console.registry.large_content import SMALL_BYTES
from console.registry.tombstone import TOMBSTONE_DIGEST
from registry_client import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    AnswerTooLarge,
    MalformedManifest,
    ManifestUnknown,
    RegistryClient,
    RegistryError,
)
from registry_client import Manifest as RegistryManifest

# Race: Distribution sends the notification when it has stored the manifest, and writes the tag after that. A quick sync
# may not find the tag yet, or find its old digest.
_TAGGED_WITHIN = datetime.timedelta(seconds=10)


class Push(Tagged, Protocol):
    """A push event of a tag, with the pushed digest."""

    digest: str


def may_come(pushed_at: datetime.datetime | None, pushed: str, present: str | None) -> bool:
    """Whether the registry may not have written the tag of a recent push yet.

    :param pushed: the digest in the notification, if any.
    :param present: the digest that the tag names now, if it exists.
    """
    if pushed_at is None or (present is not None and pushed in ("", present)):
        return False
    return abs(timezone.now() - pushed_at) < _TAGGED_WITHIN


@dataclass
class BatchResult:
    """Result of syncing a batch.

    ``done`` has the synced tags, as pairs of repository and name; the others must be synced one by one. ``changed`` has
    the images with a change that pages show, ``same`` the other images of ``done``.
    """

    done: set[tuple[str, str]] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    same: set[int] = field(default_factory=set)


def sync_pushed(pushes: Sequence[Push], client: RegistryClient, largest: int = SMALL_BYTES) -> BatchResult:
    """Sync a batch of pushed tags that name ordinary images; others are skipped.

    Same result as ``TagSync.sync_tag`` for each of them. Skipped are: indexes, tags that the registry does not have (or
    not yet), images that do not exist or are being deleted, namespaces in transfer, and tags that another process wrote
    meanwhile. The images' totals are not updated.

    :param pushes: each of another tag; all manifests are held in memory at the same time.
    :param client: of the registry to ask.
    :param largest: limit of a manifest, and of a configuration, in bytes.
    :raises registry_client.RegistryError: when the registry answers with an error for one of them, or not at all;
        nothing is changed then.
    """
    result = BatchResult()
    before = {key: row for key, row in read_rows(pushes).items() if not row.in_transfer}
    pushes = [push for push in pushes if key_of(push) in before]
    if not pushes:
        return result
    ask = functools.partial(_ordinary, client, largest)
    # The first one alone: if the registry is down or rejects the token, it is not asked for the others.
    found = [ask(pushes[0]), *at_once(ask, pushes[1:])]
    manifests: dict[tuple[int, str], RegistryManifest] = {}
    answers = []
    for push, manifest in zip(pushes, found, strict=True):
        if manifest is not None:
            row = before[key_of(push)]
            manifests[row.image, manifest.digest] = manifest
            answers.append(Answer(push, row.image, manifest.digest, row))
    unread = sorted(manifests.keys() - store.read_before(manifests))
    readings = store.read_plain([manifests[pair] for pair in unread], client)
    written = write(answers, [(image, reading) for (image, _digest), reading in zip(unread, readings, strict=True)])
    for answer in answers:
        if (outcome := written.outcomes.get(key_of(answer.push))) is not None:
            changed = answer.push.pushed_at is not None or outcome is not Outcome.SAME
            (result.changed if changed else result.same).add(answer.image)
    result.done = set(written.outcomes)
    result.same -= result.changed
    return result


def _ordinary(client: RegistryClient, largest: int, push: Push) -> RegistryManifest | None:
    """The manifest of a tag that names an ordinary image; ``None`` for other tags."""
    try:
        present = client.manifest(push.repository, push.tag, limit=largest)
    except (ManifestUnknown, AnswerTooLarge):
        return None
    except RegistryError as error:
        if not is_of_one_tag(error):
            raise
        client.ping()  # raises if not only this tag is affected
        return None
    if may_come(push.pushed_at, push.digest, present.digest):
        return None
    ordinary = present.media_type in (DOCKER_MANIFEST, OCI_MANIFEST) and present.digest != TOMBSTONE_DIGEST
    return present if ordinary and _is_small(present, largest) else None


def _is_small(manifest: RegistryManifest, largest: int) -> bool:
    """Whether a manifest and its configuration are small enough to hold many of them in memory."""
    try:
        # A copy, so that the parsed values are freed.
        config = replace(manifest).config
    except MalformedManifest:
        return False
    return config is None or config.size <= largest
