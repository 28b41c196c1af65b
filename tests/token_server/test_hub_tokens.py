"""Tokens for the cache of Docker Hub: who gets which, and that they are worth nothing elsewhere."""

import functools
from dataclasses import replace

import pytest
import requests
from django.conf import settings

from console.access.grants import Access, dockerhub_grants
from console.accounts.models import Account
from console.accounts.services import set_active
from console.registry.signing import console_token
from console.token_server.token_request import Password
from registry_client import RegistryClient, SignedTokens, Unauthorized
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.hub_cache import Cache, Upstream, running
from tests.support.pushed_images import DOCKER_MANIFEST, push_image
from tests.support.token_endpoint import granted, look_up, read
from tests.token_server.test_endpoint import PASSWORD, make_account

pytestmark = pytest.mark.django_db

HUB = settings.DOCKERHUB_SERVICE
DEBIAN = "repository:library/debian:pull"


@pytest.fixture
def owner():
    return make_account("owner", namespace="team")


def library(name, *actions):
    return {("repository", f"library/{name}"): set(actions)}


class TestWhoGetsWhat:
    def test_somebody_activated_may_pull_official_images(self, ask, owner):
        response = ask.get(DEBIAN, user="owner", password=PASSWORD, service=HUB)
        assert granted(response, HUB) == library("debian", "pull")
        claims = read(response.json()["token"], HUB)
        assert claims["aud"] == HUB != settings.REGISTRY_SERVICE
        assert claims["sub"] == "owner"

    def test_and_do_nothing_else(self, ask, owner):
        Account.objects.filter(pk=owner.pk).update(is_superuser=True)
        ImageFactory(namespace=owner.namespaces.get(), name="app", visibility="public")
        NamespaceFactory(owner=ActivatedAccountFactory(), name="bitnami")
        response = ask.get(
            "repository:library/debian:pull,push,delete,*",
            "repository:team/app:pull,push",
            "repository:bitnami/redis:pull",
            "repository:library/team/app:pull",
            "repository:library:pull",
            "repository:mylibrary/debian:pull",
            "repository:docker.io/library/debian:pull",
            "repository(plugin):library/debian:pull",
            "plugin:library/debian:pull",
            "registry:catalog:*",
            user="owner",
            password=PASSWORD,
            service=HUB,
        )
        assert granted(response, HUB) == library("debian", "pull")

    def test_nobody_else_gets_anything(self, ask, owner):
        ImageFactory(namespace=owner.namespaces.get(), name="open", visibility="public")
        assert granted(ask.get(DEBIAN, "repository:team/open:pull", service=HUB), HUB) == {}
        make_account("notyet", activated=False)
        make_account("gone")
        set_active(Account.objects.get(credential__username="gone"), False)
        for user in ("notyet", "gone", "nobody"):
            assert ask.get(DEBIAN, user=user, password=PASSWORD, service=HUB).status_code == 401
        assert ask.get(DEBIAN, user="owner", password="wrong", service=HUB).status_code == 401

    def test_the_policy_by_itself(self, owner):
        """Also for accounts that the endpoint would not have let in."""
        asked = [Access("repository", "library/debian", frozenset({"pull", "push"}))]
        pull = [Access("repository", "library/debian", frozenset({"pull"}))]
        caller = look_up([], Password("owner", "")).caller
        assert dockerhub_grants(caller, asked) == pull
        assert dockerhub_grants(None, asked) == []
        assert dockerhub_grants(replace(caller, activated=False), asked) == []
        assert dockerhub_grants(replace(caller, is_active=False), asked) == []

    def test_an_oauth2_form(self, ask, owner):
        form = {"service": HUB, "username": "owner", "password": PASSWORD, "access_type": "offline"}
        response = ask.post(DEBIAN, "repository:team/app:pull", grant_type="password", **form)
        assert granted(response, HUB) == library("debian", "pull")
        assert response.json()["scope"] == DEBIAN
        refresh = {"service": HUB, "refresh_token": response.json()["refresh_token"]}
        response = ask.post(DEBIAN, grant_type="refresh_token", **refresh)
        assert granted(response, HUB) == library("debian", "pull")

    def test_at_ones_own_registry_official_images_are_nobodys(self, ask, owner):
        assert granted(ask.get(DEBIAN, user="owner", password=PASSWORD)) == {}


class TestService:
    def test_none_means_the_installations_registry(self, ask, owner):
        response = ask.get("repository:team/app:pull", user="owner", password=PASSWORD, service="")
        assert granted(response) == {("repository", "team/app"): {"pull"}}

    def test_not_two_at_once(self, ask, owner):
        response = ask.get(DEBIAN, user="owner", password=PASSWORD, service=[settings.REGISTRY_SERVICE, HUB])
        assert response.status_code == 400

    def test_not_while_it_is_off(self, ask, owner, settings):
        settings.DOCKERHUB_ENABLED = False
        assert ask.get(DEBIAN, user="owner", password=PASSWORD, service=HUB).status_code == 400


class TestAtTheRegistries:
    """With both of them running."""

    @pytest.fixture
    def cache(self, registry_program, tmp_path):
        upstream = Upstream(registry_program, tmp_path / "upstream")
        with running(upstream), upstream.client() as theirs:
            push_image(theirs, "library/debian", "stable")
            push_image(theirs, "somebody/app", "v1")
            with running(Cache(registry_program, tmp_path / "cache", upstream.url)) as started:
                started.wait_for_line("Official images are pulled from")
                yield started

    def status(self, url, path, token, method="GET"):
        headers = {"Authorization": f"Bearer {token}", "Accept": DOCKER_MANIFEST}
        return requests.request(method, f"{url}/v2/{path}", headers=headers, timeout=10).status_code

    def test_somebody_pulls_from_the_cache_and_pushes_nothing(self, ask, owner, cache):
        token = ask.get(DEBIAN, user="owner", password=PASSWORD, service=HUB).json()["token"]
        assert self.status(cache.url, "library/debian/manifests/stable", token) == 200
        assert self.status(cache.url, "library/debian/blobs/uploads/", token, "POST") == 401
        scope = "repository:somebody/app:pull"
        token = ask.get(scope, user="owner", password=PASSWORD, service=HUB).json()["token"]
        assert self.status(cache.url, "somebody/app/manifests/v1", token) == 401
        nobodys = ask.get(DEBIAN, service=HUB).json()["token"]
        assert self.status(cache.url, "library/debian/manifests/stable", nobodys) == 401

    def test_a_token_for_one_is_worth_nothing_at_the_other(self, ask, owner, cache, registry_server):
        """Of two that the very same claims open, but for the service."""
        for service, good, bad in (
            (HUB, cache.url, settings.REGISTRY_URL),
            (settings.REGISTRY_SERVICE, settings.REGISTRY_URL, cache.url),
        ):
            theirs, _ = console_token((DEBIAN,), service)
            assert self.status(good, "", theirs) == 200
            assert self.status(bad, "", theirs) == 401
            assert self.status(bad, "library/debian/manifests/stable", theirs) == 401
            own = ask.get(DEBIAN, user="owner", password=PASSWORD, service=service).json()["token"]
            assert self.status(good, "", own) == 200
            assert self.status(bad, "", own) == 401

    def test_the_consoles_own_client(self, cache, registry_server):
        def client(url, service):
            sign = functools.partial(console_token, service=service)
            return RegistryClient(url, SignedTokens(sign), retries=0)

        with client(cache.url, HUB) as right, client(cache.url, settings.REGISTRY_SERVICE) as wrong:
            assert right.manifest("library/debian", "stable").digest
            with pytest.raises(Unauthorized):
                wrong.manifest("library/debian", "stable")
