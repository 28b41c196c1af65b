"""Creating, deleting and handing over namespaces."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from console.access.grants import Access
from console.access.names import RESERVED_NAMESPACES, split_repository
from console.audit.models import AuditEvent
from console.namespaces.models import Namespace, NamespaceHold
from console.ownership.services import (
    create_namespace,
    delete_namespace,
    finish_transfers,
    release_names,
    transfer_namespace,
)
from console.registry import jobs
from console.registry.connection import registry
from console.registry.deletion.names import clear_repository
from console.repositories import pushed_digests
from console.repositories.models import PushedDigest
from registry_client import NotFound, RegistryClient, RegistryUnavailable
from tests.support import disk
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.pushed_images import push_image, push_index
from tests.support.token_endpoint import grants

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.timedelta(days=1)


def sentence_of(raised):
    (message,) = raised.value.messages
    return message


def can_push(account, repository):
    return bool(grants(account, [Access("repository", repository, frozenset({"push"}))]))


class TestCreate:
    def test_it_works(self):
        account = ActivatedAccountFactory()
        namespace = create_namespace(account, "made-here")
        assert namespace.owner == account
        assert AuditEvent.objects.get(action="namespace.create").target == "made-here"

    @pytest.mark.parametrize("name", ["ab", "a1", "a.b", "a_b-c.d", "0a", "x" * 30])
    def test_good_names(self, name):
        create_namespace(ActivatedAccountFactory(), name)

    @pytest.mark.parametrize(
        "name",
        [
            "", "a", "x" * 31, "Team", "tEam", "team/app", "-x", "x-", ".x", "x.", "_x", "x_", "a..b", "a--b", "a__b",
            "a.-b", "..", "a b", "téam", "tеam", "ｔeam", "team\n", "team\x00", "a//b", "%61b", *RESERVED_NAMESPACES,
        ],
    )  # fmt: skip
    def test_bad_names(self, name):
        account = ActivatedAccountFactory()
        if name.strip() != name and split_repository(f"{name.strip()}/app"):
            return  # what surrounds a name is not part of it
        with pytest.raises(ValidationError) as raised:
            create_namespace(account, name)
        assert raised.value.message_dict["name"]
        assert not Namespace.objects.exists()

    @pytest.mark.parametrize("name", ["A", "a", "a--b", "library", "Ünder"])
    def test_the_database_holds_the_rules_too(self, name):
        with pytest.raises(IntegrityError), transaction.atomic():
            Namespace.objects.create(owner=ActivatedAccountFactory(), name=name)

    def test_taken_by_another_user(self):
        NamespaceFactory(name="team")
        with pytest.raises(ValidationError) as raised:
            create_namespace(ActivatedAccountFactory(), "team")
        assert sentence_of(raised) == "The name “team” is already in use by another user. Try another name."

    def test_taken_by_oneself(self):
        namespace = NamespaceFactory(name="team")
        with pytest.raises(ValidationError) as raised:
            create_namespace(namespace.owner, "team")
        assert sentence_of(raised) == "You already have the namespace “team”."

    def test_quota(self):
        account = ActivatedAccountFactory(namespace_quota=1)
        create_namespace(account, "one")
        with pytest.raises(ValidationError) as raised:
            create_namespace(account, "two")
        assert "limit (1)" in sentence_of(raised)


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def _all_at_once(self, attempts):
        def attempt(arguments):
            try:
                create_namespace(*arguments)
                return "created"
            except ValidationError as problem:
                return problem.messages[0]
            finally:
                connection.close()

        with ThreadPoolExecutor(len(attempts)) as pool:
            return list(pool.map(attempt, attempts))

    def test_fifty_people_want_the_same_name(self):
        accounts = [ActivatedAccountFactory() for _ in range(50)]
        results = self._all_at_once([(account, "wanted") for account in accounts])
        assert results.count("created") == 1
        assert results.count("The name “wanted” is already in use by another user. Try another name.") == 49
        assert Namespace.objects.filter(name="wanted").count() == 1

    def test_one_person_cannot_pass_the_quota_by_haste(self):
        account = ActivatedAccountFactory(namespace_quota=3)
        results = self._all_at_once([(account, f"name{number}") for number in range(12)])
        assert results.count("created") == 3
        assert account.namespaces.count() == 3


class TestDelete:
    def test_it_works(self):
        namespace = NamespaceFactory(name="team")
        delete_namespace(namespace.owner, namespace)
        assert not Namespace.objects.exists()

    def test_not_while_it_holds_an_image(self):
        image = ImageFactory()
        with pytest.raises(ValidationError) as raised:
            delete_namespace(image.namespace.owner, image.namespace)
        assert "still contains images" in sentence_of(raised)
        assert Namespace.objects.exists()
        assert not NamespaceHold.objects.exists()

    def test_not_somebody_elses(self):
        with pytest.raises(ValidationError):
            delete_namespace(ActivatedAccountFactory(), NamespaceFactory())
        assert Namespace.objects.exists()


class TestHold:
    """A freed name stays from others as long as a token given out for it may be valid."""

    def test_the_former_owner_may_take_it_back_at_once(self):
        namespace = NamespaceFactory(name="team")
        owner = namespace.owner
        delete_namespace(owner, namespace)
        create_namespace(owner, "team")
        assert not NamespaceHold.objects.exists()

    def test_nobody_else_can(self, settings):
        namespace = NamespaceFactory(name="team")
        other = ActivatedAccountFactory()
        delete_namespace(namespace.owner, namespace)
        hold = NamespaceHold.objects.get()
        left = (hold.until - timezone.now()).total_seconds()
        assert settings.TOKEN_SECONDS + 60 - 5 < left <= settings.TOKEN_SECONDS + 60
        release_names()
        with pytest.raises(ValidationError) as raised:
            create_namespace(other, "team")
        assert "already in use by another user" in sentence_of(raised)
        assert not Namespace.objects.exists()

    def test_until_it_is_released(self, registry_server):
        namespace = NamespaceFactory(name="team")
        other = ActivatedAccountFactory()
        delete_namespace(namespace.owner, namespace)
        NamespaceHold.objects.update(until=timezone.now() - LONG_AGO)
        with pytest.raises(ValidationError):
            create_namespace(other, "team")
        assert release_names() == 1
        assert create_namespace(other, "team").owner == other

    def test_what_an_old_token_pushed_meanwhile_is_gone_for_the_next_owner(self, registry_server):
        namespace = NamespaceFactory(name="left-over")
        delete_namespace(namespace.owner, namespace)
        push_image(registry(), "left-over/app", "v1")
        push_image(registry(), "left-over/deep/er", "v1")
        push_image(registry(), "left-overs/app", "v1")
        NamespaceHold.objects.update(until=timezone.now() - LONG_AGO)
        release_names()
        assert registry().tags("left-over/app") == []
        assert registry().tags("left-over/deep/er") == []
        assert registry().tags("left-overs/app") == ["v1"]

    def test_what_was_pushed_by_digest_alone_is_gone_too(self, registry_server):
        """With what it names: the next owner cannot read it, even knowing the digests."""
        namespace = NamespaceFactory(name="broken-off")
        repository = "broken-off/app"
        children = [push_image(registry(), repository, None) for _ in range(2)]
        index = push_index(registry(), repository, "multi", children)
        alone = push_image(registry(), repository, None)
        never = push_image(registry(), "broken-off/never", None)
        pushed_digests.remember(
            [(repository, index.digest), (repository, alone.digest), ("broken-off/never", never.digest)]
        )
        delete_namespace(namespace.owner, namespace)
        NamespaceHold.objects.update(until=timezone.now() - LONG_AGO)
        PushedDigest.objects.update(notified_at=timezone.now() - LONG_AGO)
        jobs.forget_documents()
        release_names()
        for name in (repository, "broken-off/never"):
            assert disk.left_of(name) == []
        for digest in (index.digest, alone.digest, *(child.digest for child in children)):
            with pytest.raises(NotFound):
                registry().manifest(repository, digest)
        for blob in (*alone.blobs, *children[0].blobs):
            with pytest.raises(NotFound):
                registry().stat_blob(repository, blob)
        assert not PushedDigest.objects.exists()

    def test_clearing_resumes(self, registry_server, monkeypatch):
        """What only an index named is found again, although the index went before."""
        repository = f"{NamespaceFactory().name}/app"
        children = [push_image(registry(), repository, None) for _ in range(2)]
        push_index(registry(), repository, "multi", children)
        real = RegistryClient.delete_manifest
        left = iter([True])

        def die(*arguments, **options):
            if next(left, False):
                return real(*arguments, **options)
            raise RegistryUnavailable("gone")

        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(RegistryClient, "delete_manifest", die)
            clear_repository(repository)
        clear_repository(repository)
        assert disk.left_of(repository) == []
        assert clear_repository(repository) == 0

    def test_a_registry_that_is_down_keeps_the_name_held(self, settings):
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        namespace = NamespaceFactory(name="team")
        delete_namespace(namespace.owner, namespace)
        NamespaceHold.objects.update(until=timezone.now() - LONG_AGO)
        with pytest.raises(RegistryUnavailable):
            release_names()
        assert NamespaceHold.objects.exists()


class TestTransfer:
    def test_it_becomes_the_new_owners_when_old_tokens_have_run_out(self, registry_server):
        image = ImageFactory()
        namespace, former, new = image.namespace, image.namespace.owner, ActivatedAccountFactory()
        transfer_namespace(namespace, new)
        finish_transfers()
        assert Namespace.objects.get().owner == former
        assert not can_push(former, image.repository)
        assert not can_push(new, image.repository)
        Namespace.objects.update(available_at=timezone.now() - LONG_AGO)
        assert finish_transfers() == 1
        assert Namespace.objects.get().owner == new
        assert can_push(new, image.repository)
        assert not can_push(former, image.repository)

    def test_not_to_somebody_inactive_or_full_or_the_same(self):
        namespace = NamespaceFactory()
        for account in (
            ActivatedAccountFactory(is_active=False),
            ActivatedAccountFactory(namespace_quota=0),
            namespace.owner,
        ):
            with pytest.raises(ValidationError):
                transfer_namespace(namespace, account)
        assert not Namespace.objects.get().in_transfer
