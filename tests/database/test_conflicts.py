"""Names and addresses that somebody else has: refused without a statement that fails, one after another and at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.core.exceptions import ValidationError
from django.db import Error, connection, transaction

from console.access_tokens import services as access_tokens
from console.accounts import email_changes, email_links, services
from console.accounts.models import EmailChange, RegistryCredential
from console.activation.services import enable
from console.database.conflicts import insert
from console.login import factors, single_sign_on
from console.login.single_sign_on import Identity, Problem
from console.namespaces.models import Namespace
from console.ownership.services import create_namespace
from console.registry.index.adoption import adopt
from console.registry.index.sync import image_for_push
from console.repositories.models import Image
from console.repositories.services import create_image
from tests.support.factories import PASSWORD, AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import text_of
from tests.support.second_factor import Phone

pytestmark = pytest.mark.django_db

YOU_HAVE_IT = "You already have"
ANOTHER_HAS_IT = "already in use by another user"


@contextmanager
def nothing_fails():
    """No statement of this thread's connection fails in this block."""
    failed = []

    def watch(execute, sql, params, many, context):
        try:
            return execute(sql, params, many, context)
        except Error as error:
            failed.append(f"{sql}: {error}")
            raise

    try:
        with connection.execute_wrapper(watch):
            yield
    finally:
        assert failed == []


def refused(call, *arguments, **options):
    """What the person reads."""
    with nothing_fails(), pytest.raises((ValidationError, Problem)) as raised, transaction.atomic():
        call(*arguments, **options)
    return " ".join(raised.value.messages) if isinstance(raised.value, ValidationError) else str(raised.value)


class TestOneAfterAnother:
    def test_the_page_of_activation(self, client, registry_server):
        NamespaceFactory(name="team")
        ActivatedAccountFactory(credential__username="wanted")
        account = AccountFactory()
        client.force_login(account)
        form = {"username": "wanted", "password": PASSWORD, "confirm": PASSWORD, "namespace": "team"}
        with nothing_fails():
            response = client.post("/activation/", form)
        assert response.status_code == 422
        assert text_of(response).count(ANOTHER_HAS_IT) == 2
        assert not RegistryCredential.objects.filter(account=account).exists()

    def test_a_namespace(self, registry_server):
        mine, others = NamespaceFactory(), NamespaceFactory()
        assert YOU_HAVE_IT in refused(create_namespace, mine.owner, mine.name)
        assert ANOTHER_HAS_IT in refused(create_namespace, mine.owner, others.name)
        assert ANOTHER_HAS_IT in refused(enable, AccountFactory(), "fresh", PASSWORD, others.name)

    def test_an_image(self):
        image = ImageFactory()
        assert "already exists" in refused(create_image, image.namespace.owner, image.namespace, image.name)

    def test_an_image_whose_namespace_is_gone(self):
        namespace = NamespaceFactory()
        Namespace.objects.filter(pk=namespace.pk).delete()
        assert "no longer exists" in refused(create_image, namespace.owner, namespace, "app")

    def test_an_image_that_a_push_makes(self, monkeypatch):
        image = ImageFactory()
        looked = iter([None, image])
        monkeypatch.setattr("console.registry.index.sync.find_image", lambda repository: next(looked))
        with nothing_fails():
            assert image_for_push(image.repository, "") == image

    def test_a_namespace_that_is_adopted(self):
        namespace = NamespaceFactory()
        with nothing_fails():
            assert "another account took the namespace" in adopt(f"{namespace.name}/app", ActivatedAccountFactory())

    def test_an_access_token(self):
        account = ActivatedAccountFactory()
        access_tokens.create(account, "ci", can_push=True)
        assert YOU_HAVE_IT in refused(access_tokens.create, account, "ci", can_push=True)

    def test_an_identity(self, monkeypatch):
        identity = Identity("https://login.example.com", "u-1", "Ann", "ann@example.com")
        owner, other = AccountFactory(), AccountFactory()
        single_sign_on.connect(owner, identity)
        looked = iter([None, owner, None, owner])
        monkeypatch.setattr(single_sign_on, "account_of", lambda identity: next(looked))
        assert "belongs to another account" in refused(single_sign_on.connect, other, identity)
        with nothing_fails():
            assert single_sign_on.account_for(identity) == owner

    def test_an_authenticator_app(self):
        account = AccountFactory()
        for _ in range(2):
            secret = factors.new_secret()
            code = Phone(factors.shown_secret(secret)).code()
            if factors.is_enrolled(account):
                assert "already" in refused(factors.add_app, account, secret, code)
            else:
                factors.add_app(account, secret, code)

    def test_an_email_address(self):
        one, other = AccountFactory(), AccountFactory()
        for account, email in ((one, "ann@example.com"), (other, "Ann@Example.com")):
            email_changes.request(account, email)
        first, second = (email_links.make_token(EmailChange.objects.get(account=account)) for account in (one, other))
        email_changes.confirm(one, first)
        assert "Another account already uses" in refused(email_changes.confirm, other, second)
        assert "Another account already uses" in refused(services.create_account, "Ben", "ANN@example.com", None)


def test_a_row_that_was_not_inserted_can_be_again():
    image = ImageFactory()
    again = Image(namespace=image.namespace, name=image.name)
    assert not insert(again)
    assert again.pk is None
    again.name = "another"
    assert insert(again)
    assert Image.objects.get(pk=again.pk).name == "another"


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Both have seen that the value is free before either takes it."""

    def both(self, monkeypatch, where, name, calls):
        barrier, checked = threading.Barrier(len(calls), timeout=30), getattr(where, name)
        waited = threading.local()

        def check(*arguments, **options):
            result = checked(*arguments, **options)
            if not getattr(waited, "yes", False):
                waited.yes = True
                barrier.wait()
            return result

        monkeypatch.setattr(where, name, check)

        def run(call):
            try:
                with nothing_fails(), transaction.atomic():
                    call()
            except ValidationError as problem:
                return " ".join(problem.messages)
            finally:
                connection.close()
            return ""

        with ThreadPoolExecutor(len(calls)) as pool:
            return sorted(pool.map(run, calls))

    def test_a_user_name(self, monkeypatch):
        accounts = [AccountFactory(), AccountFactory()]
        calls = [lambda account=account: services.store_credential(account, "wanted", PASSWORD) for account in accounts]
        none, sentence = self.both(monkeypatch, services, "check_username", calls)
        assert none == ""
        assert ANOTHER_HAS_IT in sentence
        assert RegistryCredential.objects.count() == 1

    def test_an_email_address(self, monkeypatch):
        calls = [
            lambda name=name: services.create_account(name, "ann@example.com", PASSWORD + name)
            for name in ("Ann", "Ben")
        ]
        none, sentence = self.both(monkeypatch, services, "validate_password", calls)
        assert none == ""
        assert "Another account already uses" in sentence
