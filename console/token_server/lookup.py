"""Look up the caller and the repositories of a token request, with one statement.

Every login, push and pull waits for the token endpoint, so it queries the database once. The lookup returns facts;
``console.access`` decides what follows from them.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import NotSupportedError, ProgrammingError, connection
from django.utils import timezone

from console.access.grants import Caller, Repository, TokenLimits
from console.access.names import split_repository
from console.access.roles import Role
from console.access.token_secrets import hash_secret
from console.database.base import DatabaseWrapper
from console.throttling import guesses
from console.throttling.guesses import Marks
from console.token_server.token_request import Password, Secret, TokenRequest


@dataclass(frozen=True)
class TokenUse:
    """The access token or login that was presented, by its primary key, and when and from where it was last used."""

    presented: int | uuid.UUID
    last_at: datetime.datetime | None
    last_from: str | None


@dataclass(frozen=True)
class Found:
    """What the lookup read: the account that the credentials name, not verified yet, and the repositories requested.

    :param at: when the lookup began. The token is valid from then, however long its password takes to verify: a
        namespace that changes hands is held for the life of a token whose facts were read before the change.
    :param caller: ``None`` for an anonymous request, and for credentials that name no account.
    :param marks: the state of the rate limits for the request's attempt, if it has one.
    """

    at: datetime.datetime
    caller: Caller | None = None
    repositories: dict[str, Repository] = field(default_factory=dict)
    use: TokenUse | None = None
    marks: Marks = field(default_factory=dict)


# Parameters: the names of the repositories and of their namespaces, joined by spaces, which neither can contain.
# Unknown namespaces give no row.
# OFFSET makes the planner use one index lookup for each name. It expects ten names, and without OFFSET it read all
# images where there were some thousands, which took three times as long as the rest of the statement.
_REPOSITORIES = """
    SELECT
        asked.name, namespace.owner_id, namespace.new_owner_id IS NOT NULL AS in_transfer, {role} AS role,
        {chosen} AS chosen, image.id IS NOT NULL AS there, coalesce(image.state = 'active', false) AS active,
        coalesce(image.visibility = 'public', false) AS public
    FROM unnest(string_to_array(%(names)s, ' '), string_to_array(%(namespaces)s, ' ')) AS asked (name, namespace)
    JOIN LATERAL (
        SELECT id, owner_id, new_owner_id FROM namespaces_namespace WHERE name = asked.namespace OFFSET 0
    ) AS namespace ON true
    LEFT JOIN LATERAL (
        SELECT id, state, visibility FROM images_image WHERE full_name = asked.name OFFSET 0
    ) AS image ON true
"""
# The highest role, by the account's own grants and by those of its teams: two index lookups, however many it has.
_ROLE = """CASE WHEN namespace.owner_id = (SELECT id FROM caller) THEN 4 ELSE (
            SELECT max(held.role) FROM (
                SELECT own.role, own.image_id, own.until FROM membership_grant AS own
                WHERE own.account_id = (SELECT id FROM caller) AND own.namespace_id = namespace.id
                UNION ALL
                SELECT granted.role, granted.image_id, granted.until FROM membership_teammember AS member
                JOIN membership_grant AS granted ON granted.team_id = member.team_id
                WHERE member.account_id = (SELECT id FROM caller) AND granted.namespace_id = namespace.id
            ) AS held
            WHERE (held.until IS NULL OR held.until > clock_timestamp())
                AND (held.image_id IS NULL OR held.image_id = image.id)
        ) END"""
_ANONYMOUS = _REPOSITORIES.format(role="NULL::integer", chosen="false")
_OWN_LIMITS = _REPOSITORIES.format(role=_ROLE, chosen="false")
# How many images an owner has is read only if the caller may push a new one.
_IDENTIFIED = """
WITH caller AS (
    SELECT
        account.id, account.account_id, credential.username, credential.password, credential.version, account.is_active,
        credential.activated_at IS NOT NULL AS activated, account.is_superuser,
        {columns}
    FROM accounts_registrycredential AS credential
    JOIN accounts_account AS account ON account.id = credential.account_id
    {join}
    WHERE {condition}
),
repositories AS ({repositories}),
-- MATERIALIZED: otherwise it is read once for each repository.
owners AS MATERIALIZED (
    SELECT account.id, account.image_quota, (
        SELECT sum(image_count) FROM namespaces_namespace WHERE owner_id = account.id
    ) AS images
    FROM accounts_account AS account
    WHERE account.id IN (SELECT owner_id FROM repositories WHERE NOT there AND role >= 2)
)
-- An unknown caller gives a row, too, so that it takes the same time.
SELECT attempt.marks, caller.*, repositories.*, coalesce(owners.images, 0), owners.image_quota
FROM (SELECT {marks} AS marks) AS attempt
LEFT JOIN caller ON true
LEFT JOIN repositories ON true
LEFT JOIN owners ON owners.id = repositories.owner_id AND NOT repositories.there
"""
_NO_MARKS = "NULL::float8[]"
_WITHOUT_TOKEN = {
    "columns": "NULL::bigint, NULL::boolean, NULL::boolean, NULL::boolean, NULL::timestamptz, NULL::inet",
    "join": "",
    "repositories": _OWN_LIMITS,
}
_BY_USERNAME = _IDENTIFIED.format(**_WITHOUT_TOKEN, condition="credential.username = %(username)s", marks=guesses.MARKS)
_BY_LOGIN = _IDENTIFIED.format(
    columns="""login.id AS login_id, NULL::boolean, NULL::boolean, NULL::boolean,
        login.last_used_at, login.last_used_from""",
    join="JOIN tokens_login AS login ON login.account_id = account.id",
    condition="login.id = %(login)s AND login.version = credential.version",
    repositories=_OWN_LIMITS,
    marks=_NO_MARKS,
)
_BY_SECRET = _IDENTIFIED.format(
    columns="""token.id AS token_id, token.can_push, token.can_delete, token.all_namespaces,
        token.last_used_at, token.last_used_from""",
    join="JOIN accounts_accesstoken AS token ON token.account_id = account.id",
    condition="""credential.username = %(username)s AND token.secret_hash = %(secret_hash)s
        AND token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > clock_timestamp())""",
    repositories=_REPOSITORIES.format(
        role=_ROLE,
        chosen="""(EXISTS (
            SELECT FROM namespaces_namespaceaccess AS access, caller
            WHERE access.token_id = caller.token_id AND access.namespace_id = namespace.id
        ) OR EXISTS (
            SELECT FROM images_imageaccess AS access, caller
            WHERE access.token_id = caller.token_id AND access.image_id = image.id
        ))""",
    ),
    marks=guesses.MARKS,
)
_ACCOUNT_COLUMNS, _TOKEN_COLUMNS = 8, 6
_COLUMNS = 1 + _ACCOUNT_COLUMNS + _TOKEN_COLUMNS


def find(request: TokenRequest) -> Found:
    """Look up who sent the request, the repositories it names, and the state of the rate limits: one statement.

    :raises django.db.OperationalError: when the database cannot be reached.
    """
    at = timezone.now()
    names, credentials = _names(request), request.credentials
    if credentials is None:
        return Found(at, repositories=_repositories(_rows(_ANONYMOUS, names)) if names["names"] else {})
    if isinstance(credentials, Password):
        return _identified(at, request, _BY_USERNAME, {**names, "username": _searchable(credentials.username)})
    if isinstance(credentials, Secret):
        key = {"username": _searchable(credentials.username), "secret_hash": hash_secret(credentials.secret)}
        return _identified(at, request, _BY_SECRET, {**names, **key})
    if credentials.login is not None:
        return _identified(at, request, _BY_LOGIN, {**names, "login": credentials.login})
    return Found(at, marks=guesses.read_marks(request.attempt) if request.attempt else {})


def _searchable(username: str) -> str:
    """A user name that PostgreSQL accepts: nobody has a name with NUL, nor an empty one."""
    return "" if "\x00" in username else username


def _identified(at: datetime.datetime, request: TokenRequest, statement: str, parameters: dict[str, Any]) -> Found:
    rows = _rows(statement, {**parameters, **guesses.mark_parameters(request.attempt)})
    marks = guesses.as_marks(rows[0][0]) if request.attempt else {}
    account = rows[0][1 : 1 + _ACCOUNT_COLUMNS]
    if account[0] is None:
        return Found(at, marks=marks)
    presented, can_push, can_delete, all_namespaces, last_at, last_from = rows[0][1 + _ACCOUNT_COLUMNS : _COLUMNS]
    limits = TokenLimits(can_push, all_namespaces, can_delete) if can_push is not None else None
    return Found(
        at,
        Caller(*(*account, limits)),
        _repositories(row[_COLUMNS:] for row in rows),
        TokenUse(presented, last_at, last_from) if presented is not None else None,
        marks,
    )


def _names(request: TokenRequest) -> dict[str, str]:
    """The requested repositories whose names an image here can have, and their namespaces."""
    parts = {access.name: split_repository(access.name) for access in request.asked if access.type == "repository"}
    found = {name: part[0] for name, part in parts.items() if part is not None}
    return {"names": " ".join(found), "namespaces": " ".join(found.values())}


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return _ask(statement, parameters)
    except (NotSupportedError, ProgrammingError):
        # The prepared statement is gone or outdated: a table was changed, or a pooler switched connections.
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
    return {name: _repository(*facts) for name, *facts in rows if name is not None}


def _repository(
    owner: int,
    in_transfer: bool,
    role: int | None,
    chosen: bool,
    exists: bool,
    active: bool,
    public: bool,
    images: int = 0,
    image_quota: int | None = None,
) -> Repository:
    return Repository(
        owner,
        in_transfer,
        Role(role) if role is not None else None,
        chosen=chosen,
        exists=exists,
        active=active,
        public=public,
        images=images,
        image_quota=image_quota,
    )
