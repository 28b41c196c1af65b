"""Which token servers get the credentials that were given for a registry, at real servers."""

import base64
import socket

import pytest

from registry_client import Challenged, RefusedTokenServer, RegistryClient, UnexpectedAnswer
from registry_client.realms import check_realm
from tests.support.http_servers import Reply, Server, error_reply, json_reply

CREDENTIALS = "Basic " + base64.b64encode(b"ann:s3cret").decode()


OTHER = "tokens.example"


@pytest.fixture(autouse=True)
def name_service(monkeypatch):
    """Resolves ``OTHER`` to this machine."""
    resolve = socket.getaddrinfo

    def answer(host, *arguments, **options):
        return resolve("127.0.0.1" if host == OTHER else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def by_another_name(server):
    """The same server by a host name that is not the registry's."""
    return server.url.replace("127.0.0.1", OTHER)


@pytest.fixture
def realm():
    """A token server that gives anybody a token."""
    server = Server(lambda request: json_reply({"token": "good", "expires_in": 300}))
    yield server
    server.close()


def sends_callers_to(address):
    """What a registry answers that has its callers ask ``address`` for a token."""

    def answer(request):
        if request.headers.get("Authorization") == "Bearer good":
            return json_reply({"name": "a", "tags": ["1"]})
        return error_reply(401, "UNAUTHORIZED", **{"WWW-Authenticate": f'Bearer realm="{address}/token"'})

    return answer


def test_another_host_never_gets_them(server, realm):
    server.answer = sends_callers_to(by_another_name(realm))
    client = RegistryClient(server.url, Challenged("ann", "s3cret"))
    with client, pytest.raises(RefusedTokenServer) as caught:
        client.tags("a")
    assert realm.requests == []
    assert caught.value.host == OTHER
    assert "s3cret" not in str(caught.value)
    assert [request.headers.get("Authorization") for request in server.requests] == [None]


def test_the_registrys_own_host_does_on_another_port(server, realm):
    server.answer = sends_callers_to(realm.url)
    with RegistryClient(server.url, Challenged("ann", "s3cret")) as client:
        assert client.tags("a") == ["1"]
    assert realm.requests[0].headers["Authorization"] == CREDENTIALS
    assert "Authorization" not in server.requests[0].headers


def test_one_that_somebody_has_allowed_does(server, realm):
    server.answer = sends_callers_to(by_another_name(realm))
    trusted = Challenged("ann", "s3cret", trusted_realms=[("127.0.0.1", OTHER)])
    with RegistryClient(server.url, trusted) as client:
        assert client.tags("a") == ["1"]
    assert realm.requests[0].headers["Authorization"] == CREDENTIALS


def test_without_credentials_any_host_is_asked(server, realm):
    server.answer = sends_callers_to(by_another_name(realm))
    with RegistryClient(server.url, Challenged()) as client:
        assert client.tags("a") == ["1"]
    assert "Authorization" not in realm.requests[0].headers


@pytest.mark.parametrize("login", [("ann", "s3cret"), ()])
def test_none_without_tls_for_a_registry_with_tls(realm, login):
    auth = Challenged(*login)
    auth.bind("https://127.0.0.1:5000")
    with pytest.raises(RefusedTokenServer, match="TLS"):
        auth.authorization((), f'Bearer realm="{realm.url}/token"')
    assert realm.requests == []


def test_a_token_server_that_sends_callers_on(server, realm):
    """A redirect of the registry's own token server is not followed, with credentials or without."""
    other = Server(lambda request: json_reply({"token": "good"}))
    try:
        server.answer = sends_callers_to(realm.url)
        realm.answer = lambda request: Reply(307, b"", {"Location": f"{by_another_name(other)}/token"})
        for auth in (Challenged("ann", "s3cret"), Challenged()):
            with RegistryClient(server.url, auth) as client, pytest.raises(UnexpectedAnswer):
                client.tags("a")
        assert other.requests == []
    finally:
        other.close()


def test_a_second_challenge_is_checked_as_the_first_was(server, realm):
    """A registry that was believed once and is broken into later."""
    server.answer = sends_callers_to(realm.url)
    with RegistryClient(server.url, Challenged("ann", "s3cret")) as client:
        client.tags("a")
        realm.requests.clear()
        server.answer = lambda request: error_reply(
            401, "UNAUTHORIZED", **{"WWW-Authenticate": f'Bearer realm="{by_another_name(realm)}/token"'}
        )
        with pytest.raises(RefusedTokenServer):
            client.tags("a")
    assert realm.requests == []


def test_credentials_of_one_registry_are_not_used_for_another(server, realm):
    auth = Challenged("ann", "s3cret")
    with RegistryClient(server.url, auth), pytest.raises(ValueError, match="another registry"):
        RegistryClient(realm.url, auth)


@pytest.mark.parametrize(
    ("registry", "realm", "belongs"),
    [
        ("https://ghcr.io", "https://ghcr.io/token", True),
        ("https://registry.example.com:5000", "https://registry.example.com/token", True),
        ("https://Registry.Example.com.", "https://registry.example.COM/token", True),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("https://example.com", "https://auth.example.com/token", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:8000/token/", True),
        ("http://127.0.0.1:5000", "https://127.0.0.1:8000/token/", True),
        ("http://127.0.0.1:5000", "http://localhost:8000/token/", True),
        ("http://localhost:5000", "http://[::1]:8000/token/", True),
        ("http://192.168.1.5:5000", "http://localhost:8000/token/", False),
        ("https://registry.example.com", "https://localhost/token", False),
        ("https://[2001:db8::1]:5000", "https://[2001:db8::1]/token", True),
        ("https://registry.example.com", "https://auth.example.com/token", False),
        ("https://one.azurecr.io", "https://other.azurecr.io/token", False),
        ("https://one.co.uk", "https://other.co.uk/token", False),
        ("https://auth.docker.io", "https://registry-1.docker.io/token", False),
        ("https://registry.example.com", "https://registry.example.com.evil.example/token", False),
        ("https://registry.example.com", "https://evilregistry.example.com/token", False),
        ("https://example.com", "https://evil-example.com/token", False),
        ("https://example.com", "https://com/token", False),
        ("https://localhost", "https://a.localhost/token", False),
        ("https://10.0.0.1", "https://0.0.1/token", False),
        ("https://1.10.0.0.1", "https://10.0.0.1/token", False),
        ("https://registry.example.com", "http://registry.example.com/token", False),
        ("", "https://registry.example.com/token", False),
    ],
)
def test_which_belong(registry, realm, belongs):
    if belongs:
        check_realm(registry, realm, credentials=True)
    else:
        with pytest.raises(RefusedTokenServer):
            check_realm(registry, realm, credentials=True)
