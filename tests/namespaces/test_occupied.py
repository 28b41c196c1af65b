"""Names that no account has, but that images lie under in the registry: nobody becomes their owner by taking one."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.urls import reverse

from console.access.grants import Access
from console.accounts.models import RegistryCredential
from console.activation import services as activation
from console.namespaces.models import Namespace
from console.ownership import services
from console.ownership.services import create_namespace, delete_namespace
from console.registry import connection as registries
from console.registry.connection import has_images_under, registry
from console.registry.copy_requests import copy_tag
from console.registry.index.sync import reread_image
from console.repositories.models import Copy, Image
from registry_client import NameUnknown, RegistryClient
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory
from tests.support.fake_registry import fake_registry, own_registry, walk_over
from tests.support.http_servers import Reply, error_reply
from tests.support.pushed_images import push_image
from tests.support.responses import text_of
from tests.support.token_endpoint import grants

pytestmark = pytest.mark.django_db

OCCUPIED = "The registry already has images under this name. An administrator can assign them to an account."
SILENT = "Can’t check whether the registry already has images under this name. Try again in a moment."


@pytest.fixture
def ann():
    return ActivatedAccountFactory(name="Ann")


@pytest.fixture
def external(settings):
    """A registry that was there before."""
    settings.REGISTRY_IS_OURS = False


@pytest.fixture
def there(registry_program, tmp_path, settings, external):
    """A real one, that holds nothing yet."""
    with own_registry(registry_program, tmp_path, settings) as url:
        yield url


@pytest.fixture
def fake(settings, monkeypatch, external):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


def refusal(account, name):
    with pytest.raises(ValidationError) as raised:
        create_namespace(account, name)
    (message,) = raised.value.message_dict["name"]
    assert not Namespace.objects.filter(name=name).exists()
    return message


def push(repository, tag="v1"):
    return push_image(registry(), repository, tag)


def emptied(repository):
    registry().delete_manifest(repository, push(repository).digest)
    assert repository in list(registry().catalog())


class TestARealRegistry:
    def test_whoever_takes_the_name_would_own_the_images(self, there, ann):
        push("shop/app")
        assert refusal(ann, "shop") == OCCUPIED
        access = Access("repository", "shop/app", frozenset({"pull", "delete"}))
        assert grants(ann, [access]) == []

    @pytest.mark.parametrize("repository", ["shop/deep/er/app", "shop/1", "shop/a-b"])
    def test_wherever_under_the_name(self, there, ann, repository):
        push(repository)
        assert refusal(ann, "shop") == OCCUPIED

    @pytest.mark.parametrize("repository", ["shop", "shop-x/app", "shop.x/app", "shops/app", "sho/shop", "aa/app"])
    def test_other_names_do_not_matter(self, there, ann, repository):
        push(repository)
        assert create_namespace(ann, "shop").owner == ann

    def test_an_empty_registry(self, there, ann):
        assert create_namespace(ann, "shop").owner == ann

    def test_repositories_without_tags_do_not_matter(self, there, ann):
        """Deleted images leave them behind; before and after one that has tags."""
        emptied("shop/aa")
        emptied("shop/zz")
        push_image(registry(), "shop/untagged", None)
        assert create_namespace(ann, "shop").owner == ann
        for number in range(9):
            emptied(f"tools/b{number}")
        push("tools/c")
        emptied("tools/d")
        assert refusal(ann, "tools") == OCCUPIED

    def test_more_repositories_than_a_page(self, there, ann, monkeypatch):
        monkeypatch.setattr(registries, "_PAGE", 2)
        for name in ("shop/a1", "shop/b/c", "shop/b2"):
            emptied(name)
        push("shop/c")
        push("shops/app")
        assert refusal(ann, "shop") == OCCUPIED

    def test_more_than_anybody_looks_at(self, there, ann, monkeypatch):
        monkeypatch.setattr(registries, "_AT_ONCE", 2)
        for name in ("shop/a1", "shop/a2", "shop/a3"):
            emptied(name)
        create_namespace(ann, "shop").delete()
        monkeypatch.setattr(registries, "_LOOKING_SECONDS", -1)
        assert refusal(ann, "shop") == SILENT
        push("shop/a2")
        assert refusal(ann, "shop") == OCCUPIED

    def test_an_adoption_gives_it_away(self, there, ann):
        push("shop/app")
        walk_over(adopt_for=ann.account_id)
        assert Namespace.objects.get(name="shop").owner == ann
        assert Image.objects.get().repository == "shop/app"
        with pytest.raises(ValidationError, match="You already have the namespace"):
            create_namespace(ann, "shop")
        with pytest.raises(ValidationError, match="already in use by another user"):
            create_namespace(ActivatedAccountFactory(), "shop")

    def test_images_are_created_and_copied_as_ever(self, there, ann):
        namespace = NamespaceFactory(owner=ann)
        push(f"{namespace.name}/app")
        reread_image(f"{namespace.name}/app")
        tag = Image.objects.get().tags.select_related("manifest", "image__namespace").get()
        copy_tag(ann, tag, namespace, "other", "v1")
        assert Copy.objects.get().image.name == "other"

    def test_a_name_that_was_freed_a_moment_ago(self, there, ann):
        """Its former owner takes it back, though an old token has pushed meanwhile; nobody else gets it."""
        delete_namespace(ann, create_namespace(ann, "shop"))
        push("shop/app")
        with pytest.raises(ValidationError, match="already in use by another user"):
            create_namespace(ActivatedAccountFactory(), "shop")
        assert create_namespace(ann, "shop").owner == ann

    def test_the_first_namespace(self, there):
        account = AccountFactory()
        push("shop/app")
        with pytest.raises(ValidationError) as raised:
            activation.enable(account, "username", "a good password 1", "shop")
        assert raised.value.message_dict == {"namespace": [OCCUPIED]}
        assert not RegistryCredential.objects.exists()

    def test_the_dialog_says_it(self, there, ann, client):
        push("shop/app")
        client.force_login(ann)
        assert OCCUPIED in text_of(client.post("/namespaces/-/create/", {"name": "shop"}))

    def test_the_administration_says_it(self, there, ann, client):
        push("shop/app")
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        answer = client.post(reverse("admin:namespaces_namespace_add"), {"name": "shop", "owner": ann.pk})
        assert OCCUPIED in text_of(answer)

    def test_with_a_token(self, registry_server, external, ann):
        push("occupied/app")
        assert refusal(ann, "occupied") == OCCUPIED
        assert create_namespace(ann, "not-occupied").owner == ann

    def test_a_registry_of_ours_is_asked_too(self, there, ann, settings):
        """Its storage may be older than the database."""
        settings.REGISTRY_IS_OURS = True
        push("shop/app")
        assert refusal(ann, "shop") == OCCUPIED


class TestARegistryThatDoesNotSay:
    def test_down(self, ann, external, settings):
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        assert refusal(ann, "shop") == SILENT

    @pytest.mark.parametrize("path", ["_catalog", "tags/list"])
    @pytest.mark.parametrize("reply", [Reply(500), Reply(200, b"<html>"), error_reply(401, "UNAUTHORIZED")])
    def test_strange(self, ann, fake, path, reply):
        fake.push("shop/app", "v1")
        fake.strange = lambda request: reply if path in request.path else None
        assert refusal(ann, "shop") == SILENT

    def test_ours(self, ann, settings):
        """It has what the console let in: people can begin while it starts."""
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        assert create_namespace(ann, "shop").owner == ann


class TestWhatIsAsked:
    def test_one_page_and_tags_until_one_is_found(self, fake):
        for number in range(20):
            fake.push(f"shop/app{number:02}", "v1")
        fake.push("tools/app", "v1")
        assert has_images_under("shop")
        assert len(fake.asked("_catalog")) == 1
        assert len(fake.asked("tags/list")) == 4

    def test_a_storage_that_lists_neighbours_first(self, fake, monkeypatch):
        fake.push("shop/app", "v1")
        listed = iter(["shop-a/app", "shop.b/app", "shop/app", "shop0/app", "tools/app"])
        monkeypatch.setattr(RegistryClient, "catalog", lambda _self, _page_size, _after: listed)
        assert has_images_under("shop")
        assert list(listed) == ["tools/app"], "what comes after is of no interest"

    def test_a_repository_that_goes_meanwhile(self, fake):
        fake.push("shop/app", "v1")
        fake.strange = lambda request: error_reply(404, "NAME_UNKNOWN") if "tags/list" in request.path else None
        with pytest.raises(NameUnknown):
            registry().tags("shop/app")
        assert not has_images_under("shop")

    @pytest.mark.parametrize("name", ["", "Shop", "a//b", "library", "x" * 31])
    def test_nothing_for_a_name_that_nobody_can_have(self, fake, ann, name):
        with pytest.raises(ValidationError):
            create_namespace(ann, name)
        assert fake.asked("") == []

    def test_nothing_for_a_name_that_somebody_has(self, fake, ann):
        NamespaceFactory(name="shop")
        with pytest.raises(ValidationError, match="already in use by another user"):
            create_namespace(ann, "shop")
        assert fake.asked("") == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [True, False], ids=["the first namespace", "another"])
def test_nothing_is_locked_while_the_registry_is_asked(monkeypatch, first):
    in_transaction = []

    def ask(_name):
        in_transaction.append(connection.in_atomic_block)
        return False

    monkeypatch.setattr(services, "has_images_under", ask)
    if first:
        activation.enable(AccountFactory(), "username", "a good password 1", "shop")
    else:
        create_namespace(ActivatedAccountFactory(), "shop")
    assert in_transaction == [False]
    assert not transaction.get_connection().in_atomic_block
    assert Namespace.objects.get().name == "shop"
