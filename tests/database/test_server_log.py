"""No value of a statement reaches a log: neither the database server's nor ours."""

import io
import logging
import subprocess

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import Error, connection, models, transaction

from console.database.server_log import settings_that_log_values
from console.installation.logs import WithoutSecrets
from console.local.postgres import Postgres
from console.operations.management.commands import prepare
from tests.support.stack import wait_until

SECRET = "argon2$sentinel-of-a-secret"
# What may not be read in a log: fields that hold a secret, or something that is as good as one, by model.
SECRETS = {
    "accounts.Account": {"password"},
    "accounts.EmailChange": {"nonce", "state"},
    "accounts.RegistryCredential": {"password"},
    "accounts.AccessToken": {"secret_hash"},
    "account.EmailConfirmation": {"key"},
    "images.Document": {"content", "config"},
    "membership.Invitation": {"secret_hash"},
    "mfa.Authenticator": {"data"},
    "sessions.Session": {"session_key", "session_data"},
    "socialaccount.SocialAccount": {"uid", "extra_data"},
    "socialaccount.SocialApp": {"secret", "key", "settings"},
    "socialaccount.SocialToken": {"token", "token_secret"},
    "transfers.Credentials": {"sealed"},
}
# Models without one. A login's number alone opens nothing, and a mark's key is a keyed hash.
WITHOUT_SECRETS = {
    "account.EmailAddress",
    "admin.LogEntry",
    "audit.AuditEvent",
    "auth.Group",
    "auth.Permission",
    "contenttypes.ContentType",
    "dockerhub.Catalogue",
    "dockerhub.OfficialImage",
    "dockerhub.OfficialTag",
    "guessing.Mark",
    "images.Copy",
    "images.DoomedManifest",
    "images.Image",
    "images.ImageDeletion",
    "images.ImagePieces",
    "images.KeptManifest",
    "images.Manifest",
    "images.PushedDigest",
    "images.Tag",
    "images.WorkFailure",
    "indexing.Activity",
    "indexing.Hint",
    "indexing.Reconcile",
    "indexing.ReconcileItem",
    "indexing.SeenEvent",
    "indexing.UnusableEvents",
    "membership.ServiceAccount",
    "membership.Team",
    "membership.TeamGroup",
    "membership.TeamMember",
    "namespaces.Namespace",
    "namespaces.NamespaceHold",
    "tokens.Login",
    "transfers.Transfer",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A server of its own, started as the product starts it; a function that runs statements and returns its log."""
    folder = tmp_path_factory.mktemp("server")
    server = Postgres(folder / "postgres", folder / "run")
    server.initialise()
    file = folder / "log"
    owner = server.owner
    with file.open("wb") as output:
        process = subprocess.Popen(
            server.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
    wait_until(server.is_ready, "the server answers")
    with server.connect() as opened:
        opened.execute("CREATE TABLE held (name text UNIQUE, password text NOT NULL CHECK (password <> ''), other int)")
        opened.execute(
            "CREATE FUNCTION fail(given text) RETURNS void LANGUAGE plpgsql AS "
            "$$ BEGIN EXECUTE format('SELECT nothing(%L)', given); END $$"
        )

    def run(statement, *parameters, binary=False):
        with server.connect() as opened:
            cursor = opened.cursor() if binary else psycopg.ClientCursor(opened)
            with pytest.raises(psycopg.Error) as failed:
                cursor.execute(statement, parameters)
        message = failed.value.diag.message_primary
        wait_until(lambda: message in file.read_text(), "the failure is in the log")
        text = file.read_text()
        file.write_text("")
        return text

    yield run
    process.terminate()
    process.wait()


@pytest.mark.parametrize("binary", [False, True], ids=["values in the text", "values beside it"])
@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("INSERT INTO held VALUES (%s, %s, NULL), (%s, %s, NULL)", (SECRET, "a", SECRET, "b")),
        ("INSERT INTO held VALUES (%s, NULL, 1)", (SECRET,)),
        ("INSERT INTO held VALUES (%s, '', 1)", (SECRET,)),
        ("SELECT fail(%s)", (SECRET,)),
        ("INSERT INTO held VALUES (%s, 'a', 1 / 0)", (SECRET,)),
        ("SELECT %s::text FROM nowhere", (SECRET,)),
    ],
    ids=["unique", "not null", "check", "context", "division", "no table"],
)
def test_a_failed_statement(log, statement, parameters, binary):
    assert SECRET not in log(statement, *parameters, binary=binary)


def written(error):
    """What our log says of an error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(WithoutSecrets())
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed: %s", (error,), (type(error), error, None))
    handler.handle(record)
    return stream.getvalue()


def test_each_model_is_listed():
    """Whoever adds a model decides whether it holds a secret."""
    kinds = (models.CharField, models.TextField, models.JSONField, models.BinaryField, models.UUIDField)
    holding = {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and any(isinstance(field, kinds) and not field.is_relation for field in model._meta.concrete_fields)
    }
    assert holding == SECRETS.keys() | WITHOUT_SECRETS


@pytest.mark.django_db
@pytest.mark.parametrize("label", SECRETS)
def test_a_row_that_the_database_refuses(label):
    """The whole row, secret included, is in PostgreSQL's answer: ``Failing row contains (…)``."""
    model = apps.get_model(label)
    values = {}
    for field in map(model._meta.get_field, sorted(SECRETS[label])):
        secret = SECRET[: field.max_length] if field.max_length else SECRET
        values[field.column] = {"JSONField": f'"{secret}"', "BinaryField": secret.encode()}.get(
            field.get_internal_type(), secret
        )
    columns = ", ".join(f'"{column}"' for column in values)
    marks = ", ".join(["%s"] * len(values))
    with pytest.raises(Error) as failed, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})', list(values.values()))
    assert "Failing row contains" in str(failed.value)
    text = written(failed.value)
    assert failed.value.__cause__.diag.message_primary in text
    assert "Failing row" not in text
    assert SECRET[:20] not in text
    assert SECRET.encode().hex()[:20] not in text


@pytest.mark.django_db
class TestSomebodyElsesServer:
    def test_what_is_to_be_set(self):
        with connection.cursor() as cursor:
            cursor.execute("SET log_error_verbosity = 'verbose'")
            cursor.execute("SET log_min_error_statement = error")
            cursor.execute("SET log_min_duration_statement = 0")
        assert settings_that_log_values() == {
            "log_error_verbosity": "terse",
            "log_min_error_statement": "fatal",
            "log_min_duration_statement": "-1",
        }

    def test_the_embedded_one_is_set(self):
        assert settings_that_log_values() == {}

    @pytest.mark.parametrize("embedded", [True, False])
    def test_the_start_says_so(self, embedded, monkeypatch):
        changed = settings.ENVIRONMENT.__class__(**{**vars(settings.ENVIRONMENT), "embedded_database": embedded})
        monkeypatch.setattr(settings, "ENVIRONMENT", changed)
        monkeypatch.setattr(prepare.Command, "_static_files", lambda self: None)
        with connection.cursor() as cursor:
            cursor.execute("SET log_error_verbosity = 'verbose'")
        errors = io.StringIO()
        call_command("prepare", stdout=io.StringIO(), stderr=errors)
        said = errors.getvalue()
        assert ("Set there: log_error_verbosity = terse" in said) is not embedded
