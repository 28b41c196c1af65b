"""Look up the caller and the repositories of a token request, with one statement.

The token endpoint is in the way of every login, push and pull, so it asks the database once. What comes back are
facts; what follows from them is for ``console.access`` to say.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from django.conf import settings
from django.db import NotSupportedError, ProgrammingError, connection
from django.utils import timezone

from console.access.grants import Access, Caller, Repository, TokenLimits
from console.access.names import split_repository
from console.database.base import DatabaseWrapper
from console.throttling import guesses
from console.throttling.guesses import Attempt, Marks


@dataclass(frozen=True)
class TokenUse:
    """The access token or login that was shown, by its primary key, and when and from where it was last used before."""

    shown: int | uuid.UUID
    last_at: datetime.datetime | None
    last_from: str | None


@dataclass(frozen=True)
class Found:
    """What was read, and when that began. ``caller`` is ``None`` when nobody was asked for, or nobody found.

    ``marks`` say what is remembered of attempts like this one, where one was made.

    A token counts from that moment, however long a password takes to check: a name that is given away is kept back for
    as long as a token lasts that knew nothing of it.
    """

    at: datetime.datetime
    caller: Caller | None = None
    repositories: dict[str, Repository] = field(default_factory=dict)
    use: TokenUse | None = None
    marks: Marks = field(default_factory=dict)


# What is asked for: names of repositories, with their namespaces beside them, between spaces, of which they have none.
# Unknown namespaces give no row.
# OFFSET keeps the planner at one look into the index for each: it expects ten names, and read all images for them where
# there were some thousands, which took thrice the time of everything else here.
_REPOSITORIES = """
    SELECT
        asked.name, namespace.owner_id, namespace.new_owner_id IS NOT NULL AS in_transfer, {chosen} AS chosen,
        image.id IS NOT NULL AS there, coalesce(image.state = 'active', false) AS active,
        coalesce(image.visibility = 'public', false) AS public,
        coalesce(image.tag_count + image.attachment_count, 0) AS tags
    FROM unnest(string_to_array(%(names)s, ' '), string_to_array(%(namespaces)s, ' ')) AS asked (name, namespace)
    JOIN LATERAL (
        SELECT id, owner_id, new_owner_id FROM namespaces_namespace WHERE name = asked.namespace OFFSET 0
    ) AS namespace ON true
    LEFT JOIN LATERAL (
        SELECT id, state, visibility, tag_count, attachment_count FROM images_image
        WHERE full_name = asked.name OFFSET 0
    ) AS image ON true
"""
_ANONYMOUS = _REPOSITORIES.format(chosen="false")
# The images are counted as ``Image.objects.visible_to`` has them, no further than the quota, and only for a new name.
_IDENTIFIED = """
WITH caller AS (
    SELECT
        account.id, account.account_id, credential.username, credential.password, credential.version, account.is_active,
        credential.activated_at IS NOT NULL AS activated, account.is_superuser, account.image_quota, account.tag_quota,
        {columns}
    FROM accounts_registrycredential AS credential
    JOIN accounts_account AS account ON account.id = credential.account_id
    {join}
    WHERE {condition}
),
repositories AS ({repositories}),
-- Kept as it is, or it would be counted for each of the repositories.
counted AS MATERIALIZED (
    SELECT CASE WHEN EXISTS (SELECT FROM repositories WHERE owner_id = caller.id AND NOT there) THEN (
        SELECT count(*) FROM (
            SELECT FROM images_image WHERE owner_id = caller.id
            LIMIT coalesce(caller.image_quota, %(image_quota)s)
        ) AS images
    ) ELSE 0 END AS images
    FROM caller
)
-- A row comes back for nobody, too: whoever is unknown costs what others cost.
SELECT attempt.marks, caller.*, counted.images, repositories.*
FROM (SELECT {marks} AS marks) AS attempt
LEFT JOIN (caller CROSS JOIN counted) ON true
LEFT JOIN repositories ON true
"""
_NO_MARKS = "NULL::float8[]"
_WITHOUT_TOKEN = {
    "columns": "NULL::bigint, NULL::boolean, NULL::boolean, NULL::boolean, NULL::timestamptz, NULL::inet",
    "join": "",
    "repositories": _ANONYMOUS,
}
_BY_USERNAME = _IDENTIFIED.format(**_WITHOUT_TOKEN, condition="credential.username = %(username)s", marks=guesses.MARKS)
_BY_LOGIN = _IDENTIFIED.format(
    columns="""login.id AS login_id, NULL::boolean, NULL::boolean, NULL::boolean,
        login.last_used_at, login.last_used_from""",
    join="JOIN tokens_login AS login ON login.account_id = account.id",
    condition="login.id = %(login)s AND login.version = credential.version",
    repositories=_ANONYMOUS,
    marks=_NO_MARKS,
)
_BY_SECRET = _IDENTIFIED.format(
    columns="""token.id AS token_id, token.can_push, token.can_delete, token.all_namespaces,
        token.last_used_at, token.last_used_from""",
    join="JOIN accounts_accesstoken AS token ON token.account_id = account.id",
    condition="""credential.username = %(username)s AND token.secret_hash = %(secret_hash)s
        AND token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > clock_timestamp())""",
    repositories=_REPOSITORIES.format(
        chosen="""EXISTS (
            SELECT FROM namespaces_namespaceaccess AS access, caller
            WHERE access.token_id = caller.token_id AND access.namespace_id = namespace.id
        )"""
    ),
    marks=guesses.MARKS,
)
_ACCOUNT_COLUMNS, _TOKEN_COLUMNS = 10, 6
_COLUMNS = 1 + _ACCOUNT_COLUMNS + _TOKEN_COLUMNS + 1


def by_username(username: str, asked: Iterable[Access], attempt: Attempt | None = None) -> Found:
    """The account with this registry user name, the repositories of ``asked``, and what matters for ``attempt``.

    :raises django.db.OperationalError: when the database cannot be reached.
    """
    return _identified(_BY_USERNAME, asked, attempt, username=_searchable(username))


def by_login(login: uuid.UUID, asked: Iterable[Access]) -> Found:
    """The account that a login with Docker stands for, if that has not ended, and the repositories of ``asked``.

    :raises django.db.OperationalError: when the database cannot be reached.
    """
    return _identified(_BY_LOGIN, asked, login=login)


def by_secret(username: str, secret_hash: str, asked: Iterable[Access], attempt: Attempt) -> Found:
    """The account that an access token stands for, if that is still good, and the repositories of ``asked``.

    :param secret_hash: the token's secret as ``token_secrets.hash_secret`` has it.
    :param attempt: what else is read of: whoever shows something else too often is held back.
    :raises django.db.OperationalError: when the database cannot be reached.
    """
    return _identified(_BY_SECRET, asked, attempt, username=_searchable(username), secret_hash=secret_hash)


def for_anybody(asked: Iterable[Access]) -> Found:
    """The repositories of ``asked``, with nobody asking.

    :raises django.db.OperationalError: when the database cannot be reached.
    """
    names = _names(asked)
    if not names["names"]:
        return Found(timezone.now())
    at = timezone.now()
    return Found(at, None, _repositories(_rows(_ANONYMOUS, names)))


def _searchable(username: str) -> str:
    """A user name that PostgreSQL takes: nobody has a name with NUL, nor an empty one."""
    return "" if "\x00" in username else username


def _identified(
    statement: str, asked: Iterable[Access], attempt: Attempt | None = None, **key: str | uuid.UUID
) -> Found:
    at = timezone.now()
    names, quota = _names(asked), settings.DEFAULT_IMAGE_QUOTA
    rows = _rows(statement, {**key, **guesses.asked_for(attempt), **names, "image_quota": quota})
    remembered = guesses.as_marks(rows[0][0]) if attempt else {}
    account = rows[0][1 : 1 + _ACCOUNT_COLUMNS]
    if account[0] is None:
        return Found(at, marks=remembered)
    shown, can_push, can_delete, all_namespaces, last_at, last_from, images = rows[0][1 + _ACCOUNT_COLUMNS : _COLUMNS]
    limits = TokenLimits(can_push, all_namespaces, can_delete) if can_push is not None else None
    return Found(
        at,
        Caller(*(*account, images, limits)),
        _repositories(row[_COLUMNS:] for row in rows),
        TokenUse(shown, last_at, last_from) if shown is not None else None,
        remembered,
    )


def _names(asked: Iterable[Access]) -> dict[str, str]:
    """The repositories among what was asked for whose names an image here can have."""
    parts = {access.name: split_repository(access.name) for access in asked if access.type == "repository"}
    found = {name: part[0] for name, part in parts.items() if part is not None}
    return {"names": " ".join(found), "namespaces": " ".join(found.values())}


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return _ask(statement, parameters)
    except (NotSupportedError, ProgrammingError):
        # A table was changed, or a pooler mixed connections up: what was prepared is no longer there, or does not fit.
        if connection.in_atomic_block:
            raise
        connection.close()
        return _ask(statement, parameters)


def _ask(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    database = cast(DatabaseWrapper, connection)
    with database.prepared_cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _repositories(rows: Iterable[tuple[Any, ...]]) -> dict[str, Repository]:
    return {name: Repository(*facts) for name, *facts in rows if name is not None}
