"""Somebody with a second factor, and a provider."""

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache

from tests.support.factories import ActivatedAccountFactory
from tests.support.identity_provider import CLIENT, SECRET, Provider
from tests.support.second_factor import set_up


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben", email="ben@example.com")


@pytest.fixture
def phone(ben):
    """Ben's, set up for his account."""
    return set_up(ben)


@pytest.fixture
def app_of(ben, phone):
    return Authenticator.objects.get(user=ben, type="totp")


@pytest.fixture(scope="session")
def _provider():
    server = Provider()
    yield server
    server.stop()


@pytest.fixture
def provider(_provider, settings):
    """An identity provider that the console is configured for."""
    _provider.reset()
    cache.clear()
    settings.OIDC_ISSUER = _provider.issuer
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET, settings.OIDC_NAME = CLIENT, SECRET, "Example"
    return _provider
