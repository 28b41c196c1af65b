"""Sign in with a password, a second factor, or an identity provider."""

import html
import re
import time

from allauth.mfa.totp.internal import auth as totp
from django.conf import settings as console_settings
from django.test import Client

from console.login import factors
from tests.support.factories import PASSWORD


class Phone:
    """An authenticator app with one account's secret."""

    def __init__(self, secret):
        self.secret = secret.replace(" ", "")

    def code(self, steps=0):
        """The current code, or the one ``steps`` times thirty seconds later."""
        return totp.format_hotp_value(totp.hotp_value(self.secret, int(time.time()) // 30 + steps))


def set_up(account):
    """Set up an authenticator app for an account; returns the phone. The current code is not consumed."""
    encrypted = factors.new_secret()
    phone = Phone(factors.shown_secret(encrypted))
    factors.add_app(account, encrypted, phone.code(-1))
    return phone


def sign_in(account, password=PASSWORD, client=None, address="192.0.2.1", **form):
    """Send the password; returns the client and the response."""
    client = client or Client(REMOTE_ADDR=address)
    return client, client.post("/sign-in/", {"username": account.account_id, "password": password, **form})


def is_in(client):
    return client.get("/account/").status_code == 200


def forget(client):
    """Expire the reauthentication of the session."""
    session = client.session
    del session["signin.confirmed"]
    session.save()


def codes_of(account):
    return factors.recovery_codes(account)


def leave(client, path="/sign-in/sso/", **form):
    """Press the single sign-on button; returns the provider's URL."""
    response = client.post(path, form)
    assert response.status_code == 200, response
    return html.unescape(re.search(r'<a class="button primary" href="([^"]+)"', response.content.decode())[1])


def come_back(client, back):
    """Open the provider's redirect URL at the console."""
    assert back.startswith(f"{console_settings.CONSOLE_URL}/sign-in/sso/callback/?")
    return client.get(back.removeprefix(console_settings.CONSOLE_URL))


def by_provider(provider, client, path="/sign-in/sso/", **form):
    """Sign in with the provider: all steps."""
    return come_back(client, provider.authorize(leave(client, path, **form)))
