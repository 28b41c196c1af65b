"""What one copy, and one account, may take: memory, places and time; and that whatever goes wrong is told."""

import contextlib
import datetime
import json
import os

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.access.quotas import FETCHED_AT_ONCE
from console.imports import copying, jobs, plan, problems, services
from console.imports.models import Transfer
from console.imports.problems import Problem, SourceFailure
from console.imports.sources import Source
from console.jobs.queue import LATER_PRIORITY
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
from registry_client import Descriptor, MalformedManifest, Manifest, RegistryClient, RegistryUnavailable
from tests.support import disk
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory
from tests.support.http_servers import error_reply
from tests.support.import_requests import ask, bring, image, official, pulled, ready, run
from tests.support.pushed_images import DOCKER_MANIFEST, OCI_INDEX, digest_of, push_image, push_index

pytestmark = pytest.mark.django_db


class Registry:
    """A source that has these manifests, and counts what it is asked for."""

    def __init__(self):
        self.contents, self.asked = {}, 0

    def add(self, document, media_type):
        content = json.dumps(document).encode()
        made = Manifest("some/app", digest_of(content), media_type, content)
        self.contents[made.digest] = made
        return made

    def image(self, blobs=0, filling=0):
        layers = [{"mediaType": "a/b", "digest": digest_of(os.urandom(8)), "size": 1} for _ in range(blobs)]
        annotations = {"n": os.urandom(8).hex(), "x": "x" * filling}
        return self.add({"schemaVersion": 2, "layers": layers, "annotations": annotations}, DOCKER_MANIFEST)

    def index(self, children, filling=0):
        entries = [{"mediaType": one.media_type, "digest": one.digest, "size": len(one.content)} for one in children]
        return self.add({"schemaVersion": 2, "manifests": entries, "annotations": {"x": "x" * filling}}, OCI_INDEX)

    def manifest(self, _repository, digest):
        self.asked += 1
        return self.contents[digest]


class TestAPlansSize:
    def refused(self, source, root):
        with pytest.raises(plan.CannotTransfer) as refusal:
            plan.make_plan(source, root, [])
        return str(refusal.value)

    def test_one_manifest(self):
        source = Registry()
        large = source.image(filling=plan._LARGEST_MANIFEST)
        assert "too large" in self.refused(source, large)
        assert "too large" in self.refused(source, source.index([source.image(), large]))
        assert "is_index" not in large.__dict__, "it was not looked into"

    def test_all_together(self, monkeypatch):
        monkeypatch.setattr(plan, "_LARGEST_MANIFESTS", 10_000)
        source = Registry()
        assert plan.make_plan(source, source.index([source.image(filling=3000) for _ in range(2)]), []).length < 10_000
        source.asked = 0
        assert "too large" in self.refused(source, source.index([source.image(filling=3000) for _ in range(50)]))
        assert source.asked == 4
        # The index counts with what it names.
        assert "too large" in self.refused(source, source.index([source.image(filling=6000)], filling=6000))

    def test_blobs(self, monkeypatch):
        monkeypatch.setattr(plan, "_MOST_BLOBS", 100)
        source = Registry()
        assert len(plan.make_plan(source, source.index([source.image(50), source.image(50)]), []).blobs) == 100
        assert "too many layers" in self.refused(source, source.index([source.image(50), source.image(51)]))

    def test_values(self):
        source = Registry()
        with pytest.raises(MalformedManifest, match="more than 100,000 values"):
            plan.make_plan(source, source.index([source.image(15_000)]), [])

    def test_manifests(self, monkeypatch):
        monkeypatch.setattr(plan, "_MOST_MANIFESTS", 3)
        source = Registry()
        assert len(plan.make_plan(source, source.index([source.image(), source.image()]), []).manifests) == 3
        assert "too many manifests" in self.refused(source, source.index([source.image() for _ in range(3)]))

    def test_no_values_are_kept(self):
        source = Registry()
        made = plan.make_plan(source, source.index([source.image(3)]), [])
        assert all("_document" not in one.__dict__ for one in (*made.manifests, *source.contents.values()))

    def test_its_blobs_are_asked_after_in_batches(self, monkeypatch):
        batches = []
        monkeypatch.setattr(copying, "at_once", lambda call, some: batches.append(len(some)) or [None] * len(some))
        assert copying._sizes_at("some/app", [str(number) for number in range(450)]) == [None] * 450
        assert batches == [200, 200, 50]


@pytest.fixture
def from_server(server, monkeypatch):
    """``server`` as the source of every transfer, whatever name it has."""
    with RegistryClient(server.url, read_timeout=5.0) as client:

        @contextlib.contextmanager
        def source_of(_transfer):
            yield Source(client)

        monkeypatch.setattr(copying, "source_of", source_of)
        yield server


class TestWhatIsTold:
    def test_a_very_long_name(self, from_server, namespace):
        from_server.answer = lambda request: error_reply(429, "TOOMANYREQUESTS")
        host = ".".join(["a" * 60] * 4)
        transfer = bring(namespace, f"{host}/team/app:1")
        with pytest.raises(SourceFailure):
            jobs.fetch(transfer.pk, 1)
        transfer.refresh_from_db()
        assert transfer.problem == f"The rate limit of {host} is reached."

    def test_a_very_long_sentence(self, from_server, namespace, monkeypatch):
        monkeypatch.setattr(problems, "of_source", lambda *_arguments: Problem("x" * 1000, True))
        transfer = ask(namespace, official())
        with pytest.raises(SourceFailure):
            jobs.fetch(transfer.pk, 1)
        transfer.refresh_from_db()
        assert transfer.problem == "x" * 300

    @pytest.mark.usefixtures("registry_server", "hub")
    @pytest.mark.parametrize("where", ["make_plan", "_put_manifests", "_index"])
    def test_what_nobody_thought_of(self, upstream, namespace, monkeypatch, caplog, where):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)

        def fail(*_arguments):
            raise ZeroDivisionError("a secret of the program's")

        with monkeypatch.context() as patched:
            patched.setattr(copying, where, fail)
            with pytest.raises(ZeroDivisionError):
                run(transfer)
            transfer.refresh_from_db()
            assert (transfer.state, transfer.problem) == (Transfer.State.RUNNING, problems.BROKEN)
            assert "ZeroDivisionError" in caplog.text
        assert run(transfer) is None
        assert pulled(image(namespace)) == pushed.digest

    @pytest.mark.usefixtures("registry_server", "hub")
    def test_what_nobody_thought_of_for_a_day(self, namespace, monkeypatch, caplog):
        transfer = ask(namespace, official())
        Transfer.objects.update(requested_at=timezone.now() - datetime.timedelta(hours=25))

        def fail(*_arguments):
            raise ZeroDivisionError

        monkeypatch.setattr(copying, "_planned", fail)
        ended = run(transfer)
        assert (ended.state, ended.problem) == (Transfer.State.FAILED, f"{problems.BROKEN} {problems.GIVEN_UP}")
        assert "ZeroDivisionError" in caplog.text
        assert len(ended.problem) <= 300


class TestPlaces:
    """Transfers that are fetched at the same time in another process: another connection has their places."""

    @pytest.fixture
    def worker(self):
        parameters = connection.get_connection_params()
        options = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if key in parameters}
        with psycopg.connect(**options, autocommit=True) as other:

            def take(account, number):
                key = f"transfers.fetch:{number}:{account.account_id}"
                taken = other.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key])
                assert taken.fetchone()[0]
                return lambda: other.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [key])

            yield take

    @pytest.fixture
    def fetched(self, monkeypatch):
        done = []
        monkeypatch.setattr(copying, "fetch", lambda transfer_id, *_arguments: done.append(transfer_id))
        return done

    def waiting(self):
        return ProcrastinateJob.objects.filter(scheduled_at__gt=timezone.now())

    def test_two_of_an_account(self, namespace, worker, fetched):
        first, second = ask(namespace, "nginx"), ask(namespace, "nginx", tag="v2")
        worker(namespace.owner, 0)
        jobs.fetch(first.pk, 1)
        assert fetched == [first.pk]
        leave = worker(namespace.owner, 1)
        jobs.fetch(second.pk, 1)
        assert fetched == [first.pk]
        job = self.waiting().get()
        assert (job.args, job.priority, job.lock) == (
            {"transfer_id": second.pk, "attempt": 1},
            LATER_PRIORITY,
            f"transfer:{second.pk}",
        )
        leave()
        jobs.fetch(second.pk, 1)
        assert fetched == [first.pk, second.pk]

    def test_others_have_theirs(self, namespace, worker, fetched):
        for number in range(FETCHED_AT_ONCE):
            worker(namespace.owner, number)
        other = ask(NamespaceFactory(owner=ActivatedAccountFactory()), "nginx")
        jobs.fetch(other.pk, 1)
        assert fetched == [other.pk]

    def test_a_place_is_free_again_after_a_failure(self, namespace, monkeypatch, worker):
        def fail(*_arguments):
            raise ZeroDivisionError

        monkeypatch.setattr(copying, "fetch", fail)
        transfer = ask(namespace, "nginx")
        with pytest.raises(ZeroDivisionError):
            jobs.fetch(transfer.pk, 1)
        for number in range(FETCHED_AT_ONCE):
            worker(namespace.owner, number)

    def test_what_was_cancelled_does_not_come_again(self, namespace, worker, fetched):
        transfer = ask(namespace, "nginx")
        for number in range(FETCHED_AT_ONCE):
            worker(namespace.owner, number)
        services.cancel(namespace.owner, transfer)
        jobs.fetch(transfer.pk, 1)
        assert not self.waiting().exists()

    @pytest.mark.parametrize("count", [2, 3])
    def test_a_turn_that_is_over_lets_ones_others_in(self, namespace, monkeypatch, count):
        def over(*_arguments):
            raise copying.TurnOver

        monkeypatch.setattr(copying, "fetch", over)
        transfers = [ask(namespace, "nginx", tag=f"v{number}") for number in range(count)]
        jobs.fetch(transfers[0].pk, 1)
        assert ProcrastinateJob.objects.filter(priority=LATER_PRIORITY).count() == 1
        assert self.waiting().exists() == (count > FETCHED_AT_ONCE)


class TestSlowSources:
    def pieces(self, monkeypatch, sizes, seconds, uploading=0.0):
        """What comes of a blob whose pieces keep us waiting for ``seconds`` each."""
        now = [0.0]
        monkeypatch.setattr(copying.time, "monotonic", lambda: now[0])

        class Client:
            def blob(self, *_arguments):
                for size in sizes:
                    now[0] += seconds
                    yield bytes(size)

        class Progress:
            def add(self, _count):
                now[0] += uploading

        blob = Descriptor(digest_of(b""), "a/b", sum(sizes))
        return copying._pieces(Source(Client()), Transfer(repository="some/app"), blob, Progress())

    def test_broken_off(self, monkeypatch):
        came = 0
        with pytest.raises(SourceFailure) as failure:
            for piece in self.pieces(monkeypatch, [1000] * 1000, seconds=1):
                came += len(piece)
        assert came == 120_000
        assert isinstance(failure.value.error, RegistryUnavailable)
        problem = problems.of_source(Transfer(source="https://r.example.com"), failure.value.error)
        assert problem == Problem("r.example.com is too slow.", True)

    def test_slow_but_not_too_slow(self, monkeypatch):
        assert len(list(self.pieces(monkeypatch, [copying._SLOWEST] * 300, seconds=1))) == 300

    def test_our_own_registry_is_slow(self, monkeypatch):
        assert len(list(self.pieces(monkeypatch, [60_000] * 300, seconds=1, uploading=100))) == 300


@pytest.mark.usefixtures("registry_server", "hub")
class TestMeanwhile:
    def several(self, upstream, name):
        return push_index(
            upstream, f"library/{name}", "latest", [push_image(upstream, f"library/{name}", None) for _ in range(3)]
        )

    def during(self, monkeypatch, method, happens, call=2):
        """Let something happen just after a call of the client's; the calls."""
        calls, real = [], getattr(RegistryClient, method)

        def called(self, *arguments):
            result = real(self, *arguments)
            calls.append(arguments)
            if len(calls) == call:
                happens()
            return result

        monkeypatch.setattr(RegistryClient, method, called)
        return calls

    def test_cancelled_while_the_manifests_are_read(self, upstream, namespace, monkeypatch):
        name = official()
        self.several(upstream, name)
        transfer = ask(namespace, name)
        calls = self.during(monkeypatch, "manifest", lambda: services.cancel(namespace.owner, transfer))
        assert run(transfer).state == Transfer.State.CANCELLED
        assert len(calls) == 2

    def test_manifests_that_take_too_long(self, upstream, namespace, monkeypatch):
        name = official()
        self.several(upstream, name)
        transfer = ask(namespace, name)
        monkeypatch.setattr(copying, "_LONGEST_PLANNING", -1)
        with pytest.raises(SourceFailure):
            run(transfer)
        transfer.refresh_from_db()
        assert "too slow" in transfer.problem

    def test_deleted_while_the_manifests_are_put(self, upstream, namespace, monkeypatch):
        name = official()
        self.several(upstream, name)
        transfer = ask(namespace, name)
        calls = self.during(
            monkeypatch, "put_manifest", lambda: mark_image_for_deletion(namespace.owner, image(namespace))
        )
        run(transfer)
        assert len(calls) == 2
        assert Image.objects.get(namespace=namespace).state == Image.State.DELETING

    def test_given_away_while_the_manifests_are_put(self, upstream, namespace, monkeypatch):
        name = official()
        self.several(upstream, name)
        transfer = ask(namespace, name)
        stranger = ActivatedAccountFactory()
        calls = self.during(
            monkeypatch,
            "put_manifest",
            lambda: type(namespace).objects.filter(pk=namespace.pk).update(owner=stranger),
        )
        assert "can no longer push" in run(transfer).problem
        assert len(calls) == 2
        assert disk.tags(image(namespace).repository) == {}

    def test_progress_never_goes_back_over_turns(self, upstream, namespace, monkeypatch):
        name = official()
        self.several(upstream, name)
        transfer = ask(namespace, name)
        monkeypatch.setattr(jobs, "_TURN_SECONDS", -1)
        seen, shown = [], copying._update

        @contextlib.contextmanager
        def watched(row):
            with shown(row) as rows:
                yield rows
                seen.extend(rows.values_list("bytes_done", flat=True))

        monkeypatch.setattr(copying, "_update", watched)
        while not ready(transfer):
            jobs.fetch(transfer.pk, 1)
        assert len(set(seen)) > 3
        assert seen == sorted(seen)
