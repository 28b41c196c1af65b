"""A service account never signs in to the console, and has no password at the registry."""

import io

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory

from console.accounts.backends import AccountBackend, VouchedBackend
from console.accounts.models import Account
from console.accounts.password_reset_email import reset_tokens
from console.accounts.services import change_registry_password
from console.login import sign_in, sign_in_links, single_sign_on
from console.ownership.services import transfer_namespace
from console.token_server import passwords
from tests.support.factories import AccountFactory, hashed
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

PASSWORD = "a good password 1"


@pytest.fixture
def account(robot):
    """The service account, as if somebody had given it a console password."""
    Account.objects.filter(pk=robot.pk).update(password=hashed(PASSWORD))
    return Account.objects.get(pk=robot.pk)


class TestConsole:
    def test_with_a_password(self, account):
        browser = Client()
        answer = browser.post("/sign-in/", {"username": account.account_id, "password": PASSWORD})
        assert answer.status_code != 302
        assert "_auth_user_id" not in browser.session
        assert AccountBackend().authenticate(None, account.account_id, PASSWORD) is None

    def test_with_a_session(self, account):
        """However it came about."""
        for backend in (AccountBackend, VouchedBackend):
            browser = Client()
            browser.force_login(account, f"console.accounts.backends.{backend.__name__}")
            assert browser.get("/images/")["Location"].startswith("/sign-in/")

    def test_with_a_sign_in_link(self, account):
        token = sign_in_links.make(account).rstrip("/").rpartition("/")[2]
        assert sign_in_links.read(token) is None
        with pytest.raises(CommandError, match="service account"):
            call_command("signinlink", account.account_id, stdout=io.StringIO())

    def test_by_the_last_step_of_any_sign_in(self, account, client):
        request = RequestFactory().get("/")
        request.session = client.session
        with pytest.raises(PermissionDenied):
            sign_in.finish(request, account, [sign_in.SINGLE_SIGN_ON])

    def test_with_single_sign_on(self, account):
        identity = single_sign_on.Identity("https://id.example.com", "1", "CI", None)
        SocialAccount.objects.create(user=account, provider=identity.issuer, uid=identity.subject)
        with pytest.raises(single_sign_on.Problem, match="service account"):
            single_sign_on.account_for(identity)

    def test_with_a_password_reset(self, account, mailoutbox):
        assert not reset_tokens.check_token(account, reset_tokens.make_token(account))
        Client().post("/account/reset/", {"email": "payments+ci"})
        assert not mailoutbox

    def test_with_a_passkey(self, account, monkeypatch):
        from console.login import factors

        factor = Authenticator.objects.create(user=account, type="webauthn", data={})
        monkeypatch.setattr(factors.webauthn, "extract_user_from_response", lambda _credential: account)
        monkeypatch.setattr(factors.webauthn, "complete_authentication", lambda *_said: factor)
        monkeypatch.setattr(factors, "_read", lambda answer: answer)
        monkeypatch.setattr(factors, "_check_origin", lambda *_said: None)

        class Response:
            class response:  # noqa: N801
                client_data = None

                class authenticator_data:  # noqa: N801
                    is_user_verified = staticmethod(lambda: True)

        monkeypatch.setattr(factors.AuthenticationResponse, "from_dict", lambda _credential: Response)
        request = RequestFactory().get("/")
        request.session = {}
        assert factors.check_passkey(request, None, "{}") is None
        Account.objects.filter(pk=account.pk).update(is_service=False)
        account.refresh_from_db()
        assert factors.check_passkey(request, None, "{}") == factor


class TestAdministration:
    @pytest.fixture
    def boss(self, client, ann):
        boss = AccountFactory(is_staff=True, is_superuser=True)
        client.force_login(boss)
        return boss

    def test_it_gets_no_password_and_no_permission(self, client, boss, robot):
        page = f"/admin/accounts/account/{robot.pk}/change/"
        assert client.get(page).status_code == 200
        form = {"name": "changed", "email": "ci@example.com", "is_staff": "on", "is_superuser": "on", "is_active": "on"}
        assert client.post(page, form).status_code in {200, 302}
        answer = client.post(
            f"/admin/accounts/account/{robot.pk}/password/",
            {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD},
        )
        assert answer.status_code == 403
        account = Account.objects.get(pk=robot.pk)
        assert (account.name, account.email, account.is_staff) == ("payments+ci", None, False)
        assert not account.has_usable_password()

    def test_deactivate_and_reactivate(self, client, boss, robot):
        for action, active in (("deactivate", False), ("reactivate", True)):
            form = {"action": action, "_selected_action": [robot.pk], "post": "yes"}
            client.post("/admin/accounts/account/", form)
            assert Account.objects.get(pk=robot.pk).is_active == active

    def test_a_deleted_one_stays_deactivated(self, client, boss, ann, robot):
        from console.service_accounts import services

        services.delete(ann, robot)
        account = Account.objects.get(name="payments+ci")
        form = {"action": "reactivate", "_selected_action": [account.pk], "post": "yes"}
        client.post("/admin/accounts/account/", form)
        client.post(f"/admin/accounts/account/{account.pk}/change/", {"name": "payments+ci", "is_active": "on"})
        account.refresh_from_db()
        assert not account.is_active

    def test_no_registry_password(self, client, boss, robot):
        form = {"action": "reset_registry_password", "_selected_action": [robot.pk], "post": "yes"}
        client.post("/admin/accounts/account/", form)
        with pytest.raises(ValidationError, match="has no password"):
            change_registry_password(robot.account, PASSWORD)
        assert Account.objects.get(pk=robot.pk).credential.password == ""

    def test_lists(self, client, boss, ann, robot):
        accounts = "/admin/accounts/account/"
        assert "payments+ci" in text_of(client.get(f"{accounts}?kind=service"))
        assert ann.account_id not in text_of(client.get(f"{accounts}?kind=service"))
        assert "payments+ci" not in text_of(client.get(f"{accounts}?kind=person"))
        assert ann.account_id in text_of(client.get(f"{accounts}?kind=person"))
        text = text_of(client.get("/admin/membership/serviceaccount/"))
        for said in ("payments+ci", "payments", "Ann", "The release pipeline"):
            assert said in text

    def test_no_choice_where_a_person_is_chosen(self, client, boss, payments, robot):
        query = "app_label=namespaces&model_name=namespace&field_name=owner&term="
        found = client.get(f"/admin/autocomplete/?{query}").json()["results"]
        assert found
        assert not [one for one in found if "payments+ci" in one["text"]]
        with pytest.raises(ValidationError, match="cannot own a namespace"):
            transfer_namespace(payments, robot.account)


class TestDockerLogin:
    @pytest.fixture
    def hashed_passwords(self, monkeypatch):
        """The passwords that were hashed to take the time of a comparison."""
        seen = []
        make = passwords.make_password
        monkeypatch.setattr(passwords, "make_password", lambda raw, **rest: seen.append(raw) or make(raw, **rest))
        return seen

    @pytest.mark.parametrize("password", ["", "x", "!", "argon2", PASSWORD])
    def test_no_password_is_right(self, robot, ask, hashed_passwords, password):
        assert ask.get(user="payments+ci", password=password).status_code == 401
        assert ask.post(grant_type="password", username="payments+ci", password=password).status_code == 400
        # The same work as for an unknown name: one hash each.
        assert hashed_passwords == [password, password]

    def test_a_token_of_somebody_else_is_not_its_own(self, ann, robot, ask):
        from console.access_tokens import services as access_tokens

        secret = access_tokens.create(ann, "mine", can_push=False)[1]
        assert ask.get(user="payments+ci", password=secret).status_code == 401
