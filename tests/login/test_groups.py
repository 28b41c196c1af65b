"""Members of teams by the groups of the identity provider, from a provider that really signs."""

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.login import single_sign_on
from console.membership.models import TeamMember
from console.membership.roles import granted_role
from console.teams import groups, services
from tests.support.factories import ActivatedAccountFactory, GrantFactory, TeamFactory
from tests.support.second_factor import by_provider, forget, is_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def ben(provider):
    account = ActivatedAccountFactory(name="Ben")
    account.set_unusable_password()
    account.save()
    SocialAccount.objects.create(user=account, provider=provider.issuer, uid="u-1")
    return account


@pytest.fixture
def sailors():
    team = TeamFactory(name="sailors")
    groups.add_mapping(team, "Sail")
    return team


@pytest.fixture
def cooks():
    team = TeamFactory(name="cooks")
    groups.add_mapping(team, "Cook")
    return team


def sign_in(provider, *held, client=None, **form):
    provider.person["groups"] = list(held)
    client = client or Client()
    by_provider(provider, client, **form)
    return client


def teams_of(account, source="group"):
    return set(TeamMember.objects.filter(account=account, source=source).values_list("team__name", flat=True))


def syncs():
    return list(AuditEvent.objects.filter(action="team.sync").order_by("pk").values_list("detail", flat=True))


def test_joined_and_left_at_the_next_sign_in(provider, ben, sailors, cooks):
    assert is_in(sign_in(provider, "Sail", "Nothing mapped"))
    assert teams_of(ben) == {"sailors"}
    sign_in(provider, "Cook", "Sail")
    assert teams_of(ben) == {"sailors", "cooks"}
    sign_in(provider, "Cook")
    assert teams_of(ben) == {"cooks"}
    sign_in(provider, "Cook")
    assert syncs() == [
        {"joined": ["sailors"], "left": []},
        {"joined": ["cooks"], "left": []},
        {"joined": [], "left": ["sailors"]},
    ]
    assert {event.target for event in AuditEvent.objects.filter(action="team.sync")} == {ben.account_id}


def test_what_a_group_gives_and_takes_at_the_registry(provider, ben, sailors):
    grant = GrantFactory(account=None, team=sailors)
    assert granted_role(ben.pk, grant.namespace_id) is None
    sign_in(provider, "Sail")
    assert granted_role(ben.pk, grant.namespace_id) == grant.role
    sign_in(provider)
    assert granted_role(ben.pk, grant.namespace_id) is None


def test_a_first_sign_in_joins_at_once(provider, sailors):
    sign_in(provider, "Sail")
    assert teams_of(Account.objects.get()) == {"sailors"}


def test_members_by_hand_stay(provider, ben, sailors):
    services.add_member(None, sailors, ben)
    sign_in(provider, "Sail")
    assert teams_of(ben) == teams_of(ben, "hand") == {"sailors"}
    sign_in(provider)
    assert (teams_of(ben), teams_of(ben, "hand")) == (set(), {"sailors"})


@pytest.mark.parametrize(
    ("claim", "held"),
    [
        (["Sail"], ("Sail",)),
        ("Sail", ("Sail",)),
        (["Sail", "Sail", "Cook"], ("Sail", "Cook")),
        ([1, None, {"Sail": 1}, ["Sail"], "", "Sail"], ("Sail",)),
        (None, ()),
        ({"Sail": True}, ()),
        (7, ()),
        (True, ()),
        ("", ()),
        (["x" * 255, "x" * 256], ("x" * 255,)),
        (["a\x00b", "\ud800", "Sail"], ("Sail",)),
        ([*(f"g{number}" for number in range(1000)), "Sail"], tuple(f"g{number}" for number in range(1000))),
    ],
)
def test_odd_claims(claim, held):
    assert groups.read_claim(claim) == held


@pytest.mark.parametrize("claim", [None, 7, {"a": 1}, ["a\x00b", 5], [["Sail"]], True])
def test_an_odd_claim_is_no_group_and_lets_in(provider, ben, sailors, claim):
    sign_in(provider, "Sail")
    provider.person["groups"] = claim
    client = Client()
    by_provider(provider, client)
    assert is_in(client)
    assert teams_of(ben) == set()


def test_no_claim_at_all(provider, ben, sailors):
    sign_in(provider, "Sail")
    del provider.person["groups"]
    client = Client()
    by_provider(provider, client)
    assert is_in(client) and teams_of(ben) == set()


def test_groups_in_the_user_info_alone(provider, ben, sailors):
    provider.userinfo = {**provider.person, "groups": ["Sail"]}
    by_provider(provider, Client())
    assert teams_of(ben) == {"sailors"}


def test_the_user_info_is_asked_only_where_a_group_is_mapped(provider, ben):
    by_provider(provider, Client())
    assert "/userinfo" not in provider.fetched
    groups.add_mapping(TeamFactory(), "Sail")
    by_provider(provider, Client())
    assert "/userinfo" in provider.fetched


def test_another_claim_and_scope(provider, ben, sailors, settings):
    settings.OIDC_GROUPS_CLAIM, settings.OIDC_SCOPES = "roles", ("openid", "groups")
    provider.person["roles"] = ["Sail"]
    by_provider(provider, Client())
    assert teams_of(ben) == {"sailors"}
    assert set(provider.asked[-1]["scope"].split()) == {"openid", "groups"}


def test_confirming_and_connecting_update_too(provider, ben, sailors, cooks):
    client = sign_in(provider, "Sail")
    forget(client)
    sign_in(provider, "Cook", client=client, path="/account/security/identities/-/confirm/")
    assert teams_of(ben) == {"cooks"}
    other = ActivatedAccountFactory()
    client = Client()
    client.force_login(other)
    session = client.session
    session["signin.confirmed"] = 9e9
    session.save()
    provider.person["sub"] = "u-2"
    sign_in(provider, "Sail", client=client, path="/account/security/identities/-/connect/")
    assert teams_of(other) == {"sailors"}


def test_disconnecting_ends_what_its_groups_gave(provider, ben, sailors):
    sign_in(provider, "Sail")
    single_sign_on.disconnect(SocialAccount.objects.get(user=ben))
    assert teams_of(ben) == set()


def test_a_refused_sign_in_changes_nothing(provider, ben, sailors):
    sign_in(provider, "Sail")
    Account.objects.filter(pk=ben.pk).update(is_active=False)
    client = sign_in(provider)
    assert not is_in(client)
    assert teams_of(ben) == {"sailors"}


def test_the_identity_used_last_counts(provider, ben, sailors, cooks):
    SocialAccount.objects.create(user=ben, provider=provider.issuer, uid="u-2")
    sign_in(provider, "Sail")
    provider.person["sub"] = "u-2"
    sign_in(provider, "Cook")
    assert teams_of(ben) == {"cooks"}
    assert groups.groups_held([ben.pk]) == {ben.pk: {"Cook"}}


def test_a_new_mapping_counts_from_the_next_sign_in(provider, ben, sailors):
    sign_in(provider, "Crew")
    mapping = groups.add_mapping(sailors, "Crew")
    assert groups.add_mapping(sailors, "Crew") is None
    assert teams_of(ben) == set()
    sign_in(provider, "Crew")
    assert teams_of(ben) == {"sailors"}
    assert groups.remove_mapping(mapping) == 1
    assert teams_of(ben) == set()
    assert AuditEvent.objects.get(action="team.unmap").detail == {
        "group": "Crew", "left": [ben.account_id], "number": 1,
    }  # fmt: skip


def test_the_end_of_a_mapping_ends_what_it_alone_gave(provider, ben, sailors):
    groups.add_mapping(sailors, "Crew")
    services.add_member(None, sailors, ben)
    sign_in(provider, "Sail", "Crew")
    assert groups.remove_mapping(sailors.groups.get(group="Sail")) == 0
    assert teams_of(ben) == {"sailors"}
    assert groups.remove_mapping(sailors.groups.get(group="Crew")) == 1
    assert (teams_of(ben), teams_of(ben, "hand")) == (set(), {"sailors"})


def test_read_again_ends_sessions_and_what_groups_gave(provider, ben, sailors):
    services.add_member(None, sailors, ben)
    client = sign_in(provider, "Sail")
    groups.read_again(ben, by="admin")
    assert not is_in(client)
    assert (teams_of(ben), teams_of(ben, "hand")) == (set(), {"sailors"})
    assert syncs()[-1] == {"joined": [], "left": ["sailors"], "sessions": "ended", "by": "admin"}
    assert is_in(sign_in(provider, "Sail"))
    assert teams_of(ben) == {"sailors"}
