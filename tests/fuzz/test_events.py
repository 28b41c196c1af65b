"""Whatever comes as a notification is accepted, and nothing but what it can mean is written."""

from __future__ import annotations

import json

from django.apps import apps
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from console.registry.index.models import Activity, Hint, SeenEvent, UnusableEvents
from console.repositories.models import PushedDigest
from tests.fuzz import grammar, seeds, wild
from tests.fuzz.budget import examples
from tests.fuzz.checks import check_events, check_storable

MOMENTS = wild.around(
    "0129-:TZ+.",
    *("2026-11-01T03:04:05.678Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-01"),
    *("20261101T000000", "2026-11-01T00:00:00+23:59"),
)  # fmt: skip
EVENTS = wild.nearly(
    id=wild.TEXTS,
    timestamp=MOMENTS,
    action=st.sampled_from(["push", "push", "pull", "delete", "mount", "explode"]),
    target=wild.nearly(
        repository=st.just("team/app") | wild.NAMES,
        tag=st.just("v1") | wild.NAMES,
        digest=st.just(seeds.DIGEST) | wild.DIGESTS,
        mediaType=st.sampled_from(["x", "application/octet-stream", "\0"]),
    ),
    actor=wild.nearly(name=st.sampled_from(["somebody", ":console"]) | wild.TEXTS),
    request=wild.nearly(method=st.sampled_from(["GET", "HEAD"])),
)
# Right but for one thing: else most events would fail at several.
GOOD = {
    "id": "1",
    "timestamp": "2026-11-01T03:04:05.678Z",
    "action": "push",
    "target": {"repository": "team/app", "tag": "v1", "digest": seeds.DIGEST, "mediaType": "x"},
    "actor": {"name": "somebody"},
}
ALMOST = EVENTS.map(lambda event: {**GOOD, **event}) | st.builds(
    lambda target, action: {**GOOD, "action": action, "target": {**GOOD["target"], **target}},
    wild.nearly(repository=wild.NAMES, tag=wild.NAMES, digest=wild.DIGESTS),
    st.sampled_from(["push", "pull", "delete"]),
)
ENVELOPES = (
    st.lists(ALMOST | EVENTS | wild.ANYTHING, max_size=4).map(lambda events: json.dumps({"events": events}).encode())
    | wild.nearly(events=st.lists(ALMOST, max_size=2)).map(lambda envelope: json.dumps(envelope).encode())
    | wild.ANYTHING.map(lambda value: json.dumps(value).encode())
    | st.sampled_from(seeds.EVENTS)
    | st.binary(max_size=30)
)
WRITTEN = {Hint, Activity, SeenEvent, PushedDigest, UnusableEvents}


@given(st.lists(ALMOST | EVENTS | wild.ANYTHING, max_size=4))
@examples(500)
def test_events(cases, events):
    cases("event envelope")
    check_events(events)


def _others():
    """The rows of all other tables, less the jobs that follow hints."""
    models = [one for one in apps.get_models() if one not in WRITTEN and one._meta.app_label != "procrastinate"]
    return {model._meta.label: model._default_manager.count() for model in models if model._meta.managed}


def _send(client, body):
    response = client.post(
        "/indexing/notifications/",
        body,
        content_type="application/vnd.docker.distribution.events.v1+json",
        headers={"Authorization": f"Bearer {settings.KEYS.notification_secret}"},
    )
    assert response.status_code == 200, body


def test_nothing_fails_and_only_hints_are_written(cases, client, db):
    """Every row is of its grammar, and no other table has one more."""
    before = _others()
    _send(client, json.dumps({"events": [GOOD]}))

    @given(ENVELOPES)
    @examples(200)
    def send(body):
        cases("event envelope at the endpoint")
        _send(client, body)

    send()
    assert _others() == before
    assert Hint.objects.filter(repository="team/app", tag="v1").exists()
    for repository, tag, who in Hint.objects.values_list("repository", "tag", "pushed_by"):
        namespace, _, image = repository.partition("/")
        assert grammar.is_namespace(namespace) and grammar.is_image(image)
        # A manifest that was pushed or deleted by its digest has a hint, too.
        assert grammar.is_tag(tag) or grammar.is_digest(tag)
        check_storable(who)
    assert all(grammar.is_digest(digest) for digest in PushedDigest.objects.values_list("digest", flat=True))
