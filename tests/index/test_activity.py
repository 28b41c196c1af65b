"""Counting pushes and pulls: each once, whatever dies in between, and cheaply."""

import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.images.tags import all_tags
from console.installation.environment import BASE_DIR
from console.registry.index import activity
from console.registry.index.activity import Occurrence
from console.registry.index.models import Activity, SeenEvent
from console.repositories.models import DailyActivity
from tests.support.environment import ENVIRONMENT
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.ports import free_port
from tests.support.stack import wait_until

URL = "/indexing/notifications/"
_numbers = itertools.count()


def pull(image, tag="", digest="", *, method="GET", number=None, at=None, actor="somebody", action="pull"):
    return {
        "id": f"event-{next(_numbers)}" if number is None else number,
        "timestamp": (at or timezone.now()).isoformat(),
        "action": action,
        "target": {"repository": image.repository, "tag": tag, "digest": digest, "mediaType": "x"},
        "request": {"method": method},
        "actor": {"name": actor},
    }


def headers():
    return {"Authorization": f"Bearer {settings.KEYS.notification_secret}"}


@pytest.fixture
def send(client):
    def post(*events):
        answer = client.post(URL, json.dumps({"events": events}), content_type="application/json", headers=headers())
        assert answer.status_code == 200

    return post


def pulls(image):
    """What the pages show: of the image, and of each tag."""
    image.refresh_from_db()
    return image.pull_count, dict(all_tags(image).values_list("name", "pulls"))


def told_long_ago():
    Activity.objects.update(notified_at=timezone.now() - datetime.timedelta(hours=1))


@pytest.mark.django_db
class TestCounting:
    @pytest.fixture
    def tag(self):
        return TagFactory(name="v1")

    def test_by_tag_and_by_digest(self, send, tag):
        now = timezone.now().replace(microsecond=0)
        send(
            pull(tag.image, "v1", tag.manifest.digest, at=now - datetime.timedelta(minutes=5)),
            pull(tag.image, "", tag.manifest.digest, at=now - datetime.timedelta(minutes=3)),
        )
        assert activity.add_up() == 2
        assert pulls(tag.image) == (2, {"v1": 2})
        assert all_tags(tag.image).get().last_pull == tag.image.last_pull_at == now - datetime.timedelta(minutes=3)
        assert (DailyActivity.objects.get().pulls, DailyActivity.objects.get().pushes) == (2, 0)
        assert activity.add_up() == 0

    def test_an_older_pull_told_late_leaves_the_last_one(self, send, tag):
        now = timezone.now()
        for minutes in (1, 10):
            send(pull(tag.image, "v1", at=now - datetime.timedelta(minutes=minutes)))
            activity.add_up()
        assert pulls(tag.image) == (2, {"v1": 2})
        assert tag.image.last_pull_at == now - datetime.timedelta(minutes=1)

    def test_looks_and_the_consoles_own_reads_do_not_count(self, send, tag):
        send(pull(tag.image, "v1", method="HEAD"), pull(tag.image, "", tag.manifest.digest, method="HEAD"))
        send(pull(tag.image, "v1", actor=":console"), pull(tag.image, "", tag.manifest.digest, actor=":console"))
        assert not Activity.objects.exists()

    @pytest.mark.parametrize("way", ["tag", "look, then digest"])
    def test_a_client_counts_once(self, send, tag, way):
        """skopeo and podman get the tag; Docker and containerd look at the tag and get its digest."""
        if way == "tag":
            send(pull(tag.image, "v1", tag.manifest.digest))
        else:
            send(pull(tag.image, "v1", tag.manifest.digest, method="HEAD"), pull(tag.image, "", tag.manifest.digest))
        activity.add_up()
        assert pulls(tag.image) == (1, {"v1": 1})

    def test_the_platform_after_the_index_is_no_pull_of_its_own(self, send):
        image = ImageFactory()
        child = ManifestFactory(image=image, is_child=True, kind="image")
        index = ManifestFactory(
            image=image, kind="index", children=[{"digest": child.digest, "platform": "linux/amd64"}]
        )
        TagFactory(image=image, manifest=index, name="v1")
        send(
            pull(image, "v1", index.digest, method="HEAD"), pull(image, "", index.digest), pull(image, "", child.digest)
        )
        send(pull(image, "v1", index.digest), pull(image, "", child.digest))
        activity.add_up()
        assert pulls(image) == (2, {"v1": 2})

    def test_repetitions_count_once(self, send, tag):
        event = pull(tag.image, "v1")
        send(event, event)
        send(event)
        assert activity.add_up() == 1
        send(event)
        assert activity.add_up() == 0
        assert pulls(tag.image) == (1, {"v1": 1})

    def test_what_is_not_indexed_yet_waits(self, send):
        image = ImageFactory()
        send(pull(image, "v1"), pull(image, "v1", action="push"))
        assert activity.add_up() == 0
        TagFactory(image=image, name="v1")
        assert activity.add_up() == 2
        assert pulls(image) == (1, {"v1": 1})
        assert (DailyActivity.objects.get().pulls, DailyActivity.objects.get().pushes) == (1, 1)

    def test_what_is_never_indexed_counts_for_the_image_or_not_at_all(self, send, tag):
        unknown = ImageFactory.build(namespace=tag.image.namespace, name="never-there")
        send(pull(tag.image, "gone"), pull(unknown, "v1"))
        assert activity.add_up() == 0
        told_long_ago()
        assert activity.add_up() == 2
        assert pulls(tag.image) == (1, {"v1": 0})
        assert not Activity.objects.exists()

    def test_what_is_nobodys_does_not_wait(self, send, tag):
        nobodys = ImageFactory.build(namespace=NamespaceFactory.build(name="nobodys-own"))
        send(pull(nobodys, "v1"), pull(nobodys, "v1", action="push"), pull(tag.image, "v1"))
        assert activity.add_up() == 3
        assert not Activity.objects.exists()
        assert pulls(tag.image) == (1, {"v1": 1})
        assert DailyActivity.objects.get().image == tag.image

    def test_many_that_wait_do_not_hold_up_the_others(self, tag):
        """Whether they lie before, behind or between, and however many rows are looked at together."""
        later = ImageFactory(namespace=tag.image.namespace)

        def told(start, image, name, number):
            moment = timezone.now()
            names = [f"{start} {count}" for count in range(number)]
            activity.store([Occurrence(event, image.repository, name, "", True, moment) for event in names])

        told("a", later, "v1", 20_000)
        told("b", tag.image, "v1", 20_000)
        told("c", later, "v1", 5000)
        told("d", tag.image, "v1", 7)
        assert activity.add_up() == 20_007
        assert pulls(tag.image) == (20_007, {"v1": 20_007})
        assert (Activity.objects.count(), activity.add_up()) == (25_000, 0)
        TagFactory(image=later, name="v1")
        assert activity.add_up() == 25_000
        assert pulls(later) == (25_000, {"v1": 25_000})
        assert pulls(tag.image) == (20_007, {"v1": 20_007})
        assert not Activity.objects.exists()

    def test_numbers_of_events_are_forgotten_in_time(self, send, tag):
        send(pull(tag.image, "v1"))
        SeenEvent.objects.update(seen_at=timezone.now() - datetime.timedelta(hours=1))
        send(pull(tag.image, "v1"))
        activity.add_up()
        assert SeenEvent.objects.count() == 1

    def test_a_thousand_pulls_are_a_few_updates(self, send):
        tags = [TagFactory(name=f"v{number}") for number in range(3)]
        send(*(pull(tag.image, tag.name) for tag in tags for _ in range(400)))
        with CaptureQueriesContext(connection) as queries:
            before = updated("images_tag"), updated("images_image")
            assert activity.add_up() == 1200
            after = updated("images_tag"), updated("images_image")
        assert (after[0] - before[0], after[1] - before[1]) == (3, 3)
        assert len(queries) < 25
        assert [pulls(tag.image)[0] for tag in tags] == [400] * 3


def updated(table):
    """How many rows of the table this transaction has updated."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = %s", [table])
        return cursor.fetchone()[0]


# --- processes that die ---------------------------------------------------------------------------------------------


def database_url():
    """The tests' database, for another connection."""
    return ENVIRONMENT.database_url.replace("/my_images?", f"/{connection.settings_dict['NAME']}?")


def environment():
    """Lets a process of its own work on the tests' database."""
    return {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "console.settings"}


class Console:
    """A console that takes notifications in, and can be killed."""

    def __init__(self):
        self.url = f"http://127.0.0.1:{free_port()}"
        address = self.url.removeprefix("http://")
        command = [sys.executable, "-m", "gunicorn", "console.wsgi", "--bind", address, "--threads", "4"]
        self.process = subprocess.Popen(
            command, cwd=BASE_DIR, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, "a console")

    def _answers(self):
        try:
            return requests.get(self.url + URL, timeout=5).status_code == 405
        except requests.RequestException:
            return False

    def take(self, events):
        """Whether the events were acknowledged."""
        try:
            return requests.post(self.url + URL, json={"events": events}, headers=headers(), timeout=30).ok
        except requests.RequestException:
            return False

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def is_blocked():
    """Whether somebody waits for an image's row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%NO KEY UPDATE%'")
        return cursor.rowcount


@pytest.mark.django_db(transaction=True)
class TestDeath:
    def test_a_thousand_pulls_and_a_console_that_is_killed(self):
        """Killed in the middle and right after the last answer; what was not acknowledged is sent again."""
        tag = TagFactory(name="v1")
        waiting = [[pull(tag.image, "v1" if number % 2 else "", tag.manifest.digest)] for number in range(1000)]
        for enough in (300, None):
            console, acknowledged = Console(), itertools.count(1)

            def take(events, console=console, acknowledged=acknowledged, enough=enough):
                done = console.take(events)
                if done and next(acknowledged) == enough:
                    console.kill()
                return done

            try:
                with ThreadPoolExecutor(8) as pool:
                    taken = list(pool.map(take, waiting))
            finally:
                if console.process.poll() is None:
                    console.kill()
            waiting = [events for events, done in zip(waiting, taken, strict=True) if not done]
        assert not waiting
        while activity.add_up():
            pass
        assert pulls(tag.image) == (1000, {"v1": 1000})

    def test_adding_up_is_killed(self, client):
        tag = TagFactory(name="v1")
        events = [pull(tag.image, "v1") for _ in range(1000)]
        assert (
            client.post(URL, {"events": events}, content_type="application/json", headers=headers()).status_code == 200
        )
        with psycopg.connect(database_url()) as other:
            # Holds it up in the middle of its transaction.
            other.execute("SELECT FROM images_image FOR UPDATE")
            code = "import django; django.setup(); from console.registry.index import activity; activity.add_up()"
            process = subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR, env=environment())
            wait_until(is_blocked, "adding up to wait")
            process.kill()
            process.wait(10)
            other.rollback()
        assert pulls(tag.image) == (0, {"v1": 0})
        while activity.add_up():
            pass
        assert pulls(tag.image) == (1000, {"v1": 1000})
