"""The page *Sign-in and security*, and what an administrator may do to it."""

import re
from urllib.parse import urlencode

import pytest
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.test import Client

from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.login import factors
from tests.login.passkey import Passkey
from tests.support.factories import PASSWORD, AccountFactory
from tests.support.responses import HTMX, text_of
from tests.support.second_factor import Phone, codes_of, forget, set_up, sign_in

pytestmark = pytest.mark.django_db
PAGE = "/account/security/"
CONFIRM = "/account/security/confirm/"


@pytest.fixture
def browser(ben):
    """Ben's, who has just signed in."""
    return sign_in(ben)[0]


class TestApp:
    def test_setting_up(self, ben, browser):
        assert "None yet" in text_of(browser.get(PAGE))
        page = text_of(browser.get(f"{PAGE}app/"))
        secret = re.search(r'<code tabindex="0">([A-Z2-7 ]+)</code>', page)[1]
        picture = browser.get(f"{PAGE}app/picture.svg")
        assert picture["Content-Type"] == "image/svg+xml"
        assert b"<svg" in picture.content
        assert b"style" not in picture.content
        assert "no-store" in picture["Cache-Control"]
        page = text_of(browser.post(f"{PAGE}app/", {"code": "000000"}))
        assert "is not the app’s current code" in page
        # The same secret as before: it was scanned already.
        assert secret in page
        # Not even the session has it in the clear.
        assert secret.replace(" ", "") not in str(dict(browser.session))
        response = browser.post(f"{PAGE}app/", {"code": Phone(secret).code()})
        assert response["Location"] == f"{PAGE}codes/"
        page = text_of(browser.get(f"{PAGE}codes/"))
        codes = codes_of(ben)
        assert len(codes) == 10
        assert all(code in page for code in codes)
        file = browser.get(f"{PAGE}codes/file/")
        assert "attachment" in file["Content-Disposition"]
        assert all(code in file.content.decode() for code in codes)
        assert "10 codes left." in text_of(browser.get(PAGE))
        events = AuditEvent.objects.filter(action__startswith="second_factor.").order_by("pk")
        assert [(event.actor, event.action) for event in events] == [
            (ben.account_id, "second_factor.add"),
            (ben.account_id, "second_factor.codes"),
        ]
        trail = " ".join(str(event.detail) for event in AuditEvent.objects.all())
        assert secret.replace(" ", "") not in trail
        assert not [code for code in codes if code in trail]

    def test_nobody_has_seen_the_secret_before(self, browser):
        def shown():
            return re.search(r'<code tabindex="0">([A-Z2-7 ]+)</code>', text_of(browser.get(f"{PAGE}app/")))[1]

        assert shown() != shown()

    def test_others_stay_signed_in(self, ben, browser):
        other = sign_in(ben)[0]
        set_up(ben)
        assert other.get("/account/").status_code == browser.get("/account/").status_code == 200

    def test_removing(self, ben, phone, app_of):
        browser = sign_in(ben)[0]
        browser.post("/sign-in/second-factor/", {"code": phone.code()})
        path = f"{PAGE}factors/{app_of.pk}/-/remove/"
        assert "This is your last second factor" in text_of(browser.get(path, headers=HTMX))
        assert browser.post(path).status_code == 302
        assert not Authenticator.objects.filter(user=ben).exists()
        event = AuditEvent.objects.get(action="second_factor.remove")
        assert (event.actor, event.detail["kind"]) == (ben.account_id, "totp")
        assert sign_in(ben)[0].get("/account/").status_code == 200

    def test_new_recovery_codes(self, ben, phone):
        browser = sign_in(ben)[0]
        browser.post("/sign-in/second-factor/", {"code": phone.code()})
        former = codes_of(ben)
        browser.post(f"{PAGE}codes/")
        assert not set(former) & set(codes_of(ben))

    def test_no_codes_without_a_factor(self, ben, browser):
        assert browser.post(f"{PAGE}codes/")["Location"] == PAGE
        assert not Authenticator.objects.exists()


class TestSomebodyElses:
    def test_nobody_touches_them(self, ben, phone, app_of, client):
        client, _response = sign_in(AccountFactory())
        identity = SocialAccount.objects.create(user=ben, provider="https://x.example.com", uid="1")
        mine = f"factors/{app_of.pk}/-/remove/", f"passkeys/{app_of.pk}/-/rename/"
        for path in (*mine, f"identities/{identity.pk}/-/disconnect/"):
            assert client.get(PAGE + path).status_code == client.post(PAGE + path, {"name": "x"}).status_code == 404
        assert Authenticator.objects.filter(pk=app_of.pk).exists()
        assert SocialAccount.objects.exists()


class TestConfirming:
    READ = ["app/picture.svg", "codes/file/"]
    CHANGED = ["app/", "codes/", "passkeys/-/add/", "passkeys/{}/-/rename/", "factors/{}/-/remove/"]

    def test_nothing_is_changed_without(self, ben, phone, app_of, client):
        client.force_login(ben)
        for path in [path.format(app_of.pk) for path in (*self.READ, *self.CHANGED)]:
            assert client.get(PAGE + path)["Location"].startswith(CONFIRM)
        for path in [path.format(app_of.pk) for path in self.CHANGED]:
            assert client.post(PAGE + path, {"code": phone.code()})["Location"].startswith(CONFIRM)
        assert client.post(PAGE + "factors/1/-/remove/", headers=HTMX)["HX-Redirect"].startswith(CONFIRM)
        assert Authenticator.objects.filter(user=ben).count() == 2

    def test_with_the_password(self, ben, browser):
        forget(browser)
        assert browser.get(f"{PAGE}app/")["Location"] == f"{CONFIRM}?next=%2Faccount%2Fsecurity%2Fapp%2F"
        assert "Wrong password." in text_of(browser.post(CONFIRM, {"password": "wrong"}))
        assert browser.get(f"{PAGE}app/").status_code == 302
        response = browser.post(f"{CONFIRM}?next={PAGE}app/", {"password": PASSWORD})
        assert response["Location"] == f"{PAGE}app/"
        assert browser.get(f"{PAGE}app/").status_code == 200

    def test_with_a_code_and_not_the_password_where_there_is_a_factor(self, ben, browser, phone):
        forget(browser)
        assert browser.post(CONFIRM, {"password": PASSWORD}).status_code == 200
        assert browser.get(f"{PAGE}codes/").status_code == 302
        assert browser.post(CONFIRM, {"code": phone.code()})["Location"] == PAGE
        assert browser.get(f"{PAGE}codes/").status_code == 200

    def test_for_some_minutes(self, browser, settings):
        settings.CONFIRMED_SECONDS = 0
        assert browser.get(f"{PAGE}app/").status_code == 302

    def test_guesses_are_counted(self, ben, browser):
        forget(browser)
        for _ in range(10):
            browser.post(CONFIRM, {"password": "wrong"})
        response = browser.post(CONFIRM, {"password": PASSWORD})
        assert response.status_code == 429
        assert response["Retry-After"]

    def test_no_way_elsewhere(self, browser):
        response = browser.post(f"{CONFIRM}?next=//evil.example.com/", {"password": PASSWORD})
        assert response["Location"] == PAGE

    @pytest.mark.parametrize(
        "place", ["security", "x", "?next=x", "http://[", "/" + "é" * 400, "/" + "x" * 2048, CONFIRM]
    )
    def test_no_way_to_what_is_no_address(self, browser, place):
        response = browser.post(f"{CONFIRM}?{urlencode({'next': place})}", {"password": PASSWORD})
        assert response["Location"] == PAGE

    def test_with_blanks_around(self, browser):
        response = browser.post(f"{CONFIRM}?next=%20{PAGE}codes/%20", {"password": PASSWORD})
        assert response["Location"] == f"{PAGE}codes/"


class TestNoLoop:
    """Somebody signed in is led on from the doors, wherever they lead."""

    @pytest.mark.parametrize(
        "place", ["/sign-in/", " /sign-in/", "/sign-in/?next=/sign-in/", "#", "?", "x", "security"]
    )
    def test_at_the_door(self, browser, place):
        response = browser.get(f"/sign-in/?{urlencode({'next': place})}")
        assert (response.status_code, response["Location"]) == (302, "/")

    @pytest.mark.parametrize("place", ["/admin/login/", "/admin/login/?next=/admin/login/", "#", "x"])
    def test_at_the_administrations(self, client, place):
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        assert client.get(f"/admin/login/?{urlencode({'next': place})}")["Location"] == "/admin/"


class TestAdministration:
    def test_its_door_is_everybodys(self, ben, phone):
        Account.objects.filter(pk=ben.pk).update(is_staff=True, is_superuser=True)
        client = Client()
        assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/sign-in/?next=/admin/"
        form = {"username": ben.account_id, "password": PASSWORD, "next": "/admin/"}
        assert client.post("/admin/login/", form).status_code == 405
        assert client.get("/admin/").status_code == 302
        assert sign_in(ben, client=client, next="/admin/")[1]["Location"] == "/sign-in/second-factor/"
        assert client.get("/admin/").status_code == 302
        response = client.post("/sign-in/second-factor/", {"code": phone.code()})
        assert response["Location"] == "/admin/"
        assert client.get("/admin/").status_code == 200

    def test_for_others_it_is_shut(self, browser):
        assert browser.get("/admin/", follow=True).status_code == 403

    def test_a_second_factor_may_be_required(self, ben, settings):
        settings.REQUIRE_SECOND_FACTOR = True
        Account.objects.filter(pk=ben.pk).update(is_staff=True, is_superuser=True)
        browser = sign_in(ben)[0]
        page = browser.get("/admin/", follow=True)
        assert page.redirect_chain[-1][0] == PAGE
        assert "The administration requires a second factor." in text_of(page)
        # Setting one up is enough: it has been shown just now.
        page = text_of(browser.get(f"{PAGE}app/"))
        secret = re.search(r'<code tabindex="0">([A-Z2-7 ]+)</code>', page)[1]
        browser.post(f"{PAGE}app/", {"code": Phone(secret).code()})
        assert browser.get("/admin/").status_code == 200

    def test_removing_what_somebody_has_lost(self, ben, phone, app_of, client):
        boss = AccountFactory(is_staff=True, is_superuser=True)
        client.force_login(boss)
        page = text_of(client.get("/admin/mfa/authenticator/"))
        assert ben.name in page
        assert client.get(f"/admin/mfa/authenticator/{app_of.pk}/change/").status_code == 200
        form = {"action": "delete_selected", "_selected_action": app_of.pk, "post": "yes"}
        client.post("/admin/mfa/authenticator/", form)
        assert not Authenticator.objects.filter(user=ben).exists()
        event = AuditEvent.objects.get(action="second_factor.remove")
        assert (event.actor, event.target, event.detail["by"]) == (boss.account_id, ben.account_id, "admin")
        identity = SocialAccount.objects.create(user=ben, provider="https://x.example.com", uid="1")
        assert ben.name in text_of(client.get("/admin/socialaccount/socialaccount/"))
        client.post(f"/admin/socialaccount/socialaccount/{identity.pk}/delete/", {"post": "yes"})
        assert not SocialAccount.objects.exists()
        assert AuditEvent.objects.filter(action="identity.disconnect", actor=boss.account_id).exists()

    def test_ones_own_only_as_everybody_does(self, ben, phone, app_of, client):
        """Whoever finds an administrator's session open does not change how that one signs in."""
        Account.objects.filter(pk=ben.pk).update(is_staff=True, is_superuser=True)
        client.force_login(ben)
        identity = SocialAccount.objects.create(user=ben, provider="https://x.example.com", uid="1")
        for path, pk in (("mfa/authenticator", app_of.pk), ("socialaccount/socialaccount", identity.pk)):
            assert client.post(f"/admin/{path}/{pk}/delete/", {"post": "yes"})["Location"] == PAGE
            form = {"action": "delete_selected", "_selected_action": pk, "post": "yes"}
            assert client.post(f"/admin/{path}/", form).status_code == 403
        assert factors.is_enrolled(ben)
        assert SocialAccount.objects.exists()
        new = "another good password 3"
        form = {"password1": new, "password2": new, "usable_password": "true"}
        for pk in (ben.pk, f"0{ben.pk}"):
            path = f"/admin/accounts/account/{pk}/password/"
            assert client.post(path, form)["Location"] == "/admin/password_change/"
        ben.refresh_from_db()
        assert ben.check_password(PASSWORD)

    def test_it_shows_no_secret(self, ben, phone, app_of, client):
        client.force_login(AccountFactory(is_staff=True, is_superuser=True))
        page = text_of(client.get(f"/admin/mfa/authenticator/{app_of.pk}/change/"))
        assert app_of.data["secret"] not in page
        assert not [model for model in (SocialApp, SocialToken) if admin.site.is_registered(model)]

    def test_a_superusers_are_not_everybodys(self, ben, phone, app_of, client):
        from django.contrib.auth.models import Permission

        Account.objects.filter(pk=ben.pk).update(is_superuser=True, is_staff=True)
        helper = AccountFactory(is_staff=True)
        helper.user_permissions.set(Permission.objects.filter(content_type__app_label="mfa"))
        client.force_login(helper)
        client.post(f"/admin/mfa/authenticator/{app_of.pk}/delete/", {"post": "yes"})
        form = {"action": "delete_selected", "_selected_action": app_of.pk, "post": "yes"}
        client.post("/admin/mfa/authenticator/", form)
        assert Authenticator.objects.filter(pk=app_of.pk).exists()
        Account.objects.filter(pk=ben.pk).update(is_superuser=False)
        client.post("/admin/mfa/authenticator/", form)
        assert not Authenticator.objects.filter(pk=app_of.pk).exists()


class TestPasskeysWithoutABrowser:
    """What no browser would send. The rest is in a real one."""

    GARBAGE = [
        "",
        "[" * 5000,
        "[" * 65_537,
        "{}",
        "[]",
        "null",
        "5",
        '"x"',
        "{",
        '{"id": "x"}',
        '{"response": 5}',
        '{"a": "\\u0000"}',
    ]
    SHAPED = (
        '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "e30", '
        '"attestationObject": "oA", "authenticatorData": "AA", "signature": "AA", "userHandle": "%s"}}'
    )

    def test_garbage(self, ben):
        local = {"SERVER_NAME": "localhost"}
        browser = sign_in(ben, client=Client(**local))[0]
        phone = set_up(ben)
        # Of nobody, of one who has none, and of a number that is none of the database's.
        shaped = [self.SHAPED % handle for handle in ("", "MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ")]
        for answer in [*self.GARBAGE, *shaped]:
            form = {"credential": answer, "name": "x"}
            assert browser.post(f"{PAGE}passkeys/-/add/", form).status_code == 200, answer
            stranger = Client(**local)
            assert stranger.post("/sign-in/passkey/", {}).json()["publicKey"]["rpId"] == "localhost"
            if answer:
                assert stranger.post("/sign-in/passkey/", form)["Location"] == "/sign-in/", answer
            assert stranger.get("/account/").status_code == 302
            pending = sign_in(ben)[0]
            assert pending.post("/sign-in/second-factor/", form).status_code == 200
            assert pending.get("/account/").status_code == 302
        forget(browser)
        for answer in [*self.GARBAGE, *shaped]:
            assert browser.post(CONFIRM, {"credential": answer}).status_code == 200
        assert browser.get(f"{PAGE}codes/").status_code == 302
        assert not factors.has_passkey(ben)
        assert browser.post(CONFIRM, {"code": phone.code()}).status_code == 302

    @pytest.fixture
    def local(self, ben):
        """A browser of Ben's at an address that passkeys belong to."""
        return sign_in(ben, client=Client(SERVER_NAME="localhost"))[0]

    def add(self, browser, passkey, *said):
        browser.get(f"{PAGE}passkeys/-/add/")
        challenge = browser.session["mfa.webauthn.state"]["challenge"]
        form = {"name": "x", "credential": passkey.make(challenge, *said)}
        return browser.post(f"{PAGE}passkeys/-/add/", form).status_code == 302

    def sign_in(self, passkey, account, *said, **more):
        stranger = Client(SERVER_NAME="localhost")
        challenge = stranger.post("/sign-in/passkey/", {}).json()["publicKey"]["challenge"]
        owner = user_pk_to_url_str(account).encode()
        stranger.post("/sign-in/passkey/", {"credential": passkey.sign(challenge, *said, owner=owner, **more)})
        return stranger.get("/account/").status_code == 200

    ELSEWHERE = (
        ("https://evil.localhost:8443",), ("https://localhost.evil.com",), ("http://example.com",), ("https://[",),
        ("https://localhost", True),
    )  # fmt: skip

    def test_only_for_our_own_pages(self, local, ben):
        passkey = Passkey()
        for said in self.ELSEWHERE:
            assert not self.add(local, passkey, *said), said
        assert self.add(local, passkey, "https://localhost:8443")
        for said in self.ELSEWHERE:
            assert not self.sign_in(passkey, ben, *said), said
        assert self.sign_in(passkey, ben, "https://localhost:8443")

    def test_whoever_is_there_has_to_be_verified(self, local, ben):
        """By a PIN or a finger: it stands for the password as well."""
        passkey = Passkey()
        assert self.add(local, passkey, "https://localhost")
        assert not self.sign_in(passkey, ben, "https://localhost", flags=0x01)
        assert self.sign_in(passkey, ben, "https://localhost")

    def test_an_answer_is_good_once(self, local, ben):
        passkey, stranger = Passkey(), Client(SERVER_NAME="localhost")
        assert self.add(local, passkey, "https://localhost")
        challenge = stranger.post("/sign-in/passkey/", {}).json()["publicKey"]["challenge"]
        owner = user_pk_to_url_str(ben).encode()
        answer = {"credential": passkey.sign(challenge, "https://localhost", owner=owner)}
        for good in (200, 302):
            stranger.post("/sign-in/passkey/", answer)
            assert stranger.get("/account/").status_code == good
            stranger.post("/sign-out/")

    def test_no_more_than_some(self, local, ben, settings):
        settings.MOST_PASSKEYS = 1
        assert self.add(local, Passkey(), "https://localhost")
        assert not self.add(local, Passkey(), "https://localhost")
        assert Authenticator.objects.filter(user=ben, type=factors.PASSKEY).count() == 1

    def test_one_that_nothing_here_can_check_is_not_added(self, local, ben):
        passkey = Passkey()
        passkey.cose = {**passkey.cose, 3: -999}
        assert not self.add(local, passkey, "https://localhost")
        assert not factors.has_passkey(ben)

    def test_an_address_without_a_name_has_none(self, browser):
        page = text_of(browser.get(PAGE, headers={"Host": "127.0.0.1"}))
        assert "Set up an authenticator app" in page and "CONSOLE_URL" not in page
        Account.objects.update(is_staff=True)
        page = text_of(browser.get(PAGE, headers={"Host": "127.0.0.1"}))
        assert "Passkeys need an https address with a host name. Set it as CONSOLE_URL." in page
        assert browser.get(f"{PAGE}passkeys/-/add/", headers={"Host": "127.0.0.1"}).status_code == 404
        assert "passkey" not in text_of(Client().get("/sign-in/", headers={"Host": "127.0.0.1"}))
        assert "Sign in with a passkey" in text_of(Client().get("/sign-in/", headers={"Host": "localhost"}))
