"""Access tokens at the token endpoint: what they open, and when they stop."""

import datetime

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access import token_secrets
from console.access.token_secrets import new_secret
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, Account, RegistryCredential
from console.accounts.services import change_registry_password, set_active
from console.ownership.services import delete_namespace
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.token_endpoint import granted
from tests.token_server.test_endpoint import PASSWORD, make_account

pytestmark = pytest.mark.django_db

TEAM, SHOP, NEW = (f"repository:{name}:pull,push" for name in ("team/app", "shop/app", "team/new"))


@pytest.fixture
def owner():
    """An account with the user name ``owner`` and the namespaces ``team`` and ``shop``, each with an image ``app``."""
    account = make_account("owner", namespace="team")
    NamespaceFactory(owner=account, name="shop")
    for namespace in account.namespaces.all():
        ImageFactory(namespace=namespace, name="app")
    return account


@pytest.fixture
def create(owner):
    """Makes a token of the owner's; its secret."""

    def make(can_push=True, namespaces=None, **options):
        chosen = None if namespaces is None else owner.namespaces.filter(name__in=namespaces)
        name = f"ci{AccessToken.objects.count()}"
        return access_tokens.create(owner, name, can_push=can_push, namespaces=chosen, **options)[1]

    return make


def opened(response):
    return {name: actions for (_kind, name), actions in granted(response).items()}


class TestWhatItOpens:
    def test_push_and_pull_everywhere(self, ask, create):
        answer = ask.get(TEAM, SHOP, NEW, user="owner", password=create())
        assert opened(answer) == dict.fromkeys(["team/app", "shop/app", "team/new"], {"pull", "push"})

    def test_delete_everywhere(self, ask, create):
        everything = (
            "repository:team/app:pull,push,delete",
            "repository:shop/app:delete",
            "repository:team/new:delete",
        )
        answer = ask.get(*everything, user="owner", password=create(can_delete=True))
        assert opened(answer) == {
            "team/app": {"pull", "push", "delete"}, "shop/app": {"delete"}, "team/new": {"delete"},
        }  # fmt: skip

    @pytest.mark.parametrize("options", [{"can_push": True}, {"can_push": False}])
    def test_no_push_for_who_wants_to_delete_and_may_not(self, ask, create, options):
        """regctl would replace the tag by an empty image before it is refused the deletion."""
        secret = create(**options)
        for scopes in (
            ["repository:team/app:pull,push,delete"],
            ["repository:team/app:delete", "repository:team/app:push,pull"],
        ):
            assert opened(ask.get(*scopes, user="owner", password=secret)) == {"team/app": {"pull"}}

    def test_a_full_image_can_be_tidied_up(self, ask, owner, create):
        Account.objects.filter(pk=owner.pk).update(tag_quota=0)
        answer = ask.get("repository:team/app:pull,push,delete", user="owner", password=create(can_delete=True))
        assert opened(answer) == {"team/app": {"pull", "push", "delete"}}

    def test_pull_everywhere(self, ask, create):
        answer = ask.get(TEAM, SHOP, user="owner", password=create(can_push=False))
        assert opened(answer) == {"team/app": {"pull"}, "shop/app": {"pull"}}

    def test_chosen_namespaces(self, ask, create):
        answer = ask.get(TEAM, SHOP, NEW, user="owner", password=create(namespaces=["team"]))
        assert opened(answer) == {"team/app": {"pull", "push"}, "team/new": {"pull", "push"}}

    def test_public_images_as_for_anybody(self, ask, owner, create):
        public = ImageFactory(visibility="public")
        ImageFactory(namespace=owner.namespaces.get(name="shop"), name="open", visibility="public")
        scopes = [f"repository:{public.repository}:pull,push", "repository:shop/open:pull,push", SHOP]
        answer = ask.get(*scopes, user="owner", password=create(namespaces=["team"]))
        assert opened(answer) == {public.repository: {"pull"}, "shop/open": {"pull"}}

    def test_never_more_than_the_account(self, ask, create):
        other = ImageFactory()
        answer = ask.get(f"repository:{other.repository}:pull", user="owner", password=create())
        assert opened(answer) == {}

    def test_the_readable_catalogue_alone(self, ask, owner, create):
        Account.objects.filter(pk=owner.pk).update(is_superuser=True)
        readable = {("registry", "catalog"): {"list"}}
        assert granted(ask.get("registry:catalog:*", user="owner", password=create())) == readable

    def test_no_catalogue_for_some_namespaces(self, ask, create):
        secret = create(namespaces=["team"])
        assert granted(ask.get("registry:catalog:*", user="owner", password=secret)) == {}

    def test_the_quota_holds(self, ask, owner, create):
        Account.objects.filter(pk=owner.pk).update(image_quota=2)
        answer = ask.get(TEAM, NEW, user="owner", password=create())
        assert opened(answer) == {"team/app": {"pull", "push"}, "team/new": {"pull"}}

    def test_official_images(self, ask, create):
        hub = {"service": settings.DOCKERHUB_SERVICE}
        answer = ask.get("repository:library/debian:pull,push", TEAM, user="owner", password=create(), **hub)
        assert granted(answer, settings.DOCKERHUB_SERVICE) == {("repository", "library/debian"): {"pull"}}

    def test_the_oauth2_form(self, ask, create):
        form = {"username": "owner", "password": create(can_push=False), "access_type": "offline"}
        answer = ask.post(TEAM, grant_type="password", **form)
        assert opened(answer) == {"team/app": {"pull"}}
        assert "refresh_token" not in answer.json()

    def test_no_refresh_token_that_would_outlive_it(self, ask, create):
        assert "refresh_token" not in ask.get(user="owner", password=create(), offline_token="true").json()


class TestWhenItStops:
    """At the next request."""

    @pytest.fixture
    def status(self, ask, create):
        secret = create()

        def status(user="owner"):
            return ask.get(TEAM, user=user, password=secret).status_code

        assert status() == 200
        return status

    def test_revoked(self, status):
        access_tokens.revoke(AccessToken.objects.get())
        assert status() == 401

    def test_expired(self, status):
        AccessToken.objects.update(expires_at=timezone.now() - datetime.timedelta(milliseconds=1))
        assert status() == 401
        AccessToken.objects.update(expires_at=timezone.now() + datetime.timedelta(minutes=1))
        assert status() == 200

    def test_the_account_is_deactivated(self, owner, status):
        set_active(owner, False)
        assert status() == 401

    def test_the_service_is_not_activated(self, status):
        RegistryCredential.objects.update(activated_at=None)
        assert status() == 401

    def test_not_with_the_password(self, owner, status):
        change_registry_password(owner, "another password 7")
        assert status() == 200

    @pytest.mark.parametrize("user", ["nobody", "other", "", "ow\x00ner"])
    def test_another_user_name(self, status, user):
        make_account("other")
        assert status(user) == 401

    def test_a_chosen_namespace_is_gone(self, ask, owner, create):
        secret = create(namespaces=["shop"])
        owner.namespaces.get(name="shop").images.all().delete()
        delete_namespace(owner, owner.namespaces.get(name="shop"))
        NamespaceFactory(owner=owner, name="shop")
        assert opened(ask.get(TEAM, SHOP, user="owner", password=secret)) == {}


def test_a_secret_that_is_nobodys_is_refused_as_a_wrong_password_is(ask, owner):
    answer = ask.get(user="owner", password=new_secret())
    assert answer.status_code == 401
    assert answer.json() == ask.get(user="owner", password="wrong").json()


class TestLastUse:
    def test_it_is_noted_once_a_minute(self, ask, create):
        secret = create()

        def count():
            with CaptureQueriesContext(connection) as queries:
                assert ask.get(TEAM, SHOP, NEW, user="owner", password=secret).status_code == 200
            return len(queries)

        assert count() == 2
        token = AccessToken.objects.get()
        assert token.last_used_from == "127.0.0.1"
        assert count() == 1
        AccessToken.objects.update(last_used_at=token.last_used_at - datetime.timedelta(minutes=2))
        assert count() == 2
        AccessToken.objects.update(
            last_used_at=token.last_used_at - datetime.timedelta(seconds=2), last_used_from="192.0.2.7"
        )
        assert count() == 2
        assert AccessToken.objects.get().last_used_from == "127.0.0.1"

    def test_not_when_it_was_refused(self, ask, create):
        secret = create()
        assert ask.get(user="nobody", password=secret).status_code == 401
        assert AccessToken.objects.get().last_used_at is None


def test_a_password_that_only_begins_like_a_secret_is_a_password(ask):
    for password in (token_secrets.PREFIX + "pass word 1", new_secret()[:-1] + "-"):
        username = f"kind{len(password)}"
        make_account(username, password=password)
        assert ask.get(user=username, password=password).status_code == 200


def test_both_ways_side_by_side(ask, create):
    everything = f"{TEAM},delete"
    assert opened(ask.get(everything, user="owner", password=PASSWORD)) == {"team/app": {"pull", "push", "delete"}}
    assert opened(ask.get(TEAM, user="owner", password=create())) == {"team/app": {"pull", "push"}}
