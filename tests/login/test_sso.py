"""Single sign-on against a provider that really signs, and really does wrong."""

import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.test import Client

from console.access.sign_in import refuse_disconnect
from console.accounts.models import Account
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from tests.support.factories import AccountFactory
from tests.support.identity_provider import EC, RSA, SECRET, STRANGER
from tests.support.mailbox import deliver
from tests.support.responses import text_of
from tests.support.second_factor import by_provider, come_back, forget, is_in, leave, set_up, sign_in
from tests.support.sso import USELESS, refused

pytestmark = pytest.mark.django_db


class TestSignIn:
    @pytest.mark.parametrize(("algorithm", "key", "kid"), [("RS256", RSA, "rsa"), ("ES256", EC, "ec")])
    def test_an_account_at_the_first_time_and_the_same_ever_after(self, provider, client, algorithm, key, kid):
        provider.algorithm, provider.key, provider.kid = algorithm, key, kid
        response = by_provider(provider, client, next="/namespaces/")
        assert response["Location"] == "/namespaces/"
        assert is_in(client)
        account = Account.objects.get()
        assert (account.name, account.email, account.is_staff) == ("Ann Example", "ann@example.com", False)
        assert len(account.account_id) == 12
        assert not account.has_usable_password()
        events = AuditEvent.objects.order_by("pk").values_list("actor", "action", "target")
        assert [action for _actor, action, _target in events] == [
            "account.create", "identity.connect", "account.sign_in",
        ]  # fmt: skip
        assert AuditEvent.objects.get(action="account.sign_in").detail == {"by": ["single sign-on"]}
        provider.person["email"] = "other@example.com"
        by_provider(provider, Client())
        assert Account.objects.get().email == "ann@example.com"

    def test_what_is_asked_for(self, provider, client):
        address = leave(client)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["redirect_uri"].startswith("http://127.0.0.1:")
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["nonce"]) > 20
        assert len(asked["state"]) >= 16
        other = {name: values[0] for name, values in parse_qs(urlsplit(leave(client)).query).items()}
        assert not {asked["nonce"], asked["state"], asked["code_challenge"]} & set(other.values())

    def test_the_session_has_a_new_key(self, provider, client):
        address = leave(client)
        before = client.session.session_key
        come_back(client, provider.authorize(address))
        assert client.session.session_key != before

    def test_its_pages_show_no_password(self, provider, client):
        by_provider(provider, client)
        page = text_of(client.get("/account/security/"))
        assert "Change password" not in page
        assert "ann@example.com" in page
        assert client.get("/account/password/").status_code == 404
        client.logout()
        assert client.post("/account/reset/", {"email": "ann@example.com"}).status_code == 302
        deliver()
        assert not mail.outbox

    def test_more_is_asked_of_the_provider_when_the_token_is_short(self, provider, client):
        provider.userinfo = dict(provider.person)
        provider.person = {"sub": "u-1"}
        by_provider(provider, client)
        assert Account.objects.get().name == "Ann Example"

    @pytest.mark.parametrize("passwords", [True, False])
    def test_a_second_factor_here_is_asked_for_here(self, provider, client, ben, phone, settings, passwords):
        settings.LOCAL_ACCOUNTS = passwords
        SocialAccount.objects.create(user=ben, provider=provider.issuer, uid="u-1")
        response = by_provider(provider, client)
        assert response["Location"] == "/sign-in/second-factor/"
        assert not is_in(client)
        client.post("/sign-in/second-factor/", {"code": phone.code()})
        assert is_in(client)

    def test_deactivated(self, provider, client, ben):
        SocialAccount.objects.create(user=ben, provider=provider.issuer, uid="u-1")
        set_active(ben, False)
        response = by_provider(provider, client)
        assert response.status_code == 400
        assert "Your account is deactivated. Ask an administrator." in text_of(response)
        assert not is_in(client)

    @pytest.mark.parametrize("place", ["//evil.example.com", "https://evil.example.com/", "/\\evil.example.com", "x"])
    def test_no_way_elsewhere(self, provider, client, place):
        assert by_provider(provider, client, next=place)["Location"] == "/"

    def test_the_button_stands_where_there_is_a_provider(self, client, provider, settings):
        assert "Sign in with Example" in text_of(client.get("/sign-in/"))
        settings.OIDC_ISSUER = ""
        assert "Sign in with" not in text_of(client.get("/sign-in/"))
        assert client.post("/sign-in/sso/").status_code == client.get("/sign-in/sso/callback/").status_code == 404


class TestAccounts:
    """An equal e-mail address takes nothing over."""

    @pytest.mark.parametrize("verified", [True, False])
    def test_somebody_elses_address(self, provider, client, ben, verified):
        provider.person |= {"email": "BEN@example.com", "email_verified": verified}
        by_provider(provider, client)
        made = Account.objects.exclude(pk=ben.pk).get()
        assert made.email is None
        assert is_in(client)
        assert client.session["_auth_user_id"] == str(made.pk)

    def test_an_address_that_nobody_has_verified(self, provider, client):
        provider.person["email_verified"] = False
        by_provider(provider, client)
        assert Account.objects.get().email is None

    def test_another_issuer_with_the_same_subject(self, provider, client, ben):
        SocialAccount.objects.create(user=ben, provider="https://other.example.com", uid="u-1")
        by_provider(provider, client)
        assert client.session["_auth_user_id"] != str(ben.pk)

    def test_odd_people(self, provider, client):
        for number, person in enumerate([
            {"name": None, "preferred_username": "ann"}, {"name": "x" * 300}, {"name": "a\x00b"}, {"name": ["a"]},
            {"email": "nonsense"}, {"email": "a\x00@example.com"}, {"email": 5}, {"name": "", "email": ""},
            {"email": "\u200bann@example.com"}, {"email": "x" * 300 + "@example.com"}, {"email_verified": "true"},
        ]):  # fmt: skip
            provider.reset()
            provider.person |= {"sub": f"odd-{number}", **person}
            assert by_provider(provider, client).status_code == 302, person
            account = Account.objects.latest("pk")
            assert 0 < len(account.name) <= 100
            assert account.email in {None, "ann@example.com"}, person
            assert client.get("/account/security/").status_code == 200


class TestConnecting:
    def test_by_whoever_is_signed_in(self, provider, ben):
        client, _response = sign_in(ben)
        response = by_provider(provider, client, "/account/security/identities/-/connect/")
        assert response["Location"] == "/account/security/"
        identity = SocialAccount.objects.get()
        assert (identity.user, identity.provider, identity.uid) == (ben, provider.issuer, "u-1")
        event = AuditEvent.objects.get(action="identity.connect")
        assert (event.actor, event.target) == (ben.account_id, ben.account_id)
        other = Client()
        by_provider(provider, other)
        assert other.session["_auth_user_id"] == str(ben.pk)
        # And away again.
        path = f"/account/security/identities/{identity.pk}/-/disconnect/"
        assert client.get(path).status_code == 200
        assert client.post(path).status_code == 302
        assert not SocialAccount.objects.exists()
        assert AuditEvent.objects.filter(action="identity.disconnect", target=ben.account_id).exists()

    def test_not_one_of_another_account(self, provider, ben):
        by_provider(provider, Client())
        client, _response = sign_in(ben)
        response = by_provider(provider, client, "/account/security/identities/-/connect/")
        assert "This identity belongs to another account. Disconnect it there first, or use another one." in text_of(
            response
        )
        assert SocialAccount.objects.get().user != ben

    def test_not_to_whoever_is_signed_in_by_then(self, provider, ben):
        client, _response = sign_in(ben)
        back = provider.authorize(leave(client, "/account/security/identities/-/connect/"))
        # Somebody else in the same browser, and the session's states kept.
        states = client.session["socialaccount_states"]
        client.force_login(AccountFactory())
        session = client.session
        session["socialaccount_states"] = states
        session.save()
        assert "You signed out in the meantime." in text_of(come_back(client, back))
        assert not SocialAccount.objects.exists()

    def test_only_after_showing_again_who_one_is(self, provider, client, ben):
        client.force_login(ben)
        response = client.post("/account/security/identities/-/connect/")
        assert response["Location"].startswith("/account/security/confirm/")

    def test_nobody_takes_the_last_way_in_away(self, provider, client):
        by_provider(provider, client)
        account, identity = Account.objects.get(), SocialAccount.objects.get()
        response = client.post(f"/account/security/identities/{identity.pk}/-/disconnect/")
        assert response.status_code == 422
        assert refuse_disconnect(with_password=account.signs_in_with_password) in text_of(response)
        assert SocialAccount.objects.exists()

    def test_showing_again_who_one_is(self, provider, client):
        by_provider(provider, client)
        forget(client)
        assert client.get("/account/security/app/")["Location"].startswith("/account/security/confirm/")
        path = "/account/security/identities/-/confirm/"
        # As somebody else it does not count.
        person, provider.person = provider.person, {**provider.person, "sub": "u-2"}
        assert "This identity belongs to someone else. Use the one that is connected to your account." in text_of(
            by_provider(provider, client, path)
        )
        assert client.get("/account/security/app/").status_code == 302
        provider.person = person
        response = by_provider(provider, client, path, next="/account/security/app/")
        assert (provider.asked[-1]["prompt"], provider.asked[-1]["max_age"]) == ("login", "0")
        assert response["Location"] == "/account/security/app/"
        assert client.get("/account/security/app/").status_code == 200

    CONFIRM = "/account/security/identities/-/confirm/"

    def test_not_where_a_password_or_a_second_factor_is_asked_for(self, provider, client, ben):
        """Whoever finds both sessions open, here and at the provider, changes nothing."""
        SocialAccount.objects.create(user=ben, provider=provider.issuer, uid="u-1")
        client.force_login(ben)
        assert client.post(self.CONFIRM)["Location"] == "/account/security/confirm/"
        ben.set_unusable_password()
        ben.save()
        set_up(ben)
        client.force_login(ben)
        assert client.post(self.CONFIRM)["Location"] == "/account/security/confirm/"
        assert client.get("/account/security/app/").status_code == 302

    @pytest.mark.parametrize("at", [None, -3600, "now", True])
    def test_not_by_a_sign_in_there_of_before(self, provider, client, at):
        by_provider(provider, client)
        forget(client)
        when = int(time.time()) + at if type(at) is int else at
        provider.spoil = lambda claims: {**claims, "auth_time": when}
        assert USELESS in text_of(by_provider(provider, client, self.CONFIRM))
        assert client.get("/account/security/app/").status_code == 302

    def test_nor_when_it_is_by_the_time_of_coming_back(self, provider, client):
        by_provider(provider, client)
        forget(client)
        back = provider.authorize(leave(client, self.CONFIRM))
        set_up(Account.objects.get())
        assert "The sign-in requirements of your account have changed." in text_of(come_back(client, back))
        assert client.get("/account/security/app/").status_code == 302


def unsigned(claims):
    return jwt.encode(claims, None, "none", headers={"kid": "rsa"})


def with_the_secret(claims):
    return jwt.encode(claims, SECRET, "HS256", headers={"kid": "rsa"})


class TestForged:
    """Tokens that are not as they have to be."""

    CLAIMS = {
        "another nonce": {"nonce": "x"},
        "no nonce": {"nonce": None},
        "for another program": {"aud": "another"},
        "for several, made for another": {"aud": ["my-images", "other"], "azp": "other"},
        "of another issuer": {"iss": "https://evil.example.com"},
        "past its end": {"exp": int(time.time()) - 600},
        "no end": {"exp": None},
        "from the future": {"iat": int(time.time()) + 3600},
        "of nobody": {"sub": None},
        "of an empty name": {"sub": ""},
        "of a long name": {"sub": "x" * 300},
        "of a number": {"sub": 5},
        "of a list": {"sub": ["u-1"]},
        "of half a character": {"sub": "u-\ud800"},
        "with half a character in the address": {"email": "a\udfff@example.com"},
    }

    @pytest.mark.parametrize("change", CLAIMS.values(), ids=CLAIMS)
    def test_claims(self, provider, client, change):
        provider.spoil = lambda claims: {
            name: value for name, value in {**claims, **change}.items() if value is not None
        }
        refused(client, by_provider(provider, client), USELESS)

    SIGNED = {
        "not at all": unsigned,
        "with the client's secret": with_the_secret,
        "by a stranger": lambda claims: jwt.encode(claims, STRANGER, "ES256", headers={"kid": "ec"}),
        "with a key nobody shows": lambda claims: jwt.encode(claims, STRANGER, "ES256", headers={"kid": "x"}),
        "without a key's name": lambda claims: jwt.encode(claims, RSA, "RS256"),
        "not even a token": lambda claims: "x.y.z",
        "a number": lambda claims: 5,
    }

    @pytest.mark.parametrize("sign", SIGNED.values(), ids=SIGNED)
    def test_signatures(self, provider, client, sign):
        provider.sign = sign
        refused(client, by_provider(provider, client), USELESS)

    def test_what_is_told_of_somebody_else(self, provider, client):
        provider.userinfo = {"sub": "u-2", "name": "Eve"}
        provider.person = {"sub": "u-1"}
        refused(client, by_provider(provider, client), USELESS)


class TestComingBack:
    """With something else than was asked for."""

    def test_cancelled(self, provider, client):
        state = parse_qs(urlsplit(leave(client)).query)["state"][0]
        response = client.get("/sign-in/sso/callback/", {"error": "access_denied", "state": state})
        refused(client, response, "Signing in was cancelled. Start again, or sign in another way.")

    @pytest.mark.parametrize(
        "form", [{"error": "server_error"}, {}, {"code": ""}, {"code": "made-up"}, {"code": "x", "iss": "https://x.y"}]
    )
    def test_something_else(self, provider, client, form):
        state = parse_qs(urlsplit(leave(client)).query)["state"][0]
        refused(client, client.get("/sign-in/sso/callback/", {"state": state, **form}), USELESS)

    @pytest.mark.parametrize("state", ["", "made-up", "\x00", None])
    def test_another_state(self, provider, client, state):
        back = provider.authorize(leave(client))
        code = parse_qs(urlsplit(back).query)["code"][0]
        form = {"code": code} if state is None else {"code": code, "state": state}
        refused(client, client.get("/sign-in/sso/callback/", form), "started in another browser or has expired.")

    def test_in_another_browser(self, provider, client):
        back = provider.authorize(leave(client))
        refused(Client(), come_back(Client(), back), "started in another browser or has expired.")

    def test_twice(self, provider, client):
        back = provider.authorize(leave(client))
        come_back(client, back)
        client.logout()
        assert "started in another browser" in text_of(come_back(client, back))
        assert not is_in(client)

    def test_with_the_code_of_another_sign_in(self, provider, client):
        """PKCE: whoever has caught a code cannot use it in a sign-in of their own."""
        caught = parse_qs(urlsplit(provider.authorize(leave(Client()))).query)["code"][0]
        state = parse_qs(urlsplit(leave(client)).query)["state"][0]
        response = client.get("/sign-in/sso/callback/", {"state": state, "code": caught})
        refused(client, response, USELESS)
