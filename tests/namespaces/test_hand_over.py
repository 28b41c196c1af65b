"""A namespace is offered to another account, which accepts or declines."""

import datetime
import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.roles import VERBS, Role
from console.audit.models import AuditEvent
from console.membership.models import Grant, HandOver
from console.namespaces.models import Namespace
from console.ownership import hand_over, services
from console.repositories.models import Image
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

OFFER, SHOW = "/namespaces/team/-/hand-over/offer/", "/namespaces/team/-/hand-over/"
ACCEPT, DECLINE, TAKE_BACK = f"{SHOW}accept/", f"{SHOW}decline/", f"{SHOW}take-back/"
SETTINGS = "/namespaces/team/-/settings/"


@pytest.fixture
def bob():
    return ActivatedAccountFactory(name="Bob")


@pytest.fixture
def as_bob(bob):
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def offer(ann, team, bob):
    return hand_over.offer(ann, team, bob.account_id)


def events():
    return list(AuditEvent.objects.filter(target="team").order_by("pk").values_list("action", "actor", "detail"))


def finish():
    """The hold is over."""
    Namespace.objects.filter(new_owner__isnull=False).update(available_at=timezone.now())
    for namespace in Namespace.objects.filter(available_at__isnull=False):
        services._hand_over(namespace)


def test_offer_accept_and_the_hold(client, as_bob, ann, bob, team):
    Image.objects.filter(pk=ImageFactory(namespace=team).pk).update(size=3 << 30)
    GrantFactory(namespace=team, account=bob, role=Role.WRITER)
    member = GrantFactory(namespace=team)
    assert client.post(OFFER, {"account_id": bob.account_id})["Location"] == SETTINGS
    assert "Offered to Bob" in text_of(client.get(SETTINGS))

    assert "Ann offers you the namespace <strong>team</strong>." in text_of(as_bob.get("/images/"))
    shown = text_of(as_bob.get(SHOW))
    for fact in (
        "Ann",
        "<dd>team</dd>",
        "<dd>1</dd>",
        "3.0\N{NO-BREAK SPACE}GiB".replace("\N{NO-BREAK SPACE}", " "),
        "<dd>2</dd>",
    ):
        assert fact in shown
    assert as_bob.post(ACCEPT)["Location"] == "/namespaces/"

    team.refresh_from_db()
    assert (team.owner, team.new_owner) == (ann, bob)
    assert team.available_at > timezone.now()
    assert not HandOver.objects.exists()
    finish()
    team.refresh_from_db()
    assert (team.owner, team.role_of(ann.pk), team.role_of(bob.pk)) == (bob, None, Role.OWNER)
    assert list(Grant.objects.all()) == [member]
    assert events()[:3] == [
        ("namespace.offer", ann.account_id, {"to": bob.account_id}),
        ("namespace.offer_accept", bob.account_id, {"to": bob.account_id}),
        ("namespace.transfer", bob.account_id, {"old": ann.account_id, "new": bob.account_id}),
    ]


def test_decline(client, as_bob, ann, bob, team, offer):
    assert as_bob.post(DECLINE)["Location"] == "/images/"
    assert as_bob.post(DECLINE).status_code == as_bob.post(ACCEPT).status_code == 404
    assert "offers you" not in text_of(as_bob.get("/images/"))
    assert 'hx-get="/namespaces/team/-/hand-over/offer/"' in text_of(client.get(SETTINGS))
    assert events()[-1] == ("namespace.offer_decline", bob.account_id, {"to": bob.account_id})


def test_take_back(client, as_bob, ann, bob, offer):
    assert client.post(TAKE_BACK)["Location"] == SETTINGS
    assert as_bob.get(SHOW).status_code == as_bob.post(ACCEPT).status_code == 404
    assert client.post(TAKE_BACK).status_code == 302  # idempotent
    assert events()[-1] == ("namespace.offer_withdraw", ann.account_id, {"to": bob.account_id})
    assert len(events()) == 2


def test_a_new_offer_replaces_the_old_one(client, as_bob, ann, team, offer):
    other = ActivatedAccountFactory()
    client.post(OFFER, {"account_id": f" {other.account_id} "})
    assert HandOver.objects.get().to == other
    assert as_bob.get(SHOW).status_code == 404


@pytest.mark.parametrize("kind", ["unknown", "deactivated", "new", "service", "owner", "empty", "long", "nul"])
def test_who_cannot_get_it(client, ann, team, kind):
    people = {
        "deactivated": lambda: ActivatedAccountFactory(is_active=False),
        "new": AccountFactory,
        "service": lambda: ActivatedAccountFactory(is_service=True),
        "owner": lambda: ann,
    }
    words = {"unknown": "000000000001", "empty": "", "long": "1" * 13, "nul": "1\x00"}
    typed = words[kind] if kind in words else people[kind]().account_id
    sentence = {
        "owner": "Ann already owns this namespace.",
        "empty": "Please enter an Account ID",
        "long": "An Account ID has twelve digits.",
        "nul": "Null characters are not allowed.",
    }.get(kind, "No active account has this Account ID.")
    response = client.post(OFFER, {"account_id": typed})
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert not HandOver.objects.exists()


@pytest.mark.parametrize("role", [None, *Role])
def test_only_owners_offer_and_take_back(client, ann, as_bob, bob, team, role):
    other = ActivatedAccountFactory()
    hand_over.offer(ann, team, other.account_id)
    if role is not None:
        GrantFactory(namespace=team, account=bob, role=role)
    expected = 404 if role is None else 302 if "namespace.transfer" in VERBS[role] else 403
    assert as_bob.get(OFFER).status_code == (200 if expected == 302 else expected)
    assert as_bob.post(TAKE_BACK).status_code == expected
    assert HandOver.objects.exists() == (expected != 302)
    assert as_bob.post(OFFER, {"account_id": bob.account_id}).status_code == expected
    if expected == 403:
        assert "This needs the role Owner on team." in text_of(as_bob.get(OFFER))


def test_nobody_else_sees_the_offer(client, team, offer):
    """Neither who made it, nor a stranger, nor a member."""
    for account in (ActivatedAccountFactory(), GrantFactory(namespace=team, role=Role.MAINTAINER).account):
        other = Client()
        other.force_login(account)
        assert [other.get(SHOW).status_code, other.post(ACCEPT).status_code] == [404, 404]
    assert [client.get(SHOW).status_code, client.post(ACCEPT).status_code] == [404, 404]
    assert Namespace.objects.get().new_owner is None


# What ends an offer without an answer.
def owner_left(offer):
    heir = GrantFactory(namespace=offer.namespace, role=Role.OWNER).account
    Namespace.objects.update(owner=heir)


def offerer_deactivated(offer):
    offer.offered_by.is_active = False
    offer.offered_by.save()


def transfer_began(offer):
    services.transfer_namespace(offer.namespace, ActivatedAccountFactory())


@pytest.mark.parametrize("end", [owner_left, offerer_deactivated, transfer_began])
def test_an_offer_that_no_longer_stands(as_bob, bob, team, offer, end):
    end(offer)
    assert as_bob.get(SHOW).status_code == as_bob.post(ACCEPT).status_code == 404
    assert "offers you" not in text_of(as_bob.get("/images/"))
    with pytest.raises(ValidationError, match="no longer stands"):
        hand_over.accept(bob, offer)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("by_team", [True, False])
@pytest.mark.parametrize("expired", [True, False])
def test_an_offer_stands_as_long_as_its_maker_may_make_it(ann, team, bob, role, by_team, expired):
    """The condition in SQL is the rule."""
    maker, crew = ActivatedAccountFactory(), TeamFactory()
    until = timezone.now() + datetime.timedelta(days=-1 if expired else 1)
    TeamMemberFactory(team=crew, account=maker)
    holder = {"account": None, "team": crew} if by_team else {"account": maker}
    GrantFactory(namespace=team, role=role, until=until, **holder)
    HandOver.objects.create(namespace=team, to=bob, offered_by=maker)
    assert hand_over.offers_to(bob).exists() == maker.may("namespace.transfer", team)


def test_an_owner_of_one_image_offers_nothing(ann, team, bob):
    maker = GrantFactory(namespace=team, image=ImageFactory(namespace=team), role=Role.OWNER).account
    HandOver.objects.create(namespace=team, to=bob, offered_by=maker)
    assert not hand_over.offers_to(bob).exists()
    with pytest.raises(ValidationError):
        hand_over.offer(maker, team, bob.account_id)


@pytest.mark.parametrize(
    ("quota", "sentence"), [({"namespace_quota": 0}, "namespace"), ({"image_quota": 1}, "your account may have 1 more")]
)
def test_the_quota_of_who_accepts(as_bob, bob, team, offer, quota, sentence):
    for _ in range(2):
        ImageFactory(namespace=team)
    for name, value in quota.items():
        setattr(bob, name, value)
    bob.save()
    response = as_bob.post(ACCEPT)
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert HandOver.objects.exists() and Namespace.objects.get().new_owner is None


def test_no_offer_during_a_transfer(client, ann, team, bob):
    services.transfer_namespace(team, ActivatedAccountFactory())
    assert "already being transferred" in text_of(client.get(OFFER))
    assert client.post(OFFER, {"account_id": bob.account_id}).status_code == 422


def test_the_notice_takes_one_query(as_bob, bob):
    def count():
        with CaptureQueriesContext(connection) as queries:
            text = text_of(as_bob.get("/images/"))
        return len(queries), text.count("offers you")

    few, none = count()
    for number in range(7):
        namespace = NamespaceFactory()
        co_owner = GrantFactory(namespace=namespace, role=Role.OWNER).account
        maker = co_owner if number % 2 else namespace.owner
        HandOver.objects.create(namespace=namespace, to=bob, offered_by=maker)
    many, shown = count()
    assert (few, none, shown) == (many, 0, 5)


@pytest.mark.parametrize("role", [None, *Role])
def test_only_owners_delete(as_bob, bob, team, role):
    if role is not None:
        GrantFactory(namespace=team, account=bob, role=role)
    path = "/namespaces/team/-/delete/"
    expected = 404 if role is None else 302 if "namespace.delete" in VERBS[role] else 403
    assert as_bob.get(path).status_code == (200 if expected == 302 else expected)
    assert as_bob.post(path, {"typed": "team"}).status_code == expected
    assert Namespace.objects.exists() == (expected != 302)


@pytest.mark.django_db(transaction=True)
def test_taken_back_and_accepted_at_once():
    """One of the two happens, never both."""
    ann, bob = ActivatedAccountFactory(), ActivatedAccountFactory()
    team = NamespaceFactory(owner=ann, name="team")
    offered = hand_over.offer(ann, team, bob.account_id)
    together, done = threading.Barrier(2), {}

    def run(name, act):
        try:
            together.wait()
            done[name] = act() is not False
        except ValidationError:
            done[name] = False
        finally:
            connection.close()

    acts = {"accept": lambda: hand_over.accept(bob, offered), "take_back": lambda: hand_over.take_back(ann, team)}
    threads = [threading.Thread(target=run, args=one) for one in acts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    team.refresh_from_db()
    assert done["accept"] != done["take_back"]
    assert (team.new_owner == bob) == done["accept"]
    assert not HandOver.objects.exists()
