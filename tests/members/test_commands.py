"""Roles from the command line: ``grant``, ``revoke`` and ``access``."""

import json

import pytest
from django.core.management import CommandError, call_command

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.membership.models import Grant
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sea():
    return NamespaceFactory(name="sea")


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben")


def answer(capsys, *arguments):
    call_command(*arguments)
    return capsys.readouterr().out


class TestGrant:
    def test_a_role_on_a_namespace(self, sea, ben, capsys):
        said = answer(capsys, "grant", "sea", ben.account_id, "writer")
        assert said == f"{ben.account_id} has the role writer on sea.\n"
        grant = Grant.objects.get()
        assert (grant.namespace, grant.image, grant.account, grant.role) == (sea, None, ben, Role.WRITER)
        assert AuditEvent.objects.get(action="member.grant").target == "sea"

    def test_a_team_on_an_image_until_the_end_of_a_day(self, sea, capsys):
        image, crew = ImageFactory(namespace=sea, name="boats/tug"), TeamFactory(name="crew")
        answer(capsys, "grant", "sea/boats/tug", "team:crew", "reader", "--until", "2097-01-31")
        grant = Grant.objects.get()
        assert (grant.image, grant.team) == (image, crew)
        assert grant.until.isoformat() == "2097-02-01T00:00:00+00:00"

    def test_again_changes_the_role(self, sea, ben, capsys):
        for role in ("reader", "owner"):
            answer(capsys, "grant", "sea", ben.account_id, role)
        assert Grant.objects.get().role == Role.OWNER
        assert AuditEvent.objects.get(action="member.change").detail["changes"] == {"role": ["reader", "owner"]}

    @pytest.mark.parametrize(
        ("place", "holder", "until", "sentence"),
        [
            ("lake", "ben", None, "There is no namespace “lake”."),
            ("sea/tug", "ben", None, "There is no image “sea/tug”."),
            ("sea/", "ben", None, "There is no image “sea/”."),
            ("sea", "000000000000", None, "There is no account with the Account ID “000000000000”."),
            ("sea", "team:crew", None, "There is no team “crew”."),
            ("sea", "ben", "tomorrow", "“tomorrow” is not a date. Write it as 2027-01-31."),
            ("sea", "ben", "9999-12-31", "“9999-12-31” is not a date. Write it as 2027-01-31."),
            ("sea", "ben", "2001-01-31", "This time is in the past."),
        ],
    )
    def test_a_refusal_is_one_sentence(self, sea, ben, place, holder, until, sentence):
        holder = ben.account_id if holder == "ben" else holder
        with pytest.raises(CommandError) as problem:
            call_command("grant", place, holder, "reader", until=until)
        assert str(problem.value) == sentence
        assert not Grant.objects.exists()

    def test_an_owner_has_no_lower_role_beside_it(self, sea):
        with pytest.raises(CommandError, match="already owns this namespace"):
            call_command("grant", "sea", sea.owner.account_id, "reader")


class TestRevoke:
    def test_a_role(self, sea, ben, capsys):
        GrantFactory(namespace=sea, account=ben)
        assert answer(capsys, "revoke", "sea", ben.account_id) == f"{ben.account_id} has no role on sea any more.\n"
        assert not Grant.objects.exists()
        assert AuditEvent.objects.get(action="member.remove").target == "sea"

    def test_a_role_on_an_image_leaves_that_on_the_namespace(self, sea, ben, capsys):
        image = ImageFactory(namespace=sea, name="tug")
        GrantFactory(namespace=sea, account=ben, image=image)
        kept = GrantFactory(namespace=sea, account=ben)
        answer(capsys, "revoke", "sea/tug", ben.account_id)
        assert Grant.objects.get() == kept

    def test_who_has_a_role_through_a_team_has_none_to_take(self, sea, ben):
        team = TeamMemberFactory(account=ben).team
        GrantFactory(namespace=sea, account=None, team=team)
        with pytest.raises(CommandError, match="has no role of its own on sea"):
            call_command("revoke", "sea", ben.account_id)
        call_command("revoke", "sea", f"team:{team.name}")
        assert not Grant.objects.exists()

    def test_the_last_owner_stays(self, sea):
        with pytest.raises(CommandError, match="The last owner stays"):
            call_command("revoke", "sea", sea.owner.account_id)

    def test_another_owner_takes_over(self, sea, ben, capsys):
        GrantFactory(namespace=sea, account=ben, role=Role.OWNER)
        former = sea.owner.account_id
        said = answer(capsys, "revoke", "sea", former)
        assert said == f"{former} left sea; {ben.account_id} owns it now.\n"
        sea.refresh_from_db()
        assert sea.owner == ben


class TestAccess:
    def test_of_an_account_with_each_reason(self, sea, ben, capsys):
        NamespaceFactory(name="own", owner=ben)
        image = ImageFactory(namespace=sea, name="tug")
        GrantFactory(namespace=sea, account=ben, image=image, role=Role.WRITER)
        team = TeamMemberFactory(account=ben, team=TeamFactory(name="crew")).team
        GrantFactory(namespace=sea, account=None, team=team)
        assert answer(capsys, "access", ben.account_id).splitlines() == [
            "own: owner (owns the namespace)",
            "sea: reader (through team crew)",
            "sea/tug: writer (role on the image)",
        ]

    def test_on_one_place_says_what_it_may_do(self, sea, ben, capsys):
        GrantFactory(namespace=sea, account=ben)
        found = json.loads(answer(capsys, "access", ben.account_id, "sea", "--json"))
        assert found["verbs"] == sorted(ben.verbs_on(sea))
        assert "namespace.view" in found["verbs"]
        assert [role["role"] for role in found["roles"]] == ["reader"]

    def test_a_deactivated_account_may_do_nothing(self, sea, ben, capsys):
        GrantFactory(namespace=sea, account=ben)
        ben.is_active = False
        ben.save()
        found = json.loads(answer(capsys, "access", ben.account_id, "sea", "--json"))
        assert found["verbs"] == []
        assert found["notes"] == ["The account is deactivated: it may do nothing."]

    def test_who_has_access_to_a_namespace(self, sea, ben, capsys):
        GrantFactory(namespace=sea, account=ben)
        assert answer(capsys, "access", "--namespace", "sea").splitlines() == [
            f"{sea.owner.account_id} {sea.owner.name}: sea: owner (owns the namespace)",
            f"{ben.account_id} Ben: sea: reader (role on the namespace)",
        ]

    @pytest.mark.parametrize(("visibility", "notes"), [("private", 0), ("public", 1)])
    def test_a_public_image_is_said_to_be_public(self, sea, capsys, visibility, notes):
        ImageFactory(namespace=sea, name="tug", visibility=visibility)
        said = answer(capsys, "access", "--namespace", "sea/tug")
        assert said.count("The image is public") == notes

    @pytest.mark.parametrize("arguments", [(), ("123456789012", "--namespace", "sea")])
    def test_one_of_both_is_needed(self, arguments):
        with pytest.raises(CommandError, match="Name an Account ID, or a namespace"):
            call_command("access", *arguments)
