"""Invitations: each way, each refusal in one sentence, and fifty who accept one link at once."""

import datetime
import functools

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from console.access.roles import Role
from console.access.token_secrets import hash_secret
from console.audit.models import AuditEvent
from console.invitations import opened, services
from console.invitations.services import accept, decline, invite, revoke
from console.membership.models import Grant, Invitation
from tests.support.concurrency import all_at_once
from tests.support.factories import ActivatedAccountFactory, GrantFactory, ImageFactory, NamespaceFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return ActivatedAccountFactory(name="Olga")


@pytest.fixture
def team(owner):
    return NamespaceFactory(owner=owner, name="payments")


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben", email="Ben@example.com", confirmed_email="Ben@example.com")


def refused(call, *arguments, **options):
    with pytest.raises(ValidationError) as problem:
        call(*arguments, **options)
    (sentence,) = problem.value.messages
    return sentence


def by_email(owner, team, email="ben@example.com", **options):
    invitation, _secret = invite(owner, team, role=Role.WRITER, email=email, **options)
    return invitation


def test_by_account_id(owner, team, ben):
    invitation, secret = invite(owner, team, role=Role.WRITER, account=ben)
    assert (secret, invitation.secret_hash) == ("", None)
    accept(ben, invitation)
    grant = Grant.objects.get(account=ben)
    assert (grant.namespace, grant.image, grant.role, grant.until) == (team, None, Role.WRITER, None)
    assert grant.granted_by == owner
    event = AuditEvent.objects.get(action="member.grant")
    assert event.detail["invitation"] == invitation.pk
    invitation.refresh_from_db()
    assert (invitation.state, invitation.accepted_by) == ("accepted", ben)


def test_by_link_for_an_image_until_a_moment(owner, team, ben):
    image = ImageFactory(namespace=team, name="app")
    until = timezone.now() + datetime.timedelta(days=3)
    invitation, secret = invite(owner, team, image=image, role=Role.READER, grant_until=until, days=7)
    assert len(secret) == 43  # 256 bits in base64
    assert invitation.secret_hash == hash_secret(secret)
    # It cannot be good for longer than the role.
    assert invitation.expires_at == until
    assert opened.find(secret) == invitation
    accept(ben, invitation)
    grant = Grant.objects.get(account=ben)
    assert (grant.image, grant.role, grant.until) == (image, Role.READER, until)


def test_by_email_whatever_the_case(owner, team, ben):
    accept(ben, by_email(owner, team, "BEN@EXAMPLE.com"))
    assert Grant.objects.get(account=ben).role == Role.WRITER


@pytest.mark.parametrize("confirmed", [None, "other@example.com"])
def test_another_email(owner, team, ben, confirmed):
    invitation = by_email(owner, team)
    ben.confirmed_email = confirmed
    ben.save()
    sentence = "This invitation is for an e-mail address that is not the confirmed address of your account."
    assert refused(accept, ben, invitation) == refused(decline, ben, invitation) == sentence
    assert not Grant.objects.exists()


def test_another_account(owner, team, ben):
    invitation, _secret = invite(owner, team, role=Role.READER, account=ActivatedAccountFactory())
    assert refused(accept, ben, invitation) == "This invitation is for another account."


def test_used_declined_taken_back_expired(owner, team, ben):
    used, _secret = invite(owner, team, role=Role.READER)
    accept(ActivatedAccountFactory(), used)
    assert refused(accept, ben, used) == refused(decline, ben, used) == "This invitation was already used."
    assert refused(revoke, owner, used) == "This invitation was already used. Remove the member instead."
    declined, _secret = invite(owner, team, role=Role.READER, account=ben)
    decline(ben, declined)
    assert refused(accept, ben, declined) == "This invitation was declined."
    taken, _secret = invite(owner, team, role=Role.READER)
    assert revoke(owner, taken)
    assert not revoke(owner, taken)
    assert refused(accept, ben, taken) == "This invitation was taken back."
    expired, _secret = invite(owner, team, role=Role.READER)
    Invitation.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    assert refused(accept, ben, expired) == "This invitation has expired."
    assert not Grant.objects.filter(account=ben).exists()


def test_an_inviter_who_is_no_owner_any_more(owner, team, ben):
    second = ActivatedAccountFactory(name="Pia")
    grant = GrantFactory(namespace=team, account=second, role=Role.OWNER)
    invitation, _secret = invite(second, team, role=Role.READER, account=ben)
    grant.delete()
    assert refused(accept, ben, invitation) == ("This invitation is no longer valid: Pia no longer owns payments.")
    decline(ben, invitation)


@pytest.mark.parametrize("role", [None, Role.READER, Role.MAINTAINER])
def test_only_owners_invite_and_take_back(owner, team, ben, role):
    if role:
        GrantFactory(namespace=team, account=ben, role=role)
    sentence = "Only an owner may change who has access."
    assert refused(invite, ben, team, role=Role.READER) == sentence
    invitation, _secret = invite(owner, team, role=Role.READER)
    assert refused(revoke, ben, invitation) == sentence


def test_an_owner_of_an_image_invites_to_it_alone(team, ben):
    image = ImageFactory(namespace=team, name="app")
    GrantFactory(namespace=team, image=image, account=ben, role=Role.OWNER)
    carl = ActivatedAccountFactory()
    invitation, _secret = invite(ben, team, image=image, role=Role.READER, account=carl)
    accept(carl, invitation)
    assert Grant.objects.get(account=carl).image == image
    assert refused(invite, ben, team, role=Role.READER) == "Only an owner may change who has access."


def test_a_role_that_somebody_has(owner, team, ben):
    GrantFactory(namespace=team, account=ben, role=Role.WRITER)
    for role in (Role.READER, Role.WRITER):
        assert refused(invite, owner, team, role=role, account=ben) == "Ben already has this role or a higher one."
    assert refused(invite, owner, team, role=Role.OWNER, account=owner) == (
        "Olga already has this role or a higher one."
    )
    invite(owner, team, role=Role.MAINTAINER, account=ben)


def test_a_higher_role_is_kept(owner, team, ben):
    invitation, _secret = invite(owner, team, role=Role.READER)
    GrantFactory(namespace=team, account=ben, role=Role.MAINTAINER)
    accept(ben, invitation)
    assert Grant.objects.get(account=ben).role == Role.MAINTAINER


def test_a_role_is_never_shortened(owner, team, ben):
    until = timezone.now() + datetime.timedelta(days=3)
    invitation, _secret = invite(owner, team, role=Role.READER, grant_until=until)
    GrantFactory(namespace=team, account=ben, role=Role.READER)
    accept(ben, invitation)
    assert Grant.objects.get(account=ben).until is None


def test_the_owner_does_not_use_up_a_link(owner, team):
    invitation, _secret = invite(owner, team, role=Role.READER)
    assert refused(accept, owner, invitation) == "You already own this namespace."
    invitation.refresh_from_db()
    assert invitation.state == "pending"


def test_a_second_invitation_replaces_the_first(owner, team, ben):
    first, _secret = invite(owner, team, role=Role.READER, account=ben)
    second, _secret = invite(owner, team, role=Role.WRITER, account=ben)
    assert list(Invitation.objects.pending()) == [second]
    assert refused(accept, ben, first) == "This invitation was taken back."
    third, fourth = by_email(owner, team, "x@example.com"), by_email(owner, team, "X@example.com")
    assert set(Invitation.objects.pending()) == {second, fourth}
    assert AuditEvent.objects.filter(action="invitation.revoke", detail__invitation=third.pk).exists()


def test_only_so_many_wait(owner, team, ben, monkeypatch):
    monkeypatch.setattr(services, "MOST_PENDING", 2)
    first, _secret = invite(owner, team, role=Role.READER, account=ben)
    invite(owner, team, role=Role.READER)
    sentence = "This namespace has 2 pending invitations. Take some back before you send more."
    assert refused(invite, owner, team, role=Role.READER) == sentence
    # Replacing one needs no room.
    invite(owner, team, role=Role.WRITER, account=ben)
    accept(ben, Invitation.objects.pending().get(account=ben))
    invite(owner, team, role=Role.READER)


def test_neither_a_past_end_nor_a_deactivated_account(owner, team, ben):
    assert refused(invite, owner, team, role=Role.READER, grant_until=timezone.now()) == "This time is in the past."
    ben.is_active = False
    ben.save()
    assert refused(invite, owner, team, role=Role.READER, account=ben) == "This account is deactivated."


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_accept_one_link_one_does(owner, team):
    invitation, _secret = invite(owner, team, role=Role.READER)
    people = [ActivatedAccountFactory() for _one in range(50)]

    problems = all_at_once(*[functools.partial(accept, account, invitation) for account in people])
    assert [problem.messages for problem in problems] == [["This invitation was already used."]] * 49
    assert Grant.objects.count() == 1
    assert AuditEvent.objects.filter(action="invitation.accept").count() == 1


def test_the_audit_log_has_no_secret(owner, team, ben):
    invitation, secret = invite(owner, team, role=Role.READER)
    accept(ben, invitation)
    for event in AuditEvent.objects.filter(action__startswith="invitation."):
        assert secret not in str(event.detail)
        assert invitation.secret_hash not in str(event.detail)
