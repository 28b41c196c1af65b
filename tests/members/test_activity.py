"""The activity of a namespace, for its owners."""

import datetime

import pytest
from django.utils import timezone

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.audit.services import record
from console.invitations.services import invite
from console.members.activity import events_of
from console.service_accounts import services as service_accounts
from console.sharing import services
from tests.support.factories import ActivatedAccountFactory, GrantFactory, NamespaceFactory, TeamFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client):
    account = ActivatedAccountFactory(name="Ann")
    client.force_login(account)
    return account


@pytest.fixture
def namespace(owner):
    return NamespaceFactory(owner=owner, name="shop")


def page(client, **query):
    return " ".join(text_of(client.get("/namespaces/shop/-/activity/", query)).split())


def test_who_gave_whom_which_role(client, owner, namespace):
    bob, team = ActivatedAccountFactory(name="Bob"), TeamFactory(name="sailors")
    grant = services.give_role(owner, namespace, bob, Role.READER)
    services.change_role(owner, grant, Role.WRITER, timezone.now() + datetime.timedelta(days=400))
    services.give_role(owner, namespace, team, Role.MAINTAINER)
    services.take_role(owner, grant)
    invite(owner, namespace, role=Role.READER, account=bob)
    shown = page(client)
    until = f"{timezone.now() + datetime.timedelta(days=400):%F}"
    for said in (
        "Bob: Reader",
        f"Bob: Reader → Writer, until {until}",
        "team sailors: Maintainer",
        "removed a member of",
    ):
        assert said in shown
    assert bob.account_id not in shown
    assert "No events match" in page(client, kind="images")
    assert "Bob: Reader" in page(client, kind="members")


def test_events_of_the_namespace_alone(owner, namespace):
    made = service_accounts.create(owner, namespace, "ci", "", Role.WRITER)
    service_accounts.create_token(owner, made, "gitlab", can_push=True)
    record("tag.push", "shop/app:v1")
    record("image.create", "shopping/app")
    record("token.grant", "shop/app")
    record("team.create", "shop")
    record("access_token.create", "shop/ci")  # of an account that is called like the namespace
    record("account.change", "shop")
    targets = set(events_of(namespace).values_list("action", "target"))
    assert targets == {
        ("service_account.create", "shop+ci"),
        ("member.grant", "shop"),
        ("access_token.create", "shop+ci/gitlab"),
        ("tag.push", "shop/app:v1"),
    }


def test_nothing_of_a_former_owner(namespace):
    before = record("image.create", "shop/secret-plan")
    after = record("image.create", "shop/app")
    namespace.created_at = after.at
    namespace.save()
    assert before not in events_of(namespace)
    record("namespace.transferred", "shop")
    assert list(events_of(namespace).values_list("action", flat=True)) == ["namespace.transferred"]
    assert AuditEvent.objects.count() == 3


@pytest.mark.parametrize(("role", "status"), [(Role.MAINTAINER, 403), (Role.OWNER, 200), (None, 404)])
def test_for_owners_alone(client, owner, role, status):
    theirs = NamespaceFactory(name="theirs")
    if role is not None:
        GrantFactory(namespace=theirs, account=owner, role=role)
    assert client.get("/namespaces/theirs/-/activity/").status_code == status
    page_of_images = client.get("/namespaces/theirs/")
    assert ("/namespaces/theirs/-/activity/" in text_of(page_of_images)) == (status == 200)
