"""Databases of earlier versions, with rows in them, brought to this one.

``before.json`` has the migrations that each recorded version had, a ``.sql`` file beside it the rows. When a version is
given out, its migrations (``manage.py showmigrations``) take the place of ``last``, and rows for what is new join
``last.sql``. Rows are plain SQL: today's models do not know yesterday's columns.
"""

import json
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.hashers import make_password
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RunSQL

from console.access.token_secrets import hash_secret, new_secret
from console.repositories.tag_order import sort_key
from tests.support.environment import FOLDER
from tests.support.installations import create, drop
from tests.support.postgres import MIGRATED

HERE = Path(__file__).parent
VERSIONS = json.loads((HERE / "before.json").read_text())
# Apps that came after the last version: in the next one that is recorded, they are among its own.
SINCE = {"membership"}
SECOND = "before public images and access tokens"
THIRD = "before logins and second factors"
# In which version rows are written, and which file has them, on the way to each.
ROWS = {
    "first": [("first", "first.sql")],
    SECOND: [(SECOND, "second.sql")],
    THIRD: [(SECOND, "second.sql"), (THIRD, "third.sql")],
    "last": [(SECOND, "second.sql"), (THIRD, "third.sql"), ("last", "last.sql")],
}
A, B, C = ("a" * 64, "b" * 64, "c" * 64)
PASSWORD = "the password 1"
# Columns that have another name since.
RENAMED = {
    ("images_doomedmanifest", "buried"): "untagged",
    ("images_pusheddigest", "told_at"): "notified_at",
    ("indexing_activity", "told_at"): "notified_at",
}
# Every page that has anything to do with the rows, as their owner and as an administrator sees them.
PAGES = """
from django.contrib.auth import authenticate
from django.test import Client
from console.accounts.models import Account
ann = authenticate(username="111111111111", password={password!r})
assert ann is not None, "the console password is another one"
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(ann)
for path in {paths!r}:
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code)
    if path in {texts!r}:
        for text in {texts!r}[path]:
            assert text in response.content.decode(), (path, text)
print("all pages")
"""
PATHS = [
    "/images/", "/images/?q=api", "/namespaces/", "/account/", "/account/activity/", "/account/tokens/",
    "/account/logins/", "/docker-hub/", "/favorites/", "/public-images/", "/public-images/team/app/", "/search/?q=app",
    "/images/team/app/", "/images/team/app/-/tags/", "/images/team/app/-/settings/",
    "/images/team/app/-/tags/v1/", "/images/team/app/-/tags/latest/", "/images/team/web/api/",
    "/images/-/storage/team/",
    "/admin/accounts/account/", "/admin/accounts/accesstoken/", "/admin/namespaces/namespace/", "/admin/images/image/",
    "/admin/audit/auditevent/", "/admin/transfers/transfer/",
]  # fmt: skip
TEXTS = {"/images/": ["team", "app", "web/api"], "/images/team/app/": ["v1", "latest"], "/public-images/": ["team/app"]}
# Everything that people do with an image and a token goes on.
TOKENS = """
import base64, jwt
from django.test import Client
from console.access_tokens import services as access_tokens
from console.accounts.models import Account, AccessToken
def ask(user, password, scope):
    header = "Basic " + base64.b64encode(f"{{user}}:{{password}}".encode()).decode()
    asked = {{"scope": scope, "service": "my-images-registry"}}
    response = Client(SERVER_NAME="127.0.0.1").get("/token/", asked, headers={{"Authorization": header}})
    assert response.status_code == 200, response.content
    claims = jwt.decode(response.json()["token"], options={{"verify_signature": False}})
    return [(entry["name"], entry["actions"]) for entry in claims["access"]]
both = "repository:team/app:pull,push"
assert ask("ann-registry", {password!r}, both) == [("team/app", ["pull", "push"])]
assert ask("ben-registry", {password!r}, both) == [("team/app", ["pull"])], "it is public"
secret = {create}
assert ask("ann-registry", secret, both) == [("team/app", ["pull"])]
print("all tokens")
"""

# Whose a namespace was is its owner, with all that an owner may do; nobody else has a role.
OWNERS = """
from console.access.roles import VERBS, Role
from console.accounts.models import Account
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.repositories.models import Image
assert Namespace.objects.exists() and not Grant.objects.exists()
def role_on(thing, account):
    return thing.facts_for(account.pk).role
for account in Account.objects.all():
    for thing in [*Namespace.objects.all(), *Image.objects.select_related("namespace")]:
        mine = account.pk == thing.owner_id
        assert role_on(thing, account) == (Role.OWNER if mine else None), (account, thing)
for thing in [*Namespace.objects.filter(new_owner=None), *Image.objects.filter(namespace__new_owner=None)]:
    kind = "namespace" if isinstance(thing, Namespace) else "image"
    verbs = {{verb for verb in VERBS[Role.OWNER] if verb.startswith(kind)}}
    assert verbs - {{"image.create"}} <= thing.owner.verbs_on(thing), thing
print("all owners")
"""
# Access tokens of before, by what they were made with: what each of them is granted on three images.
SCOPES = ["team/app", "team/web/api", "lab/tool"]
EARLIER_TOKENS = {
    "pull": ({"can_push": False, "all_namespaces": True}, [["pull"], ["pull"], []]),
    "push": ({"can_push": True, "all_namespaces": True}, [["pull", "push"], ["pull", "push"], []]),
    "none": ({"can_push": True, "all_namespaces": False}, [["pull"], [], []]),
    "team": ({"can_push": True, "all_namespaces": False}, [["pull", "push"], ["pull", "push"], []]),
    "over": ({"can_push": True, "all_namespaces": True, "expires_at": "2025-01-01Z"}, None),
    "gone": ({"can_push": True, "all_namespaces": True, "revoked_at": "2025-01-01Z"}, None),
}
ASK = """
import base64, json, jwt
from django.test import Client
def ask(secret, name):
    header = "Basic " + base64.b64encode(f"ann-registry:{{secret}}".encode()).decode()
    asked = {{"scope": f"repository:{{name}}:pull,push", "service": "my-images-registry"}}
    response = Client(SERVER_NAME="127.0.0.1").get("/token/", asked, headers={{"Authorization": header}})
    if response.status_code == 401:
        return None
    claims = jwt.decode(response.json()["token"], options={{"verify_signature": False}})
    return [action for entry in claims["access"] for action in entry["actions"]]
print(json.dumps({{name: [ask(secret, scope) for scope in {scopes!r}] for name, secret in {secrets!r}.items()}}))
"""


def write(installation, file):
    words = {"a": A, "b": B, "c": C, "console": make_password(PASSWORD), "registry": make_password(PASSWORD)}
    installation.sql((HERE / file).read_text().format(**words))
    # The rows brought their numbers along.
    installation.sql(
        "DO $$ DECLARE one regclass; BEGIN FOR one IN SELECT oid FROM pg_class WHERE relkind = 'S' "
        "AND relname !~ '^procrastinate' LOOP PERFORM setval(one, 1000 + nextval(one)); END LOOP; END $$"
    )


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    """A database of an earlier version with its rows, made once, to be copied."""
    made = {}

    def make(name, like, version):
        if name not in made:
            made[name] = create(tmp_path_factory.mktemp("installation"), like=like)
            made[name].migrate(VERSIONS[version])
        return made[name]

    def of(version):
        if version not in made:
            *earlier, (written_in, file) = ROWS[version]
            # Those whose rows begin anew begin with the tables of the first version, without its rows.
            like = of(earlier[-1][0]) if earlier else make("tables", "template1", "first")
            write(make(version, like.database, written_in), file)
        return made[version]

    yield of
    for installation in made.values():
        drop(installation)


@pytest.fixture(scope="module")
def schema_of_a_new_one(tmp_path_factory):
    """The tables of a new installation: ``manage.py migrate`` made them in an empty database."""
    installation = create(tmp_path_factory.mktemp("installation"), like=MIGRATED)
    yield installation.schema()
    drop(installation)


def rows(installation, tables):
    """The columns that each table has now, and its rows."""
    found = {}
    for table in tables:
        columns = [name for (name,) in installation.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY 1", table
        )]  # fmt: skip
        found[table] = {column: installation.sql(f'SELECT "{column}" FROM {table} ORDER BY 1') for column in columns}
    return found


def tables(installation):
    return [
        name
        for (name,) in installation.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename ~ "
            "'^(accounts?|namespaces|images|indexing|audit|dockerhub|favorites|transfers|procrastinate|tokens|guessing"
            "|mfa|socialaccount)_' ORDER BY 1"
        )
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_constraints_and_pages(build, of, schema_of_a_new_one, version):
    installation = build(like=of(version).database)
    before = rows(installation, tables(installation))
    installation.done("migrate", "-v0")
    # What was pushed by its digest alone and is in no index is looked at once more.
    hinted = installation.sql("DELETE FROM indexing_hint WHERE tag = %s RETURNING repository", f"sha256:{C}")
    assert hinted == ([("team/app",)] if version != "first" else [])
    after = rows(installation, before)
    # Nothing that was there is lost or altered, but for what the index says of an index's children since.
    for table, columns in before.items():
        for column, values in columns.items():
            if (version, table, column) != ("first", "images_manifest", "children"):
                assert after[table][RENAMED.get((table, column), column)] == values, (table, column)

    # The tables are exactly what a new installation has.
    assert installation.schema() == schema_of_a_new_one

    # What the database fills by itself is filled.
    names = installation.sql(
        "SELECT image.full_name, image.owner_id = space.owner_id, image.star_count FROM images_image AS image "
        "JOIN namespaces_namespace AS space ON space.id = image.namespace_id ORDER BY 1"
    )
    stars = 2 if version in (THIRD, "last") else 0
    expected = [("lab/tool", True, 0), ("moving/app", True, 0), ("team/app", True, stars), ("team/web/api", True, 0)]
    assert names == [row for row in expected if version == "first" or row[0] != "moving/app"]
    pieces = installation.sql("SELECT full_name, 'api' = ANY(pieces) FROM images_imagepieces ORDER BY 1")
    assert pieces == [(name, name == "team/web/api") for name, _, _ in names]
    words = installation.sql(
        "SELECT full_name, words = images_words_of(image) FROM images_image AS image "
        "LEFT JOIN images_imagewords ON image_id = image.id WHERE description <> '' ORDER BY 1"
    )
    assert ("team/app", True) in words and all(same for _name, same in words)
    for table in ("images_tag", "dockerhub_officialtag"):
        for name, key in installation.sql(f"SELECT name, sort_key FROM {table}"):
            assert key == sort_key(name), (table, name)
    if version == "first":
        children = [{"digest": f"sha256:{A}", "platform": ""}, {"digest": f"sha256:{C}", "platform": ""}]
        assert installation.sql("SELECT children FROM images_manifest ORDER BY id") == [([],), (children,), ([],)]

    # Constraints and triggers hold for rows of before.
    for statement, why in (
        ("UPDATE images_image SET name = 'app' WHERE id = 2", psycopg.errors.UniqueViolation),
        ("UPDATE images_image SET visibility = 'secret'", psycopg.errors.CheckViolation),
        ("UPDATE images_manifest SET kind = 'else'", psycopg.errors.CheckViolation),
        ("UPDATE audit_auditevent SET actor = 'nobody'", psycopg.errors.RaiseException),
        ("DELETE FROM audit_auditevent", psycopg.errors.RaiseException),
        ("TRUNCATE audit_auditevent", psycopg.errors.RaiseException),
        ("INSERT INTO favorites_star (account_id, created_at) VALUES (1, now())", psycopg.errors.CheckViolation),
        ("DELETE FROM accounts_account WHERE id = 1", psycopg.errors.ForeignKeyViolation),
    ):
        with pytest.raises(why):
            installation.sql(statement)
    triggers = (
        "SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgrelid = 'audit_auditevent'::regclass AND NOT tgisinternal"
    )
    assert installation.sql(triggers) == [("A",)], "a replica's role does not get around them"
    installation.sql("DELETE FROM favorites_star")
    installation.sql(
        "INSERT INTO favorites_star (account_id, image_id, created_at) VALUES (2, 1, now()), (1, 1, now())"
    )
    assert installation.sql("SELECT star_count FROM images_image WHERE id = 1") == [(2,)]
    installation.sql("UPDATE images_image SET visibility = 'private' WHERE id = 1")
    assert installation.sql("SELECT account_id FROM favorites_star") == [(1,)], (
        "a private image keeps its owner's alone"
    )
    installation.sql("UPDATE images_image SET visibility = 'public' WHERE id = 1")
    installation.sql("UPDATE namespaces_namespace SET owner_id = 2 WHERE id = 1")
    assert installation.sql("SELECT DISTINCT owner_id FROM images_image WHERE namespace_id = 1") == [(2,)]
    installation.sql("UPDATE namespaces_namespace SET owner_id = 1 WHERE id = 1")

    # Passwords, pages and tokens.
    (installation.folder / "static").symlink_to(FOLDER / "static")
    texts = (
        {**TEXTS, "/account/logins/": ["docker-of-ann", "2001:<wbr>db8:<wbr>:<wbr>1"]} if version == "last" else TEXTS
    )
    create = "access_tokens.create(Account.objects.get(pk=1), 'new', can_push=False)[1]"
    code = PAGES.format(password=PASSWORD, paths=PATHS, texts=texts) + TOKENS.format(password=PASSWORD, create=create)
    code += OWNERS.format()
    assert installation.run(code).splitlines()[-3:] == ["all pages", "all tokens", "all owners"]


def test_access_tokens_work_as_before(build, of):
    """What each was made for: none opens more or less than on the day before."""
    installation = build(like=of("last").database)
    secrets = {name: new_secret() for name in EARLIER_TOKENS}
    for name, (columns, _granted) in EARLIER_TOKENS.items():
        values = {
            "account_id": 1, "name": name, "secret_hash": hash_secret(secrets[name]), "hint": secrets[name][-4:],
            "created_at": "2024-12-31Z", **columns,
        }  # fmt: skip
        marks = ", ".join(["%s"] * len(values))
        statement = f"INSERT INTO accounts_accesstoken ({', '.join(values)}) VALUES ({marks}) RETURNING id"
        (key,) = installation.sql(statement, *values.values())[0]
        if name == "team":
            installation.sql("INSERT INTO namespaces_namespaceaccess (token_id, namespace_id) VALUES (%s, 1)", key)
    installation.done("migrate", "-v0")
    found = json.loads(installation.run(ASK.format(scopes=SCOPES, secrets=secrets)).splitlines()[-1])
    expected = {name: granted or [None] * len(SCOPES) for name, (_columns, granted) in EARLIER_TOKENS.items()}
    assert found == expected


def test_back_and_forth_again(build, of):
    """What is newer than the first version can be taken back, and the rows that it had are still there."""
    installation = build(like=of("last").database)
    installation.done("migrate", "-v0")
    schema = installation.schema()
    kept = ["accounts_account", "accounts_registrycredential", "namespaces_namespace", "images_image", "images_tag"]
    before = rows(installation, kept)
    newer = {app: "zero" for app in VERSIONS["last"] if app not in VERSIONS["first"]}
    installation.migrate(newer)
    # Of the apps that need each other, those that need others come first.
    for app in ("images", "namespaces", "indexing", "accounts"):
        installation.migrate({app: VERSIONS["first"][app]})
    for table, columns in rows(installation, kept).items():
        for column, values in columns.items():
            assert values == before[table][column], (table, column)
    assert installation.sql("SELECT children FROM images_manifest ORDER BY id") == [([],), ([f"sha256:{A}"],)]
    installation.done("migrate", "-v0")
    assert installation.schema() == schema
    assert installation.sql("SELECT full_name FROM images_image ORDER BY 1") == [
        ("lab/tool",), ("team/app",), ("team/web/api",),
    ]  # fmt: skip


def test_what_becomes_known_of_accounts(build, of):
    """An address that was confirmed by its link is confirmed; who is activated sees no first steps."""
    installation = build(like=of("last").database)
    ann, ben = "111111111111", "222222222222"
    installation.sql("UPDATE accounts_account SET email = 'ben@example.com' WHERE account_id = %s", ben)
    installation.sql("UPDATE accounts_registrycredential SET activated_at = NULL WHERE username = 'ben-registry'")
    changes = [(ann, "ann@example.com", ""), (ben, "ben@example.com", ', "by": "admin"'), (ben, "old@example.com", "")]
    for account, email, by in changes:
        installation.sql(
            "INSERT INTO audit_auditevent (at, actor, action, target, detail) "
            "VALUES (now(), %s, 'account.change', %s, %s)",
            account, account, f'{{"changes": {{"email": [null, "{email}"]}}{by}}}',
        )  # fmt: skip
    installation.done("migrate", "-v0")
    found = installation.sql("SELECT account_id, confirmed_email, checklist_closed FROM accounts_account ORDER BY id")
    assert found == [(ann, "ann@example.com", True), (ben, None, False)]


def test_each_migration_goes_back_or_says_that_it_does_not():
    """One that does not has ``not_reversible = "why"`` in its module."""
    import importlib

    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        module = type(migration).__module__
        if module.startswith("console."):
            back = all(operation.reversible for operation in migration.operations)
            assert back or getattr(importlib.import_module(module), "not_reversible", ""), f"{app}.{name}"
            for operation in migration.operations:
                assert not isinstance(operation, RunSQL) or operation.reverse_sql != RunSQL.noop, f"{app}.{name}"


def test_the_last_version_is_recorded():
    """And with every app there is; no recorded migration may vanish or be renamed: installations have it."""
    known = MigrationLoader(None).disk_migrations
    for version, targets in VERSIONS.items():
        for app, name in targets.items():
            assert (app, name) in known, f"{version} had {app}.{name}"
    assert {app for app, _name in known} == set(VERSIONS["last"]) | SINCE
