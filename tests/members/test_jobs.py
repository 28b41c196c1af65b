"""The job that ends expired roles."""

import datetime

import pytest
from django.utils import timezone

from console.audit.models import AuditEvent
from console.members.jobs import end_expired_roles
from console.membership.models import Grant
from console.namespaces.models import Namespace
from tests.support.factories import ActivatedAccountFactory, GrantFactory

pytestmark = pytest.mark.django_db


def test_expired_roles_end_and_are_recorded():
    now = timezone.now()
    ended = GrantFactory(until=now - datetime.timedelta(seconds=1))
    stays = [GrantFactory(until=now + datetime.timedelta(days=1)), GrantFactory()]
    end_expired_roles()
    end_expired_roles()
    assert list(Grant.objects.order_by("pk")) == stays
    event = AuditEvent.objects.get(action="member.expire")
    assert (event.target, event.actor) == (ended.namespace.name, "system")
    assert event.detail["member"] == ended.account.account_id


def test_more_than_one_batch():
    owner, member = ActivatedAccountFactory(), ActivatedAccountFactory()
    namespaces = Namespace.objects.bulk_create(Namespace(owner=owner, name=f"n{one}") for one in range(1001))
    past = timezone.now() - datetime.timedelta(days=1)
    Grant.objects.bulk_create(Grant(namespace=one, account=member, role=1, until=past) for one in namespaces)
    end_expired_roles()
    assert not Grant.objects.exists()
