"""The endpoint that takes the registry's notifications in."""

import datetime
import json

import pytest
from django.conf import settings
from django.db import OperationalError
from procrastinate.contrib.django.models import ProcrastinateJob

from console.indexing import views
from console.indexing.models import Hint

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
    return list(Hint.objects.order_by("pk").values("repository", "tag", "pushed_at", "pushed_by"))


def queued():
    return [job.args for job in ProcrastinateJob.objects.filter(task_name="indexing.follow_hints").order_by("id")]


def test_it_works(send):
    assert send({"events": [event()]}).status_code == 200
    assert hinted() == [{"repository": "team/app", "tag": "v1", "pushed_at": MOMENT, "pushed_by": "somebody"}]
    assert queued() == [{"repository": "team/app"}]


def test_the_same_tag_waits_once(send):
    assert send({"events": [event(), event(), event(target={"tag": "v2"})]}).status_code == 200
    assert send({"events": [event()]}).status_code == 200
    assert [hint["tag"] for hint in hinted()] == ["v1", "v2"]
    assert queued() == [{"repository": "team/app"}]


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
    assert hinted() == [{"repository": "team/app", "tag": "v1", "pushed_at": None, "pushed_by": ""}]


@pytest.mark.parametrize("secret", ["", "wrong", "é"])
def test_without_the_secret(send, client, secret):
    assert send({"events": [event()]}, secret=secret).status_code == 401
    assert client.post(URL, "{}", content_type="application/json").status_code == 401
    assert hinted() == queued() == []


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
    assert hinted() == queued() == []


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
        event(target={"tag": None}),
        event(target={"tag": ""}),
        event(target={"tag": "../x"}),
        event(target={"tag": "x" * 129}),
        event(target={"tag": "a\x00b"}),
        event(target={"tag": ["v1"]}),
        event(actor={"name": ":console"}),
        event(action="delete", actor={"name": ":console"}),
    ],
)
def test_events_that_ask_for_nothing(send, bad):
    assert send({"events": [bad, event(target={"tag": "good"})]}).status_code == 200
    assert [hint["tag"] for hint in hinted()] == ["good"]


@pytest.mark.parametrize("actor", [None, [], {}, {"name": None}, {"name": "x" * 500}, {"name": "a\x00"}])
def test_actors_of_every_kind(send, actor):
    assert send({"events": [event(actor=actor)]}).status_code == 200
    assert len(hinted()[0]["pushed_by"]) <= 64


@pytest.mark.parametrize("timestamp", [None, 5, "", "yesterday", "2026-13-45T00:00:00Z", "2026-01-02T03:04:05"])
def test_times_of_every_kind(send, timestamp):
    assert send({"events": [event(timestamp=timestamp)]}).status_code == 200
    assert len(hinted()) == 1


def test_a_database_that_is_away_is_worth_waiting_for(send, monkeypatch):
    def fail(*arguments, **options):
        raise OperationalError("gone")

    monkeypatch.setattr(views.hints, "remember", fail)
    assert send({"events": [event()]}).status_code == 503
