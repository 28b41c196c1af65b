"""``manage.py reconcile``, and when the worker walks by itself."""

import io
import subprocess
import sys
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from procrastinate.contrib.django import app

from console.operations.management.commands import worker
from console.registry.index import jobs
from console.registry.index import reconcile as walks
from console.registry.index.management.commands import reconcile as command
from console.registry.index.models import Reconcile
from console.repositories.totals import refresh_totals
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.fake_registry import fake_registry
from tests.support.http_servers import Reply, wait_until


@pytest.fixture
def fake(settings, monkeypatch):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def image(fake):
    """Of its twelve indexed tags the registry has none."""
    image = ImageFactory(namespace=NamespaceFactory(name="team"), name="app")
    TagFactory.create_batch(12, image=image, manifest=ManifestFactory(image=image))
    refresh_totals(image.pk)
    fake.repositories[image.repository] = {}
    return image


def run(*images, out=None, **options):
    out = out or io.StringIO()
    call_command("reconcile", *images, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue().splitlines()


class Terminal(io.StringIO):
    """Somebody sits there and types."""

    def isatty(self):
        return True


@pytest.mark.django_db
class TestCommand:
    def test_it_prints_what_it_changed(self, fake):
        NamespaceFactory(name="team")
        fake.push("team/app", "v1")
        assert run() == [
            "team/app:v1: added",
            "1 repositories compared, 1 tags added.",
        ]

    def test_some_images(self, fake):
        NamespaceFactory(name="team")
        for name in ("team/one", "team/two", "team/three"):
            fake.push(name, "v1")
        assert run("team/one", "team/two", "team/one")[:-1] == ["team/one:v1: added", "team/two:v1: added"]
        assert not fake.asked("_catalog")

    def test_some_images_and_names_of_none(self, fake):
        """All are looked at; then whoever called it can tell that something was wrong."""
        NamespaceFactory(name="team")
        for name in ("team/one", "team/two", "nobodys/app"):
            fake.push(name, "v1")
        out = io.StringIO()
        with pytest.raises(CommandError) as told:
            run("team/one", "team/two", "team/none", "nobodys/app", "NO!", "z" * 300, out=out)
        assert str(told.value) == "Some images have problems; see the lines above."
        assert told.value.returncode == 1
        assert out.getvalue().splitlines() == [
            "NO!: this is not the name of a repository",
            "nobodys/app: is in the registry, but its namespace has no owner",
            "team/none: neither the registry nor the index knows it",
            "team/one:v1: added",
            "team/two:v1: added",
            f"{'z' * 255}: neither the registry nor the index knows it",
            "6 repositories compared, 2 tags added, 1 repositories without owner, 4 with a problem.",
        ]

    def test_one_whose_removed_tag_the_registry_answers_strangely_for(self, image, fake):
        """What goes wrong at the end counts as well."""
        looked = []

        def strange(request):
            if "/manifests/" in request.path:
                looked.append(request)
                return Reply(418) if len(looked) > 12 else None
            return None

        fake.strange = strange
        with pytest.raises(CommandError, match="Some images have problems"):
            run(image.repository, yes=True)
        assert image.tags.count() == 12

    def test_everything_and_what_is_nobodys(self, fake):
        fake.push("nobodys/app", "v1")
        lines = run()
        assert lines[0] == "nobodys/app: is in the registry, but its namespace has no owner"
        assert "1 repositories without owner, 1 with a problem." in lines[-1]

    def test_too_much_to_remove(self, image):
        with pytest.raises(CommandError) as told:
            run()
        assert str(told.value) == (
            "12 of 12 tags are no longer in the registry, more than 10 %. Nothing was removed. "
            "If that is correct, run the command again with --yes."
        )
        assert told.value.returncode == 1
        assert image.tags.count() == 12

    @pytest.mark.parametrize("options", [{"yes": True}, {"most_removed": 100}])
    def test_told_before_that_it_is_right(self, image, options):
        with pytest.raises(CommandError):
            run()
        lines = run(**options)
        assert "12 removed" in lines[-1]
        assert image.tags.count() == 0

    @pytest.mark.parametrize(("typed", "left"), [("y\n", 0), ("YES\n", 0), ("n\n", 12), ("\n", 12), ("", 12)])
    def test_somebody_is_asked(self, image, typed, left, monkeypatch, capsys):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        if left:
            with pytest.raises(CommandError, match="Nothing was removed"):
                run()
        else:
            assert "12 removed" in run()[-1]
        assert "Remove them from the index? [y/N]" in capsys.readouterr().out
        assert image.tags.count() == left

    @pytest.mark.parametrize("percent", ["-1", "101", "many", "1.5"])
    def test_a_share_that_is_none(self, percent):
        with pytest.raises(CommandError, match="give a whole number from 0 to 100"):
            call_command("reconcile", f"--most-removed={percent}")

    def test_the_registry_is_down(self, fake):
        fake.strange = lambda request: Reply(503)
        with pytest.raises(CommandError, match=r"Can't reach the registry .* to resume"):
            run()

    @pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/team/app1/tags/list"])
    def test_the_registry_hangs(self, fake, path, monkeypatch):
        """It accepts the call and does not answer: somebody who waits is told what for."""
        monkeypatch.setattr(command, "_SILENCE_SECONDS", 0.01)
        NamespaceFactory(name="team")
        for number in range(3):
            fake.push(f"team/app{number}", "v1")
        told = threading.Event()

        class Heard(io.StringIO):
            def write(self, text):
                if "Waiting for the registry" in text:
                    told.set()
                return super().write(text)

        def hang(request):
            if request.path == path:
                assert told.wait(30)

        fake.strange = hang
        out, heard = io.StringIO(), Heard()
        call_command("reconcile", stdout=out, stderr=heard)
        assert f"Waiting for the registry at {fake.server.url} to answer.\n" in heard.getvalue()
        assert "3 tags added" in out.getvalue()

    def test_the_database_is_down(self, fake, monkeypatch):
        def fail(*arguments, **options):
            raise OperationalError

        monkeypatch.setattr(walks, "begin", fail)
        with pytest.raises(CommandError, match="My Images is not running with DATA_DIR="):
            run()

    def test_ctrl_c(self, fake, monkeypatch):
        def interrupt(*arguments, **options):
            raise KeyboardInterrupt

        NamespaceFactory(name="team")
        fake.push("team/app", "v1")
        with monkeypatch.context() as patch:
            patch.setattr(walks, "reconcile_one", interrupt)
            with pytest.raises(CommandError, match="to resume"):
                run()
        assert "1 repositories compared, 1 tags added" in run()[-1]
        assert Reconcile.objects.count() == 1

    def test_progress_is_shown(self, fake, monkeypatch):
        NamespaceFactory(name="team")
        for number in range(3):
            fake.push(f"team/app{number}", "v1")
        shown = Terminal()
        monkeypatch.setattr("sys.stderr", shown)
        run()
        assert "3/3" in shown.getvalue()
        assert "images" in shown.getvalue()


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_another_process(fake, monkeypatch):
    NamespaceFactory(name="team")
    fake.push("team/app", "v1")
    held, told = threading.Event(), threading.Event()

    def hold():
        with walks.exclusive():
            held.set()
            told.wait(30)
        connection.close()

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(30)
    monkeypatch.setattr(command, "_WAIT_SECONDS", 0.01)

    class Heard(io.StringIO):
        def write(self, text):
            told.set()
            return super().write(text)

    heard, out = Heard(), io.StringIO()
    call_command("reconcile", stdout=out, stderr=heard)
    other.join()
    assert heard.getvalue() == "Another process is reconciling. Waiting until it has finished.\n"
    assert "1 tags added" in out.getvalue()


_A_PROCESS = """
import sys
import django
from django.conf import settings
from django.core.management import call_command
settings.CONSOLE_REGISTRY_URL = sys.argv[1]
settings.DATABASES["default"]["NAME"] = sys.argv[2]
django.setup()
call_command("reconcile")
"""


@pytest.mark.django_db(transaction=True)
def test_kill_9(fake):
    """The walk of a process that was killed is gone on with, and what it had done is not done again."""
    namespace = NamespaceFactory(name="team")
    for number in range(6):
        fake.push(f"team/app{number}", "v1")
    reached, killed = threading.Event(), threading.Event()

    def stand_still(request):
        if request.path == "/v2/team/app3/tags/list":
            reached.set()
            killed.wait(30)

    fake.strange = stand_still
    arguments = [sys.executable, "-c", _A_PROCESS, fake.server.url, connection.settings_dict["NAME"]]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            assert wait_until(lambda: reached.is_set() or process.poll() is not None, 120)
            assert reached.is_set(), process.stderr.read().decode()
            with pytest.raises(walks.AlreadyRunning):
                walks.begin()
        finally:
            process.kill()
            killed.set()
    fake.strange = lambda request: None
    lines = run()
    assert "6 repositories compared" in lines[-1]
    assert Reconcile.objects.get().state == Reconcile.State.DONE
    assert sorted(namespace.images.values_list("name", "tag_count")) == [(f"app{number}", 1) for number in range(6)]
    assert "team/app3:v1: added" in lines


@pytest.mark.django_db
class TestByItself:
    def test_when_the_worker_starts(self, monkeypatch):
        from procrastinate.contrib.django.models import ProcrastinateJob

        monkeypatch.setattr(worker, "run_worker", lambda: None)
        monkeypatch.setattr(connection, "close", lambda: None)
        for _ in range(2):
            call_command("worker")
        queued = ProcrastinateJob.objects.get(task_name="indexing.reconcile")
        assert (queued.status, queued.lock) == ("todo", "indexing.reconcile")

    def test_every_hour(self):
        [schedule] = [
            task for task in app.periodic_registry.periodic_tasks.values() if task.task.name == "indexing.reconcile"
        ]
        assert schedule.cron == "17 * * * *"

    def test_the_job_tells_of_changes_and_counts_what_is_nobodys(self, fake, caplog):
        NamespaceFactory(name="team")
        fake.push("team/app", "v1")
        for number in range(3):
            fake.push(f"nobodys/app{number}", "v1")
        caplog.set_level("DEBUG", "console.registry.index")
        told = []
        for _ in range(2):
            caplog.clear()
            jobs.reconcile()
            told.append([record.getMessage() for record in caplog.records if record.levelname != "DEBUG"])
            single = {record.getMessage() for record in caplog.records if record.levelname == "DEBUG"}
            assert single >= {
                f"nobodys/app{number}: is in the registry, but its namespace has no owner" for number in range(3)
            }
        summary = "reconcile: 4 repositories compared, {}3 repositories without owner, 3 with a problem."
        assert told == [["team/app:v1: added", summary.format("1 tags added, ")], [summary.format("")]]

    def test_the_job_says_nothing_where_all_is_in_order(self, fake, caplog):
        NamespaceFactory(name="team")
        fake.push("team/app", "v1")
        jobs.reconcile()
        caplog.clear()
        jobs.reconcile()
        assert [record for record in caplog.records if record.levelname != "DEBUG"] == []

    def test_the_job_mends(self, fake):
        NamespaceFactory(name="team")
        fake.push("team/app", "v1")
        jobs.reconcile()
        assert Reconcile.objects.get().counts["added"] == 1
