"""Write a batch of synced tags to the index in one transaction; one tag is a batch of one."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from django.db import connection, transaction
from django.utils import timezone

from console.registry.index import audit_events, store, tag_rows
from console.registry.index.parse import Reading
from console.registry.index.tag_rows import Outcome
from console.repositories.locks import lock_images
from console.repositories.models import Image, Manifest
from console.repositories.tag_order import sort_key

# Repository and tag.
Key = tuple[str, str]


class Tagged(Protocol):
    """A tag of a repository, and the push event that triggered its sync, if any."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None
    pushed_by: str


@dataclass
class TagPush:
    """A tag to sync, and the push that triggered the sync, if any."""

    repository: str
    tag: str
    pushed_at: datetime.datetime | None
    pushed_by: str


class TagRow(NamedTuple):
    """The image of a tag, and the tag's row if any: the version for the optimistic lock."""

    image: int
    tag: int | None
    manifest: int | None
    pushed_at: datetime.datetime | None
    digest: str | None
    in_transfer: bool


class Answer(NamedTuple):
    """The registry's answer about a tag.

    :param image: the primary key of the tag's image.
    :param digest: the digest of the manifest that the tag names.
    :param before: the tag's row as read before the request to the registry; ``None`` if there was no image.
    """

    push: Tagged
    image: int
    digest: str
    before: TagRow | None


@dataclass
class Written:
    """Result of writing a batch.

    ``outcomes`` has the tags that were written, or were up to date. Of the others, those in ``inactive`` belong to an
    image that is being deleted, those in ``lost`` name a manifest that was removed meanwhile, and the rest lost a race:
    another process wrote them since the request to the registry.
    """

    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    inactive: set[Key] = field(default_factory=set)
    lost: set[Key] = field(default_factory=set)


def key_of(push: Tagged) -> Key:
    """Repository and tag."""
    return push.repository, push.tag


_ROWS = """
SELECT asked.at, image.id, tag.id, tag.manifest_id, tag.pushed_at, manifest.digest,
    namespace.available_at IS NOT NULL
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS asked (repository, name, at)
JOIN images_image AS image ON image.full_name = asked.repository AND image.state = 'active'
JOIN namespaces_namespace AS namespace ON namespace.id = image.namespace_id
LEFT JOIN images_tag AS tag ON tag.image_id = image.id AND tag.name = asked.name
LEFT JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
"""


def read_rows(pushes: Collection[Tagged]) -> dict[Key, TagRow]:
    """The rows of these tags; without those whose image does not exist or is being deleted."""
    keys = [key_of(push) for push in pushes]
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [[repository for repository, _tag in keys], [tag for _repository, tag in keys]])
        return {keys[at - 1]: TagRow(*row) for at, *row in cursor.fetchall()}


def _version(row: TagRow | None) -> tuple[object, ...]:
    return (None, None, None, False) if row is None else (row.tag, row.manifest, row.pushed_at, row.in_transfer)


def write(answers: Sequence[Answer], readings: Iterable[tuple[int, Reading]]) -> Written:
    """Write the registry's answers, except for tags that another process has written since the request.

    All manifests are written: the registry has them, and the reconcile removes those without a tag.

    :param readings: manifests that are not in the index yet, each with the primary key of its image.
    """
    with transaction.atomic():
        return write_in_transaction(answers, readings)


def write_in_transaction(answers: Sequence[Answer], readings: Iterable[tuple[int, Reading]]) -> Written:
    """As ``write``, in the caller's transaction, which holds the locks of the images from then on."""
    written = Written()
    # Row locks, so that a deletion that starts meanwhile does not miss these tags.
    active = lock_images({answer.image for answer in answers}, state=Image.State.ACTIVE)
    store.store_all([(image, reading) for image, reading in readings if image in active])
    stored = store.stored({(answer.image, answer.digest) for answer in answers})
    now = read_rows([answer.push for answer in answers])
    added: list[_New] = []
    moves: list[audit_events.TagMove] = []
    for answer in answers:
        key, push = key_of(answer.push), answer.push
        manifest = stored.get((answer.image, answer.digest))
        if answer.image not in active:
            written.inactive.add(key)
        elif manifest is None:
            written.lost.add(key)
        elif (row := now.get(key)) is not None and _version(answer.before) == _version(row):
            outcome = Outcome.ADDED
            if row.tag is not None or manifest.doomed:
                outcome = tag_rows.point_tag(push.tag, manifest, push.pushed_at, push.pushed_by)
            else:
                added.append(_new(push, manifest))
            if outcome is not Outcome.SAME:
                is_push = push.pushed_at is not None
                moves.append(audit_events.TagMove(*key, row.digest, manifest.digest, is_push, push.pushed_by))
            written.outcomes[key] = outcome
    _add(added)
    audit_events.record_moves(moves)
    return written


class _New(NamedTuple):
    """A tag that has no row yet."""

    image: int
    manifest: int
    name: str
    sort_key: str
    subject: str
    pushed_at: datetime.datetime
    pushed_by: str


def _new(push: Tagged, manifest: Manifest) -> _New:
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
