"""Imports from a registry that has its callers log in at another host."""

import base64
import socket

import pytest

from console.imports.models import Credentials
from console.installation import environment
from tests.support.http_servers import Server, error_reply, json_reply
from tests.support.import_requests import bring, image, official, pulled, run, serving
from tests.support.pushed_images import push_image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]
LOGIN = ("ann", "a very secret word")


@pytest.fixture
def realm():
    server = Server(lambda request: json_reply({"token": "good"}))
    yield server
    server.close()


OTHER = "tokens.example"


@pytest.fixture
def elsewhere(realm, monkeypatch):
    """The same token server by a host name that is not the registry's, and that is resolved to this machine."""
    resolve = socket.getaddrinfo

    def answer(host, *arguments, **options):
        return resolve("127.0.0.1" if host == OTHER else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return realm.url.replace("127.0.0.1", OTHER)


@pytest.fixture
def source(server, realm, elsewhere, upstream, settings):
    """A registry that has one image, for callers with a token of that server; its name with the image's."""
    settings.ALLOWED_IMPORT_HOSTS = ["127.0.0.1", OTHER]
    repository = f"team/{official()}"
    push_image(upstream, repository, "1")
    manifest = upstream.manifest(repository, "1")
    blobs = {
        one.digest: upstream.read_blob(repository, one.digest, 1 << 20) for one in (manifest.config, *manifest.layers)
    }

    def refuse(request):
        if request.headers.get("Authorization") == "Bearer good":
            return None
        return error_reply(401, "UNAUTHORIZED", **{"WWW-Authenticate": f'Bearer realm="{elsewhere}/token"'})

    server.answer = serving(manifest.content, manifest.media_type, blobs, spoil=refuse)
    return f"{server.url}/{repository}:1"


def test_the_credentials_stay_here_and_a_sentence_says_why(source, server, realm, namespace):
    failed = run(bring(namespace, source, login=LOGIN))
    assert failed.problem == (
        f"{server.url.removeprefix('http://')} asks for your user name and password to be sent to another server, "
        f"{OTHER}. They were not sent. If that server is right, ask an administrator to allow it."
    )
    assert realm.requests == []
    assert not Credentials.objects.exists()


def test_an_administrator_allows_it(source, realm, namespace, settings):
    variables = {"IMPORT_TOKEN_SERVERS": " 127.0.0.1 = Tokens.Example. ,other.example=login.example"}
    settings.IMPORT_TOKEN_SERVERS = environment.load(variables).import_token_servers
    assert run(bring(namespace, source, login=LOGIN)) is None
    assert pulled(image(namespace))
    sent = {request.headers["Authorization"] for request in realm.requests}
    assert sent == {"Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()}


def test_without_credentials_there_is_nothing_to_keep(source, realm, namespace):
    assert run(bring(namespace, source)) is None
    assert all("Authorization" not in request.headers for request in realm.requests)


@pytest.mark.parametrize("value", ["registry.example.com", "=x", "x=", "https://a.example=b.example", "a.example=b c"])
def test_a_pair_that_is_none(value):
    with pytest.raises(environment.EnvironmentProblem, match="IMPORT_TOKEN_SERVERS"):
        environment.load({"IMPORT_TOKEN_SERVERS": value})
