"""The pages of members, settings and access: what each role sees."""

import datetime
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.roles import VERBS, Role
from console.members.holders import MOST_OF_A_TEAM, MOST_ON_IMAGES
from console.membership.models import ServiceAccount
from console.namespaces.models import Namespace
from console.repositories.models import Image, ImageDeletion
from console.sharing.words import ROLE_HELP
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

MEMBERS, SETTINGS = "/namespaces/payments/-/members/", "/namespaces/payments/-/settings/"
ACCESS = "/images/payments/ledger/-/access/"
# Who may see the namespace, with the words about their own role.
OWN_ROLE = {
    "owner": "Your role: Owner",
    "co-owner": "Your role: Owner",
    "maintainer": "Your role: Maintainer",
    "writer": "Your role: Writer",
    "reader": "Your role: Reader",
    "in-team": "Your role: Reader, through team auditors",
}


def rows(text):
    """The rows of the first list of a page, as text."""
    body = text.partition("Roles on single images")[0].partition("<tbody")[2].partition("</tbody>")[0]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", one)) for one in body.split("<tr")[1:]]


def row_of(text, name):
    """The one row about a name."""
    (row,) = [one for one in rows(text) if name in one]
    return row


@pytest.mark.parametrize("who", OWN_ROLE)
@pytest.mark.parametrize("path", ["/namespaces/payments/", MEMBERS, SETTINGS])
def test_each_member_sees_the_tabs_and_the_own_role(people, who, path):
    text = text_of(people.client(who).get(path))
    assert OWN_ROLE[who] + "</span>" in text
    tabs = text.partition('aria-label="Namespace"')[2].partition("</nav>")[0]
    owners = ["Activity"] if who in {"owner", "co-owner"} else []
    assert re.findall(r">(\w+)</a>", tabs) == ["Images", "Members", "Settings", "Storage", *owners]


def test_a_role_on_one_image_opens_the_images_alone(people):
    client = people.client("on-image")
    text = text_of(client.get("/namespaces/payments/"))
    tabs = text.partition('aria-label="Namespace"')[2].partition("</nav>")[0]
    assert re.findall(r">(\w+)</a>", tabs) == ["Images"]
    assert "You have a role on single images here." in text
    for path in (MEMBERS, SETTINGS):
        response = client.get(path)
        assert response.status_code == 403
        assert "You have a role on single images of payments only." in text_of(response)
    assert client.get(ACCESS).status_code == 200


@pytest.mark.parametrize("path", [MEMBERS, SETTINGS, "/namespaces/payments/-/leave/", ACCESS])
def test_a_stranger_finds_nothing(people, path):
    assert people.client("stranger").get(path).status_code == 404


def test_a_public_image_does_not_show_who_has_access(people):
    Image.objects.update(visibility="public")
    assert people.client("stranger").get(ACCESS).status_code == 404
    assert "This image is public: everybody may pull it." in text_of(people.client("reader").get(ACCESS))


@pytest.mark.parametrize("who", OWN_ROLE)
def test_the_list_shows_everybody_and_changes_are_for_owners(people, who):
    text = text_of(people.client(who).get(MEMBERS))
    for name, role in (("Olga Owner", "Owner"), ("Writer Person", "Writer"), ("auditors", "Reader")):
        assert role in row_of(text, name)
    manages = who in {"owner", "co-owner"}
    assert ("-/members/add-team/" in text) == manages
    assert ("Only an owner can change who is a member." in text) != manages
    assert ("Change role" in row_of(text, "auditors")) == manages
    assert (people.owner.account_id in text) == manages
    # One's own role may always be given up; not one by a team.
    assert text.count("> Leave </a>".replace(" ", "")) == (who not in {"owner", "in-team"}) + (who == "owner")
    assert "Tina Team" in row_of(text, "auditors")


def test_roles_on_single_images_stand_apart(people):
    text = text_of(people.client("reader").get(MEMBERS))
    assert not [row for row in rows(text) if "Ida Image" in row]
    below = text.partition("Roles on single images")[2]
    assert "Ida Image" in below and f'href="{ACCESS}"' in below


def test_more_roles_on_single_images_than_the_page_shows(people):
    for _ in range(MOST_ON_IMAGES):
        GrantFactory(namespace=people.namespace, image=people.image)
    text = text_of(people.client("reader").get(MEMBERS))
    assert text.partition("Roles on single images")[2].count("<tr") == MOST_ON_IMAGES + 1
    assert "1 more role on a single image" in text


def test_until_who_gave_it_and_who_is_what(people):
    people.grants["writer"].until = timezone.now() + datetime.timedelta(days=400)
    people.grants["writer"].granted_by = people.accounts["co-owner"]
    people.grants["writer"].save()
    people.accounts["maintainer"].is_active = False
    people.accounts["maintainer"].save()
    robot = AccountFactory(name="payments+ci", is_service=True)
    ServiceAccount.objects.create(account=robot, namespace=people.namespace, name="ci")
    GrantFactory(namespace=people.namespace, account=robot, role=Role.WRITER)
    text = text_of(people.client("owner").get(MEMBERS))
    writer = row_of(text, "Writer Person")
    assert f"{people.grants['writer'].until:%Y-%m-%d}" in writer and "Co-Owner Person" in writer
    assert "For good" in row_of(text, "Reader Person")
    assert "Deactivated" in row_of(text, "Maintainer Person")
    assert "Service account" in row_of(text, "payments+ci") and robot.account_id not in text


def test_an_expired_role_is_gone(people):
    people.grants["writer"].until = timezone.now() - datetime.timedelta(seconds=1)
    people.grants["writer"].save()
    assert "Writer Person" not in text_of(people.client("owner").get(MEMBERS))
    assert people.client("writer").get(MEMBERS).status_code == 404


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("writer", ["Writer Person"]),
        ("olga", ["Olga Owner"]),
        ("audit", ["auditors"]),
        ("TINA", ["auditors"]),
        ("nobody-of-that-name", []),
    ],
)
def test_search_finds_people_teams_and_members_of_teams(people, text, found):
    answer = text_of(people.client("reader").get(MEMBERS, {"q": text}))
    assert len(rows(answer)) == len(found)
    for name in found:
        assert name in answer
    if not found:
        assert "No members match" in answer


def test_search_by_account_id(people):
    answer = text_of(people.client("reader").get(MEMBERS, {"q": people.accounts["writer"].account_id}))
    assert [row for row in rows(answer) if "Writer Person" in row] == rows(answer) != []


def test_who_is_found_in_a_large_team_comes_first(people):
    for number in range(MOST_OF_A_TEAM + 5):
        TeamMemberFactory(team=people.team, account__name=f"A member {number}")
    text = text_of(people.client("reader").get(MEMBERS))
    assert "Tina Team" not in text
    assert "26 members" in text and "and 6 more" in text
    found = text_of(people.client("reader").get(MEMBERS, {"q": "tina"}))
    assert "Tina Team" in row_of(found, "auditors") and 'class="unfold" open' in found


def test_a_member_by_hand_and_by_a_group_counts_once(people):
    TeamMemberFactory(team=people.team, account=people.accounts["in-team"], source="group")
    text = text_of(people.client("reader").get(MEMBERS))
    assert text.count("Tina Team") == 1 and "1 member<" in text


def test_pages_of_members(people):
    for number in range(30):
        GrantFactory(namespace=people.namespace, account__name=f"Many {number}")
    client = people.client("reader")
    seen = [row for page in (1, 2, 3, 4) for row in rows(text_of(client.get(MEMBERS, {"size": 10, "page": page})))]
    assert len(seen) == 36 and "Olga Owner" in seen[0]
    assert sorted(row.count("Many") for row in seen) == [0] * 6 + [1] * 30
    alone = text_of(client.get(MEMBERS, headers={**HTMX, "HX-Target": "list"}))
    assert "<html" not in alone and "Roles on single images" not in alone


@pytest.mark.parametrize("path", [MEMBERS, ACCESS])
def test_as_many_queries_for_many_as_for_few(people, path):
    client = people.client("co-owner")

    def count():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"{path}?size=100&q=").status_code == 200
        return len(queries)

    few = count()
    for _ in range(10):
        team = TeamFactory()
        TeamMemberFactory(team=team)
        giver = ActivatedAccountFactory()
        GrantFactory(namespace=people.namespace, account=None, team=team, granted_by=giver)
        GrantFactory(namespace=people.namespace, granted_by=giver)
        GrantFactory(namespace=people.namespace, image=people.image, granted_by=giver)
    assert count() == few <= 13


def test_the_last_owner_stays_and_the_page_says_so(people):
    text = text_of(people.client("owner").get(MEMBERS))
    assert 'hx-get="/namespaces/payments/-/leave/"' in text
    people.grants["co-owner"].delete()
    text = text_of(people.client("owner").get(MEMBERS))
    assert "The last owner stays." in row_of(text, "Olga Owner")
    assert "-/leave/" not in text and "-/members/owner/" not in text
    settings = text_of(people.client("owner").get(SETTINGS))
    assert "The last owner stays." in settings and 'hx-get="/namespaces/payments/-/leave/"' not in settings


@pytest.mark.parametrize("who", OWN_ROLE)
def test_settings_offer_what_one_may(people, who):
    text = text_of(people.client(who).get(SETTINGS))
    owns = who in {"owner", "co-owner"}
    assert "Olga Owner" in text
    assert ("-/hand-over/offer/" in text) == owns
    assert ("It contains 1 image. Delete it first." in text) == owns
    assert ("Only an owner can hand over or delete this namespace." in text) != owns
    assert ('hx-get="/namespaces/payments/-/leave/"' in text) == (who != "in-team")
    assert ("You have your role through a team." in text) == (who == "in-team")


def test_settings_of_an_empty_namespace_offer_to_delete_it(people):
    Image.objects.all().delete()
    assert 'hx-get="/namespaces/payments/-/delete/"' in text_of(people.client("co-owner").get(SETTINGS))


def test_settings_during_a_transfer(people):
    stranger = people.accounts["stranger"]
    Namespace.objects.update(new_owner=stranger, available_at=timezone.now())
    text = text_of(people.client("owner").get(SETTINGS))
    assert "The namespace is already being transferred" in text and "Sam Stranger" in text
    assert "-/hand-over/" not in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Olga Owner", "owner of the namespace"),
        ("Writer Person", "on the whole namespace"),
        ("Ida Image", "on this image"),
        ("auditors", "on the whole namespace, through team auditors"),
    ],
)
def test_the_image_says_why_somebody_has_access(people, name, reason):
    assert reason in row_of(text_of(people.client("reader").get(ACCESS)), name)


def test_access_shows_one_image_alone(people):
    other = ImageFactory(namespace=people.namespace, name="other")
    GrantFactory(namespace=people.namespace, image=other, account__name="Otto Other")
    assert "Otto Other" not in text_of(people.client("owner").get(ACCESS))
    assert "Ida Image" not in text_of(people.client("owner").get("/images/payments/other/-/access/"))


def test_a_team_on_an_image(people):
    team = TeamFactory(name="testers")
    TeamMemberFactory(team=team, account__name="Toni Tester")
    GrantFactory(namespace=people.namespace, image=people.image, account=None, team=team)
    assert "on this image, through team testers" in row_of(text_of(people.client("owner").get(ACCESS)), "testers")


@pytest.mark.parametrize(
    ("who", "on_image", "on_namespace"),
    [
        ("owner", True, "Change in Members"),
        ("maintainer", False, "Members"),
        ("reader", False, "Members"),
        ("on-image", False, ""),
    ],
)
def test_access_is_changed_by_owners(people, who, on_image, on_namespace):
    text = text_of(people.client(who).get(ACCESS))
    assert ("-/access/add-team/" in text) == on_image
    assert ("Change role" in row_of(text, "Ida Image")) == on_image
    writer = row_of(text, "Writer Person")
    assert "Change role" not in writer and on_namespace in writer
    assert (f'href="{MEMBERS}"' in text) == bool(on_namespace)
    assert ("Only an owner can change who has access." in text) != on_image


def test_an_owner_of_one_image_changes_its_access(people):
    people.grants["on-image"].role = Role.OWNER
    people.grants["on-image"].save()
    text = text_of(people.client("on-image").get(ACCESS))
    assert "-/access/add-team/" in text and "Change in Members" not in text


def test_an_image_that_is_being_deleted_offers_no_changes(people):
    Image.objects.update(state="deleting")
    ImageDeletion.objects.create(image=people.image, requested_by="x")
    text = text_of(people.client("owner").get(ACCESS))
    assert "-/access/add-team/" not in text and "Change role" not in text


def test_each_role_is_explained():
    assert set(ROLE_HELP) == set(Role)
    for verb, word in (("image.push", "push"), ("image.delete", "delete"), ("namespace.manage_members", "members")):
        (first, *_rest) = [role for role in Role if verb in VERBS[role]]
        assert word in str(ROLE_HELP[first])
