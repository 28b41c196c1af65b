"""The letter by which a forgotten password is replaced, and deactivation."""

import datetime
import re

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts import jobs
from console.accounts.services import set_active
from tests.support.factories import ActivatedAccountFactory
from tests.support.mailbox import deliver

pytestmark = pytest.mark.django_db

NEW = {"new_password1": "another good password 2", "new_password2": "another good password 2"}


@pytest.fixture
def account():
    return ActivatedAccountFactory(email="ann@example.com")


@pytest.fixture
def letter(account, client):
    """The address in a letter that was sent."""
    client.post("/account/reset/", {"email": account.email})
    deliver()
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
    for email in (account.email, "nobody@example.com"):
        response = client.post("/account/reset/", {"email": email})
        assert response["Location"] == "/account/reset/sent/"
    deliver()
    assert not mail.outbox


def asked_for(client, email, **options):
    """What is done while somebody waits: the statements, without what is in them."""
    with CaptureQueriesContext(connection) as queries:
        response = client.post("/account/reset/", {"email": email}, **options)
    assert response["Location"] == "/account/reset/sent/"
    assert not mail.outbox
    return [re.sub(r"'[^']*'|[0-9]+", "", query["sql"]) for query in queries]


def test_it_takes_the_same_whether_there_is_such_an_account_or_not(client, account):
    """Whoever asks cannot tell by the time: the letter is a job's to send, and a job is queued for nobody, too."""
    asked_for(client, "warm@example.com")
    assert asked_for(client, "nobody@example.com") == asked_for(client, account.email)
    deliver()
    assert [letter.to for letter in mail.outbox] == [[account.email]]


def test_nobody_is_sent_letters_without_end(client, account, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for email in (account.email, "nobody@example.com"):
        for number in range(3):
            asked_for(client, email, REMOTE_ADDR=f"192.0.2.{number}")
        for address in ("192.0.2.1", "198.51.100.7"):
            response = client.post("/account/reset/", {"email": email.upper()}, REMOTE_ADDR=address)
            assert response.status_code == 429
            assert int(response["Retry-After"]) == 1800
            assert "Too many password-reset e-mails were requested" in response.content.decode()
    for minute in range(60):
        now += datetime.timedelta(minutes=1)
        client.post("/account/reset/", {"email": account.email}, REMOTE_ADDR=f"203.0.113.{minute}")
    deliver()
    assert len(mail.outbox) == 5, "in an hour"


def test_a_mail_server_that_is_away_is_tried_again(account, monkeypatch):
    def refuse(*_arguments):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    with pytest.raises(ConnectionRefusedError):
        jobs.send_password_resets([account.pk])
    assert jobs.send_password_resets.retry_strategy.max_attempts == 10


def test_what_waits_to_be_sent_opens_nothing(client, account):
    client.post("/account/reset/", {"email": account.email})
    (queued,) = ProcrastinateJob.objects.filter(task_name=jobs.send_password_resets.name).values_list("args", flat=True)
    assert queued == {"accounts": [account.pk]}


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
