"""Seed an empty database with many images and tags for benchmarks.

Rows are generated in the database with ``INSERT … SELECT``: a million tags take about a minute. All constraints hold,
and the names for the search come from the database trigger.

    python -m benchmarks.seed --images 100000 --tags 10
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone

from benchmarks.tools import installation, say, stopwatch
from console.accounts.models import Account, RegistryCredential
from console.namespaces.models import Namespace
from console.repositories.tag_order import sort_key

# For a run that only seeds: data that is lost in a crash can be seeded again.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=8GB", "checkpoint_timeout=1h")
NAMESPACE_SIZE = 1000
# The first namespace has this share of everything, because real distributions are skewed.
FIRST_SHARE = 10


@dataclass(frozen=True)
class Plan:
    """How many rows to create.

    :param tags: of each image, except every twentieth image, which has none.
    :param wide_tags: of one more image, ``team-0/wide``.
    :param documents: every so many-th image also has documents (manifest contents).
    :param even: if not 0, so many namespaces have equally many images, all with tags, and there is no wide image.
    """

    images: int = 100_000
    tags: int = 10
    wide_tags: int = 10_000
    documents: int = 10
    even: int = 0

    @property
    def namespaces(self) -> int:
        """A thousand images in each, except the first."""
        return self.even or max(2, self.images // NAMESPACE_SIZE)


_NAMESPACES = """
INSERT INTO namespaces_namespace (owner_id, name, created_at, changed_at)
SELECT %(owner)s, 'team-' || n, now() - n * interval '1 hour', now() FROM generate_series(0, %(namespaces)s - 1) AS n
"""
# A tenth of the images is in the first namespace. Some have equal times of creation.
_IMAGES = """
INSERT INTO images_image (
    namespace_id, name, visibility, description, state, created_at, tag_count, attachment_count, size, last_push_at,
    pull_count, last_pull_at, star_count, changed_at
)
SELECT
    namespace.id,
    (ARRAY['payments', 'web', 'data', 'search', 'mobile', 'platform', 'billing', 'media'])[1 + n %% 8] || '/'
        || (ARRAY['api', 'worker', 'gateway', 'frontend', 'scheduler', 'importer', 'proxy'])[1 + n / 8 %% 7]
        || (ARRAY['-', '_', '.'])[1 + n / 56 %% 3] || n,
    CASE WHEN n %% 5 = 0 THEN 'public' ELSE 'private' END,
    CASE WHEN n %% 3 = 0 THEN 'What it is **for**.' ELSE '' END,
    'active',
    now() - (n %% 30000) * interval '20 minutes',
    0, 0, 0, NULL,
    n * 7919 %% 5000, CASE WHEN n %% 4 > 0 THEN now() - (n * 31 %% 40000) * interval '1 minute' END, 0,
    now() - (n %% 30000) * interval '20 minutes'
FROM generate_series(0, %(images)s - 1) AS n
JOIN namespaces_namespace AS namespace ON namespace.name = 'team-'
    || CASE WHEN %(even)s THEN n %% %(namespaces)s WHEN n %% %(share)s = 0 THEN 0
        ELSE 1 + n %% greatest(1, %(namespaces)s - 1) END
"""
_WIDE = """
INSERT INTO images_image (
    namespace_id, name, visibility, description, state, created_at, tag_count, attachment_count, size, last_push_at,
    pull_count, last_pull_at, star_count, changed_at
)
SELECT id, 'wide', 'private', 'Very many tags.', 'active', now(), 0, 0, 0, NULL, 0, NULL, 0, now()
FROM namespaces_namespace WHERE name = 'team-0' RETURNING id
"""
# The tags of each image: every fifth tag is an index of two platforms with a signature.
_PLAN = """
CREATE TEMPORARY TABLE seed_tag ON COMMIT DROP AS
SELECT
    image.id AS image_id, n, row_number() OVER (ORDER BY image.id, n) AS number,
    nextval('images_manifest_id_seq') AS manifest_id, n %% 5 = 4 AS is_index,
    image.id %% %(documents)s = 0 OR image.id = %(wide)s AS with_document,
    now() - ((image.id * 13 + n * 977) %% 500000) * interval '1 minute' AS pushed_at
FROM images_image AS image
JOIN generate_series(0, greatest(%(tags)s, %(wide_tags)s) - 1) AS n
    ON n < CASE WHEN image.id = %(wide)s THEN %(wide_tags)s
        WHEN image.id %% 20 = 0 AND NOT %(even)s THEN 0 ELSE %(tags)s END
"""
_DIGEST = "'sha256:' || encode(sha256(convert_to({} || number, 'UTF8')), 'hex')"
_TAG_DIGEST = _DIGEST.format("'tag '")
_IMAGE = "'application/vnd.oci.image.manifest.v1+json'"
_INDEX = "'application/vnd.oci.image.index.v1+json'"
_MANIFEST = """
INSERT INTO images_manifest (
    id, image_id, digest, media_type, kind, size, platforms, blobs, children, is_child, doomed, artifact_type, subject,
    created_at, pull_count, last_pull_at
)
"""
_SIGNED = "is_index AND n = 4"
# Manifests of tags, then platforms of indexes and their signatures, whose keys differ by the sign.
_MANIFESTS = [
    f"""{_MANIFEST}
    SELECT
        manifest_id, image_id, {_TAG_DIGEST}, CASE WHEN is_index THEN {_INDEX} ELSE {_IMAGE} END,
        CASE WHEN is_index THEN 'index' ELSE 'image' END, 1000000 + number * 7919 % 90000000,
        CASE WHEN is_index THEN '["linux/amd64", "linux/arm64"]'::jsonb ELSE '["linux/amd64"]' END,
        CASE WHEN is_index THEN '[]' ELSE jsonb_build_array({_DIGEST.format("'config '")}) END,
        CASE WHEN is_index THEN jsonb_build_array(
            jsonb_build_object('digest', {_DIGEST.format("'amd64 '")}, 'platform', 'linux/amd64'),
            jsonb_build_object('digest', {_DIGEST.format("'arm64 '")}, 'platform', 'linux/arm64')
        ) ELSE '[]' END,
        false, false, '', '', pushed_at - interval '5 minutes', number * 31 % 100, NULL
    FROM seed_tag
    """,
    *(
        f"""{_MANIFEST}
        SELECT
            nextval('images_manifest_id_seq'), image_id, {_DIGEST.format(f"'{platform} '")}, {_IMAGE}, 'image',
            500000 + number * 104729 % 40000000, '["linux/{platform}"]',
            jsonb_build_array({_DIGEST.format(f"'config {platform} '")}), '[]', true, false, '', '',
            pushed_at - interval '5 minutes', 0, NULL
        FROM seed_tag WHERE is_index
        """
        for platform in ("amd64", "arm64")
    ),
    f"""{_MANIFEST}
    SELECT
        -manifest_id, image_id, {_DIGEST.format("'signature '")}, {_IMAGE}, 'artifact', 1200, '[]',
        jsonb_build_array({_DIGEST.format("'signed '")}), '[]', false, false, '', '', NULL, 0, NULL
    FROM seed_tag WHERE {_SIGNED}
    """,
]
_NAME = "CASE WHEN n = 0 THEN 'latest' ELSE format('%s.%s.%s', n / 100, n / 10 % 10, n % 10) END"
_SIGNATURE = f"replace({_TAG_DIGEST}, ':', '-') || '.sig'"
_NAMES = f"SELECT {_NAME} FROM seed_tag UNION SELECT {_SIGNATURE} FROM seed_tag WHERE {_SIGNED}"
# The sort key of each name, which Python computes.
_KEYS = 'CREATE TEMPORARY TABLE seed_key (name text PRIMARY KEY, sort_key text COLLATE "C") ON COMMIT DROP'
_KEY_ROWS = "INSERT INTO seed_key SELECT * FROM unnest(%s::text[], %s::text[])"
_TAG = """
INSERT INTO images_tag (
    image_id, manifest_id, name, sort_key, subject, pushed_at, pushed_by, pull_count, last_pull_at, state, problem,
    missing_at
)
"""
_TAGS = [
    f"""{_TAG}
    SELECT
        image_id, manifest_id, seed_key.name, sort_key, '', pushed_at, 'builder', number * 7919 % 1000,
        CASE WHEN number % 3 > 0 THEN pushed_at + interval '1 hour' END, 'active', '', NULL
    FROM seed_tag JOIN seed_key ON seed_key.name = {_NAME}
    """,
    f"""{_TAG}
    SELECT
        image_id, -manifest_id, seed_key.name, sort_key, {_TAG_DIGEST}, pushed_at, 'builder', 0, NULL, 'active', '',
        NULL
    FROM seed_tag JOIN seed_key ON seed_key.name = {_SIGNATURE} WHERE {_SIGNED}
    """,
]
# Ten layers and twenty steps of history, like an ordinary image.
_DOCUMENTS = f"""
INSERT INTO images_document (digest, media_type, content, config)
SELECT
    {_TAG_DIGEST}, {_IMAGE},
    convert_to(jsonb_build_object('schemaVersion', 2, 'mediaType', {_IMAGE}, 'config', jsonb_build_object(
        'mediaType', 'application/vnd.oci.image.config.v1+json', 'digest', {_DIGEST.format("'config '")},
        'size', 4321
    ), 'layers', layers)::text, 'UTF8'),
    jsonb_build_object('os', 'linux', 'architecture', 'amd64', 'author', 'builder', 'history', history)
FROM seed_tag, (
    SELECT jsonb_agg(jsonb_build_object(
        'mediaType', 'application/vnd.oci.image.layer.v1.tar+gzip', 'size', n * 100000,
        'digest', 'sha256:' || encode(sha256(convert_to('layer ' || n, 'UTF8')), 'hex')
    )) AS layers FROM generate_series(1, 10) AS n
) AS layers, (
    SELECT jsonb_agg(jsonb_build_object(
        'created_by', 'RUN make step-' || n, 'created', '2026-01-01T00:00:00Z', 'empty', n % 2 = 0
    )) AS history FROM generate_series(1, 20) AS n
) AS history
WHERE with_document AND NOT is_index
"""
# Every third image has pushes or pulls on ten of the last thirty days.
_ACTIVITY = """
INSERT INTO images_dailyactivity (image_id, day, pushes, pulls)
SELECT id, (now() AT TIME ZONE 'UTC')::date - ((id + n * 3) % 30)::int, 1 + (id * n) % 5, (id * 7 + n) % 200
FROM images_image, generate_series(0, 9) AS n WHERE id % 3 = 0
"""
_TOTALS = """
UPDATE images_image AS image
SET tag_count = counted.tags, attachment_count = counted.attached, size = counted.size, last_push_at = counted.newest
FROM (
    SELECT tag.image_id, count(*) FILTER (WHERE tag.subject = '') AS tags,
        count(*) FILTER (WHERE tag.subject <> '') AS attached, sum(manifest.size) AS size, max(tag.pushed_at) AS newest
    FROM images_tag AS tag JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id GROUP BY tag.image_id
) AS counted
WHERE image.id = counted.image_id
"""


def seed(owner: int, plan: Plan) -> None:
    """Seed the database, which must have no namespaces; everything belongs to one account.

    :param owner: the account's primary key.
    """
    numbers = {
        "owner": owner, "namespaces": plan.namespaces, "images": plan.images, "share": FIRST_SHARE,
        "tags": plan.tags, "wide_tags": plan.wide_tags, "documents": plan.documents, "even": bool(plan.even),
    }  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_NAMESPACES, numbers)
        cursor.execute(_IMAGES, numbers)
        wide = 0
        if not plan.even:
            cursor.execute(_WIDE)
            wide = cursor.fetchone()[0]
        cursor.execute(_PLAN, {**numbers, "wide": wide, "wide_tags": plan.wide_tags if wide else 0})
        # Foreign keys are valid by construction: checking them would double the time.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_KEYS)
        cursor.execute(_NAMES)
        names = [name for (name,) in cursor.fetchall()]
        cursor.execute(_KEY_ROWS, [names, [sort_key(name) for name in names]])
        cursor.execute("ANALYZE seed_key")
        for statement in (*_MANIFESTS, *_TAGS, _DOCUMENTS, _ACTIVITY, _TOTALS):
            cursor.execute(statement)
    tidy()


def emptied() -> None:
    """Empty the database: delete all accounts and their data."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {Account._meta.db_table}, {Namespace._meta.db_table}, images_document CASCADE")
    tidy()


def tidy() -> None:
    """Vacuum and analyze the tables, like autovacuum some minutes later."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


_HASHED = make_password("nobody signs in with this", hasher="argon2")


def create_account(name: str) -> Account:
    """Create an activated account with unlimited quotas, which has done its first steps."""
    account = Account(name=name, namespace_quota=1_000_000, image_quota=1_000_000, tag_quota=1_000_000)
    account.checklist_closed = True
    account.set_unusable_password()
    account.save()
    credential = RegistryCredential(account=account, username=account.account_id, activated_at=timezone.now())
    credential.password = _HASHED
    credential.save()
    return account


def main() -> None:
    """Seed ``BENCHMARK_DATA_DIR``, and print how long it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed", description=__doc__)
    parser.add_argument("--images", type=int, default=Plan.images)
    parser.add_argument("--tags", type=int, default=Plan.tags, help="of each image")
    parser.add_argument("--wide-tags", type=int, default=Plan.wide_tags, help="of team-0/wide")
    given = parser.parse_args()
    with installation(registry=False, options=FAST), stopwatch() as seconds:
        seed(create_account("Ann").pk, Plan(given.images, given.tags, given.wide_tags))
        say(f"Seeded in {seconds():.0f} s.")


if __name__ == "__main__":
    main()
