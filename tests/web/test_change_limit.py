"""How many changing requests an account may send."""

import datetime

import pytest
from django.contrib.auth import get_user
from django.test import Client
from django.utils import timezone

from console.installation import environment
from console.namespaces.models import Namespace
from console.throttling import change_limit
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

SENTENCE = "Your account can make 3 changes per minute, so this one was not made. Wait a moment and try again."


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; a function that puts it on by some seconds."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)

    def later(seconds):
        monkeypatch.setattr(timezone, "now", lambda: now + datetime.timedelta(seconds=seconds))

    return later


@pytest.fixture(autouse=True)
def _three_a_minute(settings):
    settings.CHANGES_PER_MINUTE = 3


def browser_of(account, **options):
    browser = Client(**options)
    browser.force_login(account)
    return browser


def change(browser, **options):
    return browser.post("/namespaces/-/create/", {"name": "Not A Name"}, **options).status_code


def test_a_session_can_be_ended_whatever_another_does(ann):
    """Whoever has stolen one must not keep its owner from ending it."""
    thief, owner = browser_of(ann), browser_of(ann)
    assert [change(thief) for _ in range(4)][-1] == 429
    assert owner.post("/sign-out/").status_code == 302
    assert not get_user(owner).is_authenticated


class TestLimit:
    def test_it_is_over_all_sessions_and_refills(self, ann, clock):
        one, other = browser_of(ann), browser_of(ann, REMOTE_ADDR="198.51.100.7")
        assert [change(one), change(other), change(one), change(other), change(one)] == [422, 422, 422, 429, 429]
        clock(19.9)
        assert change(one) == 429
        clock(20)
        assert [change(other), change(one)] == [422, 429]
        # What was refused is not counted.
        clock(80)
        assert [change(one) for _ in range(4)] == [422, 422, 422, 429]

    def test_what_it_says(self, client, ann, clock):
        for _ in range(3):
            change(client)
        namespace = NamespaceFactory(owner=ann)
        for options in ({}, {"headers": HTMX}):
            response = client.post(f"/namespaces/{namespace.name}/-/delete/", **options)
            assert response.status_code == 429
            assert response["Retry-After"] == "20"
            assert SENTENCE in text_of(response)
        assert Namespace.objects.filter(pk=namespace.pk).exists()

    def test_others_and_reading_are_not_held_back(self, client, ann, clock):
        for _ in range(4):
            change(client)
        assert client.get("/namespaces/").status_code == 200
        assert change(browser_of(ActivatedAccountFactory())) == 422
        assert all(Client().post("/sign-in/", {}).status_code == 200 for _ in range(5))

    def test_the_administration(self, clock):
        browser = browser_of(AccountFactory(is_staff=True, is_superuser=True))
        answers = [browser.post("/admin/accounts/account/", {"action": ""}).status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429]

    def test_a_forged_request_counts_nothing(self, ann, clock):
        browser = browser_of(ann, enforce_csrf_checks=True)
        assert [change(browser) for _ in range(5)] == [403] * 5
        assert change_limit.count(ann.pk) == 0

    def test_every_way_of_changing(self, client, ann, clock):
        for method in ("put", "patch", "delete"):
            assert getattr(client, method)("/namespaces/").status_code == 405
        assert change(client) == 429
        assert get_user(client).is_authenticated

    def test_off(self, client, ann, settings, django_assert_num_queries):
        settings.CHANGES_PER_MINUTE = 0
        assert [change(client) for _ in range(5)] == [422] * 5
        with django_assert_num_queries(0):
            assert change_limit.count(ann.pk) == 0

    def test_one_statement(self, ann, clock, django_assert_num_queries):
        for _ in range(5):
            with django_assert_num_queries(1):
                change_limit.count(ann.pk)


def test_unless_told():
    assert environment.load({}).changes_per_minute == 120
    assert environment.load({"CHANGES_PER_MINUTE": "0"}).changes_per_minute == 0
