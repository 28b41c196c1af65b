"""Sign-up: off, invited and open. The address is confirmed before there is an account."""

import logging
import re

import pytest
from django.core import mail
from django.test import Client

from console.access.roles import Role
from console.accounts.models import Account
from console.installation import environment
from console.installation.logs import WithoutSecrets
from console.invitations.services import invite
from console.invitations.sign_up_links import make_token
from console.membership.models import Grant, Invitation
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory
from tests.support.mailbox import deliver
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

ACCOUNT = {"name": "Bea", "password": "a brand new word 9", "confirm": "a brand new word 9"}
FINISH = "/sign-up/finish/"


@pytest.fixture
def owner():
    return ActivatedAccountFactory(name="Olga", email="olga@example.com")


@pytest.fixture
def team(owner):
    return NamespaceFactory(owner=owner, name="payments")


def mailed(pattern=r"(/sign-up/link/\S+)"):
    deliver()
    return re.search(pattern, mail.outbox[-1].body)[1]


def opened(client, owner, team, **options):
    """The address of an invitation whose link was opened."""
    _invitation, secret = invite(owner, team, role=Role.WRITER, **options)
    path = f"/invitations/link/{secret}/" if secret else mailed(r"(/invitations/link/\S+)")
    return client.get(path)["Location"]


def bea():
    return Account.objects.get(name="Bea")


class TestOff:
    def test_nobody_signs_up(self, client, owner, team, settings):
        settings.SIGN_UP = "off"
        assert "Create account" not in text_of(client.get("/sign-in/"))
        assert client.get("/sign-up/").status_code == client.post("/sign-up/", {"email": "b@x.org"}).status_code == 404
        place = opened(client, owner, team)
        assert "Create account" not in text_of(client.get(place))
        number = Invitation.objects.get().pk
        assert client.get(f"/sign-up/?invitation={number}").status_code == 404
        assert client.get(f"/sign-up/link/{make_token('b@example.com', number)}/").status_code == 410

    def test_nor_without_passwords(self, client, owner, team, settings):
        settings.SIGN_UP, settings.LOCAL_ACCOUNTS = "open", False
        settings.OIDC_ISSUER = "https://id.example.com"
        assert "Create account" not in text_of(client.get("/sign-in/"))
        assert client.get("/sign-up/").status_code == 404

    def test_it_is_the_default(self):
        assert environment.load({}).sign_up == "off"
        assert environment.load({"SIGN_UP": "invited"}).sign_up == "invited"
        with pytest.raises(environment.EnvironmentProblem, match="SIGN_UP"):
            environment.load({"SIGN_UP": "yes"})


class TestInvited:
    @pytest.fixture(autouse=True)
    def _invited(self, settings):
        settings.SIGN_UP = "invited"

    def test_nobody_without_an_invitation(self, client):
        assert "Create account" not in text_of(client.get("/sign-in/"))
        assert client.get("/sign-up/").status_code == 404
        assert client.get("/sign-up/?invitation=1").status_code == 404
        assert client.get(f"/sign-up/link/{make_token('b@example.com', None)}/").status_code == 410
        assert client.get(FINISH)["Location"] == "/sign-in/"

    def test_by_e_mail_the_address_is_confirmed(self, client, owner, team):
        place = opened(client, owner, team, email="Bea@example.com")
        way = re.search(r'href="(/sign-up/\?invitation=\d+)"', text_of(client.get(place)))[1]
        assert client.get(way)["Location"] == FINISH
        page = text_of(client.get(FINISH))
        assert "Bea@example.com" in page and "Writer of payments" in page
        assert client.post(FINISH, ACCOUNT).status_code == 302
        assert (bea().email, bea().email_confirmed, bea().is_staff, bea().activated) == (
            "Bea@example.com", True, False, False,
        )  # fmt: skip
        assert Grant.objects.get(account=bea()).role == Role.WRITER
        assert Invitation.objects.get().accepted_by == bea()
        # Signed in.
        assert "Activate the service" in text_of(client.get("/images/"))

    def test_by_link_the_address_is_confirmed_first(self, client, owner, team):
        place = opened(client, owner, team)
        way = re.search(r'href="(/sign-up/\?invitation=\d+)"', text_of(client.get(place)))[1]
        assert client.post(way, {"email": "bea@example.com"})["Location"] == "/sign-up/sent/"
        assert not Account.objects.filter(email="bea@example.com").exists()
        assert client.get(FINISH)["Location"] == "/sign-in/"
        # In another browser: the invitation comes along.
        other = Client()
        assert other.get(mailed())["Location"] == FINISH
        assert other.post(FINISH, ACCOUNT).status_code == 302
        assert bea().email_confirmed
        assert Grant.objects.get(account=bea()).namespace == team

    def test_an_invitation_creates_one_account(self, client, owner, team):
        opened(client, owner, team)
        number = Invitation.objects.get().pk
        first, second = make_token("bea@example.com", number), make_token("carl@example.com", number)
        browsers = [Client(), Client()]
        for browser, token in zip(browsers, (first, second), strict=True):
            assert browser.get(f"/sign-up/link/{token}/")["Location"] == FINISH
        assert browsers[0].post(FINISH, ACCOUNT).status_code == 302
        assert browsers[1].post(FINISH, {**ACCOUNT, "name": "Carl"}).status_code == 404
        assert not Account.objects.filter(name="Carl").exists()
        assert client.get(f"/sign-up/link/{second}/").status_code == 410

    @pytest.mark.parametrize("how", ["taken back", "expired", "no owner"])
    def test_an_invitation_that_is_no_longer_good(self, client, owner, team, how):
        place = opened(client, owner, team)
        if how == "taken back":
            Invitation.objects.update(state="revoked")
        elif how == "expired":
            Invitation.objects.update(expires_at="2001-01-01T00:00:00Z")
        else:
            owner.is_active = False
            owner.save()
        assert client.get(place).status_code == 410
        assert client.get(f"/sign-up/?invitation={Invitation.objects.get().pk}").status_code == 404

    def test_an_address_that_has_an_account(self, client, owner, team):
        AccountFactory(name="Old", email="bea@example.com")
        place = opened(client, owner, team, email="bea@example.com")
        client.get(f"/sign-up/?invitation={place.split('/')[2]}")
        response = client.post(FINISH, ACCOUNT)
        assert "An account already uses this e-mail address. Sign in with it." in text_of(response)
        assert Account.objects.filter(email__iexact="bea@example.com").count() == 1
        assert Invitation.objects.get().state == "pending"


class TestOpen:
    @pytest.fixture(autouse=True)
    def _open(self, settings):
        settings.SIGN_UP = "open"

    def test_the_walk(self, client):
        assert 'href="/sign-up/"' in text_of(client.get("/sign-in/"))
        assert client.post("/sign-up/", {"email": "bea@example.com"})["Location"] == "/sign-up/sent/"
        assert "Check your e-mail" in text_of(client.get("/sign-up/sent/"))
        path = mailed()
        response = client.get(path)
        assert (response["Location"], response["Referrer-Policy"]) == (FINISH, "no-referrer")
        assert not Account.objects.exists()
        assert client.post(FINISH, ACCOUNT).status_code == 302
        assert bea().email_confirmed and bea().check_password(ACCOUNT["password"])
        assert not Grant.objects.exists()
        # Once.
        assert Client().get(path).status_code == 410

    def test_a_known_address_gets_the_same_page_and_a_note(self, client, owner):
        fresh = client.post("/sign-up/", {"email": "bea@example.com"})
        known = client.post("/sign-up/", {"email": "OLGA@example.com"})
        assert (fresh.status_code, fresh["Location"]) == (known.status_code, known["Location"])
        deliver()
        to_bea, to_olga = mail.outbox
        assert to_olga.to == ["olga@example.com"] and "already has one" in to_olga.body
        assert "/sign-up/link/" in to_bea.body and "/sign-up/link/" not in to_olga.body
        assert owner.account_id in to_olga.body

    def test_no_more_e_mails_than_allowed(self, client):
        for _one in range(3):
            assert client.post("/sign-up/", {"email": "bea@example.com"}).status_code == 302
        response = client.post("/sign-up/", {"email": "bea@example.com"})
        assert response.status_code == 429
        assert "Too many e-mails were requested. Try again in a few minutes." in text_of(response)

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"name": ""}, "Please enter a name"),
            ({"name": "x" * 101}, "The name can have up to 100 characters."),
            ({"name": "a\u202eb"}, "The name contains a character that can’t be displayed. Remove it."),
            ({"password": ""}, "Please enter a password"),
            ({"confirm": ""}, "Please enter the password again"),
            ({"confirm": "another"}, "The two passwords do not match"),
            ({"password": "12345678", "confirm": "12345678"}, "This password is too common."),
        ],
    )
    def test_one_sentence_for_what_is_wrong(self, client, form, sentence):
        client.get(f"/sign-up/link/{make_token('bea@example.com', None)}/")
        response = client.post(FINISH, {**ACCOUNT, **form})
        assert sentence in text_of(response)
        assert not Account.objects.exists()

    def test_a_forged_and_an_old_link(self, client, settings):
        token = make_token("bea@example.com", None)
        assert client.get(f"/sign-up/link/{token[:-1]}x/").status_code == 410
        settings.EMAIL_LINK_SECONDS = -1
        assert client.get(f"/sign-up/link/{token}/").status_code == 410

    def test_who_is_signed_in_has_an_account(self, client, owner):
        client.force_login(owner)
        assert client.get("/sign-up/")["Location"] == client.get(FINISH)["Location"] == "/images/"


@pytest.mark.parametrize("path", ["/invitations/link/", "/sign-up/link/"])
def test_no_log_has_a_secret(path):
    record = logging.LogRecord("x", logging.WARNING, "", 0, f"Gone: {path}the-secret/", None, None)
    assert WithoutSecrets().format(record) == f"Gone: {path}…/"
