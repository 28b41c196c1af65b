"""Write a batch of synced tags to the index in one transaction; one tag is a batch of one."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from django.db import connection

from console.database.statements import frequent_cursor, pipelined_transaction
from console.registry.index import audit_events, store, tag_rows
from console.registry.index.parse import Reading
from console.registry.index.tag_rows import Current, Outcome, Pointed
from console.repositories.models import Manifest
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
    another process wrote them since the request to the registry. ``plain`` has those of ``outcomes`` whose rows neither
    have nor had a subject.
    """

    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    plain: set[Key] = field(default_factory=set)
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
    with pipelined_transaction():
        return write_in_transaction(answers, readings)


def write_in_transaction(
    answers: Sequence[Answer], readings: Iterable[tuple[int, Reading]], accounts: Mapping[str, str] | None = None
) -> Written:
    """As ``write``, in the caller's transaction, which holds the locks of the images from then on.

    :param accounts: the Account IDs of the user names that pushed; ``None`` if they have to be read.
    """
    written = Written()
    # Row locks, so that a deletion that starts meanwhile does not miss these tags.
    active = _lock({answer.image for answer in answers})
    store.store_all([(image, reading) for image, reading in readings if image in active])
    now = _read_current(answers)
    pointed: list[tuple[str, Current, Pointed, int]] = []
    moves: list[audit_events.TagMove] = []
    kept: list[audit_events.TagMove] = []
    for at, answer in enumerate(answers):
        key, push, current = key_of(answer.push), answer.push, now.get(at)
        if answer.image not in active:
            written.inactive.add(key)
        elif current is None or current.state.manifest is None:
            written.lost.add(key)
        elif _version(answer.before) == _version(current.row):
            state = current.state
            if tag_rows.may_have_subject(push.tag, state.subject):
                # Whether it leads back to this tag depends on the others.
                _write_rows(pointed)
                pointed = []
            subject = tag_rows.subject_of(push.tag, answer.image, answer.digest, state.subject)
            row = tag_rows.point(state, subject, push.pushed_at, push.pushed_by)
            pointed.append((push.tag, state, row, answer.image))
            move = audit_events.TagMove(
                *key, current.row.digest, answer.digest, push.pushed_at is not None, push.pushed_by
            )
            if row.outcome is not Outcome.SAME:
                moves.append(move)
            if row.is_kept:
                kept.append(move)
            written.outcomes[key] = row.outcome
            if not (subject or state.tag_subject):
                written.plain.add(key)
    _write_rows(pointed)
    audit_events.record_moves(moves, kept, accounts)
    return written


_LOCK = "SELECT id FROM images_image WHERE id = ANY (%s) AND state = 'active' ORDER BY id FOR UPDATE"


def _lock(images: Collection[int]) -> set[int]:
    """Lock the rows of these images, in a fixed order against deadlocks; returns those that are not being deleted."""
    with frequent_cursor() as cursor:
        cursor.execute(_LOCK, [sorted(images)])
        return {image for (image,) in cursor.fetchall()}


class _Row(NamedTuple):
    """The version of a tag's row, and all that its change depends on."""

    row: TagRow
    state: Current


# OFFSET makes the planner use the unique indexes. Otherwise it expects as few rows as an average image has, and reads
# all of an image that has thousands.
_CURRENT = """
SELECT asked.at, image.id, tag.id, tag.manifest_id, tag.pushed_at, named.digest, namespace.available_at IS NOT NULL,
    manifest.id, manifest.subject, manifest.doomed,
    tag.pushed_by, tag.subject, tag.state = 'deleting', tag.deleting_since, tag.missing_at
FROM unnest(%s::bigint[], %s::text[], %s::text[]) WITH ORDINALITY AS asked (image, name, digest, at)
JOIN images_image AS image ON image.id = asked.image
JOIN namespaces_namespace AS namespace ON namespace.id = image.namespace_id
LEFT JOIN LATERAL (
    SELECT * FROM images_tag WHERE image_id = asked.image AND name = asked.name OFFSET 0
) AS tag ON true
LEFT JOIN images_manifest AS named ON named.id = tag.manifest_id
LEFT JOIN LATERAL (
    SELECT id, subject, doomed FROM images_manifest WHERE image_id = asked.image AND digest = asked.digest OFFSET 0
) AS manifest ON true
"""


def _read_current(answers: Sequence[Answer]) -> dict[int, _Row]:
    """The tags' rows and the manifests of the answers as they are now, by the answer's position."""
    images = [answer.image for answer in answers]
    with frequent_cursor() as cursor:
        cursor.execute(
            _CURRENT, [images, [answer.push.tag for answer in answers], [answer.digest for answer in answers]]
        )
        return {at - 1: _current(*row) for at, *row in cursor.fetchall()}


def _current(
    image: int,
    tag: int | None,
    named: int | None,
    pushed_at: datetime.datetime | None,
    digest: str | None,
    in_transfer: bool,
    *rest: Any,
) -> _Row:
    manifest, subject, is_doomed, *others = rest
    return _Row(
        TagRow(image, tag, named, pushed_at, digest, in_transfer),
        Current(manifest, subject, is_doomed, tag, named, pushed_at, *others),
    )


def _write_rows(pointed: Sequence[tuple[str, Current, Pointed, int]]) -> None:
    _spare([state for _name, state, _row, _image in pointed])
    _add(pointed)
    _change(pointed)


def _spare(states: Iterable[Current]) -> None:
    """Take the mark from manifests that were about to be deleted: a tag names them again."""
    if doomed := {state.manifest for state in states if state.is_doomed and state.manifest is not None}:
        Manifest.objects.filter(pk__in=doomed).update(doomed=False)


_ADD = """
INSERT INTO images_tag (
    image_id, manifest_id, name, sort_key, subject, pushed_at, pushed_by, pull_count, state, problem
)
SELECT new.*, 0, 'active', ''
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[]) AS new
"""


def _add(pointed: Iterable[tuple[str, Current, Pointed, int]]) -> None:
    rows = [
        (image, state.manifest, name, sort_key(name), row.subject, row.pushed_at, row.pushed_by)
        for name, state, row, image in pointed
        if row.outcome is Outcome.ADDED
    ]
    _execute(_ADD, rows)


_CHANGE = """
UPDATE images_tag AS tag SET
    manifest_id = new.manifest, subject = new.subject, pushed_at = new.pushed_at, pushed_by = new.pushed_by,
    missing_at = NULL, state = CASE WHEN new.undeleted THEN 'active' ELSE tag.state END,
    problem = CASE WHEN new.undeleted THEN '' ELSE tag.problem END
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::bool[])
    AS new (id, manifest, subject, pushed_at, pushed_by, undeleted)
WHERE tag.id = new.id
"""


def _change(pointed: Iterable[tuple[str, Current, Pointed, int]]) -> None:
    rows = [
        (state.tag, state.manifest, row.subject, row.pushed_at, row.pushed_by, row.is_undeleted)
        for _name, state, row, _image in pointed
        if row.outcome is not Outcome.ADDED and row.is_written
    ]
    _execute(_CHANGE, rows)


def _execute(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute a statement for rows that are given as columns, if there are any."""
    if rows:
        with frequent_cursor() as cursor:
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
