"""What is counted and written down every few minutes: grants of tokens, and wrong passwords."""

import signal
import threading
from unittest.mock import Mock

import pytest
from django.db import OperationalError

from console.audit import shutdown, summaries
from console.audit.models import AuditEvent
from console.local import gunicorn_hooks
from console.token_server import passwords
from tests.support.factories import PASSWORD, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.stack import wait_until
from tests.support.token_endpoint import Asker
from tests.token_server.conftest import ask, basic

__all__ = ["ask", "basic"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_yet():
    summaries.forget()
    passwords.forget_all()
    yield
    summaries.forget()


@pytest.fixture
def image():
    return ImageFactory(namespace=NamespaceFactory(owner=ActivatedAccountFactory()), name="app")


def written():
    summaries.flush()
    return {
        (event.action, event.actor, event.target, event.detail["times"]) for event in AuditEvent.objects.all()
        if "times" in event.detail
    }  # fmt: skip


def count(times=1, **other):
    for _ in range(times):
        summaries.count(**{"action": "token.grant", "target": "team/app", "actor": "1", "address": None, **other})


def test_a_token_makes_no_row_and_takes_one_query(ask, image, django_assert_num_queries):
    owner, scope = image.namespace.owner, f"repository:{image.repository}:pull,push"
    ask.get(scope, user=owner.credential.username, password=PASSWORD)
    with django_assert_num_queries(1):
        ask.get(scope, user=owner.credential.username, password=PASSWORD)
    assert not AuditEvent.objects.exists()
    assert written() == {("token.grant", owner.account_id, image.repository, 2)}
    event = AuditEvent.objects.get()
    assert event.address == "127.0.0.1"
    assert event.detail["first"] <= event.detail["last"]


def test_what_is_refused(ask, image):
    stranger = ActivatedAccountFactory()
    ask.get(f"repository:{image.repository}:pull,push,evil", user=stranger.credential.username, password=PASSWORD)
    ask.get("repository:a/b:pull"), ask.get("repository:c/d:pull")
    ask.post(grant_type="refresh_token", refresh_token="made up")
    ask.get(user=image.namespace.owner.credential.username, password="wrong")
    assert written() == {
        ("token.refuse", stranger.account_id, image.repository, 1),
        # Names that strangers think up are not written down.
        ("token.refuse", "anonymous", "-", 2),
        ("password.wrong", "anonymous", "-", 1),
        ("password.wrong", "anonymous", image.namespace.owner.credential.username, 1),
    } | {("token.refuse", "anonymous", "-", number) for number in (2,)}
    (mine,) = AuditEvent.objects.filter(actor=stranger.account_id)
    assert (mine.detail["granted"], mine.detail["refused"], mine.detail["shown"]) == ([], ["pull", "push"], "password")


def test_what_was_shown(client, image):
    from console.access_tokens import services as access_tokens

    owner = image.namespace.owner
    token, secret = access_tokens.create(owner, "ci", can_push=False)
    user = owner.credential.username
    ask, scope = Asker(client), f"repository:{image.repository}:pull"
    ask.get(scope, user=user, password=secret)
    made = ask.get(user=user, password=PASSWORD, offline_token="true").json()["refresh_token"]
    ask.post(scope, grant_type="refresh_token", refresh_token=made)
    login = AuditEvent.objects.get(action="login.create")
    assert login.actor == owner.account_id and login.target.startswith(owner.account_id)
    summaries.flush()
    found = {event.detail["shown"] for event in AuditEvent.objects.filter(action="token.grant")}
    assert found == {f"access token {token.pk}", "password", "login"}
    assert secret not in str(list(AuditEvent.objects.values())) and made not in str(list(AuditEvent.objects.values()))


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(summaries, "MOST", 3)
    for number in range(10):
        count(target=f"team/app{number}")
    assert len(summaries._counts) == 4
    assert ("token.grant", "others", "others", 7) in written()


def test_nobody_blinds_the_trail_for_others(monkeypatch):
    monkeypatch.setattr(summaries, "MOST", 10)
    monkeypatch.setattr(summaries, "MOST_OF_ONE", 3)
    for number in range(100):
        count(target=f"team/app{number}", address="192.0.2.1")
    count(actor="2", address="192.0.2.2"), count(actor="2", address="192.0.2.2")
    assert len(summaries._counts) == 5
    found = written()
    assert ("token.grant", "1", "others", 97) in found and ("token.grant", "2", "team/app", 2) in found
    assert AuditEvent.objects.get(target="others").address is None
    count(target="team/app99")
    assert ("token.grant", "1", "team/app99", 1) in written()


def test_nothing_is_lost_while_the_database_is_away(monkeypatch):
    count(2)
    monkeypatch.setattr(summaries, "record_all", lambda events: (_ for _ in ()).throw(OperationalError("away")))
    with pytest.raises(OperationalError):
        summaries.flush()
    count()
    monkeypatch.undo()
    assert written() == {("token.grant", "1", "team/app", 3)}
    assert summaries.flush() == 0


def test_what_the_database_refuses_is_dropped_and_the_rest_is_written(caplog):
    count(address="fe80::1%eth0"), count(target="a\0b"), count(target="a\ud800b")
    count(2)
    assert summaries.flush() == 1
    assert written() == {("token.grant", "1", "team/app", 2)}
    assert caplog.text.count("token.grant") == 3 and "fe80" not in caplog.text


def test_what_was_written_before_the_database_went_is_not_written_again(monkeypatch):
    """Row by row: one is refused, one is written, then the database is away."""
    count(address="fe80::1%eth0"), count(target="a/b"), count(target="c/d")
    calls, real = [], summaries.record_all

    def record_all(events):
        calls.append(1)
        if len(calls) == 4:
            raise OperationalError("away")
        real(events)

    monkeypatch.setattr(summaries, "record_all", record_all)
    with pytest.raises(OperationalError):
        summaries.flush()
    assert written() == {("token.grant", "1", "a/b", 1), ("token.grant", "1", "c/d", 1)}
    assert len(calls) == 5


@pytest.mark.parametrize("error", [OperationalError("away"), RuntimeError("odd")])
def test_no_failure_ends_the_thread(monkeypatch, caplog, error):
    closed = Mock()
    monkeypatch.setattr(summaries, "flush", Mock(side_effect=error))
    monkeypatch.setattr(summaries, "connection", closed)
    summaries._write()
    assert str(error) in caplog.text and closed.close.called


def test_many_threads():
    threads = [threading.Thread(target=count, args=(500,)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert written() == {("token.grant", "1", "team/app", 4000)}


def test_a_thread_writes_now_and_then(monkeypatch):
    """The tests' own does not run (tests/conftest.py); this is the one of a process that begins to count."""
    called = []
    monkeypatch.setattr(summaries, "SECONDS", 0.001)
    monkeypatch.setattr(shutdown, "over", over := threading.Event())
    monkeypatch.setattr(summaries, "_write", lambda: called.append(1) or len(called) < 3 or over.set())
    thread = threading.Thread(target=summaries._write_until_shutdown, daemon=True)
    thread.start()
    thread.join(10)
    # The last time because it is over.
    assert len(called) == 4


def test_it_writes_when_the_process_is_told_to_end(monkeypatch):
    """Not when it ends: with half a request open that is after the grace period, when it may be killed already."""
    called = []
    monkeypatch.setattr(shutdown, "over", threading.Event())
    monkeypatch.setattr(summaries, "_write", lambda: called.append(1))
    thread = threading.Thread(target=summaries._write_until_shutdown, daemon=True)
    thread.start()
    graceful, before = Mock(), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, graceful)
    try:
        gunicorn_hooks.post_worker_init(None)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    graceful.assert_called_once()
    thread.join(10)
    assert called == [1]


def test_a_process_that_is_told_to_end_writes_the_rest(stack):
    """With the whole product: gunicorn's process, which has counted a minute ago and is not due for four."""
    import psutil
    import requests

    found = "SELECT coalesce(sum((detail ->> 'times')::int), 0) FROM audit_auditevent WHERE action = 'token.refuse'"
    account = stack.create_account("Ann", "the console password 1")
    ((before,),) = stack.sql(found)
    answer = requests.get(f"{stack.console_url}/token/", params={"scope": "repository:no/where:pull"}, timeout=10)
    assert answer.status_code == 200
    wrong = requests.get(f"{stack.console_url}/token/", auth=(account, "wrong"), timeout=10)
    assert wrong.status_code == 401
    for process in psutil.Process(stack.pid_of("console")).children():
        process.terminate()
    wait_until(lambda: (stack.sql(found) or [(0,)])[0][0] >= before + 2, "both were written down", 60)

    def answers():
        # Nobody takes the connection until the new processes are there, or one that is ending closes it.
        try:
            return requests.get(f"{stack.console_url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    wait_until(answers, "others took their places", 60)
