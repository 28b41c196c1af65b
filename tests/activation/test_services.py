"""Activation: credential, namespace, a test token, a call to the registry with it."""

import pytest
from django.core.exceptions import ValidationError

from console.accounts.models import RegistryCredential
from console.activation import services
from console.namespaces.models import Namespace
from console.registry.connection import registry_with_token
from console.registry.signing import sign
from registry_client import Unauthorized
from tests.support.factories import AccountFactory, NamespaceFactory

pytestmark = pytest.mark.django_db

PASSWORD = "a good password 1"


@pytest.fixture
def account():
    return AccountFactory()


def states(report):
    return [step.state for step in report.steps]


def test_it_works(account, registry_server):
    assert states(services.report(account)) == ["waiting"] * 4
    services.enable(account, account.account_id, PASSWORD, "team")
    account.refresh_from_db()
    assert states(services.report(account)) == ["done", "done", "waiting", "waiting"]
    assert not account.activated
    report = services.finish(account)
    assert report.done
    assert report.problem == ""
    account.refresh_from_db()
    assert account.activated
    assert Namespace.objects.get().owner == account
    assert services.finish(account).done


def test_the_namespace_is_optional(account, registry_server):
    services.enable(account, "username", PASSWORD)
    assert services.finish(account).done
    assert not Namespace.objects.exists()


def test_both_or_neither(account):
    NamespaceFactory(name="taken")
    with pytest.raises(ValidationError) as raised:
        services.enable(account, "username", PASSWORD, "taken")
    assert "already in use by another user" in raised.value.message_dict["namespace"][0]
    with pytest.raises(ValidationError) as raised:
        services.enable(account, "username", PASSWORD, "Not A Name")
    assert raised.value.message_dict["namespace"]
    with pytest.raises(ValidationError):
        services.enable(account, "username", "short", "fine")
    assert not RegistryCredential.objects.filter(account=account).exists()
    assert Namespace.objects.count() == 1


def test_a_registry_that_is_down_is_a_sentence_and_can_be_tried_again(account, settings, registry_server):
    there = settings.REGISTRY_URL
    services.enable(account, "username", PASSWORD, "team")
    settings.REGISTRY_URL = "http://127.0.0.1:9"
    report = services.finish(account)
    assert states(report) == ["done", "done", "done", "failed"]
    assert report.problem == "Can’t reach the registry. Try again in a moment; your entries are saved."
    account.refresh_from_db()
    assert not account.activated
    services.enable(account, "username2", PASSWORD, "team")
    settings.REGISTRY_URL = there
    assert services.finish(account).done


def test_a_registry_that_trusts_somebody_else(account, settings, registry_server):
    services.enable(account, "username", PASSWORD)
    settings.TOKEN_ISSUER = "somebody else"
    report = services.finish(account)
    assert "rejects the console's tokens" in report.problem


def test_a_signing_key_that_cannot_be_read(account, monkeypatch):
    services.enable(account, "username", PASSWORD)

    def fail(*arguments):
        raise OSError("no such key")

    monkeypatch.setattr(services, "sign", fail)
    report = services.finish(account)
    assert states(report) == ["done", "failed", "waiting"], "no step of a namespace, where none was entered"
    assert "Could not issue a test token" in report.problem


def test_nothing_to_finish(account):
    assert states(services.finish(account)) == ["waiting"] * 4


def test_a_new_password(account, registry_server):
    services.enable(account, "username", PASSWORD)
    services.finish(account)
    services.reset_password(account, "another password 2")
    assert RegistryCredential.objects.get().check_password("another password 2")


class TestTheRegistryChecksTokens:
    """What the registry does with tokens that are not right."""

    def refused(self, token):
        with registry_with_token(token) as client, pytest.raises(Unauthorized):
            client.ping()

    def test_expired(self, settings, registry_server):
        settings.TOKEN_SECONDS = -settings.REGISTRY_CLOCK_SKEW_SECONDS - 1
        self.refused(sign("x", []).text)

    def test_within_the_allowance_for_clocks(self, settings, registry_server):
        settings.TOKEN_SECONDS = -settings.REGISTRY_CLOCK_SKEW_SECONDS + 20
        with registry_with_token(sign("x", []).text) as client:
            client.ping()

    @pytest.mark.parametrize("setting", ["TOKEN_ISSUER", "REGISTRY_SERVICE"])
    def test_of_another_issuer_or_for_another_service(self, settings, registry_server, setting):
        setattr(settings, setting, "somebody-else")
        self.refused(sign("x", []).text)

    def test_signed_with_another_key(self, settings, registry_server, tmp_path):
        from console.installation import keys

        settings.KEYS = keys.ensure_keys(tmp_path)
        self.refused(sign("x", []).text)

    def test_tampered(self, registry_server):
        token = sign("x", []).text
        head, body, signature = token.split(".")
        self.refused(f"{head}.{body}.{signature[:-4]}AAAA")
