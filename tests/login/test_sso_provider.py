"""Single sign-on when its provider does not answer, or answers with nonsense."""

import threading

import pytest
from django.test import Client

from console.login import single_sign_on
from tests.support.second_factor import by_provider, come_back, is_in, leave
from tests.support.sso import USELESS, refused

pytestmark = pytest.mark.django_db


def test_at_the_beginning(provider, client, settings):
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    response = client.post("/sign-in/sso/")
    refused(client, response, "Can’t reach Example. Try again later.", 503)


PATHS = ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"]


@pytest.mark.parametrize("path", PATHS)
def test_nonsense(provider, client, path, caplog):
    provider.person = {"sub": "u-1"}
    for answer in ((500, {}), (200, []), (200, b"<html>"), (200, {}), (200, b"[" * 100_000)):
        provider.answers.clear()
        if path == PATHS[0]:
            provider.answers[path] = answer
            refused(client, client.post("/sign-in/sso/"), USELESS, 503)
        else:
            back = provider.authorize(leave(client))
            provider.answers[path] = answer
            refused(client, come_back(client, back), USELESS)
    assert "single sign-on" in caplog.text
    assert "at" not in caplog.text.split()


def test_when_many_wait_for_it_others_do_not(provider, client, monkeypatch):
    away = "Can’t reach Example. Try again later."
    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr(single_sign_on, "_slots", places)
    back = provider.authorize(leave(client))
    provider.fetched.clear()
    places.acquire()
    refused(client, client.post("/sign-in/sso/"), away, 503)
    refused(client, come_back(client, back), away, 503)
    assert not provider.fetched
    places.release()
    # Whatever goes wrong, the place is free again.
    provider.answers["/token"] = (500, {})
    refused(client, by_provider(provider, client), USELESS)
    provider.answers.clear()
    by_provider(provider, client)
    assert is_in(client)


def test_it_is_asked_for_its_keys_and_its_configuration_once(provider, client):
    by_provider(provider, client)
    by_provider(provider, Client())
    assert sorted(provider.fetched) == ["/.well-known/openid-configuration", "/jwks", "/token", "/token"]
    # Unless it has a new one.
    provider.kid = provider.rsa = "new"
    other = Client()
    by_provider(provider, other)
    by_provider(provider, Client())
    assert is_in(other)
    assert provider.fetched.count("/jwks") == 2


def test_a_configuration_of_another_issuer(provider, client):
    provider.config = {"issuer": "https://evil.example.com"}
    refused(client, client.post("/sign-in/sso/"), USELESS, 503)
