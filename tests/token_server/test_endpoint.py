"""The token protocol: GET with Basic, POST with an OAuth2 form."""

import base64
import datetime

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from console.accounts.models import Account, RegistryCredential
from console.accounts.services import change_registry_password, set_active
from console.namespaces.models import Namespace
from console.repositories.models import Image
from tests.support.factories import AccountFactory, ImageFactory, NamespaceFactory
from tests.support.token_endpoint import granted, read

pytestmark = pytest.mark.django_db

PASSWORD = "korrekt:Pferd %41 Bätterie"


@pytest.fixture
def owner():
    """An activated account with the user name ``owner`` and the namespace ``team``."""
    return make_account("owner", namespace="team")


def make_account(username, namespace=None, password=PASSWORD, activated=True):
    account = AccountFactory()
    credential = RegistryCredential(account=account, username=username)
    credential.set_password(password)
    if activated:
        credential.activated_at = datetime.datetime.now(datetime.UTC)
    credential.save()
    if namespace:
        NamespaceFactory(owner=account, name=namespace)
    return account


class TestGet:
    def test_it_works(self, ask, owner):
        response = ask.get("repository:team/app:pull,push", user="owner", password=PASSWORD)
        body = response.json()
        claims = read(body["token"])
        assert body["token"] == body["access_token"]
        assert body["expires_in"] == 300 == claims["exp"] - claims["iat"]
        assert datetime.datetime.fromisoformat(body["issued_at"]).timestamp() == claims["iat"]
        assert claims["sub"] == "owner"
        assert claims["access"] == [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]
        assert "refresh_token" not in body
        assert response["Cache-Control"] == "no-store"

    def test_each_token_has_a_name_of_its_own(self, ask, owner):
        first, second = (ask.get(user="owner", password=PASSWORD).json()["token"] for _ in range(2))
        assert read(first)["jti"] != read(second)["jti"]

    def test_login_without_scope_and_with_offline_token(self, ask, owner):
        response = ask.get(user="owner", password=PASSWORD, offline_token="true", client_id="docker")
        assert granted(response) == {}
        assert response.json()["refresh_token"]

    def test_an_answer_is_the_asked_and_allowed(self, ask, owner):
        stranger = make_account("stranger", namespace="other")
        ImageFactory(namespace=stranger.namespaces.get(), name="private")
        ImageFactory(namespace=stranger.namespaces.get(), name="public", visibility="public")
        response = ask.get(
            "repository:team/app:pull,push,delete,*,admin",
            "repository:other/private:pull,push",
            "repository:other/public:pull,push,delete",
            "repository:other/new:push",
            "repository:nobody/new:push",
            "repository:localhost:5000/team/app:pull",
            "repository(plugin):team/app:pull",
            "registry:catalog:*",
            user="owner",
            password=PASSWORD,
        )
        assert granted(response) == {
            ("repository", "team/app"): {"pull", "push", "delete"},
            ("repository", "other/public"): {"pull"},
            ("registry", "catalog"): {"list"},
        }

    def test_scopes_may_be_repeated_or_between_spaces(self, ask, owner):
        response = ask.get(
            "repository:team/aa:pull repository:team/bb:push",
            "repository:team/aa:push",
            user="owner",
            password=PASSWORD,
        )
        assert granted(response) == {("repository", "team/aa"): {"pull", "push"}, ("repository", "team/bb"): {"push"}}

    @pytest.mark.parametrize(
        "extra", [{"account": "other"}, {"client_id": "root"}, {"expire": "99999999"}, {"expires_in": "99999999"}]
    )
    def test_nothing_else_in_the_query_changes_the_answer(self, ask, owner, extra):
        make_account("other", namespace="theirs")
        response = ask.get(
            "repository:theirs/app:pull", "repository:team/app:pull", user="owner", password=PASSWORD, **extra
        )
        claims = read(response.json()["token"])
        assert granted(response) == {("repository", "team/app"): {"pull"}}
        assert claims["exp"] - claims["iat"] == 300
        assert claims["sub"] == "owner"

    def test_asking_creates_no_row(self, ask, owner):
        before = (Account.objects.count(), Namespace.objects.count(), Image.objects.count())
        ask.get("repository:team/new:push,pull", user="owner", password=PASSWORD, offline_token="true")
        assert (Account.objects.count(), Namespace.objects.count(), Image.objects.count()) == before

    def test_the_number_of_queries_does_not_grow_with_the_scopes(self, ask, owner):
        def count(scopes):
            with CaptureQueriesContext(connection) as queries:
                ask.get(*scopes, user="owner", password=PASSWORD)
            return len(queries)

        count([])
        assert count(["repository:team/aa:pull"]) == count([f"repository:team/a{n}:pull" for n in range(50)])

    def test_everybody_may_list_what_they_may_read(self, ask, owner):
        response = ask.get("registry:catalog:*", user="owner", password=PASSWORD)
        assert granted(response) == {("registry", "catalog"): {"list"}}

    def test_administrators_may_ask_for_the_catalogue(self, ask, owner):
        Account.objects.filter(pk=owner.pk).update(is_superuser=True)
        response = ask.get("registry:catalog:*", user="owner", password=PASSWORD)
        assert granted(response) == {("registry", "catalog"): {"*"}}


class TestAnonymous:
    def test_public_images_can_be_pulled(self, ask):
        image = ImageFactory(visibility="public")
        private = ImageFactory()
        response = ask.get(
            f"repository:{image.repository}:pull,push", f"repository:{private.repository}:pull", "registry:catalog:*"
        )
        assert granted(response) == {("repository", image.repository): {"pull"}}
        assert "refresh_token" not in ask.get(offline_token="true").json()

    def test_not_while_the_image_is_being_deleted(self, ask):
        image = ImageFactory(visibility="public", state="deleting")
        assert granted(ask.get(f"repository:{image.repository}:pull")) == {}


class TestRefused:
    def refused(self, response):
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Basic ")
        error = response.json()["errors"][0]
        assert error["code"] == "UNAUTHORIZED"
        assert "token" not in response.json()
        return error["message"]

    def test_with_one_sentence_whatever_is_wrong(self, ask, owner):
        make_account("notyet", activated=False)
        gone = make_account("gone")
        set_active(gone, False)
        sentences = {
            self.refused(ask.get(user="owner", password="wrong")),
            self.refused(ask.get(user="owner", password="")),
            self.refused(ask.get(user="nobody", password=PASSWORD)),
            self.refused(ask.get(user=owner.account_id, password=PASSWORD)),
            self.refused(ask.get(user="notyet", password=PASSWORD)),
            self.refused(ask.get(user="gone", password=PASSWORD)),
            self.refused(ask.get(user="ow\x00ner", password=PASSWORD)),
        }
        assert len(sentences) == 1

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic b3duZXI=",
            "Basic /////w==",
            "Bearer abc",
            "Digest x",
            "Basic " + "A" * 5000,
        ],
    )
    def test_headers_that_are_not_basic(self, ask, owner, header):
        response = ask.get(authorization=header)
        if header:
            self.refused(response)
        else:
            assert granted(response) == {}

    def test_a_wrong_password_never_falls_back_to_anonymous(self, ask, owner):
        image = ImageFactory(visibility="public")
        self.refused(ask.get(f"repository:{image.repository}:pull", user="owner", password="wrong"))

    def test_the_console_password_is_not_the_registry_password(self, ask, owner):
        owner.set_password("the console password 1")
        owner.save()
        self.refused(ask.get(user="owner", password="the console password 1"))

    def test_the_old_password_stops_at_once(self, ask, owner):
        change_registry_password(owner, "another password 7")
        self.refused(ask.get(user="owner", password=PASSWORD))
        assert ask.get(user="owner", password="another password 7").status_code == 200

    @pytest.mark.parametrize(
        "password", ["with spaces  in it ", "colon:colon::", "per%20cent%", "Ünïcödé密码密码", " pad "]
    )
    def test_passwords_of_every_kind(self, ask, password):
        make_account("kind", password=password)
        assert ask.get(user="kind", password=password).status_code == 200
        self.refused(ask.get(user="kind", password=password.strip() + "x"))
        if password != password.strip():
            self.refused(ask.get(user="kind", password=password.strip()))


class TestBadRequest:
    def test_wrong_service(self, ask, owner):
        for response in (
            ask.get("repository:team/app:pull", user="owner", password=PASSWORD, service="somebody else's"),
            ask.get(service=[settings.REGISTRY_SERVICE, "other"]),
            ask.post(grant_type="password", username="owner", password=PASSWORD, service="other"),
            ask.post(grant_type="password", username="owner", password=PASSWORD, service=""),
        ):
            assert response.status_code == 400
            assert response.json()["errors"][0]["message"]
            assert response.json()["error"] == "invalid_request"

    def test_too_many_scopes(self, ask, owner):
        response = ask.post(
            *(f"repository:team/app{number}:pull" for number in range(101)),
            grant_type="password",
            username="owner",
            password=PASSWORD,
        )
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_scope"

    def test_malformed_scopes_are_left_out(self, ask, owner):
        response = ask.get(
            "repository:team//app:pull", "\x00", "repository:team/app:pull", "x" * 3000, user="owner", password=PASSWORD
        )
        assert granted(response) == {("repository", "team/app"): {"pull"}}

    def test_methods(self, client):
        response = client.delete("/token/")
        assert response.status_code == 405
        assert response.json()["errors"][0]["code"] == "UNSUPPORTED"

    def test_a_huge_form(self, client):
        response = client.post("/token/", {"scope": "x" * 3_000_000})
        assert response.status_code == 413
        assert response.json()["errors"]


class TestPost:
    def test_it_works(self, ask, owner):
        response = ask.post(
            "repository:team/app:pull,push",
            "repository:other/app:pull",
            grant_type="password",
            username="owner",
            password=PASSWORD,
        )
        body = response.json()
        assert granted(response) == {("repository", "team/app"): {"pull", "push"}}
        assert body["scope"] == "repository:team/app:pull,push"
        assert body["expires_in"] == 300
        assert "refresh_token" not in body

    def test_refresh_token(self, ask, owner):
        first = ask.post(grant_type="password", username="owner", password=PASSWORD, access_type="offline").json()
        response = ask.post(
            "repository:team/app:pull", grant_type="refresh_token", refresh_token=first["refresh_token"]
        )
        assert granted(response) == {("repository", "team/app"): {"pull"}}
        assert response.json()["refresh_token"] == first["refresh_token"]

    def test_refresh_token_of_a_login_by_get(self, ask, owner):
        first = ask.get(user="owner", password=PASSWORD, offline_token="true").json()
        response = ask.post(
            "repository:team/app:pull", grant_type="refresh_token", refresh_token=first["refresh_token"]
        )
        assert granted(response) == {("repository", "team/app"): {"pull"}}

    def refused(self, response):
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_grant"
        assert response.json()["errors"][0]["code"] == "UNAUTHORIZED"
        assert "access_token" not in response.json()

    def test_wrong_password(self, ask, owner):
        self.refused(ask.post(grant_type="password", username="owner", password="wrong"))
        self.refused(ask.post(grant_type="password", username="", password=""))

    def test_unknown_grant(self, ask, owner):
        response = ask.post(grant_type="client_credentials")
        assert response.status_code == 400
        assert response.json()["error"] == "unsupported_grant_type"

    def test_refresh_tokens_end_with_the_password(self, ask, owner):
        token = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        change_registry_password(owner, "another password 7")
        self.refused(ask.post(grant_type="refresh_token", refresh_token=token))

    def test_refresh_tokens_end_with_deactivation_for_good(self, ask, owner):
        token = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        set_active(owner, False)
        self.refused(ask.post(grant_type="refresh_token", refresh_token=token))
        set_active(owner, True)
        self.refused(ask.post(grant_type="refresh_token", refresh_token=token))

    def test_refresh_tokens_end_with_time(self, ask, owner):
        token = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        with override_settings(REFRESH_TOKEN_SECONDS=-1):
            self.refused(ask.post(grant_type="refresh_token", refresh_token=token))

    def test_forged_refresh_tokens(self, ask, owner):
        access = ask.get(user="owner", password=PASSWORD).json()["token"]
        good = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        for forged in (
            "",
            "x",
            access,
            good[:-1] + ("A" if good[-1] != "A" else "B"),
            signing.dumps({"account": owner.pk, "version": 1}, salt="another"),
            signing.dumps({"account": owner.pk}, salt="console.tokens.refresh"),
            signing.dumps([1], salt="console.tokens.refresh"),
            signing.dumps({"account": "x", "version": {}}, salt="console.tokens.refresh"),
        ):
            self.refused(ask.post(grant_type="refresh_token", refresh_token=forged))

    def test_a_refresh_token_is_no_password(self, ask, owner):
        token = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        assert ask.get(user="owner", password=token).status_code == 401
        assert ask.get(authorization=f"Bearer {token}").status_code == 401


class TestQuotas:
    def test_no_push_of_one_image_too_many(self, ask, owner):
        owner.image_quota = 1
        owner.save()
        scopes = ["repository:team/one:pull,push", "repository:team/two:pull,push"]
        assert granted(ask.get(*scopes, user="owner", password=PASSWORD)) == {
            ("repository", "team/one"): {"pull", "push"},
            ("repository", "team/two"): {"pull"},
        }
        ImageFactory(namespace=owner.namespaces.get(), name="two")
        assert granted(ask.get(*scopes, user="owner", password=PASSWORD)) == {
            ("repository", "team/one"): {"pull"},
            ("repository", "team/two"): {"pull", "push"},
        }

    def test_a_tag_of_a_full_image_may_be_moved(self, ask, owner):
        """The token names no tag: the gate refuses new ones."""
        owner.tag_quota = 3
        owner.save()
        image = ImageFactory(namespace=owner.namespaces.get(), name="app")
        Image.objects.filter(pk=image.pk).update(tag_count=3)
        response = ask.get("repository:team/app:pull,push", user="owner", password=PASSWORD)
        assert granted(response) == {("repository", "team/app"): {"pull", "push"}}

    def test_nothing_while_the_image_is_being_deleted(self, ask, owner):
        ImageFactory(namespace=owner.namespaces.get(), name="app", state="deleting")
        response = ask.get("repository:team/app:pull,push,delete", user="owner", password=PASSWORD)
        assert granted(response) == {}


def test_basic_credentials_are_utf8_and_split_at_the_first_colon(ask):
    make_account("utf8", password="a:b:ç:d e")
    header = "basic " + base64.b64encode("utf8:a:b:ç:d e".encode()).decode()
    assert ask.get(authorization=header).status_code == 200
