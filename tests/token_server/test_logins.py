"""Logins with Docker: each can be seen, and each can be ended."""

import datetime
import re

import pytest
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.grants import Caller
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, RegistryCredential
from console.accounts.services import change_registry_password, set_active
from console.audit.models import AuditEvent
from console.token_server import logins
from console.token_server.jobs import forget_old
from console.token_server.models import Login
from tests.support.factories import PASSWORD, ActivatedAccountFactory
from tests.support.responses import HTMX, text_of
from tests.support.token_endpoint import Asker, granted

pytestmark = pytest.mark.django_db

LIST, ALL = "/account/logins/", "/account/logins/-/revoke/"


def end_page(login):
    return f"{LIST}{login.pk}/-/revoke/"


def asker(address="192.0.2.1"):
    return Asker(Client(REMOTE_ADDR=address))


def log_in(account, client="docker", address="192.0.2.1"):
    """The refresh token that ``docker login`` gets."""
    ask = asker(address)
    response = ask.get(user=account.credential.username, password=PASSWORD, offline_token="true", client_id=client)
    return response.json()["refresh_token"]


def refresh(token, address="192.0.2.1"):
    return asker(address).post(grant_type="refresh_token", refresh_token=token).status_code


def caller_of(account):
    credential = RegistryCredential.objects.get(account=account)
    name, version = credential.username, credential.version
    return Caller(account.pk, account.account_id, name, "", version, True, True, False)


def _signed(login):
    """A refresh token of a login, as earlier and later versions sign it, too."""
    return signing.dumps({"login": login.pk.hex}, salt="console.tokens.refresh")


class TestEnding:
    def test_one_of_two(self, ann):
        first, second = log_in(ann), log_in(ann)
        assert [refresh(first), refresh(second)] == [200, 200]
        logins.revoke(Login.objects.order_by("created_at").first())
        assert [refresh(first), refresh(second)] == [400, 200]
        response = asker().post(grant_type="refresh_token", refresh_token=first)
        assert response.json()["error"] == "invalid_grant"

    def test_all(self, ann):
        ben = ActivatedAccountFactory()
        tokens = [log_in(ann), log_in(ann, address="198.51.100.1")]
        bens = log_in(ben)
        _token, secret = access_tokens.create(ann, "ci", can_push=False)
        assert logins.revoke_all(ann) == 2
        assert [refresh(token) for token in tokens] == [400, 400]
        assert refresh(bens) == 200
        for password in (PASSWORD, secret):
            assert asker().get(user=ann.account_id, password=password).status_code == 200

    def test_one_that_is_made_while_all_are_ended(self, ann):
        """Another process has read the account before, and writes its row down after."""
        before = caller_of(ann)
        logins.revoke_all(ann)
        late = logins.begin(before, "docker", None)
        assert refresh(_signed(logins.begin(caller_of(ann), "docker", None))) == 200
        assert refresh(_signed(late)) == 400
        assert late not in Login.objects.visible_to(ann)

    @pytest.mark.parametrize("change", [
        lambda ann: change_registry_password(ann, "another password 7"), lambda ann: set_active(ann, False),
    ], ids=["password", "deactivation"])  # fmt: skip
    def test_with_the_password_and_the_account(self, ann, change):
        token = log_in(ann)
        change(ann)
        assert refresh(token) == 400
        set_active(ann, True)
        assert refresh(token) == 400
        assert not Login.objects.visible_to(ann).exists()

    def test_tokens_that_name_no_login(self, ann):
        for content in ({"account": ann.pk, "version": 1}, {"login": "x"}, {"login": 1}, [1], {"login": None}):
            assert refresh(signing.dumps(content, salt="console.tokens.refresh")) == 400

    def test_it_is_written_down(self, ann):
        log_in(ann)
        log_in(ann)
        login = Login.objects.first()
        assert logins.revoke(login)
        assert not logins.revoke(login)
        logins.revoke_all(ann)
        (one, every) = AuditEvent.objects.filter(action__startswith="login.revoke").order_by("pk")
        assert (one.action, one.target) == ("login.revoke", f"{ann.account_id}/docker")
        assert one.detail["created_from"] == "192.0.2.1"
        assert (every.action, every.target, every.detail) == ("login.revoke_all", ann.account_id, {"logins": 1})


class TestWhatIsKept:
    def test_client_and_addresses(self, ann):
        token = log_in(ann, "docker", "192.0.2.1")
        login = Login.objects.get()
        assert (login.client, login.created_from, login.last_used_at) == ("docker", "192.0.2.1", None)
        assert refresh(token, "2001:db8::1") == 200
        login.refresh_from_db()
        assert login.last_used_from == "2001:db8::1"

    def test_a_login_by_post(self, ann):
        form = {"username": ann.account_id, "password": PASSWORD, "access_type": "offline", "client_id": "containerd"}
        assert asker().post(grant_type="password", **form).json()["refresh_token"]
        assert Login.objects.get().client == "containerd"

    def test_nothing_where_none_is_asked_for(self, ann):
        assert asker().get(user=ann.account_id, password=PASSWORD).status_code == 200
        assert asker().post(grant_type="password", username=ann.account_id, password=PASSWORD).status_code == 200
        assert "refresh_token" not in asker().get(offline_token="true").json()
        _token, secret = access_tokens.create(ann, "ci", can_push=False)
        assert "refresh_token" not in asker().get(user=ann.account_id, password=secret, offline_token="true").json()
        assert not Login.objects.exists()

    @pytest.mark.parametrize(("called", "kept"), [
        ("", ""), ("x" * 500, "x" * 100), ("a\x00b\nc\u202ed", "abcd"), ("<b>", "<b>"), ("Ünï", "Ünï"),
    ])  # fmt: skip
    def test_what_clients_call_themselves(self, ann, called, kept):
        log_in(ann, called)
        assert Login.objects.get().client == kept

    def test_the_usual_request_takes_one_query(self, ann):
        token = log_in(ann)
        counts = []
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                assert refresh(token) == 200
            counts.append(len(queries))
        assert counts == [2, 1, 1]

    def test_it_opens_what_the_password_opens(self, ann, team):
        response = asker().post(
            "repository:team/app:pull,push,delete", grant_type="refresh_token", refresh_token=log_in(ann)
        )
        assert granted(response) == {("repository", "team/app"): {"pull", "push", "delete"}}

    def test_of_very_many_the_one_used_longest_ago_ends(self, ann, settings):
        settings.MOST_LOGINS, settings.MOST_LOGINS_OF_A_CLIENT = 4, 2
        old, used = log_in(ann, "laptop", "192.0.2.1"), log_in(ann, "server", "192.0.2.2")
        assert refresh(used) == 200
        # One that asks for a login each time ends its own, and nobody else's.
        for _ in range(5):
            log_in(ann, "robot", "192.0.2.3")
        assert sorted(login.client for login in Login.objects.all()) == ["laptop", "robot", "robot", "server"]
        log_in(ann, "docker", "192.0.2.4")
        assert [refresh(old), refresh(used)] == [400, 200]
        assert Login.objects.count() == 4


class TestOldRows:
    def test_of_logins(self, ann, settings):
        kept, old, before = log_in(ann), log_in(ann), log_in(ActivatedAccountFactory())
        age = datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS + 1)
        rows = list(Login.objects.order_by("created_at"))
        Login.objects.filter(pk=rows[1].pk).update(created_at=timezone.now() - age)
        logins_of_ben = rows[2]
        RegistryCredential.objects.filter(account=logins_of_ben.account).update(version=7)
        forget_old()
        assert list(Login.objects.all()) == [rows[0]]
        assert refresh(kept) == 200
        assert [refresh(old), refresh(before)] == [400, 400]

    def test_of_access_tokens(self, ann, team, settings):
        now = timezone.now()
        old = now - datetime.timedelta(days=settings.OLD_TOKENS_DAYS, seconds=1)
        new = now - datetime.timedelta(days=settings.OLD_TOKENS_DAYS - 1)
        for name, fields in {
            "used": {}, "ends": {"expires_at": now + datetime.timedelta(days=1)}, "just-revoked": {"revoked_at": new},
            "just-over": {"expires_at": new}, "revoked": {"revoked_at": old}, "over": {"expires_at": old},
        }.items():  # fmt: skip
            token, _secret = access_tokens.create(ann, name, can_push=False, namespaces=[team])
            AccessToken.objects.filter(pk=token.pk).update(**fields)
        forget_old()
        assert {token.name for token in AccessToken.objects.all()} == {"used", "ends", "just-revoked", "just-over"}
        (event,) = AuditEvent.objects.filter(action="access_token.forget")
        assert event.detail["number"] == 2
        forget_old()
        assert AuditEvent.objects.filter(action="access_token.forget").count() == 1


class TestPage:
    def test_the_list(self, client, ann):
        token = log_in(ann, "docker", "192.0.2.1")
        refresh(token, "198.51.100.9")
        log_in(ann, "<b>", "192.0.2.2")
        text = text_of(client.get(LIST))
        for said in (ALL, "Docker logins", "docker", "from 192.0.2.1", "from 198.51.100.9", "&lt;b&gt;", "Never"):
            assert said in text
        assert token not in text
        assert "<html" not in text_of(client.get(LIST, headers={**HTMX, "HX-Target": "list"}))

    def test_when_there_are_none(self, client, ann):
        text = text_of(client.get(LIST))
        assert "No Docker logins yet" in text
        assert f'data-copy="docker login --username={ann.credential.username} ' in text
        assert ALL not in text

    def test_sorted(self, client, ann):
        for name in ("bb", "aa", "cc"):
            log_in(ann, name)
        for sort, order in (
            ("client", ["aa", "bb", "cc"]),
            ("-created", ["cc", "aa", "bb"]),
            ("x", ["cc", "aa", "bb"]),
        ):
            found = re.findall(r"<span>(aa|bb|cc)</span>", text_of(client.get(LIST, {"sort": sort})))
            assert found == order, sort

    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_end_one(self, client, ann, headers):
        token, other = log_in(ann), log_in(ann)
        login = Login.objects.order_by("created_at").first()
        question = text_of(client.get(end_page(login), headers=headers))
        assert "Revoke the login of <strong>docker</strong>?" in question
        assert ("<dialog" in question) == bool(headers)
        assert refresh(token) == 200
        client.post(end_page(login), headers=headers)
        assert [refresh(token), refresh(other)] == [400, 200]
        assert "Revoked the login “docker”." in text_of(client.get(LIST))
        assert client.post(end_page(login)).status_code == 404

    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_end_all(self, client, ann, headers):
        tokens = [log_in(ann), log_in(ann)]
        assert "Revoke all Docker logins?" in text_of(client.get(ALL, headers=headers))
        client.post(ALL, headers=headers)
        assert [refresh(token) for token in tokens] == [400, 400]
        assert "Revoked 2 logins." in text_of(client.get(LIST))

    def test_only_ones_own(self, client, ann):
        token = log_in(ActivatedAccountFactory())
        login = Login.objects.get()
        assert "docker</span>" not in text_of(client.get(LIST))
        for response in (client.get(end_page(login)), client.post(end_page(login))):
            assert response.status_code == 404
        client.post(ALL)
        assert refresh(token) == 200

    def test_only_for_those_who_are_signed_in(self, ann):
        log_in(ann)
        for path in (LIST, ALL, end_page(Login.objects.get())):
            assert "/sign-in/" in Client().post(path).headers.get("Location", "/sign-in/")
        assert Login.objects.exists()


class TestAdministration:
    @pytest.fixture
    def staff(self, client):
        account = ActivatedAccountFactory(is_staff=True, is_superuser=True)
        client.force_login(account)
        return account

    def test_end_somebodys(self, client, staff):
        ben = ActivatedAccountFactory()
        token = log_in(ben)
        login = Login.objects.get()
        form = {"action": "revoke", "_selected_action": [str(login.pk)], "post": "yes"}
        response = client.post("/admin/tokens/login/", form, follow=True)
        assert "Revoked 1 login." in text_of(response)
        assert refresh(token) == 400
        event = AuditEvent.objects.get(action="login.revoke")
        assert (event.actor, event.detail["by"]) == (staff.account_id, "admin")

    def test_a_row_can_be_read(self, client, staff):
        log_in(staff)
        assert client.get(f"/admin/tokens/login/{Login.objects.get().pk}/change/").status_code == 200
