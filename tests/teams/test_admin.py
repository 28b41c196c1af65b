"""Teams, their members and the identity provider's groups in the administration."""

import pytest

from console.audit.models import AuditEvent
from console.membership.models import Team, TeamGroup, TeamMember
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db
LIST = "/admin/membership"


@pytest.fixture
def administrator(client):
    account = AccountFactory(is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def actions(administrator):
    events = AuditEvent.objects.filter(actor=administrator.account_id, action__startswith="team.").order_by("pk")
    return list(events.values_list("action", "target"))


def test_a_team_is_created_changed_and_deleted(client, administrator):
    manager = ActivatedAccountFactory()
    client.post(f"{LIST}/team/add/", {"name": "crew", "description": "They sail", "manager": manager.pk})
    team = Team.objects.get(name="crew")
    assert team.members.get().is_manager
    client.post(f"{LIST}/team/{team.pk}/change/", {"name": "sailors", "description": ""})
    team.refresh_from_db()
    assert team.name == "sailors"
    GrantFactory(account=None, team=team)
    question = text_of(client.get(f"{LIST}/team/{team.pk}/delete/"))
    assert "Its members lose the roles that it has in 1 namespace." in question
    client.post(f"{LIST}/team/{team.pk}/delete/", {"post": "yes"})
    assert not Team.objects.exists()
    assert [name for name, _target in actions(administrator)] == ["team.create", "team.change", "team.delete"]


def test_the_rules_of_names_are_said_in_the_form(client, administrator):
    TeamFactory(name="crew")
    form = {"name": "crew", "manager": ActivatedAccountFactory().pk}
    response = client.post(f"{LIST}/team/add/", form)
    assert response.status_code == 200
    assert Team.objects.count() == 1


def test_members_are_added_promoted_and_removed(client, administrator):
    team = TeamMemberFactory(team__name="crew", is_manager=True).team
    other = ActivatedAccountFactory(name="Bob")
    client.post(f"{LIST}/teammember/add/", {"team": team.pk, "account": other.pk})
    member = TeamMember.objects.get(account=other)
    client.post(f"{LIST}/teammember/{member.pk}/change/", {"is_manager": "on"})
    member.refresh_from_db()
    assert member.is_manager
    listed = text_of(client.get(f"{LIST}/teammember/"))
    assert "Bob in crew" in listed
    assert "The roles of the team end" in text_of(client.get(f"{LIST}/teammember/{member.pk}/delete/"))
    client.post(f"{LIST}/teammember/{member.pk}/delete/", {"post": "yes"})
    assert not TeamMember.objects.filter(account=other).exists()


def test_the_last_manager_stays_and_the_page_says_why(client, administrator):
    member = TeamMemberFactory(is_manager=True)
    response = client.post(f"{LIST}/teammember/{member.pk}/delete/", {"post": "yes"}, follow=True)
    assert "manager" in text_of(response)
    assert TeamMember.objects.filter(pk=member.pk).exists()


def test_members_by_a_group_cannot_be_changed(client, administrator):
    member = TeamMemberFactory(source="group")
    assert client.post(f"{LIST}/teammember/{member.pk}/change/", {"is_manager": "on"}).status_code == 403
    assert client.post(f"{LIST}/teammember/{member.pk}/delete/", {"post": "yes"}).status_code == 403


def test_groups_are_mapped_once_and_taken_away(client, administrator):
    team = TeamFactory(name="crew")
    for _twice in range(2):
        response = client.post(f"{LIST}/teamgroup/add/", {"team": team.pk, "group": "staff"})
    assert "This group is mapped to the team already." in text_of(response)
    group = TeamGroup.objects.get()
    assert "staff" in text_of(client.get(f"{LIST}/teamgroup/"))
    assert "leaves it at once" in text_of(client.get(f"{LIST}/teamgroup/{group.pk}/delete/"))
    client.post(f"{LIST}/teamgroup/{group.pk}/delete/", {"post": "yes"})
    assert not TeamGroup.objects.exists()


def test_the_lists_show_the_numbers(client, administrator):
    team = TeamMemberFactory(team__name="crew", is_manager=True).team
    GrantFactory(account=None, team=team)
    assert "crew" in text_of(client.get(f"{LIST}/team/"))
    row = TeamMember.objects.get()
    form = {"action": "delete_selected", "_selected_action": [team.pk], "post": "yes"}
    client.post(f"{LIST}/team/", form)
    assert not Team.objects.exists()
    assert not TeamMember.objects.filter(pk=row.pk).exists()


def test_sync_groups_ends_memberships_by_group_and_sessions(client, administrator):
    member = TeamMemberFactory(source="group")
    by_hand = TeamMemberFactory(account=member.account, team=member.team)
    form = {"action": "sync_groups", "_selected_action": [member.account.pk]}
    assert "No identity provider says which groups" in text_of(client.post("/admin/accounts/account/", form))
    client.post("/admin/accounts/account/", {**form, "post": "yes"})
    assert list(TeamMember.objects.filter(account=member.account)) == [by_hand]
    before = member.account.sessions_ended
    member.account.refresh_from_db()
    assert member.account.sessions_ended == before + 1
