"""The pages of invitations: invite, open, see before accepting, accept, decline, take back."""

import re

import pytest
from django.core import mail
from django.template import Context, Template
from django.test import Client, RequestFactory
from procrastinate.contrib.django.models import ProcrastinateJob

from console.access.roles import Role
from console.invitations.services import invite
from console.membership.models import Grant, Invitation
from tests.support.factories import (
    PASSWORD,
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
)
from tests.support.mailbox import deliver
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

FORM = {"way": "link", "role": "2", "lasts": "good", "days": "7"}


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben", email="ben@example.com", confirmed_email="ben@example.com")


@pytest.fixture
def bens(ben):
    browser = Client()
    browser.force_login(ben)
    return browser


def ask(client, query="", **form):
    return client.post(f"/namespaces/team/-/invite/{query}", {**FORM, **form})


def link_of(response):
    return re.search(r"http://[^/]+(/invitations/link/[\w-]{43}/)", text_of(response))[1]


def open_link(browser, path):
    response = browser.get(path)
    assert response.status_code == 302, text_of(response)
    return response["Location"]


class TestInvite:
    def test_by_link(self, client, team, bens, ben):
        response = ask(client)
        place = open_link(bens, link_of(response))
        text = text_of(bens.get(place))
        assert "Ann invites you to team" in text
        assert "Writer. You can see, pull and push images." in text and "for good" in text
        assert "ann@example.com" not in text
        assert not Grant.objects.exists()
        assert bens.post(f"{place}-/accept/")["Location"] == "/images/"
        assert Grant.objects.get().account == ben
        assert "You are now Writer of team." in text_of(bens.get("/images/"))

    def test_by_account_id_with_spaces(self, client, team, ben, bens):
        spaced = f"{ben.account_id[:4]} {ben.account_id[4:]}"
        assert ask(client, way="account", account_id=spaced)["Location"] == "/namespaces/team/"
        assert "You have 1 invitation<" in text_of(bens.get("/images/"))
        assert "team" in text_of(bens.get("/invitations/"))
        invitation = Invitation.objects.get()
        assert bens.post(f"/invitations/{invitation.pk}/-/decline/")["Location"] == "/invitations/"
        assert "You have 1 invitation<" not in text_of(bens.get("/images/"))
        assert "No invitations" in text_of(bens.get("/invitations/"))

    def test_by_email(self, client, team, ben, bens):
        ask(client, way="email", email="BEN@example.com")
        # Neither the database nor the job has the secret.
        (job,) = ProcrastinateJob.objects.filter(task_name="invitations.send_invitation").values_list("args", flat=True)
        assert job == {"invitation": Invitation.objects.get().pk}
        deliver()
        (sent,) = mail.outbox
        assert sent.to == ["BEN@example.com"] and "Ann invites you" in sent.subject
        place = open_link(bens, re.search(r"(/invitations/link/\S+)", sent.body)[1])
        assert bens.post(f"{place}-/accept/")["Location"] == "/images/"
        assert Grant.objects.get().account == ben

    def test_no_more_e_mails_than_allowed(self, client, team):
        for _one in range(3):
            assert ask(client, way="email", email="ben@example.com").status_code == 302
        response = ask(client, way="email", email="ben@example.com")
        assert response.status_code == 429
        assert "Too many e-mails were sent. Try again in a few minutes." in text_of(response)

    def test_to_an_image_until_a_date(self, client, team, bens):
        ImageFactory(namespace=team, name="shop/app", description="The shop")
        response = ask(client, "?image=shop/app", lasts="date", date="2099-12-31")
        text = text_of(bens.get(open_link(bens, link_of(response))))
        assert "Ann invites you to the image team/shop/app" in text and "The shop" in text and "2099" in text

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"way": ""}, "Please choose how to invite."),
            ({"way": "pigeon"}, "Please choose how to invite."),
            ({"way": "account"}, "Please enter an Account ID"),
            ({"way": "account", "account_id": "12"}, "Enter an Account ID: twelve digits."),
            ({"way": "account", "account_id": "1" * 13}, "Enter an Account ID: twelve digits."),
            ({"way": "account", "account_id": "111111111111"}, "No account has this Account ID."),
            ({"way": "email"}, "Please enter an e-mail address"),
            ({"way": "email", "email": "x"}, "Enter an e-mail address like ann@example.com"),
            ({"role": "9"}, "Please choose a role."),
            ({"lasts": "date"}, "Please enter a date"),
            ({"lasts": "date", "date": "soon"}, "Please enter a date like 2027-01-31"),
            ({"lasts": "date", "date": "2001-01-01"}, "This date is in the past. Choose a later one."),
            ({"days": "99"}, "Please choose how long the invitation is good."),
        ],
    )
    def test_one_sentence_for_what_is_wrong(self, client, team, form, sentence):
        response = ask(client, **form)
        assert response.status_code == 422
        (error,) = re.findall(r"<li>(.*?)</li>", text_of(response).partition('class="form invitation"')[2])[:1]
        assert sentence in error
        assert not Invitation.objects.exists()

    def test_what_belongs_to_another_choice_does_not_count(self, client, team):
        assert ask(client, account_id="x" * 99, email="x", date="x").status_code == 200
        assert Invitation.objects.get().email == ""

    def test_in_a_dialog(self, client, team):
        response = client.post("/namespaces/team/-/invite/", FORM, headers=HTMX)
        assert "<dialog" in text_of(response) and "list-changed" in str(response.headers)

    @pytest.mark.parametrize("role", [None, Role.READER, Role.MAINTAINER])
    def test_others_do_not_invite(self, team, ben, bens, role):
        if role:
            GrantFactory(namespace=team, account=ben, role=role)
        ImageFactory(namespace=team, name="app")
        assert ask(bens).status_code == ask(bens, "?image=app").status_code == 404

    def test_an_owner_of_an_image_invites_to_it(self, team, ben, bens):
        image = ImageFactory(namespace=team, name="app")
        GrantFactory(namespace=team, image=image, account=ben, role=Role.OWNER)
        assert ask(bens, "?image=app").status_code == 200
        assert ask(bens).status_code == 404


class TestLinks:
    def test_the_secret_stays_in_one_request(self, client, team, bens):
        path = link_of(ask(client))
        secret = path.split("/")[-2]
        response = bens.get(path)
        assert response["Referrer-Policy"] == "no-referrer"
        assert secret not in response["Location"] and secret not in text_of(bens.get(response["Location"]))
        assert secret not in str(dict(bens.session))

    def test_who_is_not_signed_in_comes_back(self, client, team, ben):
        browser = Client()
        place = open_link(browser, link_of(ask(client)))
        page = text_of(browser.get(place))
        assert "Ann invites you to team" in page and "Create account" not in page and "Accept<" not in page
        way = re.search(r'href="(/sign-in/\?next=[^"]+)"', page)[1]
        signed_in = browser.post(way, {"username": ben.account_id, "password": PASSWORD, "next": place})
        assert signed_in["Location"] == place
        assert browser.post(f"{place}-/accept/").status_code == 302
        assert Grant.objects.get().account == ben

    def test_without_the_link_there_is_nothing(self, client, team, bens):
        ask(client)
        place = f"/invitations/{Invitation.objects.get().pk}/"
        assert bens.get(place).status_code == 404
        assert bens.post(f"{place}-/accept/").status_code == 404
        assert bens.post(f"{place}-/decline/").status_code == 404
        assert Client().get(place)["Location"] == f"/sign-in/?next={place}"

    def test_used_and_unknown_ones(self, client, team, bens):
        path = link_of(ask(client))
        place = open_link(bens, path)
        bens.post(f"{place}-/accept/")
        for address, sentence in (
            (path, "This invitation was already used."),
            ("/invitations/link/none/", "This invitation does not exist."),
            (place, "This invitation was already used."),
        ):
            response = bens.get(address)
            assert response.status_code == 410 and sentence in text_of(response)
        response = bens.post(f"{place}-/accept/")
        assert response.status_code == 410 and "This invitation was already used." in text_of(response)

    def test_another_e_mail_address(self, client, team, ben):
        ask(client, way="email", email="other@example.com")
        deliver()
        browser = Client()
        browser.force_login(ben)
        place = open_link(browser, re.search(r"(/invitations/link/\S+)", mail.outbox[0].body)[1])
        response = browser.get(place)
        assert response.status_code == 403
        assert "is for an e-mail address that is not the confirmed address of your account." in text_of(response)
        assert browser.post(f"{place}-/accept/").status_code == 403
        assert not Grant.objects.exists()

    def test_an_account_that_is_not_activated_accepts(self, client, team):
        browser = Client()
        new = AccountFactory()
        browser.force_login(new)
        place = open_link(browser, link_of(ask(client)))
        assert "The role counts once you have" in text_of(browser.get(place))
        assert browser.post(f"{place}-/accept/").status_code == 302
        assert Grant.objects.get().account == new

    def test_what_one_has_already(self, client, team, ben, bens):
        place = open_link(bens, link_of(ask(client)))
        grant = GrantFactory(namespace=team, account=ben, role=Role.READER)
        assert "It replaces your role Reader." in text_of(bens.get(place))
        Grant.objects.filter(pk=grant.pk).update(role=Role.MAINTAINER)
        assert "You already have the higher role Maintainer, which you keep." in text_of(bens.get(place))


class TestTheList:
    def shown(self, account, team):
        request = RequestFactory().get("/")
        request.user = account
        return Template("{% load invitations %}{% pending_invitations namespace %}").render(
            Context({"namespace": team, "request": request})
        )

    def test_it(self, client, ann, team, ben, bens):
        invite(ann, team, role=Role.READER, account=ben)
        invite(ann, team, role=Role.WRITER, email="x@example.com", image=ImageFactory(namespace=team, name="app"))
        _link, _secret = invite(ann, team, role=Role.OWNER)
        text = self.shown(ann, team)
        for words in ("Pending invitations", "Ben", "x@example.com", "Who has the link", "on app", "Take back"):
            assert words in text
        # Who may not manage members sees nothing of it.
        GrantFactory(namespace=team, account=ben, role=Role.MAINTAINER)
        assert self.shown(ben, team).strip() == ""
        taken = Invitation.objects.get(account=ben)
        assert client.get(f"/invitations/{taken.pk}/-/revoke/").status_code == 200
        assert bens.post(f"/invitations/{taken.pk}/-/revoke/").status_code == 404
        assert client.post(f"/invitations/{taken.pk}/-/revoke/")["Location"] == "/namespaces/team/"
        taken.refresh_from_db()
        assert taken.state == "revoked"
        assert "Ben" not in self.shown(ann, team)

    def test_one_that_was_accepted_meanwhile(self, client, ann, team, ben):
        invitation, _secret = invite(ann, team, role=Role.READER)
        Invitation.objects.filter(pk=invitation.pk).update(state="accepted", accepted_by=ben)
        client.post(f"/invitations/{invitation.pk}/-/revoke/")
        assert "This invitation was already used. Remove the member instead." in text_of(client.get("/images/"))

    def test_others_of_an_account_are_not_in_the_list(self, ann, ben, bens):
        invite(ann, NamespaceFactory(owner=ann, name="mine"), role=Role.READER, account=ActivatedAccountFactory())
        assert "mine" not in text_of(bens.get("/invitations/"))
