"""Error pages: in the frame for those who are signed in, small for others, and never failing themselves."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.test import Client
from django.utils.functional import SimpleLazyObject

from console import views
from console.repositories.models.image import ImageQuerySet
from console.throttling import change_limit
from tests.support.factories import ActivatedAccountFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

SIDEBAR = '<aside class="sidebar"'
SMALL = '<body class="signed-out">'
# An empty address is that of the page itself (RFC 3986, 4.4).
TRY_AGAIN = 'href="">Try again</a>'
HELP = 'href="/help/"'


@pytest.fixture
def staff(client):
    account = ActivatedAccountFactory(is_staff=True)
    client.force_login(account)
    return account


class TestFrame:
    def test_signed_in(self, client, ann):
        response = client.get("/nothing/here/")
        assert response.status_code == 404
        assert SIDEBAR in text_of(response)
        assert ann.account_id in text_of(response)
        assert HELP in text_of(response)

    def test_not_signed_in(self, client):
        for cookies in ({}, {"my_images_session": "of-nobody"}):
            client.cookies.load(cookies)
            text = text_of(client.get("/nothing/here/"))
            assert SMALL in text
            assert SIDEBAR not in text
            assert HELP in text

    def test_parts_of_pages_and_programs_get_the_small_page(self, client, ann, django_assert_num_queries):
        for headers in (HTMX, {"Accept": "text/plain"}):
            assert SMALL in text_of(client.get("/nothing/here/", headers=headers))

    def test_it_names_no_address(self, client, ann):
        """What is not there and what is someone else's are answered alike."""
        assert "/nothing/here/" not in text_of(client.get("/nothing/here/"))

    def test_the_account_is_all_that_is_asked_for(self, client, ann, django_assert_num_queries):
        client.get("/nothing/here/")
        with django_assert_num_queries(2):
            assert SIDEBAR in text_of(client.get("/nothing/here/"))

    def test_a_bad_request(self, client, staff):
        response = client.get("/admin/accounts/account/?q=%00")
        assert response.status_code == 400
        assert SIDEBAR in text_of(response)

    def test_too_large(self, client, ann):
        response = client.post("/namespaces/-/create/", {"name": "x" * (2 << 20)})
        assert response.status_code == 413
        assert SIDEBAR in text_of(response)

    def test_too_many_changes(self, client, ann, monkeypatch):
        monkeypatch.setattr(change_limit, "count", lambda account: 7)
        response = client.post("/namespaces/-/create/", {"name": "team"})
        assert (response.status_code, response["Retry-After"]) == (429, "7")
        assert SIDEBAR in text_of(response)
        assert TRY_AGAIN not in text_of(response), "a link would not send the form again"

    def test_a_form_without_its_token(self):
        client = Client(enforce_csrf_checks=True)
        client.force_login(ActivatedAccountFactory())
        response = client.post("/namespaces/-/create/", {"name": "team"})
        assert response.status_code == 403
        assert SIDEBAR in text_of(response)


class TestAnotherAccount:
    def test_signing_out_leads_to_signing_in_and_back(self, client, staff):
        response = client.get("/admin/accounts/account/?o=1")
        assert response.status_code == 403
        assert "Sign in with another account" in text_of(response)
        place = "/sign-in/?next=%2Fadmin%2Faccounts%2Faccount%2F%3Fo%3D1"
        assert f'name="next" value="{place}"' in text_of(response)
        assert client.post("/sign-out/", {"next": place})["Location"] == place

    def test_to_the_sign_in_page_alone(self, client, staff):
        assert client.post("/sign-out/", {"next": "https://evil.example.com/"})["Location"] == "/sign-in/"

    def test_a_form_is_not_offered_again(self, client, staff):
        response = client.post("/admin/accounts/account/add/", {})
        assert response.status_code == 403
        assert SIDEBAR in text_of(response)
        assert 'name="next"' not in text_of(response)


class TestTryAgain:
    @pytest.mark.parametrize(
        ("failure", "status"), [(OperationalError("away"), 503), (ZeroDivisionError(), 500)], ids=["503", "500"]
    )
    def test_the_same_address(self, client, ann, monkeypatch, failure, status):
        def fail(*arguments):
            raise failure

        client.raise_request_exception = False
        monkeypatch.setattr(ImageQuerySet, "order_by", fail)
        response = client.get("/images/?q=a&sort=name")
        text = text_of(response)
        assert response.status_code == status
        assert SMALL in text
        assert TRY_AGAIN in text
        assert "sort=name" not in text, "an address may hold a secret"
        assert HELP in text
        response = client.post("/images/-/delete/", {"image": "1"})
        assert response.status_code == status
        assert TRY_AGAIN not in text_of(response)

    def test_a_page_that_takes_too_long(self, client, ann, settings):
        settings.REQUEST_SECONDS = 0
        assert TRY_AGAIN in text_of(client.get("/images/"))

    def test_no_link_leads_to_another_site(self, rf):
        request = rf.get("/")
        request.path = "//evil.example.com/"
        response = views.permission_denied(request)
        assert "evil.example.com" in text_of(response)
        assert 'href="//' not in text_of(response)


class TestItNeverFails:
    @pytest.fixture
    def request_of(self, rf, settings):
        def make(user):
            request = rf.get("/some/page/")
            request.COOKIES[settings.SESSION_COOKIE_NAME] = "some"
            request.user = SimpleLazyObject(user)
            return request

        return make

    @pytest.mark.parametrize("view", [views.not_found, views.permission_denied, views.bad_request, views.csrf_failure])
    def test_when_the_database_is_away(self, request_of, view, django_assert_num_queries):
        def away():
            raise OperationalError("connection refused")

        with django_assert_num_queries(0):
            response = view(request_of(away), PermissionDenied())
        assert response.status_code in {400, 403, 404}
        assert SMALL in text_of(response)

    def test_when_the_frame_cannot_be_rendered(self, request_of, ann):
        """This request has no session, and what comes of it no messages."""
        response = views.not_found(request_of(lambda: type("Odd", (), {"is_authenticated": True})()))
        assert response.status_code == 404
        assert SMALL in text_of(response)

    def test_before_anybody_is_known(self, rf):
        """As for a host that is not ours."""
        assert SMALL in text_of(views.not_found(rf.get("/")))
