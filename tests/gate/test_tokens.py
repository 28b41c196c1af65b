"""Who gets through the gate: the tokens that the registry accepts, and the same challenge for all others."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from console.access.grants import Access
from console.installation import keys
from console.registry import signing
from console.registry.signing import InvalidToken, sign, verify
from registry_client.challenges import parse_challenges
from tests.support.factories import ImageFactory

pytestmark = pytest.mark.django_db

REPOSITORY = "team/app"
PULL = [Access("repository", REPOSITORY, frozenset({"pull"}))]
LIST = f"/v2/{REPOSITORY}/tags/list"


@pytest.fixture(autouse=True)
def image(team):
    return ImageFactory(namespace=team, name="app")


def ask(client, token, path=LIST, method="get"):
    return getattr(client, method)(path, headers={"Authorization": f"Bearer {token}"} if token else {})


def challenge(answer, error=None):
    assert answer.status_code == 401, answer.content
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert answer.json()["errors"][0]["message"]
    (found,) = parse_challenges(answer["WWW-Authenticate"])
    assert found.scheme == "bearer"
    assert found.parameters["realm"] == settings.ENVIRONMENT.token_realm
    assert found.parameters["service"] == settings.REGISTRY_SERVICE
    assert found.parameters.get("error") == error
    return found.parameters["scope"]


def good():
    token = sign("ann", PULL).text
    return jwt.decode(token, options={"verify_signature": False}), jwt.get_unverified_header(token)


def signed(claims, header, pair=None):
    pem = (pair or settings.KEYS.token_key).read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    return jwt.encode(claims, key, algorithm="ES256", headers=header)


def test_a_good_one(client):
    assert ask(client, sign("ann", PULL).text).status_code == 200
    claims, header = good()
    assert ask(client, signed(claims, {"x5c": header["x5c"]})).status_code == 200
    assert verify(signed(claims, {"x5c": header["x5c"]})).subject == "ann"


def test_none(client):
    assert challenge(ask(client, "")) == f"repository:{REPOSITORY}:pull"
    basic = base64.b64encode(b"ann:secret").decode()
    assert challenge(client.get(LIST, headers={"Authorization": f"Basic {basic}"}))
    assert challenge(client.get(LIST, headers={"Authorization": "Bearer"}))
    assert challenge(client.get(LIST, headers={"Authorization": "Bearer  "}))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("put", f"/v2/{REPOSITORY}/manifests/v1", f"repository:{REPOSITORY}:pull,push"),
        ("delete", f"/v2/{REPOSITORY}/manifests/v1", f"repository:{REPOSITORY}:delete"),
        ("get", f"/v2/{REPOSITORY}/referrers/sha256:{0:064}", f"repository:{REPOSITORY}:pull"),
        ("head", LIST, f"repository:{REPOSITORY}:pull"),
        ("get", "/v2/_catalog", "registry:catalog:*"),
    ],
)
def test_each_call_names_its_scope(client, method, path, scope):
    answer = ask(client, "", path, method)
    assert parse_challenges(answer["WWW-Authenticate"])[0].parameters["scope"] == scope
    other = sign("ann", [Access("repository", "team/other", frozenset({"pull", "push", "delete"}))]).text
    answer = ask(client, other, path, method)
    assert answer.status_code == 401
    assert parse_challenges(answer["WWW-Authenticate"])[0].parameters["error"] == "insufficient_scope"


@pytest.mark.parametrize(("method", "actions"), [("put", {"push"}), ("put", {"pull"}), ("delete", {"pull", "push"})])
def test_no_more_than_its_access(client, method, actions):
    token = sign("ann", [Access("repository", REPOSITORY, frozenset(actions))]).text
    challenge(ask(client, token, f"/v2/{REPOSITORY}/manifests/v1", method), "insufficient_scope")


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another-registry"},
        {"aud": settings.DOCKERHUB_SERVICE},
        {"aud": ""},
        {"aud": None},
        {"iss": "somebody-else"},
        {"iss": None},
        {"exp": -settings.REGISTRY_CLOCK_SKEW_SECONDS - 5, "nbf": -600},
        {"exp": None},
        {"nbf": 600, "exp": 900},
        {"nbf": None},
    ],
)
def test_other_claims(client, change):
    """A ``None`` stands for a missing claim; times are seconds from now."""
    claims, header = good()
    for name, value in change.items():
        if value is None:
            del claims[name]
        else:
            claims[name] = int(time.time()) + value if name in {"exp", "nbf"} else value
    challenge(ask(client, signed(claims, {"x5c": header["x5c"]})), "invalid_token")


@pytest.mark.parametrize("access", [None, [], [{"type": "repository", "name": REPOSITORY, "actions": []}]])
def test_without_access(client, access):
    claims, header = good()
    claims["access"] = access
    challenge(ask(client, signed(claims, {"x5c": header["x5c"]})), "insufficient_scope")


def test_clocks_may_differ_a_little(client):
    claims, header = good()
    now = int(time.time())
    for times in ({"exp": now - 30, "nbf": now - 330}, {"nbf": now + 30, "iat": now + 30, "exp": now + 330}):
        assert ask(client, signed(claims | times, {"x5c": header["x5c"]})).status_code == 200


def test_the_next_key_is_trusted_and_others_are_not(client, tmp_path):
    claims, header = good()
    following = sign("ann", PULL, key_file=settings.KEYS.next_token_key).text
    assert ask(client, following).status_code == 200
    others = keys.ensure_keys(tmp_path)
    theirs = jwt.get_unverified_header(sign("ann", PULL, key_file=others.token_key).text)
    key = ec.generate_private_key(ec.SECP256R1())
    for text in (
        signed(claims, {"x5c": theirs["x5c"]}, others.token_key),
        signed(claims, {"x5c": header["x5c"]}, others.token_key),
        signed(claims, {"x5c": [theirs["x5c"][0], header["x5c"][0]]}, others.token_key),
        jwt.encode(claims, key, algorithm="ES256", headers={"kid": "anything"}),
        jwt.encode(claims, key, algorithm="ES256"),
    ):
        challenge(ask(client, text), "invalid_token")


def test_a_replaced_bundle_is_read_again(settings, tmp_path):
    """Rotated keys count at once, in every process."""
    others = keys.ensure_keys(tmp_path)
    text = sign("ann", PULL, key_file=others.token_key).text
    with pytest.raises(InvalidToken):
        verify(text)
    settings.KEYS = others
    assert verify(text).subject == "ann"


def test_a_verified_token_is_not_verified_again(monkeypatch):
    text = sign("ann", PULL).text
    first = verify(text)
    monkeypatch.setattr(jwt, "decode", None)
    assert verify(text) is first


def test_a_verified_token_expires(settings):
    text = sign("ann", PULL).text
    assert verify(text)
    settings.REGISTRY_CLOCK_SKEW_SECONDS = -settings.TOKEN_SECONDS
    with pytest.raises(InvalidToken):
        verify(text)


def test_a_verified_token_is_for_one_registry():
    text = sign("ann", PULL).text
    assert verify(text)
    with pytest.raises(InvalidToken):
        verify(text, settings.DOCKERHUB_SERVICE)


def test_a_verified_token_whose_key_is_no_longer_trusted(settings, tmp_path):
    text = sign("ann", PULL).text
    assert verify(text)
    settings.KEYS = keys.ensure_keys(tmp_path)
    with pytest.raises(InvalidToken):
        verify(text)


def test_few_verified_tokens_are_held():
    texts = [sign(f"ann{number}", PULL).text for number in range(signing._VerifiedTokens._MOST + 3)]
    for text in texts:
        verify(text)
    assert len(signing._verified._known) == signing._VerifiedTokens._MOST
    assert verify(texts[0]).subject == "ann0"


def part(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "a.b.c",
        "..",
        "é.é.é",
        f"{part({'alg': 'none'})}.{part({})}.",
        f"{part({'alg': 'ES256', 'x5c': 'text'})}.{part({})}.AAAA",
        f"{part({'alg': 'ES256', 'x5c': [[]]})}.{part({})}.AAAA",
        f"{part({'alg': 'ES256', 'x5c': []})}.{part({})}.AAAA",
        f"{part([1])}.{part({})}.AAAA",
        base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.AAAA",
    ],
)
def test_what_is_no_token(client, text):
    challenge(ask(client, text), "invalid_token")


def test_a_changed_payload(client):
    head, body, signature = sign("ann", PULL).text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["access"][0]["actions"] = ["pull", "push", "delete"]
    challenge(ask(client, f"{head}.{part(claims)}.{signature}"), "invalid_token")
    challenge(ask(client, f"{head}.{body}.{'A' * len(signature)}"), "invalid_token")
