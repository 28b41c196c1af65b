"""Accounts, their credentials, and the commands that make them."""

import io

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from console.accounts.models import Account, RegistryCredential
from console.accounts.services import (
    change_registry_password,
    create_account,
    mark_activated,
    set_active,
    store_credential,
)
from console.audit.models import AuditEvent
from tests.support.factories import AccountFactory

pytestmark = pytest.mark.django_db

GOOD = "a good password 1"


class TestCreate:
    def test_it_works(self):
        account = create_account("Ann", "ann@example.com", GOOD)
        assert len(account.account_id) == 12
        assert account.account_id.isdigit()
        assert account.account_id[0] != "0"
        assert account.password.startswith("argon2$argon2id$")
        assert AuditEvent.objects.get().target == account.account_id

    def test_many_accounts_may_have_no_address(self):
        assert create_account("Ann", "", GOOD).email is None
        assert create_account("Ben", None, GOOD).email is None

    def test_an_address_belongs_to_one_account(self):
        create_account("Ann", "ann@example.com", GOOD)
        with pytest.raises(ValidationError) as raised:
            create_account("Ben", "ANN@example.com", GOOD)
        assert raised.value.messages == ["Another account already uses this e-mail address."]

    @pytest.mark.parametrize("password", ["", "short", "password", "1234567890", "Annabella"])
    def test_weak_passwords(self, password):
        with pytest.raises(ValidationError) as raised:
            create_account("Annabella", None, password)
        assert raised.value.message_dict["password"]
        assert not Account.objects.exists()

    @pytest.mark.parametrize("account_id", ["", "12345678901", "012345678901", "1234567890123", "12345678901a"])
    def test_the_database_knows_what_an_account_id_is(self, account_id):
        with pytest.raises((IntegrityError, Exception)), transaction.atomic():
            Account.objects.create(name="x", account_id=account_id)
        assert not Account.objects.exists()


class TestSignIn:
    def test_with_account_id_or_address_in_any_case(self):
        account = create_account("Ann", "Ann@Example.com", GOOD)
        for name in (account.account_id, f" {account.account_id} ", "Ann@Example.com", "ann@example.COM"):
            assert authenticate(username=name, password=GOOD) == account

    @pytest.mark.parametrize(
        "name", ["", "Ann", "999999999999", "ben@example.com", "\x00", "@\x00", "１２３４５６７８９０１２"]
    )
    def test_unknown_names(self, name):
        create_account("Ann", "ann@example.com", GOOD)
        assert authenticate(username=name, password=GOOD) is None

    def test_wrong_password_or_deactivated(self):
        account = create_account("Ann", None, GOOD)
        assert authenticate(username=account.account_id, password=GOOD + " ") is None
        set_active(account, False)
        assert authenticate(username=account.account_id, password=GOOD) is None
        set_active(account, True)
        assert authenticate(username=account.account_id, password=GOOD) == account

    def test_deactivation_ends_sessions(self, client):
        account = create_account("Ann", None, GOOD)
        client.force_login(account)
        assert client.get("/account/").status_code == 200
        set_active(account, False)
        assert client.get("/account/").status_code == 302


class TestCredential:
    def test_it_works(self):
        account = AccountFactory()
        credential = store_credential(account, account.account_id, GOOD)
        assert credential.check_password(GOOD)
        assert credential.password.startswith("argon2$argon2id$")
        assert not Account.objects.get().activated
        mark_activated(account)
        assert Account.objects.get().activated

    def test_overwritten_until_activated(self):
        account = AccountFactory()
        first = store_credential(account, "first", GOOD)
        second = store_credential(account, "second", GOOD + "2")
        assert first.pk == second.pk
        assert RegistryCredential.objects.get().username == "second"
        mark_activated(account)
        with pytest.raises(ValidationError) as raised:
            store_credential(account, "third", GOOD)
        assert raised.value.messages == ["The service is already activated for this account."]

    @pytest.mark.parametrize("username", ["ann", "a" * 31, "Ann.Smith", "ann smith", "änne", "ann:x", "ann\n", ""])
    def test_bad_user_names(self, username):
        with pytest.raises(ValidationError) as raised:
            store_credential(AccountFactory(), username.removesuffix("\n") + "!" * username.endswith("\n"), GOOD)
        assert raised.value.message_dict["username"]

    def test_a_user_name_belongs_to_one(self):
        store_credential(AccountFactory(), "anne", GOOD)
        with pytest.raises(ValidationError) as raised:
            store_credential(AccountFactory(), "anne", GOOD)
        assert "already in use by another user" in raised.value.messages[0]

    def test_somebody_elses_account_id_is_not_to_be_had(self):
        victim = AccountFactory()
        with pytest.raises(ValidationError) as raised:
            store_credential(AccountFactory(), victim.account_id, GOOD)
        assert "only be your own Account ID" in raised.value.messages[0]

    @pytest.mark.parametrize(
        ("password", "sentence"),
        [
            ("", "Please enter a password"),
            ("a1 b2 c", "8 to 64 characters"),
            ("a1 b2 c3" * 9, "8 to 64 characters"),
            ("password", "too common"),
            ("9274610583", "entirely numeric"),
            ("x-username", "too similar to the user name"),
            ("nul\x00 in the middle", "can’t be typed"),
        ],
    )
    def test_bad_passwords(self, password, sentence):
        with pytest.raises(ValidationError) as raised:
            store_credential(AccountFactory(), "username", password)
        assert any(sentence in message for message in raised.value.message_dict["password"])

    @pytest.mark.parametrize("password", ["        ", "a b:c%d\\e", "密码密码密码密码", "é" * 64])
    def test_passwords_of_every_kind(self, password):
        assert store_credential(AccountFactory(), "username", password).check_password(password)

    def test_a_new_password_raises_the_version(self):
        account = AccountFactory()
        store_credential(account, "username", GOOD)
        with pytest.raises(ValidationError):
            change_registry_password(account, GOOD + "2")
        mark_activated(account)
        before = RegistryCredential.objects.get().version
        changed = change_registry_password(account, GOOD + "2")
        assert changed.version == before + 1
        assert changed.check_password(GOOD + "2")
        assert not changed.check_password(GOOD)

    def test_no_password_is_stored_in_the_clear(self):
        with pytest.raises(IntegrityError), transaction.atomic():
            RegistryCredential.objects.create(account=AccountFactory(), username="clear", password=GOOD)


class TestCreateAccount:
    def run(self, monkeypatch, password, *arguments):
        monkeypatch.setattr("sys.stdin", io.StringIO(password))
        out = io.StringIO()
        call_command("createaccount", *arguments, stdout=out)
        return out.getvalue()

    def test_it_works(self, monkeypatch):
        out = self.run(monkeypatch, f" {GOOD} \n", "--name", "Ann", "--email", "ann@example.com", "--password-stdin")
        account = Account.objects.get()
        assert out == f"Account ID: {account.account_id}\n"
        assert account.check_password(f" {GOOD} ")
        assert not account.is_staff

    def test_administrator(self, monkeypatch):
        self.run(monkeypatch, GOOD, "--name", "Ann", "--password-stdin", "--administrator")
        assert Account.objects.get().is_superuser

    def test_asked_for_at_the_terminal(self, monkeypatch):
        monkeypatch.setattr("getpass.getpass", lambda prompt: GOOD)
        call_command("createaccount", "--name", "Ann", stdout=io.StringIO())
        assert Account.objects.get().check_password(GOOD)

    @pytest.mark.parametrize(
        ("password", "arguments"),
        [("short", ["--name", "Ann"]), (GOOD, ["--name", ""]), (GOOD, ["--name", "Ann", "--email", "not one"])],
    )
    def test_bad_input_is_one_line(self, monkeypatch, password, arguments):
        with pytest.raises(CommandError):
            self.run(monkeypatch, password, *arguments, "--password-stdin")
        assert not Account.objects.exists()
