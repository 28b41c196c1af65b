"""The course of a walk: asking before much is removed, going on after a break, and several walks at once."""

import contextlib
import threading
import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.registry.index import jobs, reconcile, reconcile_repository
from console.registry.index.models import Reconcile, ReconcileItem
from console.registry.index.reconcile_repository import reconcile_one
from console.repositories.models import Manifest, Tag
from console.repositories.totals import refresh_totals
from registry_client import RegistryError
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory
from tests.support.fake_registry import fake_registry, indexed, names, walk_over
from tests.support.http_servers import Reply, error_reply, json_reply

State = Reconcile.State


@pytest.fixture
def fake(settings, monkeypatch):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def image():
    return ImageFactory(namespace=NamespaceFactory(name="team"), name="app")


@pytest.mark.django_db
class TestAsking:
    @pytest.fixture
    def lost(self, fake, image):
        """Fifteen of forty tags are gone."""
        indexed(fake, image, *(f"v{number}" for number in range(40)))
        for number in range(15):
            del fake.repositories[image.repository][f"v{number}"]

    def test_too_much_is_not_removed(self, fake, image, lost):
        walk, lines = walk_over()
        assert (walk.state, walk.ended_at) == (State.ASKING, None)
        assert walk.problem == "15 of 40 tags are no longer in the registry, more than 10 %. Nothing was removed."
        assert lines[-1] == walk.problem
        assert image.tags.count() == 40
        assert image.tags.filter(missing_at__isnull=False).count() == 15

    @pytest.mark.parametrize(("share", "state"), [(37, State.ASKING), (38, State.DONE)])
    def test_the_share_is_set(self, fake, image, lost, share, state):
        walk, _lines = walk_over(share=share)
        assert walk.state == state

    def test_agreeing_goes_on(self, fake, image, lost):
        walk, _lines = walk_over()
        reconcile.resume(walk, agreed=15)
        assert (walk.state, walk.counts["removed"], image.tags.count()) == (State.DONE, 15, 25)
        image.refresh_from_db()
        assert image.tag_count == 25

    def test_more_than_was_agreed_to_is_asked_anew(self, fake, image, lost):
        walk, _lines = walk_over()
        for number in range(15, 30):
            del fake.repositories[image.repository][f"v{number}"]
        walk_over()
        reconcile.resume(walk, agreed=15)
        assert (walk.state, walk.counts["missing"], image.tags.count()) == (State.ASKING, 30, 40)

    def test_the_next_walk_is_not_blocked(self, fake, image, lost):
        first, _lines = walk_over()
        since = image.tags.get(name="v1").missing_at
        fake.push(image.repository, "v40", "v0", number=50)
        second, _lines = walk_over()
        assert second.pk != first.pk
        assert second.state == State.ASKING
        assert image.tags.get(name="v40").missing_at is None
        assert image.tags.get(name="v0").missing_at is None  # it came back
        assert image.tags.get(name="v1").missing_at == since
        for number in range(15):
            fake.push(image.repository, f"v{number}", number=number)
        third, _lines = walk_over()
        assert third.state == State.DONE
        assert not image.tags.filter(missing_at__isnull=False).exists()
        assert image.tags.count() == 41

    def test_marks_are_taken_back_when_they_are_not_proven_any_more(self, fake, image, lost):
        walk_over()
        del fake.repositories[image.repository]
        walk, _lines = walk_over()
        assert walk.state == State.DONE
        assert image.tags.filter(missing_at=None).count() == 40

    def test_a_walk_over_one_image_removes_nothing_of_others(self, fake, image, lost):
        walk_over()
        other = ImageFactory(namespace=image.namespace, name="zoo")
        indexed(fake, other, "v1", "v2")
        del fake.repositories[other.repository]["v1"]
        walk, _lines = walk_over(other.repository)
        assert (walk.state, names(other), image.tags.count()) == (State.DONE, {"v2"}, 40)

    def test_few_are_removed_without_asking(self, fake, image):
        indexed(fake, image, "v1", "v2")
        fake.repositories[image.repository] = {}
        walk, _lines = walk_over()
        assert (walk.state, names(image)) == (State.DONE, set())

    def test_the_hourly_job_leaves_it(self, fake, image, lost, caplog):
        for _ in range(2):
            jobs.reconcile()
            assert image.tags.count() == 40
        assert "15 of 40 tags are no longer in the registry" in caplog.text

    def test_old_walks_are_forgotten(self, fake, image, lost):
        Reconcile.objects.bulk_create(Reconcile(state=State.ASKING) for _ in range(110))
        walk_over()
        assert Reconcile.objects.count() == 100


@pytest.mark.django_db
class TestGoingOn:
    @pytest.fixture
    def many(self, fake):
        namespace = NamespaceFactory(name="team")
        for number in range(12):
            fake.push(f"team/app{number:02}", "v1")
        return namespace

    def test_a_walk_that_was_broken_off(self, fake, many):
        class Killed(BaseException):
            pass

        def kill(walk):
            if walk.done == 5:
                raise Killed

        with pytest.raises(Killed):
            walk_over(on_progress=kill)
        fake.push("team/later", "v1")
        asked = len(fake.asked("tags/list"))
        walk, _lines = walk_over()
        assert Reconcile.objects.count() == 1
        assert (walk.state, walk.done, walk.total) == (State.DONE, 12, 12)
        assert walk.counts["added"] == 12
        assert len(fake.asked("tags/list")) - asked == 7
        assert not ReconcileItem.objects.exists()

    def test_broken_off_while_collecting(self, fake, many, monkeypatch):
        monkeypatch.setattr(reconcile, "_CATALOG_PAGE", 5)
        fake.strange = lambda request: Reply(500) if request.query.get("last") else None
        with pytest.raises(RegistryError):
            walk_over()
        assert Reconcile.objects.get().state == State.COLLECTING
        fake.strange = lambda request: None
        walk, _lines = walk_over()
        assert (walk.state, walk.total, many.images.count()) == (State.DONE, 12, 12)

    def test_a_registry_that_allows_no_large_page(self, fake, many):
        fake.strange = lambda request: (
            error_reply(400, "PAGINATION_NUMBER_INVALID") if request.query.get("n") == ["100000"] else None
        )
        walk, _lines = walk_over()
        assert walk.total == 12

    def test_names_that_cannot_be_anybodys(self, fake, many):
        strange = ["team/UPPER", "x" * 256, "a\x00b", "", "../etc"]
        fake.strange = lambda request: (
            json_reply({"repositories": ["team/app00", *strange]}) if request.path == "/v2/_catalog" else None
        )
        walk, lines = walk_over()
        assert (walk.state, walk.total, walk.counts["problems"]) == (State.DONE, 1, 5)
        assert "'team/UPPER': this is not the name of a repository" in lines

    def test_bounded_memory(self, fake, monkeypatch):
        """A walk holds a batch of repositories, however many there are."""
        monkeypatch.setattr(reconcile, "_BATCH", 100)
        monkeypatch.setattr(reconcile, "_CATALOG_PAGE", 100)
        monkeypatch.setattr(reconcile, "reconcile_one", lambda name, adopt_for: reconcile.ReconcileResult(name))

        def most_held(pages):
            fake.strange = _long_catalogue(pages)
            walk = reconcile.begin()
            tracemalloc.start()
            try:
                reconcile.resume(walk, report=lambda line: None)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        few = most_held(pages=10)
        many = most_held(pages=40)
        assert Reconcile.objects.last().done == 4000
        assert many - few < 300_000  # three thousand more of these names are 870,000 bytes

    def test_ten_thousand_tags_in_batches(self, fake, image, monkeypatch):
        monkeypatch.setattr(reconcile_repository, "digest_of", lambda repository, name: digest)
        digest = fake.push(image.repository, *(f"v{number:05}" for number in range(10_000)))
        manifest = ManifestFactory(image=image, digest=digest, kind=Manifest.Kind.INDEX)
        Tag.objects.bulk_create(
            Tag(image=image, manifest=manifest, name=f"v{number:05}", pushed_at=timezone.now())
            for number in range(10_000)
        )
        refresh_totals(image.pk)
        batches = []
        at_once = reconcile_repository.at_once
        monkeypatch.setattr(
            reconcile_repository, "at_once", lambda call, items: (batches.append(len(items)), at_once(call, items))[1]
        )
        with CaptureQueriesContext(connection) as queries:
            finding = reconcile_one(image.repository)
        assert (finding.known, finding.lines()) == (10_000, [])
        assert max(batches) <= 500
        assert len(queries) <= 5

    def test_an_unchanged_repository_costs_little(self, fake, image):
        indexed(fake, image, "v1", "v2", "v3")
        before = len(fake.server.requests)
        with CaptureQueriesContext(connection) as queries:
            assert reconcile_one(image.repository).lines() == []
        told = [f"{request.method} {request.path}" for request in fake.server.requests[before:]]
        asked = [*(f"HEAD /v2/team/app/manifests/v{number}" for number in (1, 2, 3)), "GET /v2/team/app/tags/list"]
        assert sorted(told) == sorted(asked)
        assert len(queries) <= 5


def _long_catalogue(pages):
    def answer(request):
        if request.path != "/v2/_catalog":
            return None
        page = int(request.query.get("last", ["0"])[0])
        names = [f"team/{'x' * 220}{page:06}{number:04}" for number in range(100)]
        headers = {"Link": f'</v2/_catalog?n=100&last={page + 1}>; rel="next"'} if page + 1 < pages else {}
        return json_reply({"repositories": names}, **headers)

    return answer


@pytest.mark.django_db(transaction=True)
class TestTwoWalkers:
    def other(self, work):
        """Run ``work`` on a connection of its own; what it returned or raised."""
        answers = []

        def run():
            try:
                answers.append(work())
            except Exception as error:
                answers.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return answers[0]

    def test_the_second_does_nothing(self, fake, image, caplog):
        for number in range(10):
            fake.push(f"team/app{number}", "v1")
        fake.push(image.repository, "v1")
        answers = []

        def interfere(walk):
            if walk.done == 5:
                answers.append(self.other(lambda: walk_over()))
                answers.append(self.other(lambda: reconcile.resume(Reconcile.objects.get())))
                answers.append(self.other(jobs.reconcile))
                answers.append(self.other(lambda: walk_over(image.repository)[0].state))

        walk, _lines = walk_over(on_progress=interfere)
        assert [type(answer) for answer in answers[:2]] == [reconcile.AlreadyRunning] * 2
        assert answers[2:] == [None, State.DONE]
        assert (walk.state, walk.done, walk.total) == (State.DONE, 11, 11)
        # One was added by the walk over it alone.
        assert walk.counts["added"] + Reconcile.objects.get(whole=False).counts.get("added", 0) == 11

    def test_the_lock_goes_with_its_connection(self, fake, image):
        class Killed(BaseException):
            pass

        def die():
            with contextlib.suppress(Killed), reconcile.exclusive():
                connection.close()
                raise Killed

        self.other(die)
        with reconcile.exclusive():
            pass

    def test_the_lock_is_given_back(self, fake, image):
        walk_over()
        fake.strange = lambda request: Reply(500)
        with pytest.raises(RegistryError):
            walk_over()
        fake.strange = lambda request: None
        assert self.other(lambda: walk_over()[0].state) == State.DONE
