"""Give, change and take roles; the last owner stays."""

import datetime
import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.membership.models import Grant, Team
from console.namespaces.models import Namespace
from console.service_accounts import services as service_accounts
from console.sharing import services
from tests.support.factories import ActivatedAccountFactory, GrantFactory, ImageFactory, NamespaceFactory, TeamFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return ActivatedAccountFactory(name="Ann")


@pytest.fixture
def namespace(owner):
    return NamespaceFactory(owner=owner)


@pytest.fixture
def other():
    return ActivatedAccountFactory(name="Bob")


def events(namespace):
    found = AuditEvent.objects.filter(target=namespace.name).order_by("pk")
    return list(found.values_list("action", "detail"))


def test_give_and_change_a_role(owner, namespace, other):
    grant = services.give_role(owner, namespace, other, Role.READER)
    assert namespace.role_of(other.pk) == Role.READER
    services.change_role(owner, grant, Role.WRITER, None)
    assert namespace.role_of(other.pk) == Role.WRITER
    assert events(namespace) == [
        ("member.grant", {"member": other.account_id, "role": "reader", "until": None}),
        ("member.change", {"member": other.account_id, "changes": {"role": ["reader", "writer"]}}),
    ]


def test_a_second_grant_changes_the_first(owner, namespace, other):
    services.give_role(owner, namespace, other, Role.READER)
    services.give_role(owner, namespace, other, Role.MAINTAINER)
    assert Grant.objects.get().role == Role.MAINTAINER


def test_a_role_on_an_image_adds_to_that_on_the_namespace(owner, namespace, other):
    image = ImageFactory(namespace=namespace)
    services.give_role(owner, namespace, other, Role.WRITER)
    services.give_role(owner, namespace, other, Role.READER, image=image)
    assert image.role_of(other.pk) == Role.WRITER
    services.give_role(owner, namespace, other, Role.MAINTAINER, image=image)
    assert image.role_of(other.pk) == Role.MAINTAINER
    assert namespace.role_of(other.pk) == Role.WRITER


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER, Role.MAINTAINER])
def test_only_owners_give_roles(namespace, other, role):
    GrantFactory(namespace=namespace, account=other, role=role)
    with pytest.raises(ValidationError, match="Only an owner"):
        services.give_role(other, namespace, ActivatedAccountFactory(), Role.READER)


def test_an_owner_of_one_image_gives_roles_on_it_alone(namespace, other):
    image = ImageFactory(namespace=namespace)
    GrantFactory(namespace=namespace, image=image, account=other, role=Role.OWNER)
    services.give_role(other, namespace, ActivatedAccountFactory(), Role.READER, image=image)
    with pytest.raises(ValidationError, match="Only an owner"):
        services.give_role(other, namespace, ActivatedAccountFactory(), Role.READER)


def test_no_role_for_the_owner_a_deactivated_account_or_the_past(owner, namespace, other):
    with pytest.raises(ValidationError, match="already owns"):
        services.give_role(owner, namespace, owner, Role.READER)
    with pytest.raises(ValidationError, match="in the past"):
        services.give_role(owner, namespace, other, Role.READER, until=timezone.now())
    other.is_active = False
    other.save()
    with pytest.raises(ValidationError, match="deactivated"):
        services.give_role(owner, namespace, other, Role.READER)


def test_take_a_role_and_leave(owner, namespace, other):
    grant = services.give_role(owner, namespace, other, Role.READER)
    assert services.take_role(owner, grant)
    assert not services.take_role(owner, grant)
    assert namespace.role_of(other.pk) is None
    assert services.take_role(other, services.give_role(owner, namespace, other, Role.READER))
    assert [action for action, _detail in events(namespace)] == [
        "member.grant",
        "member.remove",
        "member.grant",
        "member.leave",
    ]


def test_the_last_owner_stays(owner, namespace, other):
    GrantFactory(namespace=namespace, account=other, role=Role.MAINTAINER)
    GrantFactory(namespace=namespace, account=None, team=TeamFactory(), role=Role.OWNER)
    GrantFactory(namespace=namespace, role=Role.OWNER, until=timezone.now() + datetime.timedelta(days=1))
    GrantFactory(namespace=namespace, role=Role.OWNER, account__is_active=False)
    with pytest.raises(ValidationError, match="The last owner stays"):
        services.release_owner(owner, namespace)
    assert Namespace.objects.get().owner == owner


def test_an_owner_who_leaves_passes_the_namespace_on(owner, namespace, other):
    image = ImageFactory(namespace=namespace)
    services.give_role(owner, namespace, other, Role.OWNER)
    assert services.release_owner(owner, namespace) == other
    assert (namespace.owner, namespace.role_of(owner.pk)) == (other, None)
    image.refresh_from_db()
    assert image.owner == other
    assert not Grant.objects.exists()


def test_an_owner_who_steps_down_keeps_a_lower_role(owner, namespace, other):
    services.give_role(owner, namespace, other, Role.OWNER)
    services.release_owner(owner, namespace, Role.WRITER)
    assert (namespace.owner, namespace.role_of(owner.pk)) == (other, Role.WRITER)


def test_who_takes_over_needs_room(owner, namespace, other):
    services.give_role(owner, namespace, other, Role.OWNER)
    other.namespace_quota = 0
    other.save()
    with pytest.raises(ValidationError, match="cannot take over"):
        services.release_owner(owner, namespace)


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_remove_each_other_one_stays(owner, namespace, other):
    grant = services.give_role(owner, namespace, other, Role.OWNER)
    start, outcomes = threading.Barrier(2), []

    def run(work):
        try:
            start.wait()
            outcomes.append(work())
        except ValidationError as problem:
            outcomes.append(problem)
        finally:
            connection.close()

    works = (lambda: services.take_role(owner, grant), lambda: services.release_owner(other, namespace))
    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, ValidationError) for outcome in outcomes) == 1
    namespace.refresh_from_db()
    owners = [account for account in (owner, other) if namespace.role_of(account.pk) == Role.OWNER]
    assert len(owners) == 1


def test_expired_roles_are_removed_and_recorded(namespace):
    now = timezone.now()
    expired = GrantFactory(namespace=namespace, role=Role.WRITER, until=now)
    GrantFactory(namespace=namespace, until=now + datetime.timedelta(seconds=1))
    GrantFactory(namespace=namespace)
    assert namespace.role_of(expired.account.pk) is None
    assert services.end_expired(now) == 1
    assert Grant.objects.count() == 2
    ((action, detail),) = events(namespace)
    assert (action, detail["member"], detail["role"]) == ("member.expire", expired.account.account_id, "writer")


def test_no_role_on_an_image_of_another_namespace(owner, namespace, other):
    image = ImageFactory(namespace__owner=owner)
    with pytest.raises(ValueError, match="another namespace"):
        services.give_role(owner, namespace, other, Role.READER, image=image)
    with pytest.raises(IntegrityError), transaction.atomic():
        GrantFactory(namespace=namespace, image=image)
        connection.check_constraints()


def test_a_service_account_is_no_owner(owner, namespace):
    robot = service_accounts.create(owner, namespace, "ci", "", Role.WRITER)
    grant = Grant.objects.get(account=robot.account)
    with pytest.raises(ValidationError, match="cannot be an owner"):
        services.change_role(owner, grant, Role.OWNER, None)
    services.change_role(owner, grant, Role.MAINTAINER, None)


def test_no_role_for_a_team_that_was_deleted(owner, namespace):
    team = TeamFactory()
    Team.objects.filter(pk=team.pk).delete()
    with pytest.raises(ValidationError, match="The team no longer exists"):
        services.give_role(owner, namespace, team, Role.READER)
