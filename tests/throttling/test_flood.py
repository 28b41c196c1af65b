"""A flood of passwords leaves threads for everybody else, and few wrong ones get through at once."""

import contextlib
import queue
import threading

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from console.throttling import guesses, hashing
from console.throttling.guesses import PASSWORD_RESET, REGISTRY, Attempt
from console.token_server import passwords
from tests.support.factories import PASSWORD, ActivatedAccountFactory
from tests.throttling.doors import DOORS, hashes_counted

BASIC, SIGN_IN = DOORS["basic"], DOORS["sign-in"]
PATIENCE = 30


class Crowd:
    """Asks that run at the same time, each in a thread and with a connection of its own."""

    def __init__(self):
        self.answers = queue.Queue()
        self.threads = []

    def send(self, call):
        def run():
            try:
                self.answers.put(call())
            except BaseException as error:  # told to the test's own thread
                self.answers.put(error)
            finally:
                connections.close_all()

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def all(self):
        for thread in self.threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self.threads)
        return [self.answers.get_nowait() for _ in self.threads]


@pytest.fixture
def crowd():
    return Crowd()


@contextlib.contextmanager
def all_slots_taken():
    """As if as many passwords as may be were being hashed, for as long as one likes."""
    with contextlib.ExitStack() as stack:
        while hashing._hashing.acquire(blocking=False):
            stack.callback(hashing._hashing.release)
        yield


@pytest.fixture(autouse=True)
def _nothing_remembered():
    passwords.forget_all()


class Waiting:
    """Stands in for the semaphore, and says when somebody has come to it."""

    def __init__(self, semaphore):
        self.semaphore, self.came = semaphore, threading.Semaphore(0)

    def __enter__(self):
        self.came.release()
        assert self.semaphore.acquire(timeout=PATIENCE)

    def __exit__(self, *rest):
        self.semaphore.release()

    def acquire(self, *arguments, **options):
        return self.semaphore.acquire(*arguments, **options)

    def release(self):
        self.semaphore.release()


@pytest.fixture
def waiting(monkeypatch):
    found = Waiting(hashing._hashing)
    monkeypatch.setattr(hashing, "_hashing", found)
    return found


@pytest.mark.django_db(transaction=True)
class TestFlood:
    def test_half_of_the_threads_may_wait(self, crowd, waiting, settings):
        ann = ActivatedAccountFactory()
        with all_slots_taken():
            for number in range(settings.WEB_THREADS // 2):
                crowd.send(lambda number=number: BASIC.open("nobody", "wrong", f"203.0.{number}.1"))
                assert waiting.came.acquire(timeout=PATIENCE)
            # The rest is told at once, at every door, and in this very thread: it would wait for ever.
            for door in (BASIC, DOORS["post"], SIGN_IN):
                with hashes_counted() as hashes:
                    assert door.open(ann, PASSWORD, "198.51.100.7") == 2
                assert hashes == []
            response = BASIC.ask(ann, PASSWORD, "198.51.100.7")
            assert response.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
            assert "Too many passwords are being checked" in response.json()["errors"][0]["message"]
        assert crowd.all() == [False] * (settings.WEB_THREADS // 2)
        assert hashing._unknown_clients == 0
        assert BASIC.open(ann, PASSWORD, "198.51.100.7") is True

    def test_who_is_remembered_is_not_held_up(self, crowd, waiting, settings):
        ann = ActivatedAccountFactory()
        assert BASIC.open(ann, PASSWORD) is True
        assert waiting.came.acquire(timeout=PATIENCE)
        with all_slots_taken():
            for number in range(settings.WEB_THREADS // 2):
                crowd.send(lambda number=number: BASIC.open("nobody", "wrong", f"203.0.{number}.1"))
                assert waiting.came.acquire(timeout=PATIENCE)
            assert BASIC.open(ann, PASSWORD) is True
        crowd.all()

    def test_who_comes_from_where_they_are_known_waits_beside_it(self, crowd, waiting, settings):
        ann = ActivatedAccountFactory()
        assert BASIC.open(ann, PASSWORD) is True
        assert waiting.came.acquire(timeout=PATIENCE)
        passwords.forget_all()
        with all_slots_taken():
            for number in range(settings.WEB_THREADS // 2):
                crowd.send(lambda number=number: BASIC.open("nobody", "wrong", f"203.0.{number}.1"))
                assert waiting.came.acquire(timeout=PATIENCE)
            crowd.send(lambda: BASIC.open(ann, PASSWORD))
            assert waiting.came.acquire(timeout=PATIENCE)
        assert sorted(crowd.all()) == [False] * (settings.WEB_THREADS // 2) + [True]

    def test_those_who_waited_are_counted_together(self, crowd, settings):
        """Forty at once get no more than ten tries between them, but for those that are compared at that moment."""
        settings.WEB_THREADS = 100
        ann = ActivatedAccountFactory()
        with hashes_counted() as hashes, all_slots_taken_for_start(crowd, 40, ann):
            answers = crowd.all()
        assert 10 <= len(hashes) <= 10 + (hashing_slots() - 1)
        assert answers.count(False) == len(hashes)

    def test_two_who_count_at_once_are_both_counted(self, crowd):
        attempts = [Attempt(REGISTRY, "ann", f"192.0.2.{number}") for number in range(8)]
        for attempt in attempts * 2:
            crowd.send(lambda attempt=attempt: guesses.record_failure(attempt, guesses.read_marks(attempt)))
        assert crowd.all() == [None] * 16
        ahead = guesses.read_marks(attempts[0])["network"] - timezone.now()
        assert 15 * 60 < ahead.total_seconds() <= 16 * 60


def hashing_slots():
    with contextlib.ExitStack() as stack:
        number = 0
        while hashing._hashing.acquire(blocking=False):
            stack.callback(hashing._hashing.release)
            number += 1
        return number


@contextlib.contextmanager
def all_slots_taken_for_start(crowd, number, account):
    """So many wrong passwords, all of which begin while nothing is hashed."""
    with all_slots_taken():
        for one in range(number):
            crowd.send(lambda one=one: BASIC.open(account, f"wrong {one}"))
    yield


@pytest.mark.django_db(transaction=True)
def test_of_many_who_ask_at_once_as_many_are_heard_as_may_be(crowd, monkeypatch):
    """Each of them sees that nobody has asked yet."""
    together, read = threading.Barrier(12), guesses.read_marks

    def read_together(attempt):
        marks = read(attempt)
        together.wait(PATIENCE)
        return marks

    monkeypatch.setattr(guesses, "read_marks", read_together)
    for number in range(12):
        crowd.send(
            lambda number=number: guesses.count_request(Attempt(PASSWORD_RESET, "ann@example.com", f"192.0.2.{number}"))
        )
    answers = crowd.all()
    refused = [answer for answer in answers if answer is not None]
    most, seconds = settings.GUESSES_AT[PASSWORD_RESET]["account"]
    assert len(refused) == 12 - most, refused
    # Those who are refused have counted as well: each of them waits for one more.
    assert sorted(round(one.seconds / seconds) for one in refused) == list(range(2, 2 + len(refused)))
