"""What the token endpoint remembers of passwords, and for how long; what it asks the database."""

import datetime
import importlib.util

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.grants import Access
from console.accounts.models import Account, RegistryCredential
from console.accounts.services import change_registry_password, set_active
from console.repositories.models import Image
from console.token_server import lookup, passwords
from console.token_server.token_request import TokenRequest
from tests.support.factories import PASSWORD as NEW_PASSWORD
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.token_endpoint import granted
from tests.token_server.test_endpoint import PASSWORD, make_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_remembered():
    passwords.forget_all()


@pytest.fixture
def owner():
    return make_account("owner", namespace="team")


@pytest.fixture
def hashed(monkeypatch):
    """The passwords that were hashed, to compare them or to take the time that it takes."""
    seen = []
    check, make = passwords.check_password, passwords.make_password
    monkeypatch.setattr(passwords, "check_password", lambda raw, *rest: seen.append(raw) or check(raw, *rest))
    monkeypatch.setattr(passwords, "make_password", lambda raw, **rest: seen.append(raw) or make(raw, **rest))
    return seen


def another_process():
    """The module as another process has it: with a key and a memory of its own."""
    spec = importlib.util.find_spec("console.token_server.passwords")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestRemembered:
    def test_a_right_password_is_hashed_once(self, ask, owner, hashed):
        for _ in range(3):
            assert ask.get("repository:team/app:pull", user="owner", password=PASSWORD).status_code == 200
            assert ask.post(grant_type="password", username="owner", password=PASSWORD).status_code == 200
        assert hashed == [PASSWORD]

    def test_each_account_has_its_own(self, ask, owner, hashed):
        make_account("other", password="another one 7")
        for _ in range(2):
            assert ask.get(user="owner", password=PASSWORD).status_code == 200
            assert ask.get(user="other", password="another one 7").status_code == 200
            assert ask.get(user="owner", password="another one 7").status_code == 401
        assert hashed == [PASSWORD, "another one 7", "another one 7", "another one 7"]

    def test_wrong_passwords_and_unknown_users_cost_a_hash_each_time(self, ask, owner, hashed):
        for known in (False, True):
            if known:
                assert ask.get(user="owner", password=PASSWORD).status_code == 200
            hashed.clear()
            for _ in range(2):
                assert ask.get(user="owner", password="wrong").status_code == 401
                assert ask.get(user="nobody", password="wrong").status_code == 401
                assert ask.get(user="no\x00body", password="wrong").status_code == 401
            assert hashed == ["wrong"] * 6

    def test_a_wrong_password_does_not_replace_the_right_one(self, ask, owner, hashed):
        for password in (PASSWORD, "wrong", PASSWORD):
            ask.get(user="owner", password=password)
        assert hashed == [PASSWORD, "wrong"]

    def test_for_some_minutes(self, ask, owner, hashed, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(
            passwords, "_remembered", passwords.TTLCache(10, passwords.REMEMBERED_SECONDS, lambda: now[0])
        )
        for now[0], times in ((0, 1), (passwords.REMEMBERED_SECONDS - 1, 1), (passwords.REMEMBERED_SECONDS + 1, 2)):
            assert ask.get(user="owner", password=PASSWORD).status_code == 200
            assert len(hashed) == times, now

    def test_nothing_that_could_be_read_back(self, ask, owner):
        ask.get(user="owner", password=PASSWORD)
        (kept,) = passwords._remembered.values()
        assert len(kept) == 32
        assert PASSWORD.encode() not in kept

    def test_with_a_key_that_no_other_process_has(self, ask, owner):
        ask.get(user="owner", password=PASSWORD)
        other = another_process()
        assert other._key != passwords._key
        assert not other._remembered


class TestForgotten:
    """At once, and whatever changed it: nothing tells the process."""

    def test_when_the_password_changes(self, ask, owner):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        change_registry_password(owner, NEW_PASSWORD)
        assert ask.get(user="owner", password=PASSWORD).status_code == 401
        assert ask.get(user="owner", password=NEW_PASSWORD).status_code == 200

    def test_when_the_stored_hash_changes_without_a_new_version(self, ask, owner):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        RegistryCredential.objects.update(password=make_password(NEW_PASSWORD, hasher="argon2"))
        assert ask.get(user="owner", password=PASSWORD).status_code == 401

    def test_when_the_password_changes_to_the_same(self, ask, owner, hashed):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        change_registry_password(owner, PASSWORD)
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        assert hashed == [PASSWORD, PASSWORD]

    def test_when_the_account_is_deactivated(self, ask, owner):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        set_active(owner, False)
        assert ask.get(user="owner", password=PASSWORD).status_code == 401

    def test_when_the_version_alone_changes(self, ask, owner, hashed):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        set_active(owner, False)
        set_active(owner, True)
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        assert hashed == [PASSWORD, PASSWORD]

    def test_when_the_service_is_no_longer_activated(self, ask, owner):
        assert ask.get(user="owner", password=PASSWORD).status_code == 200
        RegistryCredential.objects.update(activated_at=None)
        assert ask.get(user="owner", password=PASSWORD).status_code == 401

    def test_when_the_user_name_goes_to_somebody_else(self, ask, owner):
        assert ask.get("repository:team/app:pull", user="owner", password=PASSWORD).status_code == 200
        RegistryCredential.objects.update(username="former")
        make_account("owner", password=NEW_PASSWORD)
        assert ask.get(user="owner", password=PASSWORD).status_code == 401
        assert granted(ask.get("repository:team/app:pull", user="owner", password=NEW_PASSWORD)) == {}


class TestOneQuery:
    @pytest.fixture
    def count(self, ask):
        def count(call):
            with CaptureQueriesContext(connection) as queries:
                response = call()
            assert response.status_code == 200
            return len(queries), granted(response)

        return count

    def test_whoever_asks_and_for_whatever(self, ask, owner, count):
        ImageFactory(namespace=owner.namespaces.get(), name="app")
        public = ImageFactory(visibility="public")
        scopes = ["repository:team/app:pull,push", "repository:team/new:push", f"repository:{public.repository}:pull"]
        Account.objects.filter(pk=owner.pk).update(is_superuser=True)
        refresh = ask.get(user="owner", password=PASSWORD, offline_token="true").json()["refresh_token"]
        ask.post(grant_type="refresh_token", refresh_token=refresh)
        for call in (
            lambda: ask.get(*scopes, "registry:catalog:*", user="owner", password=PASSWORD),
            lambda: ask.post(*scopes, grant_type="password", username="owner", password=PASSWORD),
            lambda: ask.post(*scopes, grant_type="refresh_token", refresh_token=refresh),
        ):
            queries, opened = count(call)
            assert queries == 1
            assert ("repository", "team/new") in opened
        queries, opened = count(lambda: ask.get(*scopes))
        assert (queries, opened) == (1, {("repository", public.repository): {"pull"}})

    def test_images_are_counted_no_further_than_the_quota(self, ask, owner, count):
        team = owner.namespaces.get()
        for number in range(4):
            ImageFactory(namespace=team, name=f"app{number}")
        other = NamespaceFactory()
        scopes = ["repository:team/new:push", "repository:team/newer:push", f"repository:{other.name}/app:push"]
        ask.get(user="owner", password=PASSWORD)
        for quota, opened in ((3, 0), (4, 0), (5, 1), (6, 2), (7, 2)):
            Account.objects.filter(pk=owner.pk).update(image_quota=quota)
            queries, grants = count(lambda: ask.get(*scopes, user="owner", password=PASSWORD))
            assert (queries, len(grants)) == (1, opened), quota


def request_for(asked):
    return TokenRequest(settings.REGISTRY_SERVICE, tuple(asked), None, None)


def test_images_are_counted_once_however_many_names_are_new(owner):
    asked = [Access("repository", f"team/new{number}", frozenset({"push"})) for number in range(50)]
    parameters = {**lookup._names(request_for(asked)), "username": "owner", "image_quota": 500, "marks": ""}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {lookup._BY_USERNAME}", parameters)
        (plan,) = cursor.fetchone()[0]
    counts = [node for node in nodes(plan["Plan"]) if node["Node Type"] == "Aggregate"]
    # The other aggregate is the role, which an owner has without a grant.
    assert [node["Actual Loops"] for node in counts if node["Actual Loops"]] == [1]


def test_each_repository_is_one_look_into_the_index_although_there_are_thousands(owner):
    """Prepared, a statement is planned for ten names, for which reading all of two thousand images seems cheaper."""
    team = owner.namespaces.get()
    Image.objects.bulk_create(Image(namespace=team, name=f"app{number}") for number in range(2000))
    parameters = lookup._names(request_for([Access("repository", "team/app7", frozenset({"pull"}))]))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE images_image")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        statement = lookup._ANONYMOUS.replace("%(names)s", "$1").replace("%(namespaces)s", "$2")
        cursor.execute(f"PREPARE looked_up (text, text) AS {statement}")
        cursor.execute("EXPLAIN (FORMAT JSON) EXECUTE looked_up (%(names)s, %(namespaces)s)", parameters)
        (plan,) = cursor.fetchone()[0]
        cursor.execute("DEALLOCATE looked_up")
    read = {node["Node Type"] for node in nodes(plan["Plan"]) if node.get("Relation Name") == "images_image"}
    assert read == {"Index Scan"}


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_a_token_counts_from_before_the_password_was_checked(ask, owner, monkeypatch):
    """Whoever takes a name over waits as long as a token lasts that knew nothing of it."""
    begun = timezone.now()
    monkeypatch.setattr(lookup.timezone, "now", lambda: begun)
    is_right = passwords.verify_password

    def slowly(*arguments):
        monkeypatch.setattr(lookup.timezone, "now", lambda: begun + datetime.timedelta(seconds=40))
        return is_right(*arguments)

    monkeypatch.setattr(passwords, "verify_password", slowly)
    claims = read_claims(ask.get("repository:team/app:pull", user="owner", password=PASSWORD))
    assert claims["iat"] == claims["nbf"] == claims["exp"] - 300 == int(begun.timestamp())


def read_claims(response):
    return jwt.decode(response.json()["token"], options={"verify_signature": False})


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_is_no_longer_prepared_is_prepared_again(ask):
    make_account("owner", namespace="team")
    for _ in range(2):
        assert ask.get("repository:team/app:pull", user="owner", password=PASSWORD).status_code == 200
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")


def test_while_a_namespace_changes_hands_nobody_gets_anything(ask, owner):
    ImageFactory(namespace=owner.namespaces.get(), name="app", visibility="public")
    owner.namespaces.update(new_owner=make_account("next"), available_at=datetime.datetime.now(datetime.UTC))
    for user in ("owner", "next"):
        assert granted(ask.get("repository:team/app:pull", user=user, password=PASSWORD)) == {}
    assert granted(ask.get("repository:team/app:pull")) == {}
