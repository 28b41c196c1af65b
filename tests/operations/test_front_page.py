"""The front page of the administration: its numbers, its words, and who sees what of it."""

import ast
import datetime
import html
import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts.event_words import WORDS
from console.administration import health, overview
from console.administration.navigation import GROUPS
from console.audit.services import record
from console.local.storage import Room
from console.operations.task_words import TASK_NAMES
from console.registry.index.models import Reconcile, UnusableEvents
from console.repositories import failures
from console.repositories.models import Image, WorkFailure
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = pytest.mark.django_db

CONSOLE = Path(__file__).resolve().parents[2] / "console"
MIB = 1024 * 1024
# Names of frameworks, and earlier names, which nobody who administers images has to know.
HIDDEN = ("Procrastinate", "MFA", "Social account", "Reconcile", "Unusable", "elsewhere", "Authenticators", "Transfers")


@pytest.fixture
def boss(client):
    account = AccountFactory(name="Boss", is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def text_of(response):
    """What the page shows: without its tags, the white space folded."""
    page = re.sub(r"(?s)<head>.*?</head>|<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", html.unescape(page))


def front(client):
    """What the front page was given to show."""
    return client.get("/admin/").context["overview"]


def sentences(client):
    return [one.text for one in front(client).attention]


def queue(status, task="images.delete_image", ago=datetime.timedelta(0)):
    """A job that came to ``status`` so long ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('work', %s) RETURNING id", [task]
        )
        (key,) = cursor.fetchone()
        for step in ("doing", status):
            cursor.execute(
                "UPDATE procrastinate_jobs SET status = %s WHERE id = %s AND status <> %s", [step, key, step]
            )
        cursor.execute("UPDATE procrastinate_events SET at = at - %s WHERE job_id = %s", [ago, key])
    return key


def worker(ago=datetime.timedelta(0)):
    """A worker that gave a sign of life so long ago."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [timezone.now() - ago])


class TestAccounts:
    def test_each_number(self, client, boss):
        long_ago = timezone.now() - datetime.timedelta(days=7, minutes=1)
        ActivatedAccountFactory()
        ActivatedAccountFactory(created_at=long_ago)
        ActivatedAccountFactory(created_at=long_ago, is_active=False)
        AccountFactory(created_at=long_ago, is_active=False)
        found = front(client).accounts
        assert (found.total.text, found.activated, found.new, found.deactivated) == ("5", 3, 2, 2)

    def test_of_very_many_the_newest_are_counted(self, client, boss, monkeypatch):
        monkeypatch.setattr(overview, "MOST_COUNTED", 2)
        ActivatedAccountFactory.create_batch(3)
        found = front(client).accounts
        assert found.total.text == "2+"
        assert "Counted over the newest 2 accounts." in text_of(client.get("/admin/"))


class TestStorage:
    def test_the_largest_first_and_the_total_of_all(self, client, boss):
        sizes = {}
        for number in range(1, 13):
            namespace = NamespaceFactory(name=f"space{number:02}")
            for part in (1, 2):
                Image.objects.filter(pk=ImageFactory(namespace=namespace).pk).update(size=number * part * MIB)
            sizes[namespace.name] = 3 * number * MIB
        found = front(client).storage
        expected = sorted(sizes.items(), key=lambda one: -one[1])[:10]
        assert [(share.name, share.size) for share in found.shares] == expected
        assert [share.images for share in found.shares] == [2] * 10
        assert (found.size, found.images, found.namespaces, found.others) == (sum(sizes.values()), 24, 12, 2)
        assert [found.shares[0].percent, found.shares[5].percent] == [100, pytest.approx(700 / 12)]
        page = text_of(client.get("/admin/"))
        assert "234 MiB in 24 images" in page.replace("\N{NO-BREAK SPACE}", " ")
        assert "and 2 more namespaces" in page

    def test_what_is_not_counted_is_said(self, client, boss, monkeypatch):
        monkeypatch.setattr(overview, "MOST_IMAGES", 1)
        ImageFactory(), ImageFactory()
        assert front(client).storage.images == 1
        assert "there are more" in text_of(client.get("/admin/"))

    def test_nothing(self, client, boss):
        assert front(client).storage.shares == ()
        assert "Nothing is stored yet." in text_of(client.get("/admin/"))


class TestGate:
    def test_a_registry_that_clients_reach_without_it(self, client, boss, settings):
        assert not [text for text in sentences(client) if "edge" in text]
        settings.REGISTRY_HAS_GATE = False
        (found,) = [one for one in front(client).attention if "without the edge" in one.text]
        address, _hash, anchor = found.link.partition("#")
        assert f'id="{anchor}"' in client.get(address).content.decode()


class TestJobs:
    def test_each_number(self, client, boss):
        worker()
        for status, number in (("todo", 1), ("doing", 2), ("failed", 3), ("cancelled", 4)):
            for _ in range(number):
                queue(status)
        old = queue("failed", ago=datetime.timedelta(days=1, minutes=1))
        found = front(client).jobs
        assert (found.waiting.text, found.running.text, found.failed.text) == ("1", "2", "3")
        assert found.worker
        assert old not in [job.pk for job in found.newest]
        assert {job.name for job in found.newest} == {"Delete an image"}
        assert "3 jobs failed in the last day." in sentences(client)

    def test_a_failed_job_is_retried_from_there(self, client, boss):
        key = queue("failed")
        form = {"action": "retry", "_selected_action": key}
        page = client.get("/admin/").content.decode()
        for name, value in form.items():
            assert f'<input type="hidden" name="{name}" value="{value}">' in page
        answer = client.post("/admin/procrastinate/procrastinatejob/", form, follow=True)
        assert "Retrying 1 job." in text_of(answer)
        assert ProcrastinateJob.objects.get(pk=key).status == "todo"

    def test_a_job_that_failed_twice_counts_once(self, client, boss):
        key = queue("failed")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO procrastinate_events (job_id, type) VALUES (%s, 'failed')", [key])
        assert front(client).jobs.failed.number == 1

    @pytest.mark.parametrize("ago", [None, 61])
    def test_no_worker(self, client, boss, ago):
        if ago:
            worker(datetime.timedelta(seconds=ago))
        assert not front(client).jobs.worker
        assert any(one.startswith("The job worker is not running") for one in sentences(client))

    def test_of_very_many_so_many_are_counted(self, client, boss, monkeypatch):
        monkeypatch.setattr(overview, "MOST_COUNTED", 2)
        for _ in range(3):
            queue("todo")
        assert front(client).jobs.waiting.text == "2+"

    def test_each_task_has_words(self):
        tasks = {name for name in app.tasks if not name.startswith(("builtin", "procrastinate"))}
        assert tasks == set(TASK_NAMES)


class TestProblems:
    def test_what_was_given_up_with_a_retry_where_there_is_one(self, client, boss):
        image = ImageFactory(name="app")
        failures.give_up(failures.Kind.INDEX, image.repository, "odd", sentence="It cannot be read.")
        failures.give_up(failures.Kind.LEFT, image.repository, "x", sentence="It cannot be deleted.")
        now = timezone.now()
        WorkFailure.objects.create(kind="copy", repository="a/b", sentence="Not yet.", first_at=now, last_at=now)
        found = front(client).problems
        assert found.total.number == 2
        assert "2 problems were given up." in sentences(client)
        page = client.get("/admin/")
        assert "It cannot be read." in text_of(page)
        assert page.content.decode().count('value="try_again"') == 1


class TestEvents:
    def test_the_newest_ten_in_words(self, client, boss):
        ann = AccountFactory(name="Ann")
        for number in range(11):
            record("tag.push", f"team/app:v{number}", actor=ann.account_id)
        record("account.deactivate", ann.account_id, actor=boss.account_id)
        record("account.sign_in", ann.account_id, actor=ann.account_id)
        record("image.deleted", "team/old")
        found = [(one.who, one.words, one.target) for one in front(client).events]
        assert found[:4] == [
            ("My Images", "deleted the image", "team/old"),
            ("Ann", "signed in", ""),
            ("Boss", "deactivated the account", "Ann"),
            ("Ann", "pushed", "team/app:v10"),
        ]
        assert len(found) == 10

    def test_none(self, client, boss):
        assert front(client).events == []
        assert "Nothing happened in the last 24 hours." in text_of(client.get("/admin/"))

    def test_each_action_has_words(self):
        assert recorded() - set(WORDS) == set()


_ACTION = re.compile(r"[a-z_]+\.[a-z_-]+")
_RECORDING = {"record", "_record", "count", "Event", "_event", "_add"}


def recorded():
    """The actions that the console's code records: texts like ``noun.verb`` in a call that records."""
    found = set()
    for path in CONSOLE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in _RECORDING:
                texts = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                found |= {text for text in texts if isinstance(text, str) and _ACTION.fullmatch(text)}
    assert {"image.delete", "tag.push", "token.grant", "tag.import", "account.deactivate"} <= found
    return found


class TestAttention:
    def test_nothing(self, client, boss, settings):
        settings.REQUIRE_SECOND_FACTOR = False
        boss.set_unusable_password()
        boss.save()
        client.force_login(boss)
        worker()
        assert sentences(client) == []
        assert "Nothing needs your attention." in text_of(client.get("/admin/"))

    def test_the_index(self, client, boss):
        Reconcile.objects.create(whole=False, state="asking")
        UnusableEvents.objects.create(day=timezone.now().date(), reason="unknown", count=1234)
        UnusableEvents.objects.create(day=timezone.now().date() - datetime.timedelta(days=2), reason="unknown", count=9)
        old = Reconcile.objects.create(whole=True, state="done")
        Reconcile.objects.filter(pk=old.pk).update(started_at=timezone.now() - datetime.timedelta(hours=2, minutes=1))
        found = sentences(client)
        assert "1,234 events of the registry were rejected since yesterday." in found
        assert "The index has not been checked for more than two hours." in found
        assert any(one.startswith("An index check would remove a lot") for one in found)
        Reconcile.objects.create(whole=True, state="done")
        assert "The index has not been checked for more than two hours." not in sentences(client)

    def test_administrators_without_a_second_factor(self, client, boss, settings):
        AccountFactory(is_staff=True)
        AccountFactory(is_staff=True, is_active=False)
        with_factor = AccountFactory(is_staff=True)
        with_factor.authenticator_set.create(type="webauthn", data={"name": "key"})
        assert "2 administrators have no second factor." in sentences(client)


class TestSystem:
    def test_the_last_backup_and_index_check(self, client, boss):
        assert "Run “manage.py backup”." in text_of(client.get("/admin/"))
        made = record("backup.make", "backup.zip")
        check = Reconcile.objects.create(whole=True, state="done")
        Reconcile.objects.create(whole=False, state="done")
        assert (front(client).backup, front(client).index_check) == (made.at, check)

    def test_the_registry_is_asked_afterwards(self, client, boss, monkeypatch):
        monkeypatch.setattr(health, "registry_answers", lambda: pytest.fail("the page waits for the registry"))
        assert 'hx-get="/admin/health/"' in client.get("/admin/").content.decode()

    @pytest.mark.parametrize(
        ("answers", "free", "said"),
        [(True, 10**9, "Running"), (False, 10**9, "Does not answer."), (True, 10**6, "Read-only")],
    )
    def test_its_state(self, client, boss, monkeypatch, settings, answers, free, said):
        settings.REGISTRY_IS_OURS = True
        monkeypatch.setattr(health, "registry_answers", lambda: answers)
        monkeypatch.setattr(Room, "on", classmethod(lambda cls, folder: cls(free, 10**6)))
        page = client.get("/admin/health/")
        part = client.get("/admin/health/", headers={"HX-Request": "true"}).content.decode()
        assert said in text_of(page) and said in part
        assert "<html" in page.content.decode() and "<html" not in part


class TestPermissions:
    def staff(self, client, *codes):
        account = AccountFactory(is_staff=True)
        account.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client.force_login(account)

    def everything(self):
        ImageFactory(namespace__name="hidden-space")
        record("image.create", "hidden-event")
        failures.give_up(failures.Kind.INDEX, "hidden-problem", "x", sentence="s")
        queue("failed")
        record("backup.make", "x")

    def test_without_any_nothing_is_seen(self, client):
        self.everything()
        self.staff(client)
        page = text_of(client.get("/admin/"))
        assert "You have no permissions in the administration yet." in page
        assert "hidden" not in page and "Failed" not in page and "Jobs" not in page and "Last backup" not in page

    def test_who_may_look_does_not_retry(self, client):
        self.everything()
        self.staff(client, "view_procrastinatejob", "view_workfailure")
        page = client.get("/admin/").content.decode().replace("<wbr>", "")
        assert "hidden-problem" in page
        assert "hidden-space" not in page and "hidden-event" not in page
        assert 'value="retry"' not in page and 'value="try_again"' not in page


class TestNavigation:
    def test_each_model_is_in_one_group(self):
        labels = [label for group in GROUPS for label in group.models]
        assert sorted(labels) == sorted(model._meta.label_lower for model in admin.site._registry)

    def test_groups_in_order(self, client, boss):
        page = client.get("/admin/")
        assert [group["name"] for group in page.context["available_apps"]] == [
            "Accounts",
            "Images",
            "Operations",
            "Audit log",
        ]
        words = text_of(page)
        for name in (
            "Docker logins",
            "Second factors",
            "Single sign-on identities",
            "Imports",
            "Index checks",
            "Background jobs",
        ):
            assert name in words

    @pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
    def test_product_words_alone(self, client, boss, model):
        start = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        words = text_of(client.get(start))
        assert not [name for name in HIDDEN if name.lower() in words.lower()]

    def test_the_way_back(self, client, boss):
        page = client.get("/admin/accounts/account/").content.decode()
        assert '<a href="/images/">' in page
        assert 'action="/sign-out/"' in page
