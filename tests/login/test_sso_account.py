"""Name and e-mail address of an account that was made by single sign-on: they are its owner's to change."""

import re

import pytest
from django.core import mail

from console.accounts.models import Account
from tests.support.mailbox import deliver
from tests.support.responses import text_of
from tests.support.second_factor import by_provider, forget

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("local_accounts", [True, False])
def test_they_are_changed_here_and_stay(provider, client, settings, local_accounts):
    settings.LOCAL_ACCOUNTS = local_accounts
    by_provider(provider, client)
    account = Account.objects.get()
    assert account.email and not account.has_usable_password()
    assert client.post("/account/name/", {"name": "Another"})["Location"] == "/account/"

    forget(client)
    place = client.post("/account/email/", {"email": "another@example.com"})["Location"]
    assert place == "/account/security/confirm/?next=%2Faccount%2Femail%2F"
    assert "Continue with Example" in text_of(client.get(place))
    by_provider(provider, client, "/account/security/identities/-/confirm/", next="/account/email/")
    client.post("/account/email/", {"email": "another@example.com"})
    deliver()
    client.post(re.search(r"/account/email/\S+", mail.outbox[0].body)[0])

    client.post("/sign-out/")
    by_provider(provider, client)
    again = Account.objects.get()
    assert (again.pk, again.name, again.email) == (account.pk, "Another", "another@example.com")
