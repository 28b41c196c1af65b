"""Sync a batch of pushed tags, of one repository or of many, with one set of statements."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from django.db import connection, transaction
from django.utils import timezone

from console.jobs.outages import is_of_one_tag
from console.registry.connection import at_once
from console.registry.contents import TOMBSTONE_DIGEST
from console.registry.index import audit_events, store, tag_rows
from console.registry.index.tag_rows import Outcome
from console.registry.large_content import SMALL_BYTES
from console.repositories.locks import lock_images
from console.repositories.models import Image, Manifest
from console.repositories.tag_order import sort_key
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


class Push(Protocol):
    """A push of a tag that is to be synced."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None
    pushed_by: str
    digest: str


def may_come(pushed_at: datetime.datetime | None, pushed: str, present: str | None) -> bool:
    """Whether what was pushed may be under its tag in a moment.

    :param pushed: the digest that the registry's word of the push named, if it did.
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


class _Row(NamedTuple):
    """The image of a tag, and what tells whether the tag's row, where there is one, was written meanwhile."""

    image: int
    tag: int | None
    manifest: int | None
    pushed_at: datetime.datetime | None
    digest: str | None


class _New(NamedTuple):
    """A tag that has no row yet."""

    image: int
    manifest: int
    name: str
    sort_key: str
    subject: str
    pushed_at: datetime.datetime
    pushed_by: str


_Rows = dict[tuple[str, str], _Row]


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
    looked = BatchResult()
    before = _rows(pushes)
    pushes = [push for push in pushes if _key(push) in before]
    if not pushes:
        return looked
    ask = functools.partial(_ordinary, client, largest)
    # The first goes ahead: a registry that lets nobody in, or is down, is not asked for each of them.
    answers = [ask(pushes[0]), *at_once(ask, pushes[1:])]
    present = {_key(push): answer for push, answer in zip(pushes, answers, strict=True) if answer is not None}
    manifests = {(before[key].image, answer.digest): answer for key, answer in present.items()}
    known = store.read_before(manifests)
    unread = sorted(manifests.keys() - known)
    readings = store.read_plain([manifests[pair] for pair in unread], client)
    with transaction.atomic():
        # The rows' locks keep a deletion that starts meanwhile from losing sight of these tags.
        active = lock_images({image for image, _digest in manifests}, state=Image.State.ACTIVE)
        read = zip(unread, readings, strict=True)
        store.store_all([(image, reading) for (image, _digest), reading in read if image in active])
        stored = store.stored(manifests)
        now = _rows(pushes)
        added: list[_New] = []
        pointed: list[audit_events.TagMove] = []
        for push in pushes:
            key = _key(push)
            answer = present.get(key)
            manifest = stored.get((before[key].image, answer.digest)) if answer else None
            if manifest is None or manifest.image_id not in active or before[key] != now.get(key):
                continue
            outcome = Outcome.ADDED
            if now[key].tag is not None or manifest.doomed:
                outcome = tag_rows.point_tag(push.tag, manifest, push.pushed_at, push.pushed_by)
            else:
                added.append(_new(push, manifest))
            if outcome is not Outcome.SAME:
                old, told = now[key].digest, push.pushed_at is not None
                pointed.append(audit_events.TagMove(*key, old, manifest.digest, told, push.pushed_by))
            changed = push.pushed_at is not None or outcome is not Outcome.SAME
            (looked.changed if changed else looked.same).add(manifest.image_id)
            looked.done.add(key)
        _add(added)
        audit_events.record_moves(pointed)
    looked.same -= looked.changed
    return looked


def _key(push: Push) -> tuple[str, str]:
    return push.repository, push.tag


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


_ROWS = """
SELECT told.at, image.id, tag.id, tag.manifest_id, tag.pushed_at, manifest.digest
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS told (repository, name, at)
JOIN images_image AS image ON image.full_name = told.repository AND image.state = 'active'
JOIN namespaces_namespace AS namespace ON namespace.id = image.namespace_id AND namespace.available_at IS NULL
LEFT JOIN images_tag AS tag ON tag.image_id = image.id AND tag.name = told.name
LEFT JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
"""


def _rows(pushes: Collection[Push]) -> _Rows:
    """The rows of these tags; none for those whose image is not there, or is being deleted."""
    keys = [_key(push) for push in pushes]
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [[repository for repository, _tag in keys], [tag for _repository, tag in keys]])
        return {keys[at - 1]: _Row(*row) for at, *row in cursor.fetchall()}


def _new(push: Push, manifest: Manifest) -> _New:
    subject, moment = tag_rows.subject_of(push.tag, manifest), push.pushed_at or timezone.now()
    return _New(manifest.image_id, manifest.pk, push.tag, sort_key(push.tag), subject, moment, push.pushed_by)


_ADD = """
INSERT INTO images_tag (
    image_id, manifest_id, name, sort_key, subject, pushed_at, pushed_by, pull_count, state, problem
)
SELECT new.*, 0, 'active', ''
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[]) AS new
"""


def _add(tags: Sequence[_New]) -> None:
    if tags:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [list(column) for column in zip(*tags, strict=True)])
