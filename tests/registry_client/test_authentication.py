"""The seam, and what fills it, at a registry that checks tokens."""

import base64
import threading

import pytest

from registry_client import (
    DOCKER_MANIFEST,
    Anonymous,
    AnswerTooLarge,
    Challenged,
    Denied,
    RegistryClient,
    RegistryError,
    RegistryUnavailable,
    SignedTokens,
    Unauthorized,
    UnexpectedAnswer,
    authentication,
)
from registry_client.connections import Connections
from tests.support.http_servers import SERVICE, Reply, error_reply, json_reply
from tests.support.pushed_images import digest_of, push_image


@pytest.fixture
def clock(monkeypatch):
    """The time tokens are kept by; set ``now`` to move it."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(authentication, "monotonic", lambda: Clock.now)
    return Clock


class Recording:
    """Signs what it is asked to sign, and keeps what that was."""

    def __init__(self, signer):
        self.signer, self.asked, self.challenges = signer, [], []

    def authorization(self, scopes, challenge):
        self.asked.append(scopes)
        self.challenges.append(challenge)
        return f"Bearer {self.signer.token(scopes)}"


@pytest.fixture
def recording(signer, token_registry):
    recording = Recording(signer)
    with RegistryClient(token_registry, recording) as client:
        yield client, recording


def test_each_call_asks_for_what_it_needs_and_no_more(recording, repository):
    """The registry checks the tokens: a call that asked for too little would be refused."""
    client, record = recording
    other = f"{repository}/other"
    pull = (f"repository:{repository}:pull",)
    push = (f"repository:{repository}:pull,push",)
    delete = (f"repository:{repository}:pull,delete",)

    def asked(call):
        record.asked.clear()
        call()
        return set(record.asked)

    assert asked(client.ping) == {()}
    assert asked(lambda: push_image(client, repository, "1")) == {push}
    image = client.manifest(repository, "1")
    blob = image.layers[0].digest
    assert asked(lambda: client.manifest(repository, "1")) == {pull}
    assert asked(lambda: client.resolve(repository, "1")) == {pull}
    assert asked(lambda: client.tags(repository)) == {pull}
    assert asked(lambda: client.stat_blob(repository, blob)) == {pull}
    assert asked(lambda: client.read_blob(repository, blob, 1000)) == {pull}
    mount = (f"repository:{other}:pull,push", *pull)
    assert asked(lambda: client.mount_blob(other, blob, repository)) == {mount}
    assert asked(lambda: list(client.catalog())) == {("registry:catalog:*",)}
    assert asked(lambda: client.delete_blob(repository, blob)) == {delete}
    assert asked(lambda: client.delete_manifest(repository, image.digest)) == {delete}
    assert set(record.challenges) == {None}


def test_anonymous(token_registry, repository):
    with RegistryClient(token_registry) as client, pytest.raises(Unauthorized) as caught:
        client.tags(repository)
    assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
    assert Anonymous().authorization(("a",), "Bearer realm=x") is None


def test_less_than_needed(signer, token_registry, repository):
    """A token that grants less than was asked for is tried once more with a new one, then it is an error."""
    signed = []

    def sign(scopes):
        signed.append(scopes)
        return signer.token([f"repository:{repository}:pull"]), 300

    with RegistryClient(token_registry, SignedTokens(sign)) as client:
        with pytest.raises(Unauthorized):
            client.upload_blob(repository, digest_of(b"x"), [b"x"])
        assert len(signed) == 2
        with pytest.raises(Unauthorized):
            client.delete_manifest(repository, digest_of(b"x"))


def test_signed_tokens_are_kept_for_each_set_of_scopes(clock):
    signed = []

    def sign(scopes):
        signed.append(scopes)
        return f"token{len(signed)}", 300.0

    tokens = SignedTokens(sign)
    assert tokens.authorization(("a", "b"), None) == "Bearer token1"
    assert tokens.authorization(("b", "a"), None) == "Bearer token1"
    assert tokens.authorization(("a",), None) == "Bearer token2"
    clock.now += 269
    assert tokens.authorization(("a",), None) == "Bearer token2"
    clock.now += 2
    assert tokens.authorization(("a",), None) == "Bearer token3"
    assert signed == [("a", "b"), ("a",), ("a",)]


def test_a_refused_signed_token_is_dropped(clock):
    numbers = iter(range(10))
    tokens = SignedTokens(lambda scopes: (f"token{next(numbers)}", 300))
    assert tokens.authorization(("a",), None) == "Bearer token0"
    assert tokens.authorization(("a",), "Bearer error=invalid_token") == "Bearer token1"
    assert tokens.authorization(("a",), None) == "Bearer token1"


def test_a_short_lived_token_is_not_kept(clock):
    numbers = iter(range(10))
    tokens = SignedTokens(lambda scopes: (f"token{next(numbers)}", 20))
    assert tokens.authorization((), None) != tokens.authorization((), None)


def test_tokens_of_many_repositories_do_not_fill_the_memory(clock):
    signed = []

    def sign(scopes):
        signed.append(scopes)
        return "t", 300

    tokens = SignedTokens(sign)
    for number in range(3000):
        tokens.authorization((str(number),), None)
    assert len(tokens._tokens._cached) == 1000
    tokens.authorization(("2999",), None)
    tokens.authorization(("0",), None)
    assert len(signed) == 3001


def test_an_expired_token_is_replaced_and_the_call_repeated(signer, token_registry, repository):
    """The registry refuses the first token; what is sent the second time is whole."""
    pushed = None
    for first in (300, -3600):
        lives = iter([first, 300, 300])
        tokens = SignedTokens(lambda scopes, lives=lives: (signer.token(scopes, next(lives)), 300))
        with RegistryClient(token_registry, tokens) as client:
            if pushed is None:
                pushed = push_image(client, repository, "1")
            client.put_manifest(repository, "2", pushed.content, DOCKER_MANIFEST)
            assert client.resolve(repository, "2").digest == pushed.digest
        assert len(list(lives)) == (1 if first > 0 else 0)


@pytest.fixture
def challenged(token_registry, token_server):
    token_server.requests.clear()
    with RegistryClient(token_registry, Challenged("Jürgen", "pass:wörd %41")) as client:
        yield client


def test_challenged(challenged, token_server, repository):
    """One token for each set of scopes; once the realm is known, no call is refused first."""
    pushed = push_image(challenged, repository, "1")
    for _ in range(3):
        assert challenged.manifest(repository, "1").digest == pushed.digest
    assert challenged.mount_blob(f"{repository}/b", pushed.blobs[0], repository)
    asked = [request.query["scope"] for request in token_server.requests]
    push, pull = f"repository:{repository}:pull,push", f"repository:{repository}:pull"
    other = f"repository:{repository}/b:pull,push"
    # Distribution names the actions in its own order, so its challenge adds a scope to ours.
    assert asked[0][0] == push and asked[1:] == [[pull], [other, pull]]
    assert {request.query["service"][0] for request in token_server.requests} == {SERVICE}
    decoded = base64.b64decode(token_server.requests[0].headers["Authorization"].removeprefix("Basic "))
    assert decoded.decode() == "Jürgen:pass:wörd %41"


def test_challenged_with_a_wrong_password(token_registry, repository):
    client = RegistryClient(token_registry, Challenged("Jürgen", "wrong-secret"))
    with client, pytest.raises(Unauthorized) as caught:
        client.tags(repository)
    assert "token server" in str(caught.value) and "secret" not in str(caught.value)
    assert base64.b64encode("Jürgen:wrong-secret".encode()).decode() not in str(caught.value)


def test_challenged_without_a_name(challenged, token_registry, token_server, repository):
    push_image(challenged, repository, "1")
    token_server.requests.clear()
    with RegistryClient(token_registry, Challenged()) as client:
        with pytest.raises(Unauthorized):
            client.tags(repository)
        token_server.anonymous_scopes.add(f"repository:{repository}:pull")
        assert client.tags(repository) == ["1"]
    assert all("Authorization" not in request.headers for request in token_server.requests)


def test_challenged_asks_again_when_a_token_has_expired(server, clock):
    server.answer = lambda request: json_reply({"access_token": f"t{len(server.requests)}", "expires_in": 100})
    auth = Challenged("a", "b", connections=Connections())
    auth.bind(server.url)
    challenge = f'Bearer realm="{server.url}/token?x=1", service="s"'
    assert auth.authorization(("one",), None) is None
    assert auth.authorization(("one",), challenge) == "Bearer t1"
    assert server.requests[0].target == "/token?x=1&service=s&scope=one"
    assert auth.authorization(("one",), None) == "Bearer t1"
    clock.now += 71
    assert auth.authorization(("one",), None) == "Bearer t2"
    assert auth.authorization(("one",), challenge) == "Bearer t3"


def test_the_scope_of_the_challenge_is_asked_for_as_well(server):
    server.answer = lambda request: json_reply({"token": "t"})
    challenge = f'Bearer scope="repository:library/a:pull registry:catalog:*",realm="{server.url}/"'
    Challenged().authorization(("repository:a:pull",), challenge)
    assert server.requests[0].query["scope"] == ["repository:a:pull", "repository:library/a:pull", "registry:catalog:*"]
    assert "service" not in server.requests[0].query


@pytest.mark.parametrize(
    ("document", "life"),
    [
        ({"token": "t"}, 60),
        ({"token": "t", "expires_in": None}, 60),
        ({"token": "t", "expires_in": "300"}, 60),
        ({"token": "t", "expires_in": True}, 60),
        ({"token": "t", "expires_in": 300}, 300),
        ({"token": "t", "expires_in": 1e300}, 86400),
    ],
)
def test_how_long_a_token_lasts(server, clock, document, life):
    server.replies(json_reply(document))
    auth = Challenged()
    auth.authorization((), f'Bearer realm="{server.url}/"')
    clock.now += life - 31
    auth.authorization((), None)
    assert len(server.requests) == 1
    clock.now += 2
    auth.authorization((), None)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error_reply(401, "UNAUTHORIZED"), Unauthorized),
        (error_reply(403, "DENIED"), Denied),
        (error_reply(400, "UNSUPPORTED"), UnexpectedAnswer),
        (json_reply({"token": "t"}, 400), UnexpectedAnswer),
        (error_reply(429, "TOOMANYREQUESTS"), RegistryUnavailable),
        (error_reply(503, "UNAVAILABLE"), RegistryUnavailable),
        (Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), UnexpectedAnswer),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), UnexpectedAnswer),
        (Reply(200, b"[" * 50000), UnexpectedAnswer),
        (Reply(200, b"x" * (2 << 20)), AnswerTooLarge),
        (Reply(200, b"[" + b"[]," * 200_000 + b"1]"), UnexpectedAnswer),
        (json_reply([]), UnexpectedAnswer),
        (json_reply({}), UnexpectedAnswer),
        (json_reply({"token": 5}), UnexpectedAnswer),
        (json_reply({"token": "a\r\nX-Injected: b"}), UnexpectedAnswer),
        (json_reply({"token": "ä"}), UnexpectedAnswer),
    ],
)
def test_a_token_server_that_gives_no_token(server, reply, kind):
    server.replies(reply)
    auth = Challenged("name", "secret", connections=Connections(retries=1))
    auth.bind(server.url)
    with pytest.raises(kind) as caught:
        auth.authorization(("a",), f'Bearer realm="{server.url}/token"')
    assert type(caught.value) is kind and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "realm", ["ftp://x/", "/token", "http://", "http://[", "http://user:pw@host/", "file:///etc/passwd", "x"]
)
def test_a_realm_that_cannot_be_asked(realm):
    with pytest.raises(UnexpectedAnswer) as caught:
        Challenged("name", "secret").authorization((), f'Bearer realm="{realm}"')
    assert "pw" not in str(caught.value)


def test_a_realm_that_is_not_there():
    auth = Challenged(connections=Connections(retries=0))
    with pytest.raises(RegistryUnavailable):
        auth.authorization((), 'Bearer realm="http://127.0.0.1:1/"')


@pytest.mark.parametrize(
    "challenge", ["", "Negotiate", 'Bearer service="s"', 'Bearer realm=""', "Digest realm=x, nonce=y"]
)
def test_a_challenge_that_cannot_be_met(challenge):
    assert Challenged("a", "b").authorization((), challenge) is None


def test_basic(server, faulty):
    def answer(request):
        if request.headers.get("Authorization") == "Basic SsO8cmdlbjpww6RzcyV3w7ZyZCA=":
            return json_reply({"tags": ["1"]})
        return error_reply(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'Negotiate, Basic realm="r", charset="UTF-8"'})

    server.answer = answer
    with RegistryClient(server.url, Challenged("Jürgen", "päss%wörd ")) as client:
        assert client.tags("a") == ["1"] and client.tags("b") == ["1"]
    assert [len(request.headers.get("Authorization", "")) > 0 for request in server.requests] == [False, True, True]
    server.requests.clear()
    for auth in (Challenged("Jürgen", "wrong"), Challenged()):
        with RegistryClient(server.url, auth) as client, pytest.raises(Unauthorized):
            client.tags("a")
    # A refused password is not tried again with the same call.
    assert len(server.requests) == 3


def test_bearer_is_preferred_to_basic(server):
    server.replies(json_reply({"token": "t"}))
    auth = Challenged("a", "b")
    auth.bind(server.url)
    assert auth.authorization((), f'Basic realm="x", Bearer realm="{server.url}/"') == "Bearer t"


def test_a_refusal_without_a_challenge(server, faulty):
    server.replies(Reply(401))
    seen = []

    class Seam:
        def authorization(self, scopes, challenge):
            seen.append(challenge)
            return "Bearer same"

    with RegistryClient(server.url, Seam()) as client, pytest.raises(Unauthorized):
        client.ping()
    assert seen == [None, ""] and len(server.requests) == 1


def test_an_authorization_that_cannot_be_sent_is_not_repeated_in_the_error(server):
    class Seam:
        def authorization(self, scopes, challenge):
            return "Bearer secret\r\nX-Injected: yes"

    with RegistryClient(server.url, Seam()) as client, pytest.raises(RegistryError) as caught:
        client.ping()
    assert "secret" not in str(caught.value) and caught.value.__cause__ is None
    assert caught.value.__suppress_context__ and server.requests == []


def test_the_netrc_file_and_cookies_play_no_part(server, faulty, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.replies(json_reply({"tags": []}, **{"Set-Cookie": "session=1; Path=/"}))
    faulty.tags("a")
    faulty.tags("a")
    assert all(not {"Authorization", "Cookie"} & set(request.headers) for request in server.requests)


def test_many_threads_share_one_challenged(challenged, repository):
    push_image(challenged, repository, "1")
    failures = []

    def read():
        try:
            for _ in range(10):
                assert challenged.tags(repository) == ["1"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
