"""The letter by which a forgotten password is replaced, and deactivation."""

import re

import pytest
from django.core import mail

from console.accounts.services import set_active
from tests.factories import ActivatedAccountFactory
from tests.security.site import writes

pytestmark = pytest.mark.django_db

NEW = {"new_password1": "another good password 2", "new_password2": "another good password 2"}


@pytest.fixture
def account():
    return ActivatedAccountFactory(email="ann@example.com")


@pytest.fixture
def letter(account, client):
    """The address in a letter that was sent."""
    client.post("/account/reset/", {"email": account.email})
    return re.search(r"/account/reset/\S+", mail.outbox[0].body)[0]


def renewed(client, place):
    """Whether the form at ``place`` gives the account another password."""
    response = client.post(place, NEW)
    return response.status_code == 302 and response["Location"] == "/account/reset/complete/"


def test_a_letter_is_good_once(client, account, letter):
    form = client.get(letter)["Location"]
    assert renewed(client, form)
    account.refresh_from_db()
    assert account.check_password(NEW["new_password1"])
    assert client.get(letter).status_code == 200
    assert not renewed(client, form)


def test_none_is_sent_to_somebody_deactivated_or_unknown(client, account):
    set_active(account, False)
    before = writes()
    for email in (account.email, "nobody@example.com"):
        response = client.post("/account/reset/", {"email": email})
        assert response["Location"] == "/account/reset/sent/"
    assert not mail.outbox
    assert writes() == before


@pytest.mark.parametrize("let_back_in", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_one_from_before_a_deactivation_opens_nothing(client, account, letter, opened, let_back_in):
    """Neither meanwhile nor later, the form that it led to before included."""
    form = client.get(letter)["Location"] if opened else letter
    password = account.password
    set_active(account, False)
    if let_back_in:
        set_active(account, True)
    assert client.get(form).status_code == 200
    assert not renewed(client, form)
    account.refresh_from_db()
    assert account.password == password
