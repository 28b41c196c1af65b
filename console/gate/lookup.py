"""Look up the facts for a push or a deletion with one statement.

The token says what was allowed minutes ago; this says what is true now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from console.access.grants import Caller, Repository
from console.access.roles import Role
from console.database.statements import frequent_cursor
from console.registry.index.write_tags import TagRow


@dataclass(frozen=True)
class Found:
    """Facts about a change of a repository.

    :param caller: the account with the token's user name; ``None`` when it does not exist any more.
    :param repository: ``None`` when its namespace does not exist.
    :param image: the primary key of its image, if there is one.
    :param row: the tag's row as ``write_tags.read_rows`` reads it; ``None`` without an active image.
    :param has_row: whether the manifest has a row in the index.
    :param is_known: whether the manifest was pushed to the repository before, as far as index and push events say.
    :param is_doomed: whether it is being deleted.
    """

    caller: Caller | None
    repository: Repository | None
    image: int | None
    row: TagRow | None
    has_row: bool
    is_known: bool
    is_doomed: bool


# Tags and images that are being pushed at this moment count for the quotas: their hints are the reservations. The locks
# are held for the moment between this statement and the hint, so two pushes never take the same last place. The
# advisory lock is for the tags of a repository; the owner's row for its images, as where a page creates one.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('gate'), hashtext(%s))"
_LOCK_ACCOUNT = "SELECT FROM accounts_account WHERE id = %s FOR NO KEY UPDATE"
_FACTS = """
SELECT account.id, account.account_id, credential.username, account.is_active, credential.activated_at IS NOT NULL,
    account.is_superuser, namespace.owner_id, namespace.new_owner_id IS NOT NULL,
    CASE WHEN namespace.owner_id = account.id THEN 4 ELSE (
        SELECT max(held.role) FROM (
            SELECT own.role, own.image_id, own.until FROM membership_grant AS own
            WHERE own.account_id = account.id AND own.namespace_id = namespace.id
            UNION ALL
            SELECT granted.role, granted.image_id, granted.until FROM membership_teammember AS member
            JOIN membership_grant AS granted ON granted.team_id = member.team_id
            WHERE member.account_id = account.id AND granted.namespace_id = namespace.id
        ) AS held
        WHERE (held.until IS NULL OR held.until > clock_timestamp())
            AND (held.image_id IS NULL OR held.image_id = image.id)
    ) END,
    image.id, image.state = 'active', image.visibility = 'public',
    CASE WHEN owner.id IS NOT NULL AND image.id IS NULL THEN (
        SELECT coalesce(sum(own.image_count), 0) FROM namespaces_namespace AS own WHERE own.owner_id = owner.id
    ) + (
        SELECT count(DISTINCT hint.repository) FROM indexing_hint AS hint
        JOIN namespaces_namespace AS own ON own.name = split_part(hint.repository, '/', 1)
        WHERE own.owner_id = owner.id AND hint.pushed_at IS NOT NULL AND hint.repository <> %(repository)s
            AND NOT EXISTS (SELECT FROM images_image AS other WHERE other.full_name = hint.repository)
    ) ELSE 0 END,
    owner.image_quota,
    CASE WHEN tag.id IS NULL AND %(tag)s <> '' THEN (
        SELECT count(*) FROM (
            SELECT FROM images_tag AS other WHERE other.image_id = image.id
            LIMIT coalesce(owner.tag_quota, %(tag_quota)s)
        ) AS counted
    ) + (
        SELECT count(*) FROM indexing_hint AS hint
        WHERE hint.repository = %(repository)s AND hint.pushed_at IS NOT NULL
            AND position(':' IN hint.tag) = 0 AND hint.tag <> %(tag)s
            AND NOT EXISTS (SELECT FROM images_tag AS other WHERE other.image_id = image.id AND other.name = hint.tag)
    ) ELSE 0 END,
    owner.tag_quota,
    tag.id, tag.manifest_id, tag.pushed_at, named.digest, namespace.available_at IS NOT NULL,
    manifest.id IS NOT NULL, manifest.id IS NOT NULL OR EXISTS (
        SELECT FROM images_pusheddigest AS pushed
        WHERE pushed.repository = %(repository)s AND pushed.digest = %(digest)s AND NOT pushed.removed
    ),
    coalesce(manifest.doomed, false)
FROM (SELECT %(username)s AS username) AS token
LEFT JOIN accounts_registrycredential AS credential ON credential.username = token.username
LEFT JOIN accounts_account AS account ON account.id = credential.account_id
LEFT JOIN namespaces_namespace AS namespace ON namespace.name = %(namespace)s
LEFT JOIN accounts_account AS owner ON owner.id = namespace.owner_id
LEFT JOIN images_image AS image ON image.full_name = %(repository)s
LEFT JOIN images_tag AS tag ON tag.image_id = image.id AND tag.name = %(tag)s
LEFT JOIN images_manifest AS named ON named.id = tag.manifest_id
LEFT JOIN images_manifest AS manifest ON manifest.image_id = image.id AND manifest.digest = %(digest)s
"""


def lock_account(account: int) -> None:
    """Lock an account's row, so that no other image is created for it until the caller's transaction ends."""
    with frequent_cursor() as cursor:
        cursor.execute(_LOCK_ACCOUNT, [account])


def find(username: str, repository: str, *, tag: str = "", digest: str = "", lock: bool = False) -> Found:
    """Look up the facts about a change of ``repository``.

    :param username: the subject of the token.
    :param tag: the tag that is written or deleted, if any.
    :param digest: the manifest.
    :param lock: whether other changes of the repository wait until the caller's transaction ends.
    :raises django.db.OperationalError: when the database cannot be reached.
    """
    if lock:
        with frequent_cursor() as cursor:
            cursor.execute(_LOCK, [repository])
    with frequent_cursor() as cursor:
        cursor.execute(
            _FACTS,
            {
                "username": username,
                "repository": repository,
                "namespace": repository.partition("/")[0],
                "tag": tag,
                "digest": digest,
                "tag_quota": settings.DEFAULT_TAG_QUOTA,
            },
        )
        return _found(cursor.fetchone())


def _found(row: tuple[Any, ...]) -> Found:
    account, account_id, username, is_active, activated, is_superuser, owner, in_transfer, role = row[:9]
    image, active, public, images, image_quota, tags, tag_quota = row[9:16]
    has_row, is_known, is_doomed = row[21:]
    caller = repository = None
    if account is not None:
        caller = Caller(
            account=account,
            account_id=account_id,
            username=username,
            password="",
            version=0,
            is_active=is_active,
            activated=activated,
            is_superuser=is_superuser,
        )
    if owner is not None:
        repository = Repository(
            owner,
            in_transfer,
            Role(role) if role is not None else None,
            exists=image is not None,
            active=bool(active),
            public=bool(public),
            images=images,
            image_quota=image_quota,
            tags=tags,
            tag_quota=tag_quota,
        )
    tag_row = TagRow(image, *row[16:21]) if image is not None and active else None
    return Found(caller, repository, image, tag_row, has_row, is_known, is_doomed)
