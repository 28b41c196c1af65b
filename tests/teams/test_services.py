"""Teams: who may change them, and that the last manager stays."""

import pytest
from django.core.exceptions import ValidationError

from console.access.roles import Role
from console.accounts.models import Account
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from console.membership.models import Grant, Team, TeamMember
from console.teams import services
from tests.support.concurrency import all_at_once
from tests.support.factories import AccountFactory, ActivatedAccountFactory, GrantFactory, TeamMemberFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager():
    return ActivatedAccountFactory(name="Manager")


@pytest.fixture
def crew(manager):
    return services.create_team(manager, "crew", "Who sails")


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben")


def members(team):
    return set(team.members.values_list("account__name", "is_manager"))


def test_who_creates_a_team_manages_it(crew, manager):
    assert members(crew) == {("Manager", True)}
    assert manager.may("team.manage", crew) and manager.may("team.view", crew)
    event = AuditEvent.objects.get(action="team.create")
    assert (event.target, event.detail) == ("crew", {"manager": manager.account_id})


@pytest.mark.parametrize("name", ["crew", "C", "a", "-a", "a" * 31, "a..b", "a/b", ""])
def test_a_name_that_cannot_be(crew, ben, name):
    with pytest.raises(ValidationError) as problem:
        services.create_team(ben, name)
    assert set(problem.value.error_dict) == {"name"}
    assert Team.objects.count() == 1


def test_only_with_the_service_activated():
    with pytest.raises(ValidationError, match="Activate the service first"):
        services.create_team(AccountFactory(), "crew")


def test_the_limit_counts_teams_of_ones_own(manager, crew, ben, settings):
    settings.MOST_TEAMS = 1
    with pytest.raises(ValidationError, match="team limit"):
        services.create_team(manager, "second")
    # Ben is made a manager of it, which uses up nothing of his.
    services.add_member(manager, crew, ben, manager=True)
    services.create_team(ben, "bens")
    with pytest.raises(ValidationError, match="team limit"):
        services.create_team(ben, "second")


def test_a_member_sees_and_a_stranger_does_not(crew, manager, ben):
    assert not ben.may("team.view", crew)
    services.add_member(manager, crew, ben)
    assert ben.may("team.view", crew) and not ben.may("team.manage", crew)
    assert list(Team.objects.visible_to(ben)) == [crew] and not Team.objects.managed_by(ben)


CHANGES = {
    "change": lambda actor, team, other: services.change_team(actor, team, "other", ""),
    "delete": lambda actor, team, other: services.delete_team(actor, team),
    "add": lambda actor, team, other: services.add_member(actor, team, ActivatedAccountFactory()),
    "manager": lambda actor, team, other: services.set_manager(actor, team, other, True),
    "remove": lambda actor, team, other: services.remove_member(actor, team, other),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_an_active_manager_changes_a_team(crew, manager, ben, name):
    other = TeamMemberFactory(team=crew).account
    TeamMemberFactory(team=crew, account=ben)
    before = members(crew)
    for actor in (ben, ActivatedAccountFactory()):
        with pytest.raises(ValidationError, match="Only a manager may change the team"):
            CHANGES[name](actor, crew, other)
    set_active(manager, False)
    with pytest.raises(ValidationError, match="Only a manager may change the team"):
        CHANGES[name](Account.objects.get(pk=manager.pk), crew, other)
    assert members(crew) == before and Team.objects.get().name == "crew"
    set_active(manager, True)
    CHANGES[name](Account.objects.get(pk=manager.pk), crew, other)
    assert not Team.objects.filter(name="crew").exists() or members(crew) != before


def test_rename_and_describe(crew, manager, ben):
    services.create_team(ben, "taken")
    with pytest.raises(ValidationError, match="already in use by another team"):
        services.change_team(manager, crew, "taken", "")
    assert services.change_team(manager, crew, "sailors", "They sail")
    assert not services.change_team(manager, crew, "sailors", "They sail")
    event = AuditEvent.objects.get(action="team.change")
    assert event.target == "sailors"
    assert event.detail == {"changes": {"name": ["crew", "sailors"], "description": ["Who sails", "They sail"]}}


def test_deleting_takes_its_roles_and_says_where(crew, manager):
    grant = GrantFactory(account=None, team=crew, role=Role.WRITER)
    services.delete_team(manager, crew)
    assert not Team.objects.exists() and not Grant.objects.exists()
    assert AuditEvent.objects.get(action="team.delete").detail == {"namespaces": [grant.namespace.name], "number": 1}
    lost = AuditEvent.objects.get(action="member.remove")
    assert (lost.target, lost.detail["member"], lost.detail["role"]) == (grant.namespace.name, "team crew", "writer")
    with pytest.raises(ValidationError, match="no longer exists"):
        services.delete_team(manager, crew)


def test_who_cannot_be_added(crew, manager, ben):
    services.add_member(manager, crew, ben)
    for account, sentence in (
        (ben, "Ben is already in this team"),
        (ActivatedAccountFactory(is_active=False), "deactivated"),
        (ActivatedAccountFactory(is_service=True), "service account"),
    ):
        with pytest.raises(ValidationError, match=sentence) as problem:
            services.add_member(manager, crew, account)
        assert set(problem.value.error_dict) == {"account_id"}


def test_the_last_manager_stays(crew, manager, ben):
    services.add_member(manager, crew, ben)
    for attempt in (
        lambda: services.leave(manager, crew),
        lambda: services.remove_member(manager, crew, manager),
        lambda: services.set_manager(manager, crew, manager, False),
        lambda: services.remove_member(None, crew, manager),
    ):
        with pytest.raises(ValidationError, match="The last manager stays"):
            attempt()
    services.set_manager(manager, crew, ben, True)
    assert services.leave(manager, crew)
    assert not services.leave(manager, crew)
    assert members(crew) == {("Ben", True)}


def test_a_deactivated_manager_is_none(crew, manager, ben):
    services.add_member(manager, crew, ben, manager=True)
    set_active(ben, False)
    with pytest.raises(ValidationError, match="The last manager stays"):
        services.leave(manager, crew)
    assert services.remove_member(manager, crew, Account.objects.get(pk=ben.pk))


def test_a_member_by_group_is_changed_at_the_provider_alone(crew, manager, ben):
    TeamMember.objects.create(team=crew, account=ben, source="group")
    for attempt in (
        lambda: services.leave(ben, crew),
        lambda: services.remove_member(manager, crew, ben),
        lambda: services.set_manager(manager, crew, ben, True),
    ):
        with pytest.raises(ValidationError, match="A group of the identity provider"):
            attempt()
    services.add_member(manager, crew, ben)
    assert services.leave(ben, crew)
    assert TeamMember.objects.get(team=crew, account=ben).source == "group"


@pytest.mark.django_db(transaction=True)
def test_of_two_managers_who_remove_each_other_one_stays(crew, manager, ben):
    services.add_member(manager, crew, ben, manager=True)
    problems = all_at_once(
        lambda: services.remove_member(manager, crew, ben), lambda: services.remove_member(ben, crew, manager)
    )
    assert [problem.code for problem in problems] == ["forbidden"]
    assert crew.members.filter(is_manager=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_managers_who_leave_at_once_one_stays(crew, manager, ben):
    services.add_member(manager, crew, ben, manager=True)
    problems = all_at_once(lambda: services.leave(manager, crew), lambda: services.leave(ben, crew))
    assert [problem.code for problem in problems] == ["last-manager"]
    assert crew.members.filter(is_manager=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_name_at_once(manager, ben):
    problems = all_at_once(lambda: services.create_team(manager, "crew"), lambda: services.create_team(ben, "crew"))
    assert [list(problem.error_dict) for problem in problems] == [["name"]]
    assert Team.objects.count() == 1
