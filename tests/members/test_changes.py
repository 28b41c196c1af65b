"""Give, change and take roles by the dialogs; leave."""

import datetime
import threading

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.repositories.models import Image
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

MEMBERS = "/namespaces/payments/-/members/"
ADD_TEAM, LEAVE = f"{MEMBERS}add-team/", "/namespaces/payments/-/leave/"
ACCESS = "/images/payments/ledger/-/access/"
FOR_GOOD = {"role": "2", "ends": "good"}
OTHERS = ["maintainer", "writer", "reader", "in-team"]


def address(people, who, verb):
    """The dialog about somebody's role."""
    return f"{MEMBERS}{people.grants[who].pk}/{verb}/"


def last_event():
    event = AuditEvent.objects.latest("pk")
    return event.action, event.target, event.actor


@pytest.mark.parametrize("who", OTHERS)
def test_who_is_no_owner_is_refused_with_a_sentence(people, who):
    client, before = people.client(who), Grant.objects.count()
    other = "reader" if who != "reader" else "writer"
    paths = [ADD_TEAM, f"{MEMBERS}owner/change/", f"{MEMBERS}owner/remove/", f"{ACCESS}add-team/"]
    paths += [address(people, other, verb) for verb in ("change", "remove")]
    paths += [address(people, "on-image", verb) for verb in ("change", "remove")]
    for path in paths:
        for response in (client.get(path), client.post(path, {**FOR_GOOD, "team": "auditors"})):
            assert response.status_code == 403, path
            assert "This needs the role Owner on payments" in text_of(response)
    assert Grant.objects.count() == before
    assert Namespace.objects.get().owner == people.owner
    assert not AuditEvent.objects.filter(action__startswith="member.").exists()


def test_a_stranger_and_who_has_one_image(people):
    paths = [ADD_TEAM, f"{MEMBERS}owner/change/", f"{MEMBERS}owner/remove/", f"{ACCESS}add-team/", LEAVE]
    paths += [address(people, who, verb) for who in people.grants for verb in ("change", "remove")]
    for path in paths:
        assert people.client("stranger").get(path).status_code == 404, path
        assert people.client("stranger").post(path, FOR_GOOD).status_code == 404, path
    # Of the roles on the namespace, who has one image sees none.
    assert people.client("on-image").get(address(people, "writer", "change")).status_code == 404
    assert people.client("on-image").get(ADD_TEAM).status_code == 403


def test_a_role_of_another_namespace_is_not_found(people):
    theirs = GrantFactory(namespace=NamespaceFactory(name="theirs"))
    for path in (f"{MEMBERS}{theirs.pk}/change/", f"/namespaces/theirs/-/members/{theirs.pk}/change/"):
        assert people.client("owner").get(path).status_code == 404
    assert people.client("owner").get(f"{MEMBERS}{10**30}/change/").status_code == 404


@pytest.mark.parametrize("who", ["owner", "co-owner"])
def test_add_a_team(people, who):
    team = TeamFactory(name="testers")
    response = people.client(who).post(ADD_TEAM, {**FOR_GOOD, "team": "testers"})
    assert response["Location"] == MEMBERS
    grant = Grant.objects.get(team=team)
    assert (grant.role, grant.until, grant.image, grant.granted_by) == (Role.WRITER, None, None, people.accounts[who])
    assert last_event() == ("member.grant", "payments", people.accounts[who].account_id)


def test_add_a_team_until_a_date(people):
    TeamFactory(name="testers")
    day = timezone.now().date() + datetime.timedelta(days=30)
    people.client("owner").post(ADD_TEAM, {"team": "testers", "role": "1", "ends": "date", "date": day.isoformat()})
    assert Grant.objects.get(team__name="testers").until == datetime.datetime.combine(
        day, datetime.time(23, 59, 59), datetime.UTC
    )


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"team": "nobody-here"}, "No team has this name."),
        ({"team": ""}, "Please enter the name of a team"),
        ({"team": "x" * 31}, "The name of a team has 2 to 30 characters."),
        ({"team": "a\x00b"}, "Null characters are not allowed."),
        ({"role": "9"}, "Please choose a role."),
        ({"role": "owner"}, "Please choose a role."),
        ({"role": ""}, "Please choose a role."),
        ({"ends": "never"}, "Please choose how long the role lasts."),
        ({"ends": "date", "date": ""}, "Please enter a date"),
        ({"ends": "date", "date": "soon"}, "Please enter a date like 2027-01-31"),
        ({"ends": "date", "date": "2001-01-31"}, "This date is in the past."),
    ],
)
def test_one_sentence_for_each_error(people, form, sentence):
    before = Grant.objects.count()
    response = people.client("owner").post(ADD_TEAM, {**FOR_GOOD, "team": "auditors", **form})
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert Grant.objects.count() == before


def test_the_dates_that_there_are(people):
    form = {"team": "auditors", "role": "1", "ends": "date", "date": "9999-12-31"}
    assert people.client("owner").post(ADD_TEAM, form).status_code == 302
    assert people.client("owner").get(MEMBERS).status_code == 200


def test_a_date_is_ignored_for_a_role_for_good(people):
    form = {**FOR_GOOD, "team": "auditors", "date": "2001-01-31"}
    assert people.client("owner").post(ADD_TEAM, form).status_code == 302
    assert Grant.objects.get(team__isnull=False).until is None


def test_change_a_role(people):
    client, path = people.client("owner"), address(people, "reader", "change")
    text = text_of(client.get(path))
    assert "Reader Person" in text and 'value="1" required id="id_role_0" checked' in text
    assert client.post(path, {"role": "3", "ends": "good"})["Location"] == MEMBERS
    assert people.namespace.role_of(people.accounts["reader"].pk) == Role.MAINTAINER
    assert last_event()[0] == "member.change"


def test_the_form_begins_with_the_date_of_the_role(people):
    people.grants["reader"].until = datetime.datetime(2031, 5, 6, 12, tzinfo=datetime.UTC)
    people.grants["reader"].save()
    text = text_of(people.client("owner").get(address(people, "reader", "change")))
    assert 'value="2031-05-06"' in text and '<option value="date" selected>' in text


def test_remove_a_member(people):
    client, path = people.client("co-owner"), address(people, "writer", "remove")
    assert "Writer Person" in text_of(client.get(path))
    assert client.post(path)["Location"] == MEMBERS
    assert people.namespace.role_of(people.accounts["writer"].pk) is None
    assert people.client("writer").get(MEMBERS).status_code == 404
    assert last_event() == ("member.remove", "payments", people.accounts["co-owner"].account_id)
    assert client.post(path).status_code == 404


def test_a_co_owner_who_removes_their_own_rights_goes_to_my_images(people):
    client = people.client("co-owner")
    assert client.post(address(people, "co-owner", "remove"))["Location"] == "/images/"
    assert client.get(MEMBERS).status_code == 404
    assert last_event()[0] == "member.leave"


def test_a_dialog_leads_back_to_where_it_was_opened(people):
    headers = {**HTMX, "HX-Current-URL": f"http://testserver{MEMBERS}?q=ida"}
    response = people.client("owner").post(address(people, "on-image", "remove"), headers=headers)
    assert response["HX-Redirect"] == f"{MEMBERS}?q=ida"


def test_roles_on_an_image(people):
    client = people.client("owner")
    assert client.post(f"{ACCESS}add-team/", {**FOR_GOOD, "team": "auditors"})["Location"] == ACCESS
    assert people.image.role_of(people.accounts["in-team"].pk) == Role.WRITER
    assert people.namespace.role_of(people.accounts["in-team"].pk) == Role.READER
    assert last_event()[:2] == ("member.grant", "payments/ledger")
    path = address(people, "on-image", "change")
    assert client.post(path, {"role": "3", "ends": "good"})["Location"] == ACCESS
    assert people.image.role_of(people.accounts["on-image"].pk) == Role.MAINTAINER
    assert client.post(address(people, "on-image", "remove"))["Location"] == ACCESS
    assert people.image.role_of(people.accounts["on-image"].pk) is None


def test_an_owner_of_one_image(people):
    people.grants["on-image"].role = Role.OWNER
    people.grants["on-image"].save()
    client = people.client("on-image")
    assert client.post(f"{ACCESS}add-team/", {**FOR_GOOD, "team": "auditors"}).status_code == 302
    grant = Grant.objects.get(team=people.team, image=people.image)
    assert client.post(f"{MEMBERS}{grant.pk}/change/", {"role": "1", "ends": "good"})["Location"] == ACCESS
    other = GrantFactory(namespace=people.namespace, image=ImageFactory(namespace=people.namespace))
    assert client.get(f"{MEMBERS}{other.pk}/change/").status_code == 404
    assert client.post(address(people, "on-image", "remove"))["Location"] == "/images/"


@pytest.mark.parametrize("who", ["co-owner", "maintainer", "writer", "reader"])
def test_leave(people, who):
    client, account = people.client(who), people.accounts[who]
    GrantFactory(namespace=people.namespace, image=people.image, account=account)
    assert "You give up your roles on it" in text_of(client.get(LEAVE))
    assert client.post(LEAVE)["Location"] == "/images/"
    assert not Grant.objects.filter(account=account).exists()
    assert client.get("/namespaces/payments/").status_code == 404
    assert last_event()[0] == "member.leave"


def test_leave_with_a_role_by_a_team(people):
    TeamMemberFactory(team=people.team, account=people.accounts["writer"])
    client = people.client("writer")
    assert "You keep what you have through team auditors." in text_of(client.get(LEAVE))
    client.post(LEAVE)
    assert people.namespace.role_of(people.accounts["writer"].pk) == Role.READER
    assert "You have your role through a team." in text_of(client.get(LEAVE))
    refused = client.post(LEAVE)
    assert refused.status_code == 422 and "You have your role through a team." in text_of(refused)


def test_leave_with_a_role_on_one_image(people):
    assert people.client("on-image").post(LEAVE).status_code == 302
    assert not Image.objects.visible_to(people.accounts["on-image"]).exists()


def test_the_namespaces_own_account_leaves_to_another_owner(people):
    client = people.client("owner")
    assert "Another owner takes it over" in text_of(client.get(LEAVE))
    assert client.post(LEAVE)["Location"] == "/images/"
    assert Namespace.objects.get().owner == people.accounts["co-owner"]
    assert client.get(MEMBERS).status_code == 404


def test_the_last_owner_does_not_leave(people):
    people.grants["co-owner"].delete()
    client = people.client("owner")
    assert "The last owner stays." in text_of(client.get(LEAVE))
    refused = client.post(LEAVE)
    assert refused.status_code == 422 and "The last owner stays." in text_of(refused)
    for path in (f"{MEMBERS}owner/remove/", f"{MEMBERS}owner/change/"):
        assert "The last owner stays." in text_of(client.get(path))
        assert client.post(path, {"role": "1"}).status_code == 422
    assert Namespace.objects.get().owner == people.owner


def test_another_owner_removes_the_namespaces_own_account(people):
    client = people.client("co-owner")
    assert "Olga Owner" in text_of(client.get(f"{MEMBERS}owner/remove/"))
    assert client.post(f"{MEMBERS}owner/remove/")["Location"] == MEMBERS
    assert Namespace.objects.get().owner == people.accounts["co-owner"]
    assert people.client("owner").get(MEMBERS).status_code == 404


def test_another_owner_gives_the_namespaces_own_account_a_lower_role(people):
    client, path = people.client("co-owner"), f"{MEMBERS}owner/change/"
    assert 'value="4"' not in text_of(client.get(path))
    assert client.post(path, {"role": "4"}).status_code == 422
    assert client.post(path, {"role": "2"})["Location"] == MEMBERS
    assert Namespace.objects.get().owner == people.accounts["co-owner"]
    assert people.namespace.grants.get(account=people.owner).role == Role.WRITER


def test_nobody_takes_over_above_their_quota(people):
    people.accounts["co-owner"].namespace_quota = 0
    people.accounts["co-owner"].save()
    refused = people.client("co-owner").post(f"{MEMBERS}owner/remove/")
    assert refused.status_code == 422 and "quota is reached" in text_of(refused)


@pytest.mark.django_db(transaction=True)
def test_two_owners_leave_at_once_and_one_stays():
    first, second = ActivatedAccountFactory(), ActivatedAccountFactory()
    namespace = NamespaceFactory(owner=first, name="payments")
    GrantFactory(namespace=namespace, account=second, role=Role.OWNER)
    together, answers = threading.Barrier(2), {}

    def leave(account):
        try:
            client = Client()
            client.force_login(account)
            together.wait()
            answers[account.pk] = client.post(LEAVE).status_code
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[account]) for account in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner = Namespace.objects.get().owner
    assert answers == {owner.pk: 422, (first if owner == second else second).pk: 302}
    assert not Grant.objects.exists()
