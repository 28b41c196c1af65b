"""A POST with the bytes of a blob: the gate starts the upload that the edge sends them to."""

import pytest
import requests
from django.conf import settings

from console.registry.connection import registry
from console.registry.signing import console_token
from registry_client import RegistryUnavailable
from tests.support.pushed_images import digest_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

DIGEST = digest_of(b"bytes")


def ask(gate, repository, digest=DIGEST, **headers):
    return gate.client.get("/v2/_upload", {"name": repository, "digest": digest}, headers=headers)


def test_the_location_takes_the_bytes(gate, app):
    answer = ask(gate, app, **gate.bearer(app))
    assert (answer.status_code, answer.content) == (204, b"")
    bearer, _seconds = console_token((f"repository:{app}:pull,push",), service=settings.CONSOLE_REGISTRY_SERVICE)
    url = f"{settings.CONSOLE_REGISTRY_URL}{answer['Location']}"
    put = requests.put(url, b"bytes", headers={"Authorization": f"Bearer {bearer}"}, timeout=10)
    assert put.status_code == 201
    assert registry().read_blob(app, DIGEST, 10) == b"bytes"


def test_it_needs_a_token_for_pushes(gate, app):
    for headers in ({}, gate.bearer(app, ["pull"]), gate.bearer("team/other")):
        answer = ask(gate, app, **headers)
        assert gate.error(answer, 401)[0] == "UNAUTHORIZED"
        assert f'scope="repository:{app}:pull,push"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("name", "digest", "code"), [("Team/App", DIGEST, "NAME_INVALID"), ("team/app", "sha256:bad", "DIGEST_INVALID")]
)
def test_names_are_checked(gate, name, digest, code):
    assert gate.error(ask(gate, name, digest), 400)[0] == code


def test_without_the_registry(gate, app, monkeypatch):
    def away(repository):
        raise RegistryUnavailable("away")

    monkeypatch.setattr(registry(), "start_upload", away)
    assert gate.error(ask(gate, app, **gate.bearer(app)), 503)[0] == "UNAVAILABLE"
