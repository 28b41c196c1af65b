"""Importing from any registry: names, credentials, and where calls may not go."""

import datetime
import json
import logging

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.audit.models import AuditEvent
from console.imports import credentials, jobs
from console.imports.models import Credentials, Transfer
from console.imports.problems import SourceFailure
from console.imports.references import Reference, parse
from console.imports.services import retry
from registry_client import Challenged, RegistryClient
from tests.support import disk
from tests.support.http_servers import ISSUER, SERVICE, Server, Signer, TokenServer, error_reply, running_registry
from tests.support.import_requests import bring, image, official, pulled, run
from tests.support.pushed_images import push_image, push_index

SECRET = "a:very/secret word"


class TestReferences:
    DIGEST = "sha256:" + "a" * 64

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("registry.example.com/team/app:1", ("https", "registry.example.com", None, "team/app", "1", "1")),
            ("registry.example.com/team/app", ("https", "registry.example.com", None, "team/app", "latest", "latest")),
            (f"r.example/app@{DIGEST}", ("https", "r.example", None, "app", DIGEST, "")),
            (f" r.example:5000/app:1@{DIGEST} ", ("https", "r.example", 5000, "app", DIGEST, "1")),
            ("Registry.Example/app", ("https", "registry.example", None, "app", "latest", "latest")),
            ("http://127.0.0.1:5000/a/b/c:1", ("http", "127.0.0.1", 5000, "a/b/c", "1", "1")),
            ("https://host/app", ("https", "host", None, "app", "latest", "latest")),
            ("localhost/app", ("https", "localhost", None, "app", "latest", "latest")),
            ("localhost:1/app", ("https", "localhost", 1, "app", "latest", "latest")),
            ("[2001:DB8::1]:5000/app", ("https", "[2001:db8::1]", 5000, "app", "latest", "latest")),
            ("nginx", ("https", "registry-1.docker.io", None, "library/nginx", "latest", "latest")),
            ("team/app:2", ("https", "registry-1.docker.io", None, "team/app", "2", "2")),
            ("docker.io/nginx", ("https", "registry-1.docker.io", None, "library/nginx", "latest", "latest")),
            ("docker.io/team/app", ("https", "registry-1.docker.io", None, "team/app", "latest", "latest")),
        ],
    )
    def test_taken(self, text, expected):
        assert parse(text) == Reference(*expected)

    def test_the_tag_beside_a_digest(self):
        """It is what the copy is called, and not taken for the newest."""
        assert parse(f"r.example/app:1@{self.DIGEST}").tag == "1"
        assert parse(f"r.example/app@{self.DIGEST}").tag == ""
        assert parse("r.example/app").tag == "latest"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "/",
            "App",
            "Team/app",
            "r.example/App",
            "r.example/app:",
            "r.example/app:-1",
            "r.example/app@sha256:abc",
            "ftp://r.example/app",
            "https://app",
            "user:password@r.example/app",
            "https://user@r.example/app",
            "r.example:0/app",
            "r.example:65536/app",
            "r.example/app?x=y",
            "r.example/app#x",
            "r.example//app",
            "r.example/../app",
            "r.example/a b",
            "r.example/app\n:1",
            "r_x.example/app",
            "[.::1]/app",
            "http://[1.2.3.4]:80/app",
            "[::1::]:80/app",
            f"{'a.' * 130}example/app",
            f"r.example/{'a' * 256}",
            "a" * 100_000,
            "r.example/ä",
            "r.example/app\x00",
        ],
    )
    def test_refused(self, text):
        with pytest.raises(ValueError, match="name"):
            parse(text)


@pytest.mark.django_db
class TestWhereTo:
    def refused(self, namespace, text):
        with pytest.raises(ValidationError) as refusal:
            bring(namespace, text)
        assert not Transfer.objects.exists()
        return refusal.value.message_dict["reference"][0]

    @pytest.mark.parametrize("host", ["127.0.0.1:5000", "10.0.0.1", "[::1]:5000", "[::ffff:169.254.169.254]"])
    def test_an_address_inside_is_refused_at_once(self, namespace, host):
        assert "does not have a public address" in self.refused(namespace, f"{host}/team/app")

    def test_without_tls(self, namespace):
        assert "Use https://" in self.refused(namespace, "http://registry.example.com/team/app")

    def test_a_name_inside_is_refused_by_the_job(self, namespace):
        transfer = bring(namespace, "localhost:5000/team/app:1")
        failed = run(transfer)
        assert failed.state == Transfer.State.FAILED
        assert failed.problem.startswith("localhost:5000, or an address that it redirects to, is not a public address")

    def test_a_redirect_to_the_inside(self, registry_server, namespace, settings):
        inside, outside = Server(), Server()
        try:
            settings.ALLOWED_IMPORT_HOSTS = [outside.url.removeprefix("http://")]
            challenge = {"WWW-Authenticate": f'Bearer realm="{inside.url}/token",service="x"'}
            outside.answer = lambda request: error_reply(401, "UNAUTHORIZED", **challenge)
            failed = run(bring(namespace, f"{outside.url}/team/app:1", login=("ann", SECRET)))
        finally:
            inside.close()
            outside.close()
        assert "not a public address" in failed.problem
        assert inside.requests == []


@pytest.mark.django_db
@pytest.mark.usefixtures("registry_server", "imports_allowed")
class TestWithoutCredentials:
    def test_by_tag_and_by_digest(self, upstream, upstream_url, namespace):
        name = f"team/{official()}"
        index = push_index(upstream, name, "1", [push_image(upstream, name, None) for _ in range(2)])
        assert run(bring(namespace, f"{upstream_url}/{name}:1")) is None
        assert pulled(image(namespace)) == index.digest
        assert run(bring(namespace, f"{upstream_url}/{name}@{index.digest}", tag="v2")) is None
        assert pulled(image(namespace), "v2") == index.digest
        event = AuditEvent.objects.filter(action="tag.imported").latest("id")
        host = upstream_url.removeprefix("http://")
        assert event.detail == {"source": f"{host}/{name}@{index.digest}", "digest": index.digest}

    def test_there_is_no_such_image(self, upstream_url, namespace):
        failed = run(bring(namespace, f"{upstream_url}/team/{official()}:1"))
        assert "has no image" in failed.problem


@pytest.fixture(scope="module")
def signer():
    return Signer()


@pytest.fixture(scope="module")
def realm(signer):
    server = TokenServer(signer, "ann", SECRET)
    yield server
    server.close()


@pytest.fixture(scope="module")
def private(registry_program, tmp_path_factory, signer, realm):
    """A registry that wants tokens of ``realm``'s; its address."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "bundle.pem").write_bytes(signer.pem)
    token = {"realm": f"{realm.url}/token", "service": SERVICE, "issuer": ISSUER}
    auth = {"token": {**token, "rootcertbundle": str(folder / "bundle.pem")}}
    with running_registry(registry_program, folder, auth=auth) as url:
        yield url


@pytest.fixture
def pushed(private, settings, realm):
    """An image in it, and the administrator's leave to go there."""
    settings.ALLOWED_IMPORT_HOSTS = [private.removeprefix("http://"), realm.url.removeprefix("http://")]
    with RegistryClient(private, Challenged("ann", SECRET)) as client:
        return push_image(client, f"team/{official()}", "1")


@pytest.mark.django_db
@pytest.mark.usefixtures("registry_server")
class TestCredentials:
    def everywhere(self):
        """All that the database says, as text, whatever table it is in."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(to_jsonb(x)::text, ' ') FROM procrastinate_jobs x")
            text = [str(cursor.fetchone()[0])]
            for table in ("transfers_transfer", "transfers_credentials", "audit_auditevent"):
                cursor.execute(f"SELECT string_agg(to_jsonb(x)::text, ' ') FROM {table} x")
                text.append(str(cursor.fetchone()[0]))
        text += [bytes(one.sealed).decode("latin-1") for one in Credentials.objects.all()]
        return " ".join(text)

    def test_used_and_forgotten(self, private, pushed, namespace, caplog):
        caplog.set_level(logging.DEBUG)
        transfer = bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        assert Credentials.objects.count() == 1
        assert SECRET not in self.everywhere()
        job = ProcrastinateJob.objects.get(task_name="transfers.fetch")
        assert job.args == {"transfer_id": transfer.pk, "attempt": 1}
        jobs.fetch(transfer.pk, 1)
        assert SECRET not in self.everywhere()
        jobs.finish(transfer.pk, 1)
        assert not Transfer.objects.exists()
        assert not Credentials.objects.exists()
        assert SECRET not in self.everywhere() + caplog.text
        assert pulled(image(namespace)) == pushed.digest

    @pytest.mark.parametrize("login", [None, ("ann", "wrong"), ("eve", SECRET)])
    def test_none_or_wrong_ones(self, private, pushed, namespace, login):
        failed = run(bring(namespace, f"{private}/{pushed.repository}:1", login=login))
        assert "denies access to this image" in failed.problem
        assert not Credentials.objects.exists()
        assert disk.tags(image(namespace).repository) == {}

    def test_they_are_for_that_registry_alone(self, upstream, upstream_url, namespace, settings):
        """One that asks for nothing is told nothing."""
        server = Server()
        try:
            settings.ALLOWED_IMPORT_HOSTS = [server.url.removeprefix("http://")]
            run(bring(namespace, f"{server.url}/team/app:1", login=("ann", SECRET)))
        finally:
            server.close()
        assert server.requests
        assert all("Authorization" not in request.headers for request in server.requests)

    def test_an_hour_is_over(self, private, pushed, namespace):
        transfer = bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        Credentials.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
        jobs.forget_credentials()
        assert not Credentials.objects.exists()
        failed = run(transfer)
        assert "stored for an hour" in failed.problem
        with pytest.raises(ValidationError, match="Import the image again"):
            retry(namespace.owner, failed)

    def test_sealed_for_another_transfer_or_with_another_key(self, private, namespace, settings, pushed):
        transfer = bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        other = bring(namespace, f"{private}/{pushed.repository}:1", tag="v2", login=("bob", "x"))
        assert credentials.of(transfer) == ("ann", SECRET)
        sealed = Credentials.objects.get(transfer=transfer).sealed
        Credentials.objects.filter(transfer=other).update(sealed=sealed)
        with pytest.raises(credentials.Expired):
            credentials.of(other)
        settings.SECRET_KEY = "another"
        with pytest.raises(credentials.Expired):
            credentials.of(transfer)

    def test_cancelled_or_the_image_deleted(self, private, pushed, namespace):
        from console.imports.services import cancel

        transfer = bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        cancel(namespace.owner, transfer)
        assert not Credentials.objects.exists()
        bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        assert Credentials.objects.count() == 1
        image(namespace).delete()
        assert not Credentials.objects.exists()

    def test_a_token_server_that_is_away(self, private, pushed, namespace, realm, monkeypatch):
        transfer = bring(namespace, f"{private}/{pushed.repository}:1", login=("ann", SECRET))
        real = realm.answer
        realm.answer = lambda request: error_reply(503, "UNAVAILABLE")
        try:
            with pytest.raises(SourceFailure):
                run(transfer)
        finally:
            realm.answer = real
        assert Credentials.objects.count() == 1
        assert run(transfer) is None
        assert json.dumps(list(AuditEvent.objects.values_list("detail", flat=True))).count(SECRET) == 0
