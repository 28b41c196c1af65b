"""The endpoint that takes the registry's notifications in."""

import datetime
import io
import json
import os
import random
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import InternalError, OperationalError, connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.installation.environment import BASE_DIR
from console.registry.index import views
from console.registry.index.models import Activity, Hint, SeenEvent, UnusableEvents
from console.repositories.models import PushedDigest
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)
URL = "/indexing/notifications/"


def event(**changes):
    base = {
        "id": "1",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "action": "push",
        "target": {"repository": "team/app", "tag": "v1", "digest": "sha256:" + "0" * 64, "mediaType": "x"},
        "actor": {"name": "somebody"},
    }
    target = {**base["target"], **changes.pop("target", {})}
    return {**base, "target": target, **changes}


@pytest.fixture
def send(client):
    def post(body, secret=None):
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.post(
            URL,
            content,
            content_type="application/vnd.docker.distribution.events.v1+json",
            headers={"Authorization": f"Bearer {settings.KEYS.notification_secret if secret is None else secret}"},
        )

    return post


def hinted():
    return list(Hint.objects.order_by("pk").values("repository", "tag", "pushed_at", "pushed_by", "digest"))


def queued():
    """How many jobs wait that look at what is hinted at."""
    return ProcrastinateJob.objects.filter(task_name="indexing.follow_all_hints").count()


def test_it_works(send):
    assert send({"events": [event()]}).status_code == 200
    (hint,) = hinted()
    assert hint == {
        "repository": "team/app",
        "tag": "v1",
        "pushed_at": MOMENT,
        "pushed_by": "somebody",
        "digest": "sha256:" + "0" * 64,
    }
    assert queued() == 1


def test_the_same_tag_waits_once(send):
    assert send({"events": [event(), event(), event(target={"tag": "v2"})]}).status_code == 200
    assert send({"events": [event()]}).status_code == 200
    assert [hint["tag"] for hint in hinted()] == ["v1", "v2"]
    assert queued() == 1


def test_of_two_pushes_the_later_is_remembered_in_any_order(send):
    late = event(timestamp="2026-01-02T04:00:00Z", actor={"name": "late"})
    for events in ([event(), late], [late, event()]):
        Hint.objects.all().delete()
        for one in events:
            send({"events": [one]})
        send({"events": [event(action="delete")]})
        assert (hinted()[0]["pushed_by"], hinted()[0]["pushed_at"].hour) == ("late", 4)


def test_a_deletion_is_a_hint_too(send):
    send({"events": [event(action="delete", target={"digest": None})]})
    assert hinted() == [{"repository": "team/app", "tag": "v1", "pushed_at": None, "pushed_by": "", "digest": ""}]


@pytest.mark.parametrize("secret", ["", "wrong", "é"])
def test_without_the_secret(send, client, secret):
    assert send({"events": [event()]}, secret=secret).status_code == 401
    assert client.post(URL, "{}", content_type="application/json").status_code == 401
    assert (hinted(), queued()) == ([], 0)


def test_only_post(client):
    assert client.get(URL).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b"[]", b"null", b"1", b'"x"', b"{}", b'{"events": null}', b'{"events": 3}',
        b'{"events": [null, 1, "x", [], {}]}', b"[" * 100_000, b'{"events": "' + b"x" * 3_000_000 + b'"}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_accepted_and_left_out(send, body):
    assert send(body).status_code == 200
    assert (hinted(), queued()) == ([], 0)


@pytest.mark.parametrize(
    "bad",
    [
        event(action="pull"),
        event(action="mount"),
        event(action=None),
        event(action=["push"]),
        {**event(), "target": None},
        {**event(), "target": []},
        event(target={"repository": None}),
        event(target={"repository": "no-namespace"}),
        event(target={"repository": "team/../app"}),
        event(target={"repository": "Team/App"}),
        event(target={"repository": 5}),
        event(target={"repository": "library/app"}),
        event(target={"tag": None, "digest": None}),
        event(target={"tag": ""}, actor={"name": ":console"}),
        event(action="pull", target={"tag": ""}),
        event(target={"tag": "../x"}),
        event(target={"tag": "x" * 129}),
        event(actor={"name": ":console"}),
        event(action="delete", actor={"name": ":console"}),
    ],
)
def test_events_that_ask_for_nothing(send, bad):
    assert send({"events": [bad, event(target={"tag": "good"})]}).status_code == 200
    assert [hint["tag"] for hint in hinted()] == ["good"]


@pytest.mark.parametrize("action", ["push", "delete"])
@pytest.mark.parametrize("tag", [None, "", "a\x00b", ["v1"]])
def test_what_concerns_a_digest_alone_asks_for_that(send, tag, action):
    digest = event()["target"]["digest"]
    assert send({"events": [event(action=action, target={"tag": tag})]}).status_code == 200
    assert [hint["tag"] for hint in hinted()] == [digest]
    assert queued() == 1


@pytest.mark.parametrize("actor", [None, [], {}, {"name": None}, {"name": "x" * 500}, {"name": "a\x00"}])
def test_actors_of_every_kind(send, actor):
    assert send({"events": [event(actor=actor)]}).status_code == 200
    assert len(hinted()[0]["pushed_by"]) <= 64


@pytest.mark.parametrize("timestamp", [None, 5, "", "yesterday", "2026-13-45T00:00:00Z", "2026-01-02T03:04:05"])
def test_times_of_every_kind(send, timestamp):
    assert send({"events": [event(timestamp=timestamp)]}).status_code == 200
    assert len(hinted()) == 1


@pytest.mark.parametrize("error", [OperationalError, InternalError])
def test_a_database_that_is_away_is_worth_waiting_for(send, monkeypatch, error):
    def fail(*arguments, **options):
        raise error("gone, or read only")

    monkeypatch.setattr(views.hints, "remember", fail)
    assert send({"events": [event()]}).status_code == 503


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_is_no_longer_prepared_is_prepared_again(send):
    """Everything is stored once: the registry would send an event that is refused for ever."""
    for number in range(2):
        assert send({"events": [event(id=f"event-{number}", target={"tag": f"v{number}"})]}).status_code == 200
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
    assert [hint["tag"] for hint in hinted()] == ["v0", "v1"]
    assert (Activity.objects.count(), PushedDigest.objects.count()) == (2, 1)


class TestCounted:
    """What nothing can be made of is counted, once for each event, and answered 200."""

    def counts(self):
        return dict(UnusableEvents.objects.values_list("reason", "count"))

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"events": 3}', b"[" * 100_000])
    def test_no_envelope(self, send, body):
        assert send(body).status_code == send(body).status_code == 200
        assert self.counts() == {"unreadable": 2}

    def test_more_than_the_limit(self, send):
        """Ten thousand events in one body are more than any registry sends: they are refused as a whole."""
        assert len(json.dumps(event())) * 10_000 > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        assert send({"events": [event()] * 10_000}).status_code == 200
        assert (self.counts(), hinted(), Activity.objects.count()) == ({"unreadable": 1}, [], 0)

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (None, "malformed"),
            ([], "malformed"),
            ({}, "unknown"),
            (event(action="explode"), "unknown"),
            (event(action=None), "unknown"),
            (event(action="push\x00"), "unknown"),
            (event(target={"repository": None}), "malformed"),
            (event(target={"repository": "team/app\ud800"}), "malformed"),
            (event(target={"tag": "", "digest": ""}), "malformed"),
            (event(target={"tag": "x" * 129}), "malformed"),
            (event(target={"tag": "", "digest": "blake3:" + "0" * 64}), "malformed"),
            (event(action="pull", id=None), "malformed"),
            (event(action="pull", id="\udfff"), "malformed"),
        ],
    )
    def test_events(self, send, bad, reason):
        assert send({"events": [bad, event(target={"tag": "good"}), bad]}).status_code == 200
        assert self.counts() == {reason: 2}
        assert [hint["tag"] for hint in hinted()] == ["good"]

    @pytest.mark.parametrize(
        "fine",
        [
            event(),
            event(action="mount"),
            event(action="delete"),
            event(target={"mediaType": None}),
            event(target={"mediaType": "application/octet-stream", "tag": ""}),
            event(target={"digest": "sha512:" + "0" * 128}),
            event(target={"digest": "blake3:" + "0" * 64}),
            event(target={"tag": "x" * 128}),
            event(actor={"name": "\ud800"}),
            event(id="\ud800"),
        ],
    )
    def test_nothing_else_is(self, send, fine):
        assert send({"events": [fine]}).status_code == 200
        assert self.counts() == {}


@pytest.mark.parametrize(
    "timestamp",
    ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2999-01-01T00:00:00Z"],
)
def test_times_that_no_clock_can_have_shown(send, timestamp):
    before = timezone.now()
    assert send({"events": [event(timestamp=timestamp)]}).status_code == 200
    assert before <= hinted()[0]["pushed_at"] <= timezone.now()


def test_an_unverifiable_digest_is_no_reason_to_miss_a_push(send):
    send({"events": [event(target={"digest": "blake3:" + "0" * 64})]})
    assert [(hint["tag"], hint["digest"]) for hint in hinted()] == [("v1", "")]


def test_a_namespace_that_is_not_known(send):
    """Nobody has to have it yet: the hint is followed and comes to nothing."""
    send({"events": [event(target={"repository": "nobody/app"})]})
    assert queued() == 1


def test_a_storm_of_ten_thousand(send):
    """Shuffled and with repetitions: one hint for a tag, the last push in it, and one job for all."""
    events = [
        event(
            id=f"storm-{number}",
            timestamp=f"2026-01-02T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            target={"repository": f"team/app{number % 5}", "tag": f"v{number % 50}"},
            actor={"name": f"pusher-{number}"},
        )
        for number in range(10_000)
    ]
    random.Random(1).shuffle(events)
    for start in range(0, len(events), 500):
        assert send({"events": events[start : start + 500] + events[start : start + 10]}).status_code == 200
    assert len(hinted()) == 50
    assert all(hint["pushed_by"] == f"pusher-{9950 + int(hint['tag'][1:])}" for hint in hinted())
    assert queued() == 1
    assert Activity.objects.count() == SeenEvent.objects.count() == 10_000


def test_a_body_that_breaks_off_is_sent_again(rf):
    request = rf.post(
        URL,
        b"{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {settings.KEYS.notification_secret}"},
    )

    def broken(*arguments):
        raise OSError("the connection broke")

    request._stream = type("Broken", (io.BytesIO,), {"read": broken})()
    assert views.notifications(request).status_code == 400
    assert not UnusableEvents.objects.exists()


def test_the_secret_is_compared_in_constant_time(send, monkeypatch):
    compared = []
    monkeypatch.setattr(views, "constant_time_compare", lambda *pair: compared.append(pair) or False)
    assert send({"events": [event()]}).status_code == 401
    assert compared == [(f"Bearer {settings.KEYS.notification_secret}",) * 2]


def test_an_unreachable_database():
    """The real thing: a console whose database nobody answers for."""
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings; from django.test import Client\n"
        "answer = Client().post('/indexing/notifications/', '{\"events\": []}', content_type='application/json',\n"
        "    headers={'Authorization': 'Bearer ' + settings.KEYS.notification_secret})\n"
        "print(answer.status_code)"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/nowhere",
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "ALLOWED_HOSTS": "testserver",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "503", done.stderr
