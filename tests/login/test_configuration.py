"""What the environment says, and the way in that is left when everything else is shut."""

import datetime
import re
from io import StringIO

import pytest
from django.conf import settings as console_settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from console.accounts.services import set_active
from console.accounts.sessions import SessionStore
from console.audit.models import AuditEvent
from console.installation import environment
from console.installation.environment import EnvironmentProblem
from console.login import sign_in_links
from console.login.jobs import forget_sessions
from tests.support.factories import AccountFactory
from tests.support.responses import text_of
from tests.support.second_factor import is_in, sign_in

WHOLE = {"OIDC_ISSUER": "https://login.example.com/", "OIDC_CLIENT_ID": "c", "OIDC_CLIENT_SECRET": "s"}


class TestEnvironment:
    def test_nothing(self):
        found = environment.load({})
        assert (found.local_accounts, found.oidc_issuer, found.require_second_factor) == (True, "", False)

    def test_all(self, tmp_path):
        file = tmp_path / "secret"
        file.write_text(" hidden \n")
        given = {**WHOLE, "LOCAL_ACCOUNTS": "off", "OIDC_NAME": "Example", "REQUIRE_SECOND_FACTOR": "on"}
        given |= {"OIDC_CLIENT_SECRET": "", "OIDC_CLIENT_SECRET_FILE": str(file)}
        found = environment.load(given)
        assert (found.oidc_issuer, found.oidc_client_secret) == ("https://login.example.com", "hidden")
        assert (found.local_accounts, found.oidc_name, found.require_second_factor) == (False, "Example", True)
        assert "hidden" not in repr(found)

    @pytest.mark.parametrize("value", ["http://127.0.0.1:8080", "http://localhost/realms/x", "https://x.example.com/a"])
    def test_issuers(self, value):
        assert environment.load({**WHOLE, "OIDC_ISSUER": value}).oidc_issuer == value

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"LOCAL_ACCOUNTS": "off"}, "With LOCAL_ACCOUNTS=off nobody could sign in; set OIDC_ISSUER as well."),
            ({"LOCAL_ACCOUNTS": "maybe"}, "LOCAL_ACCOUNTS is 'maybe'; it must be on or off."),
            ({"OIDC_CLIENT_ID": "c"}, "Single sign-on needs OIDC_ISSUER and OIDC_CLIENT_SECRET as well, or none of"),
            ({**WHOLE, "OIDC_CLIENT_SECRET": ""}, "Single sign-on needs OIDC_CLIENT_SECRET as well"),
            (
                {**WHOLE, "OIDC_ISSUER": "http://login.example.com"},
                "OIDC_ISSUER is 'http://login.example.com'; it must",
            ),
            ({**WHOLE, "OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER is 'login.example.com'; it must be"),
            ({**WHOLE, "OIDC_ISSUER": "https://["}, "it must be an address like https://login.example.com."),
            ({**WHOLE, "OIDC_ISSUER": "https://a.b/?x=1"}, "it must be an address like https://login.example.com."),
            ({**WHOLE, "OIDC_ISSUER": "https://a.b/" + "x" * 200}, "it must be an address like"),
            ({**WHOLE, "OIDC_CLIENT_SECRET_FILE": "/x"}, "OIDC_CLIENT_SECRET and OIDC_CLIENT_SECRET_FILE are both set"),
            ({"OIDC_CLIENT_SECRET_FILE": "/none/there"}, "OIDC_CLIENT_SECRET_FILE is '/none/there', which cannot be"),
            ({"OIDC_CLIENT_SECRET_FILE": "/dev/null"}, "OIDC_CLIENT_SECRET_FILE is '/dev/null', which is empty."),
        ],
    )
    def test_refusals(self, given, sentence):
        with pytest.raises(EnvironmentProblem, match=re.escape(sentence)) as problem:
            environment.load(given)
        assert "\n" not in str(problem.value)


@pytest.mark.django_db
class TestStrangersSessions:
    """Each press of a button at sign-in makes one."""

    def test_they_end_soon_and_others_do_not(self, ben, phone, provider):
        for path, form in (("/sign-in/sso/", {}), ("/sign-in/passkey/", {}), ("/sign-in/", None)):
            client = Client()
            if form is None:
                sign_in(ben, client=client)
            else:
                client.post(path, form)
            left = Session.objects.get(pk=client.session.session_key).expire_date - timezone.now()
            assert left <= datetime.timedelta(hours=1), path
        client.post("/sign-in/second-factor/", {"code": phone.code()})
        left = Session.objects.get(pk=client.session.session_key).expire_date - timezone.now()
        assert left > datetime.timedelta(days=13)

    def test_those_that_are_over_go(self, ben):
        client, _response = sign_in(ben)
        over = SessionStore()
        over.set_expiry(-1)
        over.save()
        forget_sessions()
        assert not Session.objects.filter(pk=over.session_key).exists()
        assert is_in(client)


@pytest.mark.django_db
class TestLink:
    @pytest.fixture
    def boss(self):
        return AccountFactory(is_staff=True, is_superuser=True, name="Boss")

    def make(self, account, *options):
        out = StringIO()
        call_command("signinlink", account.account_id, *options, stdout=out)
        return out.getvalue().splitlines()[-1].removeprefix(console_settings.CONSOLE_URL)

    def test_it_signs_in_once(self, boss, settings, provider):
        settings.LOCAL_ACCOUNTS = False
        link = self.make(boss)
        client = Client()
        assert "Sign in as Boss" in text_of(client.get(link))
        assert not is_in(client)
        assert client.post(link).status_code == 302
        assert client.get("/admin/").status_code == 200
        assert AuditEvent.objects.get(action="account.sign_in").detail == {"by": ["link"]}
        assert AuditEvent.objects.filter(action="account.sign_in_link", target=boss.account_id).exists()
        again = Client()
        assert again.get(link).status_code == again.post(link).status_code == 410
        assert not is_in(again)

    @pytest.mark.parametrize("passwords", [True, False])
    def test_not_past_the_second_factor(self, ben, phone, settings, passwords):
        settings.LOCAL_ACCOUNTS = passwords
        client = Client()
        link = self.make(ben)
        assert client.post(link)["Location"] == "/sign-in/second-factor/"
        assert not is_in(client)
        client.post("/sign-in/second-factor/", {"code": phone.code()})
        assert is_in(client)
        assert Client().post(link).status_code == 410

    def test_unless_it_is_removed_on_the_server(self, ben, phone):
        client = Client()
        client.post(self.make(ben, "--remove-second-factors"))
        assert is_in(client)
        event = AuditEvent.objects.get(action="second_factor.remove")
        assert (event.actor, event.detail["by"]) == ("system", "signinlink")

    @pytest.mark.parametrize("change", ["time", "deactivated", "password", "forged"])
    def test_ends(self, boss, settings, change):
        link = self.make(boss)
        if change == "time":
            settings.SIGN_IN_LINK_SECONDS = -1
        elif change == "deactivated":
            set_active(boss, False)
        elif change == "password":
            boss.set_password("another good password 3")
            boss.save()
        else:
            link = link[:-5] + "abcd/"
        client = Client()
        assert client.post(link).status_code == 410
        assert not is_in(client)

    def test_for_nobody(self, boss):
        set_active(boss, False)
        for account_id in ("1", boss.account_id):
            with pytest.raises(CommandError, match=r"^(There is no account|This account is deactivated)"):
                call_command("signinlink", account_id)

    def test_it_tells_nothing(self, boss):
        assert boss.get_session_auth_hash() not in sign_in_links.make(boss)
