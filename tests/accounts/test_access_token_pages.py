"""The page of access tokens, with the Django client: what it shows, what it refuses, what it never says again."""

import datetime
import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken
from console.audit.models import AuditEvent
from console.ownership.services import delete_namespace, transfer_namespace
from console.token_server import last_use
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

LIST, CREATE = "/account/tokens/", "/account/tokens/-/create/"
NO_ACCESS = "Please choose from the namespaces and images that you have access to"
SECRET = re.compile(r"myimg_[0-9A-Za-z]{49}")
FORM = {"name": "ci", "access": "pull", "reach": "all", "expires": "90"}


def revoke_page(token):
    return f"{LIST}{token.pk}/-/revoke/"


@pytest.fixture
def token(ann):
    return access_tokens.create(ann, "ci", can_push=False)[0]


class TestCreate:
    def create(self, client, headers=None, **changes):
        return client.post(CREATE, {**FORM, **changes}, headers=headers)

    def refused(self, client, sentence, **changes):
        response = self.create(client, **changes)
        assert response.status_code == 422
        assert sentence in text_of(response)
        assert not AccessToken.objects.exists()

    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_the_secret_is_in_the_answer_and_nowhere_else(self, client, ann, headers, caplog):
        response = self.create(client, headers)
        assert response.status_code == 200
        secret = SECRET.search(text_of(response))[0]
        token = AccessToken.objects.get()
        assert token.secret_hash == access_tokens.hash_secret(secret)
        assert "no-store" in response["Cache-Control"]
        assert "Location" not in response
        assert not any(secret in f"{name}: {value}" for name, value in response.items())
        said = str([session.get_decoded() for session in Session.objects.all()]) + str(
            [(event.target, event.detail) for event in AuditEvent.objects.all()]
        )
        for answer in (client.get(LIST), client.get(CREATE), client.get(LIST, headers=HTMX)):
            said += text_of(answer) + str(answer.cookies)
        assert secret not in said + caplog.text
        assert f"…{secret[-4:]}" in said

    def test_the_commands(self, client, ann, settings):
        settings.REGISTRY_ADDRESS = "images.example.com"
        text = text_of(self.create(client)).replace("&quot;", '"')
        assert (
            f'>echo "$MY_IMAGES_TOKEN" | docker login --username={ann.account_id} --password-stdin images.example.com<'
            in text
        )
        assert f">docker login --username={ann.account_id} images.example.com<" in text
        assert "You won’t see it again." in text

    def test_a_dialog_for_script_and_a_page_without(self, client, ann):
        for response in (client.get(CREATE, headers=HTMX), self.create(client, HTMX)):
            assert "<dialog" in text_of(response)
            assert "<html" not in text_of(response)
        for response in (client.get(CREATE), self.create(client, name="other")):
            assert "<html" in text_of(response)
        assert "list-changed" in self.create(client, HTMX, name="third")["HX-Trigger-After-Settle"]

    def test_what_is_chosen_is_kept(self, client, ann, team):
        NamespaceFactory(owner=ann, name="other")
        self.create(client, access="push", reach="chosen", namespaces=["team"], expires="never")
        token = AccessToken.objects.get()
        assert token.can_push
        assert not token.all_namespaces
        assert list(token.namespaces.all()) == [team]
        assert token.expires_at is None

    @pytest.mark.parametrize(
        ("access", "rights", "words"),
        [
            ("pull", (False, False), "Pull"),
            ("push", (True, False), "Pull and push"),
            ("delete", (True, True), "Pull, push and delete"),
        ],
    )
    def test_what_it_may_do(self, client, ann, access, rights, words):
        self.create(client, access=access)
        token = AccessToken.objects.get()
        assert (token.can_push, token.can_delete) == rights
        assert f">{words}</td>" in text_of(client.get(LIST))

    def test_what_belongs_to_another_choice_is_not_read(self, client, ann, team):
        for name, nonsense in (("a", "team"), ("b", "nobody's")):
            assert self.create(client, name=name, namespaces=[nonsense], date="nonsense").status_code == 200
        assert [token.all_namespaces for token in AccessToken.objects.all()] == [True, True]

    @pytest.mark.parametrize("days", [30, 60, 90, 365])
    def test_it_expires(self, client, ann, days):
        before = timezone.now()
        self.create(client, expires=str(days))
        end = AccessToken.objects.get().expires_at - datetime.timedelta(days=days)
        assert before <= end <= timezone.now()

    @pytest.mark.parametrize("day", ["today", "2999-12-31", "9999-12-31"])
    def test_on_a_date(self, client, ann, day):
        day = f"{timezone.now():%Y-%m-%d}" if day == "today" else day
        assert self.create(client, expires="date", date=day).status_code == 200
        assert f"{AccessToken.objects.get().expires_at:%Y-%m-%d %H:%M:%S}" == f"{day} 23:59:59"
        assert day in text_of(client.get(LIST))

    @pytest.mark.parametrize(("date", "sentence"), [
        ("", "Please enter a date"), ("nonsense", "Please enter a date like"),
        ("2027-02-30", "Please enter a date like"),
        ("10000-01-01", "Please enter a date like"), ("0001-01-01", "This date is in the past."),
        ("2026-01-01", "This date is in the past."), ("\x00", "Please enter a date like"),
    ])  # fmt: skip
    def test_a_date_that_is_none(self, client, ann, date, sentence):
        self.refused(client, sentence, expires="date", date=date)

    @pytest.mark.parametrize(("changes", "sentence"), [
        ({"name": ""}, "Please enter a name"),
        ({"name": "my ci"}, "beginning with a letter or digit."),
        ({"name": "x" * 41}, "beginning with a letter or digit."),
        ({"name": "a\x00"}, "Null characters are not allowed."),
        ({"name": "<script>"}, "beginning with a letter or digit."),
        ({"access": ""}, "Please choose what the token may do"),
        ({"access": "everything"}, "Please choose what the token may do"),
        ({"reach": ""}, "Please choose where the token may be used"),
        ({"reach": "everything"}, "Please choose where the token may be used"),
        ({"reach": "chosen"}, "Please choose at least one namespace"),
        ({"reach": "chosen", "namespaces": ["theirs"]}, NO_ACCESS),
        ({"reach": "chosen", "namespaces": ["team", "gone"]}, NO_ACCESS),
        ({"reach": "chosen", "namespaces": ["away"]}, NO_ACCESS),
        ({"reach": "chosen", "namespaces": ["a\x00b"]}, "Null characters are not allowed."),
        ({"expires": ""}, "Please choose how long the token works"),
        ({"expires": "99999999999"}, "Please choose how long the token works"),
    ])  # fmt: skip
    def test_refused(self, client, ann, team, changes, sentence):
        NamespaceFactory(name="theirs")
        transfer_namespace(NamespaceFactory(owner=ann, name="away"), ActivatedAccountFactory())
        self.refused(client, sentence, **changes)

    def test_nothing_at_all(self, client, ann):
        assert client.post(CREATE).status_code in {200, 422}
        assert not AccessToken.objects.exists()

    def test_without_a_namespace_there_is_nothing_to_choose(self, client, ann):
        assert "Choose namespaces" not in text_of(client.get(CREATE))
        response = client.post(CREATE, {"name": "ci", "access": "pull", "expires": "30"})
        assert response.status_code == 200
        assert AccessToken.objects.get().all_namespaces

    def test_when_the_last_namespace_goes_while_the_form_is_open(self, client, ann, team):
        chosen = str(team.pk)
        delete_namespace(ann, team)
        sentence = "Please choose from the namespaces and images that you have access to"
        self.refused(client, sentence, reach="chosen", namespaces=chosen, access="push")

    def test_a_name_twice(self, client, token):
        response = self.create(client)
        assert response.status_code == 422
        assert "You already have an access token named “ci”. Try another name." in text_of(response)
        assert AccessToken.objects.count() == 1

    def test_quota(self, client, token, settings):
        settings.MOST_ACCESS_TOKENS = 1
        sentence = "This account has reached its access token limit (1)."
        assert sentence in text_of(client.get(LIST))
        assert "disabled" in text_of(client.get(LIST))
        assert sentence in text_of(client.get(CREATE)) and 'name="reach"' not in text_of(client.get(CREATE))
        response = self.create(client, name="other")
        assert response.status_code == 422
        assert sentence in text_of(response)

    def test_only_with_the_forms_own_token(self, ann):
        stranger = Client(enforce_csrf_checks=True)
        stranger.force_login(ann)
        assert stranger.post(CREATE, FORM).status_code == 403
        assert not AccessToken.objects.exists()


class TestList:
    def test_empty(self, client, ann):
        access_tokens.create(ActivatedAccountFactory(), "theirs", can_push=False)
        text = text_of(client.get(LIST))
        assert "No access tokens yet" in text
        assert "theirs" not in text
        assert "0 of 50 access tokens used" in text

    def test_what_it_shows(self, client, ann, team):
        soon = timezone.now() + datetime.timedelta(days=3)
        token, _secret = access_tokens.create(ann, "ci", can_push=True, namespaces=[team], expires_at=soon)
        last_use.update(AccessToken.objects.filter(pk=token.pk), "192.0.2.7", timezone.now())
        text = text_of(client.get(LIST))
        for said in (
            "Pull and push",
            "<span>team</span>",
            "from 192.0.2.7",
            f"{soon:%Y-%m-%d %H:%M}",
            "Soon",
            "Revoke",
        ):
            assert said in text, said

    def test_expired_and_removed(self, client, token):
        AccessToken.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
        text = text_of(client.get(LIST))
        assert "Expired" in text
        assert "Remove" in text
        assert "Remove the expired access token" in text_of(client.get(revoke_page(token)))
        assert "Removed the access token" in text_of(client.post(revoke_page(token), follow=True))
        assert "No access tokens yet" in text_of(client.get(LIST))

    def test_no_namespace_left(self, client, ann, team):
        access_tokens.create(ann, "ci", can_push=True, namespaces=[team])
        delete_namespace(ann, team)
        assert "None left" in text_of(client.get(LIST))

    def test_many_namespaces_unfold(self, client, ann):
        chosen = [NamespaceFactory(owner=ann, name=f"team-{number}") for number in range(4)]
        access_tokens.create(ann, "ci", can_push=True, namespaces=chosen)
        text = text_of(client.get(LIST))
        assert "4 selected" in text
        assert "<li>team-3</li>" in text

    @pytest.mark.parametrize("sort", ["name", "access", "expires", "used", "created"])
    def test_sorted_and_paged(self, client, ann, sort):
        for number in range(12):
            token, _secret = access_tokens.create(ann, f"ci-{number:02}", can_push=bool(number % 2))
            if number % 3:
                last_use.update(AccessToken.objects.filter(pk=token.pk), None, timezone.now())
        shown = []
        for where in ("size=10", "size=10&page=2"):
            text = text_of(client.get(f"{LIST}?sort={sort}&{where}", headers={**HTMX, "HX-Target": "list"}))
            assert "<html" not in text
            shown += re.findall(r"<span>(ci-\d\d)<", text)
        assert sorted(shown) == [f"ci-{number:02}" for number in range(12)]
        if sort in {"name", "created"}:
            assert shown == sorted(shown)

    @pytest.mark.parametrize("query", ["sort=secret_hash", "sort=-x", "page=x", "page=99", "size=3", "sort=%00"])
    def test_bad_addresses(self, client, token, query):
        assert "ci" in text_of(client.get(f"{LIST}?{query}"))

    def test_more_rows_cost_no_more_queries(self, client, ann):
        teams = [NamespaceFactory(owner=ann) for _ in range(3)]

        def queries_with(count):
            for number in range(count):
                access_tokens.create(ann, f"ci{count}-{number}", can_push=True, namespaces=teams)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(LIST).status_code == 200
            return len(captured)

        assert queries_with(1) == queries_with(18)


class TestRevoke:
    def test_it_asks_first(self, client, token):
        for headers in (None, HTMX):
            text = text_of(client.get(revoke_page(token), headers=headers))
            assert "Revoke the access token <strong>ci</strong>?" in text
            assert "up to 6 minutes" in text
        assert AccessToken.objects.get().revoked_at is None

    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_it_ends(self, client, token, headers):
        response = client.post(revoke_page(token), headers=headers)
        assert response["HX-Redirect" if headers else "Location"] == LIST
        assert AccessToken.objects.get().revoked_at
        assert "Revoked the access token “ci”." in text_of(client.get(LIST))
        assert client.post(revoke_page(token)).status_code == 404

    def test_somebody_elses(self, client, ann):
        theirs, _secret = access_tokens.create(ActivatedAccountFactory(), "theirs", can_push=False)
        for answer in (client.get(revoke_page(theirs)), client.post(revoke_page(theirs))):
            assert answer.status_code == 404
        assert AccessToken.objects.get().revoked_at is None

    @pytest.mark.parametrize("number", ["0", "99999999", "9" * 30, "x"])
    def test_none(self, client, ann, number):
        assert client.post(f"{LIST}{number}/-/revoke/").status_code == 404


class TestWho:
    def test_nobody_signed_in(self, client):
        for page in (LIST, CREATE, f"{LIST}1/-/revoke/"):
            for answer in (client.get(page), client.post(page, FORM)):
                assert answer.status_code in {302, 405}
                assert answer.status_code == 405 or answer["Location"].startswith("/sign-in/")
        assert not AccessToken.objects.exists()

    def test_not_before_the_service_is_activated(self, client):
        client.force_login(AccountFactory())
        for page in (LIST, CREATE, f"{LIST}1/-/revoke/"):
            assert client.get(page)["Location"] == "/images/"
        assert client.post(CREATE, FORM)["Location"] == "/images/"
        assert not AccessToken.objects.exists()

    def test_the_menu_leads_there(self, client, ann):
        assert f'href="{LIST}"' in text_of(client.get("/account/"))


class TestAdministration:
    @pytest.fixture
    def boss(self, client):
        account = AccountFactory(is_staff=True, is_superuser=True)
        client.force_login(account)
        return account

    @pytest.fixture
    def theirs(self):
        return access_tokens.create(ActivatedAccountFactory(name="Bob"), "bobs-ci", can_push=True)[0]

    def act(self, client, *tokens):
        form = {"action": "revoke", "_selected_action": [token.pk for token in tokens], "post": "yes"}
        return client.post("/admin/accounts/accesstoken/", form, follow=True)

    def test_it_lists_and_changes_nothing(self, client, boss, theirs):
        NamespaceFactory(owner=theirs.account, name="bobs-team").access_tokens.add(theirs)
        AccessToken.objects.update(all_namespaces=False)
        text = text_of(client.get("/admin/accounts/accesstoken/"))
        for said in ("bobs-ci", "Bob", "Pull and push", "bobs-team"):
            assert said in text
        page = f"/admin/accounts/accesstoken/{theirs.pk}/change/"
        assert theirs.secret_hash not in text_of(client.get(page)) + text
        client.post(page, {"name": "changed", "can_push": "", "all_namespaces": "on"})
        theirs.refresh_from_db()
        assert (theirs.name, theirs.can_push, theirs.all_namespaces) == ("bobs-ci", True, False)
        assert client.get("/admin/accounts/accesstoken/add/").status_code == 403
        assert client.post(f"/admin/accounts/accesstoken/{theirs.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_revoke(self, client, boss, theirs):
        assert "Revoked 1 access token." in text_of(self.act(client, theirs))
        theirs.refresh_from_db()
        assert theirs.revoked_at
        event = AuditEvent.objects.get(action="access_token.revoke")
        assert (event.actor, event.target) == (boss.account_id, f"{theirs.account.account_id}/bobs-ci")
        assert event.detail == {"by": "admin"}
        assert "Revoked 0 access tokens." in text_of(self.act(client, theirs))

    def test_staff_without_the_permission(self, client, theirs):
        client.force_login(AccountFactory(is_staff=True))
        assert self.act(client, theirs).status_code == 403
        theirs.refresh_from_db()
        assert theirs.revoked_at is None

    def test_those_of_superusers_are_superusers_to_end(self, client, theirs, django_user_model):
        staff = AccountFactory(is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=["view_accesstoken", "change_accesstoken"]))
        client.force_login(staff)
        django_user_model.objects.filter(pk=theirs.account_id).update(is_superuser=True)
        other = access_tokens.create(ActivatedAccountFactory(), "other", can_push=False)[0]
        assert "Revoked 1 access token." in text_of(self.act(client, theirs, other))
        assert list(AccessToken.objects.filter(revoked_at=None)) == [theirs]
