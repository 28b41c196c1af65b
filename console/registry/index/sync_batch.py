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

# Distribution tells of a push when it has stored the manifest, and points the tag at it after that: whoever is quick
# enough asks for a tag that is not there yet, or that still names what it named before.
_TAGGED_WITHIN = datetime.timedelta(seconds=10)


class Push(Tagged, Protocol):
    """A push of a tag that is to be synced, and the digest that was pushed."""

    digest: str


def may_come(pushed_at: datetime.datetime | None, pushed: str, present: str | None) -> bool:
    """Whether what was pushed may be under its tag in a moment.

    :param pushed: the digest that the notification of the push named, if it did.
    :param present: the digest that the tag names now, if it is there.
    """
    if pushed_at is None or (present is not None and pushed in ("", present)):
        return False
    return abs(timezone.now() - pushed_at) < _TAGGED_WITHIN


@dataclass
class BatchResult:
    """Result of syncing a batch.

    ``done`` are the tags that were dealt with, as pairs of repository and name; the others take a look of their own.
    ``changed`` are the images of which something was written down that pages show, ``same`` the others of ``done``.
    """

    done: set[tuple[str, str]] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    same: set[int] = field(default_factory=set)


def sync_pushed(pushes: Sequence[Push], client: RegistryClient, largest: int = SMALL_BYTES) -> BatchResult:
    """Sync a batch of tags: those that name an ordinary image in an image that is there.

    The result is that of ``TagSync.sync_tag`` for each of them. What is out of the ordinary is left out: an index, what
    the registry does not have (or not yet), an image that is not there, a deletion at work, a namespace that changes
    hands, a tag that somebody else wrote meanwhile. The images' totals are not refreshed.

    :param pushes: each of another tag: all that the registry answers is held at the same time.
    :param client: whom to ask.
    :param largest: the most bytes of a manifest, and of a configuration, that are read here.
    :raises registry_client.RegistryError: when the registry answers strangely for one of them, or not at all;
        nothing is changed then.
    """
    result = BatchResult()
    before = {key: row for key, row in read_rows(pushes).items() if not row.in_transfer}
    pushes = [push for push in pushes if key_of(push) in before]
    if not pushes:
        return result
    ask = functools.partial(_ordinary, client, largest)
    # The first goes ahead: a registry that lets nobody in, or is down, is not asked for each of them.
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
    """What the registry says of a tag that names an image; nothing where it says something else."""
    try:
        present = client.manifest(push.repository, push.tag, limit=largest)
    except (ManifestUnknown, AnswerTooLarge):
        return None
    except RegistryError as error:
        if not is_of_one_tag(error):
            raise
        client.ping()  # raises when it is no matter of this tag
        return None
    if may_come(push.pushed_at, push.digest, present.digest):
        return None
    ordinary = present.media_type in (DOCKER_MANIFEST, OCI_MANIFEST) and present.digest != TOMBSTONE_DIGEST
    return present if ordinary and _is_small(present, largest) else None


def _is_small(manifest: RegistryManifest, largest: int) -> bool:
    """Whether a manifest and its configuration are of a size that many may be held of."""
    try:
        # Of a copy: what was parsed is not held.
        config = replace(manifest).config
    except MalformedManifest:
        return False
    return config is None or config.size <= largest
