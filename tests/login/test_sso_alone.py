"""Single sign-on alone: what is left of passwords and passkeys when they are switched off."""

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from console.login import sign_in as sign_in_steps
from tests.support.responses import text_of
from tests.support.second_factor import by_provider, is_in, sign_in

pytestmark = pytest.mark.django_db


class TestOnly:
    """``LOCAL_ACCOUNTS=off``."""

    @pytest.fixture(autouse=True)
    def _off(self, provider, settings):
        settings.LOCAL_ACCOUNTS = False

    def test_the_page_has_the_one_button(self, client):
        page = text_of(client.get("/sign-in/"))
        assert "Sign in with Example" in page
        assert "Password" not in page
        assert "passkey" not in page

    def test_no_password_opens_anything(self, ben):
        client, response = sign_in(ben)
        assert response.status_code == 404
        assert not is_in(client)
        assert not client.login(username=ben.account_id, password="a good password 1")
        assert client.post("/sign-in/passkey/").status_code == 404

    @pytest.mark.parametrize(
        "path", ["", "done/", "../reset/", "../reset/sent/", "../reset/x/y/", "../reset/complete/"]
    )
    def test_nor_is_there_one_to_change(self, client, ben, path):
        assert client.get(f"/account/password/{path}".replace("password/../", "")).status_code == 404
        client.force_login(ben, backend="console.accounts.backends.VouchedBackend")
        assert client.get(f"/account/password/{path}".replace("password/../", "")).status_code == 404
        assert is_in(client)
        assert "Change password" not in text_of(client.get("/account/"))

    @pytest.mark.parametrize("way", [sign_in_steps.PASSWORD, sign_in_steps.PASSKEY])
    def test_who_came_in_otherwise_is_out(self, ben, provider, settings, way, rf):
        settings.LOCAL_ACCOUNTS = True
        client = Client()
        request = rf.get("/")
        request.session, request.user = client.session, AnonymousUser()
        sign_in_steps.finish(request, ben, [way])
        request.session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = key = request.session.session_key
        assert is_in(client)
        settings.LOCAL_ACCOUNTS = False
        assert not is_in(client)
        # Nor is that session taken up again, for whoever else has its key.
        SocialAccount.objects.create(user=ben, provider=provider.issuer, uid="u-1")
        by_provider(provider, client)
        assert is_in(client)
        other = Client()
        other.cookies[settings.SESSION_COOKIE_NAME] = key
        assert not is_in(other)

    def test_the_provider_lets_in(self, client, provider):
        by_provider(provider, client)
        assert is_in(client)
