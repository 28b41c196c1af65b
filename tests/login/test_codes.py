"""Codes of an app and recovery codes, after the password."""

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.conf import settings as console_settings
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test import Client

from console.accounts.services import set_active
from console.accounts.sessions import SessionStore
from console.audit.models import AuditEvent
from console.backup.database import WITHOUT_ROWS
from console.login import factors
from console.login import sign_in as sign_in_steps
from console.login.adapters import SecondFactors
from console.throttling.limits import guess_limits
from tests.support.factories import PASSWORD, AccountFactory
from tests.support.mailbox import deliver
from tests.support.responses import text_of
from tests.support.second_factor import Phone, codes_of, is_in, set_up, sign_in

pytestmark = pytest.mark.django_db
PAGE = "/sign-in/second-factor/"


def actions():
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


class TestSignIn:
    def test_the_password_alone_does_not_let_in(self, ben, phone):
        client, response = sign_in(ben)
        assert response["Location"] == PAGE
        assert not is_in(client)
        assert client.get("/admin/").status_code == 302
        assert "account.sign_in" not in actions()

    def test_with_a_code(self, ben, phone):
        client, _response = sign_in(ben, next="/namespaces/")
        before = client.session.session_key
        response = client.post(PAGE, {"code": phone.code()})
        assert response["Location"] == "/namespaces/"
        assert is_in(client)
        assert client.session.session_key != before
        event = AuditEvent.objects.get(action="account.sign_in")
        assert (event.actor, event.target, event.address) == (ben.account_id, ben.account_id, "192.0.2.1")
        assert event.detail == {"by": ["password", "code"]}

    def test_the_session_has_another_key_after_the_password_already(self, ben, phone):
        client = Client()
        session = client.session
        session["planted"] = "x"
        session.save()
        client.cookies[console_settings.SESSION_COOKIE_NAME] = known = session.session_key
        sign_in(ben, client=client)
        assert client.session.session_key != known
        stranger = Client()
        stranger.cookies[console_settings.SESSION_COOKIE_NAME] = known
        assert stranger.get(PAGE)["Location"] == "/sign-in/"

    def test_without_a_factor_as_ever(self, ben):
        client, response = sign_in(ben)
        assert response.status_code == 302
        assert is_in(client)
        assert AuditEvent.objects.get(action="account.sign_in").detail == {"by": ["password"]}

    def test_wrong_codes(self, ben, phone):
        client, _response = sign_in(ben)
        for code in ("", "000000", "abc", "٠٠٠٠٠٠", "\x00", "1" * 5000, "-", "null"):
            assert client.post(PAGE, {"code": code}).status_code == 200
            assert not is_in(client)

    def test_a_wrong_one_is_recorded_without_it(self, ben, phone):
        client, _response = sign_in(ben)
        response = client.post(PAGE, {"code": phone.code(20)})
        assert "This code is wrong or was already used." in text_of(response)
        event = AuditEvent.objects.get(action="second_factor.wrong")
        assert (event.actor, event.target, event.detail) == ("system", ben.account_id, {})

    def test_the_neighbouring_ones_for_clocks_that_differ(self, ben, phone):
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": phone.code(1)}).status_code == 302
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": phone.code(3)}).status_code == 200

    def test_none_is_good_twice(self, ben, phone):
        client, _response = sign_in(ben)
        code = phone.code()
        assert client.post(PAGE, {"code": code}).status_code == 302
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": code}).status_code == 200
        assert not is_in(client)

    def test_nor_one_of_before_the_last(self, ben, phone):
        client, _response = sign_in(ben)
        later, earlier = phone.code(1), phone.code(0)
        assert client.post(PAGE, {"code": later}).status_code == 302
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": earlier}).status_code == 200

    def test_the_one_it_was_set_up_with_is_used(self, ben):
        kept = factors.new_secret()
        code = Phone(factors.shown_secret(kept)).code()
        factors.add_app(ben, kept, code)
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": code}).status_code == 200

    def test_somebody_elses_code(self, ben, phone):
        other = set_up(AccountFactory())
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": other.code()}).status_code == 200

    def test_without_the_password_there_is_no_page(self, client):
        assert client.get(PAGE)["Location"] == "/sign-in/"
        assert client.post(PAGE, {"code": "1"})["Location"] == "/sign-in/"

    def test_it_is_over_after_a_while(self, ben, phone, settings):
        client, _response = sign_in(ben)
        settings.SECOND_FACTOR_SECONDS = -1
        assert client.post(PAGE, {"code": phone.code()})["Location"] == "/sign-in/"
        assert not is_in(client)

    @pytest.mark.parametrize("change", ["deactivated", "ended", "password"])
    def test_what_ends_sessions_ends_this_too(self, ben, phone, change):
        client, _response = sign_in(ben)
        if change == "password":
            ben.set_password("another good password 3")
            ben.save()
        else:
            set_active(ben, False)
        if change == "ended":
            set_active(ben, True)
        assert client.post(PAGE, {"code": phone.code()})["Location"] == "/sign-in/"
        assert not is_in(client)

    def test_whatever_a_door_has_overlooked_nobody_deactivated_is_signed_in(self, ben, rf):
        set_active(ben, False)
        request = rf.get("/")
        request.session = SessionStore()
        with pytest.raises(PermissionDenied):
            sign_in_steps.begin(request, ben, sign_in_steps.PASSKEY)
        assert not dict(request.session)

    def test_a_new_password_by_letter_skips_nothing(self, ben, phone):
        client = Client()
        client.post("/account/reset/", {"email": ben.email})
        deliver()
        link = mail.outbox[0].body.split(console_settings.CONSOLE_URL)[1].split()[0]
        place = client.get(link, follow=True).redirect_chain[-1][0]
        new = "another good password 3"
        client.post(place, {"new_password1": new, "new_password2": new})
        assert not is_in(client)
        client, response = sign_in(ben, new)
        assert response["Location"] == PAGE
        assert not is_in(client)

    def test_no_way_elsewhere(self, ben, phone):
        client, _response = sign_in(ben, next="//evil.example.com/")
        assert client.post(PAGE, {"code": phone.code()})["Location"] == "/"

    def test_docker_login_asks_for_none(self, ben, phone, client):
        import base64

        basic = base64.b64encode(f"{ben.credential.username}:{PASSWORD}".encode()).decode()
        assert client.get("/token/", headers={"Authorization": f"Basic {basic}"}).status_code == 200


class TestRecoveryCodes:
    def test_each_lets_in_once(self, ben, phone):
        codes = codes_of(ben)
        assert len(codes) == 10
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": f" {codes[3][:4]}-{codes[3][4:]} "}).status_code == 302
        assert is_in(client)
        assert codes_of(ben) == codes[:3] + codes[4:]
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": codes[3]}).status_code == 200
        assert not is_in(client)

    def test_new_ones_end_the_former(self, ben, phone):
        former = codes_of(ben)
        factors.new_recovery_codes(ben)
        assert not set(former) & set(codes_of(ben))
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": former[0]}).status_code == 200


class TestLimits:
    def test_ten_wrong_ones_then_one_in_half_an_hour(self, ben, phone):
        client, _response = sign_in(ben)
        for _ in range(10):
            assert client.post(PAGE, {"code": "000000"}).status_code == 200
        response = client.post(PAGE, {"code": "000000"})
        assert response.status_code == 429
        assert 1740 < int(response["Retry-After"]) <= 1800
        assert "Too many wrong codes. Try again in 30 minutes." in text_of(response)
        # Held back means held back, in each browser from there and with the right one.
        client, _response = sign_in(ben)
        assert client.post(PAGE, {"code": phone.code()}).status_code == 429
        # From elsewhere it goes.
        client, _response = sign_in(ben, address="198.51.100.7")
        assert client.post(PAGE, {"code": phone.code()}).status_code == 302
        # Neither does it say anything of the password.
        assert sign_in(ben, "wrong")[1].status_code == 200

    def test_from_many_addresses_few_in_a_year(self):
        limits = guess_limits(known=False, bucket=factors.BUCKET)
        for kind in ("here", "network", "account"):
            assert limits[kind].at_once + 365 * 86400 / limits[kind].seconds < 18_000
        assert limits["account"].at_once + 365 * 86400 / limits["account"].seconds < 9_000
        assert guess_limits(known=True, bucket=factors.BUCKET)["here"].seconds == 1800

    def test_recovery_codes_count_as_well(self, ben, phone):
        client, _response = sign_in(ben)
        for _ in range(10):
            client.post(PAGE, {"code": "12345678"})
        assert client.post(PAGE, {"code": codes_of(ben)[0]}).status_code == 429
        assert len(codes_of(ben)) == 10


class TestStorage:
    def test_nothing_that_makes_codes_is_in_the_database(self, ben, phone):
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
            text = cursor.fetchone()[0]
        assert phone.secret not in text
        assert '"used"' in text
        for code in codes_of(ben):
            assert code not in text

    def test_another_secret_key_opens_nothing(self, ben, phone, app_of, settings):
        code, recovery = phone.code(), codes_of(ben)[0]
        settings.SECRET_KEY = "another"
        client, _response = sign_in(ben)
        for one in (code, recovery, ""):
            assert client.post(PAGE, {"code": one}).status_code == 200
        with pytest.raises(InvalidToken):
            SecondFactors().decrypt(app_of.data["secret"])
        with pytest.raises(InvalidToken):
            SecondFactors().decrypt("")

    def test_a_backup_has_them_and_their_key(self):
        assert not [table for table in WITHOUT_ROWS if table.startswith(("mfa_", "socialaccount_"))]
        key = (console_settings.ENVIRONMENT.data_dir / "keys" / "secret_key").read_text().strip()
        assert key == console_settings.SECRET_KEY

    def test_one_app_for_an_account(self, ben, phone):
        kept = factors.new_secret()
        other = Phone(factors.shown_secret(kept))
        with pytest.raises(factors.ValidationError):
            factors.add_app(ben, kept, other.code())
        assert Authenticator.objects.filter(user=ben, type="totp").count() == 1
