"""What the real registry lets in: the token that the console signs, and nothing that differs from it in one thing."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings

from console.access.grants import Access
from console.installation import keys
from console.registry.connection import registry
from console.registry.signing import sign
from tests.support.pushed_images import DOCKER_MANIFEST, push_image

REPOSITORY = "checks/app"
PULL = [Access("repository", REPOSITORY, frozenset({"pull"}))]


@pytest.fixture(scope="module", autouse=True)
def image(registry_server):
    with_push = registry()
    push_image(with_push, REPOSITORY, "v1")


def status(token, path=f"{REPOSITORY}/manifests/v1", method="GET"):
    headers = {"Authorization": f"Bearer {token}", "Accept": DOCKER_MANIFEST}
    return requests.request(method, f"{settings.REGISTRY_URL}/v2/{path}", headers=headers, timeout=10)


def refused(token, **options):
    answer = status(token, **options)
    assert answer.status_code == 401, answer.text
    # The body is the protocol's, and the challenge says where to get a better one.
    assert answer.json()["errors"][0]["code"] in {"UNAUTHORIZED", "DENIED"}
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def good():
    """Claims and headers of the right token."""
    token = sign("ann", PULL).text
    return jwt.decode(token, options={"verify_signature": False}), jwt.get_unverified_header(token)


def signed(claims, header, pair=None):
    pem = (pair or settings.KEYS.token_key).read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    return jwt.encode(claims, key, algorithm="ES256", headers={"x5c": header["x5c"]})


def test_the_right_one():
    assert status(sign("ann", PULL).text).status_code == 200
    claims, header = good()
    assert status(signed(claims, header)).status_code == 200, "what the other tests change is right before"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another-registry"},
        {"aud": settings.DOCKERHUB_SERVICE},
        {"aud": ["another-registry", "a-third"]},
        {"aud": ""},
        {"aud": None},
        {"iss": "somebody-else"},
        {"iss": ""},
        {"iss": None},
        # Beyond the registry's allowance for clocks that differ.
        {"exp": -settings.REGISTRY_CLOCK_SKEW_SECONDS - 5, "nbf": -600},
        {"exp": None},
        {"nbf": 600, "exp": 900},
        {"access": []},
        {"access": None},
        {"access": [{"type": "repository", "name": REPOSITORY, "actions": []}]},
        {"access": [{"type": "repository", "name": REPOSITORY, "actions": ["push"]}]},
        {"access": [{"type": "repository", "name": "checks/other", "actions": ["pull"]}]},
        {"access": [{"type": "registry", "name": REPOSITORY, "actions": ["pull"]}]},
        {"access": [{"type": "repository", "name": "checks/*", "actions": ["*"]}]},
    ],
)
def test_other_claims(change):
    """A ``None`` stands for a claim that is not there at all; times are seconds from now."""
    claims, header = good()
    now = int(time.time())
    for name, value in change.items():
        if value is None:
            del claims[name]
        else:
            claims[name] = now + value if name in {"exp", "nbf"} else value
    refused(signed(claims, header))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_no_more_than_its_access(method):
    refused(sign("ann", PULL).text, method=method)
    refused(sign("ann", PULL).text, path=f"{REPOSITORY}/blobs/uploads/", method="POST")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_without_a_signature(algorithm):
    claims, header = good()
    for kept in ({**header, "alg": algorithm}, {"typ": "JWT", "alg": algorithm}):
        refused(f"{encoded(kept)}.{encoded(claims)}.")
        refused(f"{encoded(kept)}.{encoded(claims)}.{sign('ann', PULL).text.rpartition('.')[2]}")


def test_hs256_with_what_everybody_knows():
    """The classic mix-up: the public key, or the certificate, taken for a shared secret."""
    claims, header = good()
    certificate = settings.KEYS.token_certificate.read_bytes()
    public = serialization.load_pem_private_key(settings.KEYS.token_key.read_bytes(), None).public_key()
    der, pem = serialization.Encoding.DER, serialization.Encoding.PEM
    secrets = [
        certificate,
        base64.b64decode(header["x5c"][0]),
        public.public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
        b"",
    ]
    for secret in secrets:
        text = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims)}"
        signature = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
        refused(f"{text}.{signature}")


def test_other_keys(tmp_path):
    claims, header = good()
    others = keys.ensure_keys(tmp_path)
    theirs = jwt.get_unverified_header(sign("ann", PULL, key_file=others.token_key).text)
    refused(signed(claims, theirs, others.token_key))  # a certificate that nobody trusts
    refused(signed(claims, header, others.token_key))  # ours, which does not belong to the key
    both = {"x5c": [theirs["x5c"][0], header["x5c"][0]]}
    refused(signed(claims, both, others.token_key))  # theirs, with ours beside it
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    size = {"kty": "EC", "crv": "P-256"}
    point = {
        name: base64.urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode()
        for name, value in (("x", numbers.x), ("y", numbers.y))
    }
    refused(jwt.encode(claims, key, algorithm="ES256", headers={"jwk": {**size, **point}}))  # one that it brings along
    refused(jwt.encode(claims, key, algorithm="ES256", headers={"kid": "anything"}))
    refused(jwt.encode(claims, key, algorithm="ES256"))
    big = rsa.generate_private_key(65537, 2048)
    refused(jwt.encode(claims, big, algorithm="RS256", headers={"x5c": header["x5c"]}))


def test_what_was_changed_after_signing():
    head, body, signature = sign("ann", PULL).text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["access"][0]["actions"] = ["pull", "push", "delete"]
    refused(f"{head}.{encoded(claims)}.{signature}")
    refused(f"{head}.{body}.{'A' * len(signature)}")
    refused(f"{head}.{body}.")
    refused(f"{head}.{body}")
    refused("")


def test_none_at_all():
    assert requests.get(f"{settings.REGISTRY_URL}/v2/", timeout=10).status_code == 401
