"""Guessing is held back at every door, and nobody is locked out by it."""

import base64
import datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access import token_secrets
from console.access.token_secrets import PREFIX
from console.access_tokens import services as access_tokens
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from console.throttling import guesses
from console.throttling.guesses import CONSOLE, REGISTRY, Attempt
from console.throttling.jobs import forget
from console.throttling.limits import guess_limits
from console.throttling.models import Mark
from console.token_server import passwords
from tests.support.factories import PASSWORD, AccountFactory, ActivatedAccountFactory
from tests.support.responses import text_of
from tests.throttling.doors import DOORS, each_door, each_open_door, hashes_counted

pytestmark = pytest.mark.django_db

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
BASIC, SIGN_IN = DOORS["basic"], DOORS["sign-in"]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    passwords.forget_all()


@pytest.fixture(autouse=True)
def _the_clock_stands_still(monkeypatch):
    later(monkeypatch, 0)


@pytest.fixture
def fewer(settings):
    """Fewer wrong ones for an address and an account, so that a test need not try as many."""
    settings.GUESSES = {**settings.GUESSES, "address": (30, 10), "account": (30, 120)}


@pytest.fixture
def ann():
    return ActivatedAccountFactory(is_staff=True, is_superuser=True, email="ann@example.com")


@pytest.fixture
def ben():
    return ActivatedAccountFactory(is_staff=True, is_superuser=True)


def guess(door, account, times, address=HERE):
    """The answers to so many wrong passwords."""
    return [door.open(account, f"wrong {number}", address) for number in range(times)]


def later(monkeypatch, seconds):
    """Let time pass."""
    now = timezone.now() + datetime.timedelta(seconds=seconds)
    monkeypatch.setattr(guesses.timezone, "now", lambda: now)


class TestOneAddress:
    @each_door
    def test_ten_wrong_passwords_and_then_one_a_minute(self, door, ann, monkeypatch):
        answers = guess(door, ann, 12)
        assert answers[:10] == [False] * 10
        assert answers[10:] == [60, 60]
        later(monkeypatch, 61)
        assert guess(door, ann, 2)[0] is False
        assert door.open(ann, PASSWORD) > 50

    @each_door
    def test_the_right_one_is_held_back_too_and_works_later(self, door, ann, monkeypatch):
        guess(door, ann, 10)
        assert door.open(ann, door.right) > 50
        later(monkeypatch, 61)
        assert door.open(ann, door.right) is True

    def test_the_right_one_is_held_back_although_it_is_remembered(self, ann):
        """Else whoever is held back could try as many as they like, and would see which is right."""
        assert BASIC.open(ann, PASSWORD) is True
        guess(BASIC, ann, 10)
        assert BASIC.open(ann, PASSWORD) > 50

    @each_door
    def test_nobody_is_locked_out(self, door, ann):
        guess(door, ann, 50)
        assert door.open(ann, door.right, ELSEWHERE) is True

    def test_from_next_door_either(self, ann):
        guess(BASIC, ann, 12, "192.0.2.1")
        assert BASIC.open(ann, PASSWORD, "192.0.2.2") is True

    @each_open_door
    def test_what_is_held_back_costs_no_hash(self, door, ann):
        guess(door, ann, 10)
        guess(door, "nobody@example.com", 10)
        with hashes_counted() as hashes:
            for account in (ann, "nobody@example.com"):
                assert door.open(account, "wrong") > 50
            assert door.open(ann, PASSWORD) > 50
        assert hashes == []

    def test_what_is_held_back_takes_one_query_whether_there_is_such_an_account_or_not(self, ann):
        for account in (ann, "nobody"):
            guess(BASIC, account, 10)
            with CaptureQueriesContext(connection) as queries:
                assert BASIC.open(account, "wrong") > 50
            assert len(queries) == 1

    def test_an_address_is_the_whole_of_a_64(self, ann):
        guess(BASIC, ann, 10, "2001:db8:0:1::1")
        assert BASIC.open(ann, PASSWORD, "2001:db8:0:1:ffff::2") > 50
        assert BASIC.open(ann, PASSWORD, "2001:db8:0:2::1") is True

    def test_by_account_id_and_by_address_it_is_the_same_account(self, ann):
        guess(SIGN_IN, ann.account_id, 5)
        guess(SIGN_IN, "ANN@example.com ", 5)
        assert SIGN_IN.open("ann@example.com", PASSWORD) > 50

    def test_the_administrations_door_is_the_same(self, ann):
        guess(SIGN_IN, ann, 5)
        guess(DOORS["change"], ann, 4)
        guess(DOORS["confirm"], ann, 1)
        assert SIGN_IN.open(ann, PASSWORD) > 50
        assert BASIC.open(ann, PASSWORD) is True, "another password"

    def test_the_administrations_other_form_leads_to_ours(self, ann, client):
        client.force_login(ann)
        assert client.get("/admin/password_change/").headers["Location"] == "/account/password/"
        assert client.post("/admin/password_change/", {"old_password": "wrong"}).status_code == 405


class TestOffice:
    """Many people behind one address."""

    def test_a_colleagues_mistakes_are_their_own(self, ann, ben):
        guess(BASIC, ann, 50)
        guess(SIGN_IN, ann, 50)
        assert BASIC.open(ben, PASSWORD) is True
        assert SIGN_IN.open(ben, PASSWORD) is True

    def test_wrong_passwords_for_anybody(self, ann, fewer):
        for number in range(3):
            guess(BASIC, f"user{number}", 10)
        assert 0 < BASIC.open("yet-another", "wrong") <= 10
        assert 0 < BASIC.open(ann, PASSWORD) <= 10
        assert 0 < SIGN_IN.open(ann, PASSWORD) <= 10
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True

    def test_a_hundred_of_them(self):
        assert guess_limits(known=False)["address"].at_once == 100

    def test_those_who_were_there_before_are_not_held_back(self, ann, ben, fewer):
        assert BASIC.open(ann, PASSWORD) is True
        assert SIGN_IN.open(ben, PASSWORD) is True
        for number in range(4):
            guess(BASIC, f"user{number}", 10)
        assert BASIC.open("another", "wrong") > 0
        for door in (BASIC, SIGN_IN):
            assert door.open(ann, PASSWORD) is True
            assert door.open(ben, PASSWORD) is True


class TestManyAddresses:
    def test_a_network(self, ann):
        for last in (1, 2):
            guess(BASIC, ann, 10, f"203.0.113.{last}")
        assert BASIC.open(ann, PASSWORD, "203.0.113.3") > 50
        assert BASIC.open(ann, PASSWORD, "203.0.112.3") is True

    def test_all_of_them(self, ann, fewer):
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True
        for number in range(3):
            guess(BASIC, ann, 10, f"203.0.{number}.1")
        assert BASIC.open(ann, "wrong", "203.1.0.1") > 100
        assert BASIC.open(ann, PASSWORD, "203.1.0.2") > 100, "an address that the account is not known from"
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True
        assert SIGN_IN.open(ann, PASSWORD, ELSEWHERE) is True, "it is known there, too"

    def test_mistakes_where_one_is_known_use_up_nothing_elsewhere(self, ann):
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True
        guess(BASIC, ann, 10, ELSEWHERE)
        marks = guesses.read_marks(Attempt(REGISTRY, ann.credential.username, ELSEWHERE))
        assert [kind for kind, until in marks.items() if until] == ["known", "here"]

    def test_an_address_is_known_for_some_time(self, ann, monkeypatch, settings):
        attempt = Attempt(CONSOLE, f"account:{ann.pk}", HERE)
        assert SIGN_IN.open(ann, PASSWORD) is True
        assert guesses.is_known(guesses.read_marks(attempt))
        later(monkeypatch, settings.KNOWN_ADDRESS_DAYS * 24 * 3600 + 1)
        assert not guesses.is_known(guesses.read_marks(attempt))

    def test_it_is_written_down_once_a_day(self, ann, monkeypatch):
        def queries():
            with CaptureQueriesContext(connection) as queries:
                assert BASIC.open(ann, PASSWORD) is True
            return len(queries)

        queries()
        assert queries() == 1
        later(monkeypatch, 25 * 3600)
        assert (queries(), queries()) == (2, 1)

    def test_a_wrong_password_makes_no_address_known(self, ann):
        for door in (BASIC, SIGN_IN):
            guess(door, ann, 1)
        for door in (CONSOLE, REGISTRY):
            account = f"account:{ann.pk}" if door == CONSOLE else ann.credential.username
            assert not guesses.is_known(guesses.read_marks(Attempt(door, account, HERE)))


class TestSecrets:
    """What is random cannot be guessed: a right one is never held back, and wrong ones say nothing of a password."""

    def forged(self, number=0):
        text = f"{PREFIX}{number:043}"
        return text + token_secrets._checksum(text)

    def refresh(self, token, address=HERE):
        form = {"service": "127.0.0.1", "grant_type": "refresh_token", "refresh_token": token}
        return Client(REMOTE_ADDR=address).post("/token/", form | {"service": self.service})

    @pytest.fixture(autouse=True)
    def _service(self, settings):
        self.service = settings.REGISTRY_SERVICE

    def test_wrong_ones_hold_the_address_back(self, ann, fewer):
        for number in range(15):
            assert BASIC.open(ann, self.forged(number)) is False
            assert self.refresh("forged").status_code == 400
        answer = self.refresh("forged")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
        assert 0 < BASIC.open("nobody", self.forged()) <= 10
        assert 0 < BASIC.open(ann, PASSWORD) <= 10
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True

    def test_right_ones_always_work(self, ann, fewer):
        _token, secret = access_tokens.create(ann, "ci", can_push=False)
        refresh = Client().get("/token/?offline_token=true", headers=self.basic(ann)).json()["refresh_token"]
        for number in range(4):
            guess(BASIC, f"user{number}", 10)
        assert BASIC.open(ann, PASSWORD) > 0
        assert BASIC.open(ann, secret) is True
        assert self.refresh(refresh).status_code == 200

    def basic(self, account):
        text = f"{account.credential.username}:{PASSWORD}"
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    def test_one_that_is_no_longer_good_is_no_guess_at_the_password(self, ann):
        token, secret = access_tokens.create(ann, "ci", can_push=False)
        access_tokens.revoke(token)
        for _ in range(50):
            assert BASIC.open(ann, secret) is False
        assert BASIC.open(ann, PASSWORD) is True


class TestAnswers:
    def test_of_the_token_endpoint(self, ann):
        said = []
        for account in (ann, "nobody"):
            for door in (BASIC, DOORS["post"]):
                guess(door, account, 10)
                response = door.ask(account, "wrong")
                assert response.status_code == 429
                assert response["Retry-After"] == "60"
                assert "WWW-Authenticate" not in response
                body = response.json()
                (error,) = body["errors"]
                assert error["code"] == "TOOMANYREQUESTS"
                assert body["error_description"] == error["message"]
                said.append(error["message"])
        assert set(said) == {"Too many wrong passwords. Try again in 1 minute."}

    def test_of_the_page(self, ann):
        for account in (ann, "nobody@example.com"):
            guess(SIGN_IN, account, 10)
            response = SIGN_IN.ask(account, PASSWORD)
            assert response.status_code == 429
            assert "Too many wrong passwords. Try again in" in text_of(response)

    def test_of_changing_the_password(self, ann):
        guess(DOORS["change"], ann, 10)
        response = DOORS["change"].ask(ann, PASSWORD)
        assert "Too many wrong passwords. Try again in" in text_of(response)

    @pytest.mark.parametrize(("seconds", "sentence"), [
        (0.2, "in 1 second."), (59, "in 59 seconds."), (60, "in 1 minute."), (61, "in 2 minutes."),
    ])  # fmt: skip
    def test_when(self, seconds, sentence):
        assert guesses.RateLimited(seconds).message.endswith(sentence)

    @pytest.mark.parametrize("name", ["", "\x00", "x" * 5000, "ü:", "\ud800"])
    def test_names_of_every_kind(self, name):
        for door in (BASIC, DOORS["post"], SIGN_IN):
            name = name.encode(errors="replace").decode()
            assert door.open(name, "wrong") is False


class TestOneHash:
    """Whoever has no such password costs the same, whatever the reason."""

    @each_open_door
    def test_each(self, door, ann):
        notyet, gone, unusable = AccountFactory(), ActivatedAccountFactory(), ActivatedAccountFactory()
        set_active(gone, False)
        unusable.set_unusable_password()
        unusable.save()
        names = {"nobody": "nobody@example.com", "wrong": ann.account_id, "gone": gone.account_id}
        names |= {"not yet": notyet.account_id, "unusable": unusable.account_id, "digits": "999999999999"}
        for why, name in names.items():
            for _ in range(2):
                with hashes_counted() as hashes:
                    assert door.open(name, "wrong" if why != "gone" else PASSWORD) is False, why
                assert len(hashes) == 1, why

    def test_the_right_password_of_somebody_not_activated(self, ann):
        ann.credential.activated_at = None
        ann.credential.save()
        for _ in range(2):
            with hashes_counted() as hashes:
                assert BASIC.open(ann, PASSWORD) is False
            assert len(hashes) == 1


class TestTrail:
    def test_one_row_an_hour(self, ann, monkeypatch):
        for door in (BASIC, SIGN_IN):
            guess(door, ann, 12)
        events = AuditEvent.objects.filter(action="password.held_back").order_by("pk")
        assert [(event.target, event.detail["door"], event.detail["limit"], event.address) for event in events] == [
            (ann.credential.username, "registry", "here", HERE),
            (ann.account_id, "console", "here", HERE),
        ]
        later(monkeypatch, 600)
        guess(BASIC, ann, 12)
        assert events.all().count() == 2
        later(monkeypatch, 3601)
        guess(BASIC, ann, 12)
        assert events.all().count() == 3

    def test_nothing_of_what_nobody_is_called(self):
        """It could be a password, typed into the wrong field."""
        guess(BASIC, "my-password", 12)
        guess(SIGN_IN, "my-password@example.com", 12)
        assert not AuditEvent.objects.exists()

    def test_an_address_that_tries_many_names(self, fewer):
        for number in range(4):
            guess(BASIC, f"user{number}", 10)
        (event,) = AuditEvent.objects.all()
        assert (event.target, event.detail["limit"], event.address) == (HERE, "address", HERE)


class TestMarks:
    def test_what_is_over_is_removed(self, ann, monkeypatch):
        assert BASIC.open(ann, PASSWORD, ELSEWHERE) is True
        guess(BASIC, ann, 3)
        before = Mark.objects.count()
        forget()
        assert Mark.objects.count() == before > 0
        later(monkeypatch, 3600)
        forget()
        assert Mark.objects.count() == 2, "of the address that is known, at both doors"

    def test_they_hold_nothing_that_was_typed(self, ann):
        guess(BASIC, "my-password", 1)
        assert {field.name for field in Mark._meta.fields} == {"key", "until"}

    def test_no_two_attempts_share_a_key(self):
        attempts = [
            Attempt(door, account, address)
            for door in (CONSOLE, REGISTRY)
            for account in (None, "", "a", "1:a", "account:1", "one")
            for address in (None, "192.0.2.1", "198.51.100.1", "2001:db8::1")
        ]
        for kind, different in (("known", 48), ("here", 48), ("network", 48), ("account", 12), ("address", 4)):
            assert len({attempt.keys[kind] for attempt in attempts}) == different, kind
        assert len({key for attempt in attempts for key in attempt.keys.values()}) == 3 * 48 + 12 + 4
