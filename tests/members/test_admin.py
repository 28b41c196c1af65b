"""Roles in the administration."""

import pytest

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.membership.models import Grant
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamMemberFactory,
)
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(client):
    account = AccountFactory(is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def add(client, **form):
    return client.post("/admin/membership/grant/add/", {"role": "2", **form})


def test_give_change_and_take_a_role(client, administrator):
    namespace, other = NamespaceFactory(name="shop"), ActivatedAccountFactory()
    assert add(client, namespace=namespace.pk, account=other.pk).status_code == 302
    grant = Grant.objects.get()
    assert (grant.role, grant.account, grant.granted_by) == (Role.WRITER, other, None)
    client.post(f"/admin/membership/grant/{grant.pk}/change/", {"role": "3"})
    assert namespace.role_of(other.pk) == Role.MAINTAINER
    client.post(f"/admin/membership/grant/{grant.pk}/delete/", {"post": "yes"})
    assert namespace.role_of(other.pk) is None
    events = AuditEvent.objects.filter(target="shop").order_by("pk").values_list("action", "actor")
    actor = administrator.account_id
    assert list(events) == [("member.grant", actor), ("member.change", actor), ("member.remove", actor)]


def test_what_cannot_be_given_is_said(client, administrator):
    namespace, other = NamespaceFactory(), ActivatedAccountFactory()
    assert "Choose either an account or a team." in text_of(add(client, namespace=namespace.pk))
    image = ImageFactory()
    refused = add(client, namespace=namespace.pk, image=image.pk, account=other.pk)
    assert "Choose an image of this namespace." in text_of(refused)
    assert "already owns this namespace" in text_of(add(client, namespace=namespace.pk, account=namespace.owner.pk))
    assert not Grant.objects.exists()


def test_everything_that_an_account_may_do_is_on_its_page(client, administrator):
    account = ActivatedAccountFactory()
    NamespaceFactory(owner=account, name="own-shop")
    GrantFactory(namespace__name="given-shop", account=account, role=Role.READER)
    team = TeamMemberFactory(team__name="sailors", account=account).team
    GrantFactory(namespace__name="team-shop", account=None, team=team, role=Role.WRITER)
    text = text_of(client.get(f"/admin/accounts/account/{account.pk}/change/"))
    assert "own-shop: Owner, owner of the namespace" in text
    assert "given-shop: Reader, on the whole namespace" in text
    assert "team-shop: Writer, on the whole namespace, through team sailors" in text
