"""The pages of service accounts: who sees and changes them, what they show, the secret shown once."""

import datetime
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access.roles import Role
from console.accounts.models import AccessToken, Account
from console.membership.models import ServiceAccount
from console.service_accounts import services
from console.sharing.services import give_role, take_role
from console.token_server import last_use
from tests.support.factories import ActivatedAccountFactory, GrantFactory, ImageFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

LIST = "/namespaces/payments/-/service-accounts/"
ONE = f"{LIST}ci/"
CREATE, DELETE, DESCRIBE, TOKEN = f"{LIST}-/create/", f"{ONE}-/delete/", f"{ONE}-/describe/", f"{ONE}-/tokens/-/create/"
FORM = {"name": "deploy", "description": "Clusters", "role": "1"}
TOKEN_FORM = {"name": "gitlab", "access": "push", "reach": "all", "expires": "90"}
SECRET = re.compile(r"myimg_[0-9A-Za-z]{49}")


def revoke_page(token):
    return f"{ONE}-/tokens/{token.pk}/-/revoke/"


@pytest.fixture
def token(robot):
    return services.create_token(None, robot, "gitlab", can_push=True)[0]


class TestWho:
    @pytest.mark.parametrize(
        ("role", "listed", "managed"),
        [(None, 404, 404), (Role.READER, 200, 404), (Role.WRITER, 200, 404), (Role.MAINTAINER, 200, 404),
         (Role.OWNER, 200, 200)],
    )  # fmt: skip
    def test_roles(self, client, payments, robot, token, role, listed, managed):
        account = ActivatedAccountFactory()
        if role is not None:
            GrantFactory(namespace=payments, account=account, role=role)
        client.force_login(account)
        text = text_of(client.get(LIST))
        assert client.get(LIST).status_code == listed
        assert ("payments+ci" in text) == (listed == 200)
        for page in (CREATE, ONE, DESCRIBE, DELETE, TOKEN, revoke_page(token)):
            assert client.get(page).status_code == managed, page
            link = f'href="{page}"' in text
            assert link == (managed == 200 and page in (CREATE, ONE, DELETE)), page
        if managed == 404:
            for page in (CREATE, DESCRIBE, DELETE, TOKEN, revoke_page(token)):
                assert client.post(page, {**FORM, **TOKEN_FORM}).status_code == 404, page
            assert AccessToken.objects.filter(revoked_at=None).count() == 1

    def test_a_role_on_one_image_shows_no_list(self, client, payments, robot):
        account = ActivatedAccountFactory()
        GrantFactory(namespace=payments, account=account, role=Role.OWNER, image=ImageFactory(namespace=payments))
        client.force_login(account)
        assert client.get(LIST).status_code == 404

    def test_those_of_another_namespace(self, client, ann, team, robot, token):
        for page in (ONE, DELETE, TOKEN, revoke_page(token)):
            assert client.post(page.replace("payments", "team")).status_code in {404, 405}
        other = services.create(ann, team, "other")
        page = f"/namespaces/team/-/service-accounts/{other.name}/-/tokens/{token.pk}/-/revoke/"
        assert client.post(page).status_code == 404


class TestList:
    def test_empty(self, client, payments):
        assert "No service accounts yet" in text_of(client.get(LIST))
        assert "0 of 100 service accounts used" in text_of(client.get(LIST))

    def test_what_it_shows(self, client, robot, token):
        last_use.update(AccessToken.objects.filter(pk=token.pk), "192.0.2.7", timezone.now())
        text = text_of(client.get(LIST))
        for said in ("payments+ci", "The release pipeline", "Writer", "Ann", 'data-label="Access tokens">1<'):
            assert said in text, said

    def test_expired_tokens_do_not_count(self, client, robot, token):
        AccessToken.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
        assert 'data-label="Access tokens">0<' in text_of(client.get(LIST))

    def test_roles(self, client, ann, payments, robot):
        take_role(ann, robot.account.grants.get())
        assert ">None</span>" in text_of(client.get(LIST))
        give_role(ann, payments, robot.account, Role.READER, image=ImageFactory(namespace=payments))
        assert "On single images" in text_of(client.get(LIST))

    @pytest.mark.parametrize("sort", ["name", "role", "tokens", "used", "created", "-tokens", "nonsense", "-created"])
    def test_sorted(self, client, ann, payments, sort):
        for number in range(3):
            services.create(ann, payments, f"bot{number}")
        text = text_of(client.get(f"{LIST}?sort={sort}&size=10"))
        assert all(f"payments+bot{number}" in text for number in range(3))

    def test_a_creator_who_left_and_one_who_is_unknown(self, client, robot):
        ServiceAccount.objects.update(created_by=None)
        assert client.get(LIST).status_code == client.get(ONE).status_code == 200

    def test_more_rows_cost_no_more_queries(self, client, ann, payments):
        def queries():
            with CaptureQueriesContext(connection) as captured:
                client.get(LIST)
            return len(captured)

        services.create(ann, payments, "bot")
        first = queries()
        for number in range(5):
            services.create(ann, payments, f"bot{number}")
        assert queries() == first


class TestCreate:
    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_it_leads_to_its_page(self, client, payments, headers):
        answer = client.post(CREATE, FORM, headers=headers)
        assert answer["HX-Redirect" if headers else "Location"] == f"{LIST}deploy/"
        assert "Created the service account “deploy”." in text_of(client.get(f"{LIST}deploy/"))
        robot = ServiceAccount.objects.get()
        assert payments.role_of(robot.pk) == Role.READER
        assert robot.description == "Clusters"

    @pytest.mark.parametrize(("changes", "sentence"), [
        ({"name": ""}, "Please enter a name"),
        ({"name": "x"}, "The name must have 2 to 30 characters."),
        ({"name": "x" * 31}, "The name must have 2 to 30 characters."),
        ({"name": "My CI"}, "Use lowercase letters"),
        ({"name": "a\x00b"}, "Null characters are not allowed."),
        ({"name": "ci"}, "already has a service account named “ci”"),
        ({"description": "x" * 201}, "up to 200 characters"),
        ({"role": ""}, "Please choose a role."),
        ({"role": "4"}, "Please choose a role."),
        ({"role": "x"}, "Please choose a role."),
    ])  # fmt: skip
    def test_refused(self, client, robot, changes, sentence):
        answer = client.post(CREATE, {**FORM, **changes})
        assert answer.status_code == 422
        assert sentence in text_of(answer)
        assert ServiceAccount.objects.count() == 1

    def test_without_a_role(self, client, payments):
        client.post(CREATE, {**FORM, "role": "0"})
        assert payments.role_of(ServiceAccount.objects.get().pk) is None

    def test_a_limit(self, client, robot, settings):
        settings.MOST_SERVICE_ACCOUNTS = 1
        sentence = "This namespace has reached its service account limit (1)."
        assert sentence in text_of(client.get(LIST))
        assert sentence in text_of(client.get(CREATE)) and 'name="role"' not in text_of(client.get(CREATE))
        assert client.post(CREATE, FORM).status_code == 422


class TestOne:
    def test_what_it_shows(self, client, robot, token):
        last_use.update(AccessToken.objects.filter(pk=token.pk), "192.0.2.7", timezone.now())
        text = text_of(client.get(ONE))
        for said in ("payments+ci", "The release pipeline", "gitlab", "Pull and push", "from 192.0.2.7", "by Ann"):
            assert said in text, said

    def test_describe(self, client, robot):
        assert 'value="The release pipeline"' in text_of(client.get(DESCRIBE))
        assert client.post(DESCRIBE, {"description": "d" * 200})["Location"] == ONE
        assert "d" * 200 in text_of(client.get(ONE))
        answer = client.post(DESCRIBE, {"description": "d" * 201})
        assert (answer.status_code, "up to 200 characters" in text_of(answer)) == (422, True)
        client.post(DESCRIBE, {})
        assert ServiceAccount.objects.get().description == ""

    def test_markup_in_a_description(self, client, robot):
        client.post(DESCRIBE, {"description": "<script>alert(1)</script>"})
        for page in (LIST, ONE, DESCRIBE):
            assert "<script>alert" not in text_of(client.get(page))

    def test_delete(self, client, robot, token):
        text = text_of(client.get(DELETE))
        assert "1 access token is revoked." in text
        assert client.post(DELETE)["Location"] == LIST
        assert "Deleted the service account “ci”." in text_of(client.get(LIST))
        assert not Account.objects.get(name="payments+ci").is_active
        assert client.post(DELETE).status_code == 404

    def test_deactivated(self, client, robot):
        Account.objects.filter(pk=robot.pk).update(is_active=False)
        assert "Deactivated" in text_of(client.get(LIST))
        answer = client.post(TOKEN, TOKEN_FORM)
        assert "An administrator has deactivated this service account." in text_of(answer)


class TestTokens:
    @pytest.mark.parametrize("headers", [None, HTMX])
    def test_the_secret_is_shown_once_with_the_command(self, client, robot, settings, headers):
        settings.REGISTRY_ADDRESS = "images.example.com"
        answer = client.post(TOKEN, TOKEN_FORM, headers=headers)
        text = text_of(answer).replace("&quot;", '"').replace("&#x27;", "'").replace("&#39;", "'")
        secret = SECRET.search(text)[0]
        assert ">docker login -u 'payments+ci' images.example.com<" in text
        assert ">echo \"$MY_IMAGES_TOKEN\" | docker login -u 'payments+ci' --password-stdin images.example.com<" in text
        assert "no-store" in answer["Cache-Control"]
        said = text_of(client.get(ONE)) + text_of(client.get(TOKEN))
        assert secret not in said
        assert f"…{secret[-4:]}" in said
        assert AccessToken.objects.get().account == robot.account

    def test_narrowed_to_its_own_namespace(self, client, ann, team, payments, robot):
        ImageFactory(namespace=payments, name="app")
        ImageFactory(namespace=team, name="app")
        chosen = {**TOKEN_FORM, "reach": "chosen"}
        assert client.post(TOKEN, {**chosen, "names": "team/app"}).status_code == 422
        assert client.post(TOKEN, {**chosen, "names": "payments/app"}).status_code == 200
        assert [image.full_name for image in AccessToken.objects.get().images.all()] == ["payments/app"]
        assert "payments/app" in text_of(client.get(ONE))

    def test_a_name_twice(self, client, robot, token):
        answer = client.post(TOKEN, TOKEN_FORM)
        assert answer.status_code == 422
        assert "This service account already has an access token named “gitlab”." in text_of(answer)

    def test_a_limit(self, client, robot, token, settings):
        settings.MOST_ACCESS_TOKENS = 1
        assert "access token limit (1)" in text_of(client.get(ONE))
        assert client.post(TOKEN, {**TOKEN_FORM, "name": "x"}).status_code == 422

    def test_revoke(self, client, robot, token):
        page = revoke_page(token)
        assert "Revoke the access token <strong>gitlab</strong>?" in text_of(client.get(page))
        assert client.post(page)["Location"] == ONE
        token.refresh_from_db()
        assert token.revoked_at
        assert client.post(page).status_code == 404

    def test_not_on_the_pages_of_ones_own(self, client, robot, token):
        assert "gitlab" not in text_of(client.get("/account/tokens/"))
        assert client.post(f"/account/tokens/{token.pk}/-/revoke/").status_code == 404
