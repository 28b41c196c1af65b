"""What was pushed and never indexed goes with the image, checked on the disk of a real registry."""

import datetime
import itertools
import json
import random

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.registry import copying, jobs
from console.registry.connection import registry
from console.registry.deletion import images
from console.registry.index import hints, reconcile_repository
from console.registry.index.models import Hint, UnusableEvents
from console.registry.index.sync import reread_image
from console.repositories import pushed_digests
from console.repositories.models import Copy, Image, Manifest, PushedDigest
from console.repositories.services import mark_image_for_deletion
from registry_client import RegistryClient, RegistryUnavailable
from tests.support import disk
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.fake_registry import walk_over
from tests.support.pushed_images import push_image, push_index

pytestmark = pytest.mark.django_db

DIGESTS = [f"sha256:a{number:063x}" for number in range(500)]
_numbers = itertools.count()


@pytest.fixture
def image(registry_server):
    return ImageFactory()


def event(name, digest, tag=""):
    target = {"repository": name, "digest": digest, "tag": tag, "mediaType": "x"}
    number = f"pushed-{next(_numbers)}"
    return {"id": number, "timestamp": "2026-01-02T03:04:05Z", "action": "push", "target": target, "actor": {}}


@pytest.fixture
def tell(client):
    """Let the console take in these events, as the registry tells of them."""

    def post(*events):
        answer = client.post(
            "/indexing/notifications/",
            json.dumps({"events": events}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {settings.KEYS.notification_secret}"},
        )
        assert answer.status_code == 200

    return post


def of(one, tag=""):
    """The event of a push."""
    return event(one.repository, one.digest, tag)


def follow():
    for name in set(Hint.objects.values_list("repository", flat=True)):
        hints.sync_repository(name)


def run_deletion(image):
    mark_image_for_deletion(image.namespace.owner, image)
    jobs.delete_image(image.pk)
    assert not Image.objects.filter(pk=image.pk).exists()
    assert disk.left_of(image.repository) == []
    assert not PushedDigest.objects.exists()


class TestGoesWithTheImage:
    def test_pushed_by_its_digest_alone(self, image, tell):
        """The platforms of a push that broke off before its index, and one that never was to have a tag."""
        tagged = push_image(registry(), image.repository, "v1")
        alone = [push_image(registry(), image.repository, None) for _ in range(3)]
        tell(of(tagged, "v1"), *map(of, alone))
        follow()
        assert {one.digest for one in alone} < disk.manifests(image.repository)
        run_deletion(image)

    def test_an_image_without_any_tag(self, image, tell):
        tell(of(push_image(registry(), image.repository, None)))
        run_deletion(image)

    def test_an_index_by_its_digest_takes_its_platforms_along(self, image, tell):
        """Even where only the index was told of."""
        children = [push_image(registry(), image.repository, None) for _ in range(2)]
        tell(of(push_index(registry(), image.repository, "v1", children)))
        tell(of(push_image(registry(), image.repository, "v1"), "v1"))
        follow()
        assert len(disk.manifests(image.repository)) == 4
        run_deletion(image)

    def test_a_tag_that_was_pushed_anew_before_anybody_looked(self, image, tell):
        first, second = (push_image(registry(), image.repository, "v1") for _ in range(2))
        tell(of(first, "v1"), of(second, "v1"))
        follow()
        assert set(Manifest.objects.filter(image=image).values_list("digest", flat=True)) == {second.digest}
        run_deletion(image)

    def test_told_before_there_is_an_image(self, registry_server, tell):
        """As of every first push of a multi-platform image: its platforms come first."""
        name = f"{NamespaceFactory().name}/app"
        children = [push_image(registry(), name, None) for _ in range(2)]
        tell(*map(of, children))
        assert not Image.objects.exists()
        tell(of(push_image(registry(), name, "v1"), "v1"))
        follow()
        run_deletion(Image.objects.get())

    @pytest.mark.parametrize("seed", range(8))
    def test_in_any_order_and_however_often(self, image, tell, seed):
        chance = random.Random(seed)
        alone = [push_image(registry(), image.repository, None) for _ in range(4)]
        index = push_index(registry(), image.repository, "multi", alone[:2])
        moved = [push_image(registry(), image.repository, "v1") for _ in range(2)]
        events = [*map(of, alone), of(index, "multi"), *(of(one, "v1") for one in moved)]
        for _ in range(4):
            tell(*chance.sample(events, chance.randrange(1, len(events))))
            if chance.random() < 0.5:
                follow()
        tell(*chance.sample(events, len(events)))
        follow()
        run_deletion(image)

    def test_pushed_meanwhile(self, image, tell, monkeypatch):
        """By a token from before the deletion, also what was deleted a moment ago."""
        same = {"layers": [b"once more"], "config": {"os": "linux"}}
        tell(of(push_image(registry(), image.repository, None, **same)))
        real, rounds = images._remove_manifests, []

        def push_late(*arguments):
            real(*arguments)
            rounds.append(1)
            if len(rounds) < 3:
                tell(of(push_image(registry(), image.repository, None, **same)))

        monkeypatch.setattr(images, "_remove_manifests", push_late)
        run_deletion(image)
        assert len(rounds) == 3

    def test_a_failure_after_it_was_taken(self, image, tell, monkeypatch):
        tell(*(of(push_image(registry(), image.repository, None)) for _ in range(2)))
        mark_image_for_deletion(image.namespace.owner, image)

        def fail(*_arguments, **_options):
            raise RegistryUnavailable("down")

        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(RegistryClient, "delete_manifest", fail)
            jobs.delete_image(image.pk)
        run_deletion(image)

    def test_more_than_are_taken_at_once(self, image, tell, monkeypatch):
        monkeypatch.setattr(images, "_LISTED_AT_ONCE", 2)
        tell(*(of(push_image(registry(), image.repository, None)) for _ in range(5)))
        run_deletion(image)

    def test_a_platform_is_one_step(self, image, tell):
        """That an index names it and that it was told of are one thing to do."""
        children = [push_image(registry(), image.repository, None) for _ in range(2)]
        index = push_index(registry(), image.repository, "v1", children)
        tell(*map(of, children), of(index, "v1"))
        follow()
        deletion_row = mark_image_for_deletion(image.namespace.owner, image)
        images._list(deletion_row, image.repository)
        images._start_phase(deletion_row, deletion_row.Phase.TAGS)
        assert deletion_row.total == 1 + 3

    def test_what_a_copy_that_failed_has_left(self, image, monkeypatch):
        source = ImageFactory(namespace=image.namespace)
        children = [push_image(registry(), source.repository, None) for _ in range(2)]
        index = push_index(registry(), source.repository, "v1", children)
        copy = Copy.objects.create(
            image=image,
            tag="v1",
            source=source.repository,
            digest=index.digest,
            requested_by=image.namespace.owner.account_id,
        )
        registry().delete_manifest(source.repository, children[1].digest)
        copying.run(copy.pk)
        assert Copy.objects.get().state == Copy.State.FAILED
        assert disk.manifests(image.repository) == {children[0].digest}
        run_deletion(image)

    def test_others_are_not_touched(self, image, tell):
        other = ImageFactory()
        kept, gone = (push_image(registry(), one.repository, None, layers=[b"same"]) for one in (other, image))
        tell(of(kept), of(gone))
        mark_image_for_deletion(image.namespace.owner, image)
        jobs.delete_image(image.pk)
        assert disk.left_of(image.repository) == []
        assert disk.manifests(other.repository) == {kept.digest}
        assert list(PushedDigest.objects.values_list("repository", flat=True)) == [other.repository]


class TestShowsNowhere:
    def test_no_tag_and_no_bytes(self, image, tell):
        tagged = push_image(registry(), image.repository, "v1")
        alone = push_image(registry(), image.repository, None)
        tell(of(tagged, "v1"), of(alone), of(alone))
        follow()
        walk_over(image.repository)
        image.refresh_from_db()
        assert (image.tag_count, image.attachment_count, image.size) == (1, 0, tagged.size)
        assert image.tags.get().manifest.digest == tagged.digest
        assert not Manifest.objects.filter(digest=alone.digest).exists()

    def test_it_makes_no_image(self, registry_server, tell):
        name = f"{NamespaceFactory().name}/app"
        tell(of(push_image(registry(), name, None)))
        follow()
        walk_over(name)
        assert not Image.objects.exists()


class TestIsForgotten:
    def test_by_the_walk_when_it_is_gone(self, image, tell):
        push_image(registry(), image.repository, "v1")
        gone, there = (push_image(registry(), image.repository, None) for _ in range(2))
        tell(of(gone), of(there))
        registry().delete_manifest(image.repository, gone.digest)
        reread_image(image.repository)
        walk, lines = walk_over(image.repository)
        assert [row.digest for row in PushedDigest.objects.all()] == [there.digest]
        assert (lines, walk.counts.get("forgotten", 0)) == ([], 0), "no page showed it"

    def test_not_when_it_was_pushed_again_meanwhile(self):
        pushed_digests.remember([("team/app", DIGESTS[0]), ("team/app", DIGESTS[1])])
        told = dict(PushedDigest.objects.values_list("digest", "notified_at"))
        pushed_digests.remember([("team/app", DIGESTS[0])])
        pushed_digests.forget("team/app", told)
        assert [row.digest for row in PushedDigest.objects.all()] == [DIGESTS[0]]

    def test_not_by_a_registry_that_does_not_answer(self, image, tell, settings):
        push_image(registry(), image.repository, "v1")
        tell(event(image.repository, DIGESTS[0]))
        settings.CONSOLE_REGISTRY_URL = "http://127.0.0.1:9"
        with pytest.raises(RegistryUnavailable):
            walk_over(image.repository)
        assert PushedDigest.objects.exists()

    def test_some_at_a_time_with_what_the_index_has(self, monkeypatch):
        image = ImageFactory()
        TagFactory(image=image, manifest=ManifestFactory(image=image, digest=DIGESTS[3]))
        ManifestFactory(image=image, digest=DIGESTS[5])
        pushed_digests.remember((image.repository, digest) for digest in DIGESTS[:8])
        pushed_digests.remember([("team/other", DIGESTS[9])])
        asked = []
        there = {DIGESTS[1], DIGESTS[7]}
        monkeypatch.setattr(reconcile_repository, "_AT_ONCE", 2)
        monkeypatch.setattr(
            reconcile_repository, "digest_of", lambda _name, digest: asked.append(digest) or digest in there
        )
        assert reconcile_repository.forget_gone_manifests(image) == 1
        first = [*DIGESTS[:3], *DIGESTS[4:8]]
        assert sorted(asked[:7]) == first, "each once"
        assert not Manifest.objects.filter(digest=DIGESTS[5]).exists()
        # What is still told of is what is there, and what the index has.
        left = set(PushedDigest.objects.filter(repository=image.repository).values_list("digest", flat=True))
        assert left == {*there, DIGESTS[3]}

    def test_after_a_day_what_never_became_an_image_and_is_gone(self, registry_server, tell, settings):
        name = f"{NamespaceFactory().name}/app"
        there = push_image(registry(), name, None)
        tell(of(there), event(name, DIGESTS[0]))
        jobs.forget_documents()
        assert PushedDigest.objects.count() == 2
        PushedDigest.objects.update(notified_at=timezone.now() - datetime.timedelta(days=1, minutes=1))
        here, settings.CONSOLE_REGISTRY_URL = settings.CONSOLE_REGISTRY_URL, "http://127.0.0.1:9"
        jobs.forget_documents()
        assert PushedDigest.objects.count() == 2, "a registry that does not answer proves nothing"
        settings.CONSOLE_REGISTRY_URL = here
        jobs.forget_documents()
        assert [row.digest for row in PushedDigest.objects.all()] == [there.digest]

    def test_after_a_day_what_the_index_has_or_nobody_owns(self, registry_server):
        tag = TagFactory()
        image, known = tag.image, tag.manifest.digest
        other = ImageFactory()
        nobodys = ("nobodys/app", DIGESTS[0])
        kept = {(image.repository, DIGESTS[1]), (other.repository, known), (f"{other.namespace.name}/none", DIGESTS[1])}
        pushed_digests.remember([(image.repository, known), nobodys, *kept])
        everything = set(PushedDigest.objects.values_list("repository", "digest"))
        jobs.forget_documents()
        assert set(PushedDigest.objects.values_list("repository", "digest")) == everything
        PushedDigest.objects.update(notified_at=timezone.now() - datetime.timedelta(days=1, minutes=1))
        jobs.forget_documents()
        gone = {one for one in kept if one[0].endswith("/none")}
        assert set(PushedDigest.objects.values_list("repository", "digest")) == kept - gone


class TestTold:
    def test_one_row_however_often(self, tell):
        tell(event("team/app", DIGESTS[0]), event("team/app", DIGESTS[0], "v1"), event("team/app", DIGESTS[0]))
        tell(event("team/app", DIGESTS[0]))
        assert str(PushedDigest.objects.get()) == f"team/app@{DIGESTS[0]}"

    def test_many_cost_as_few_queries_as_one(self, tell):
        def queries(digests):
            with CaptureQueriesContext(connection) as queries:
                tell(*(event(f"team/app{number % 7}", digest) for number, digest in enumerate(digests)))
            return len(queries)

        tell(event("team/app0", DIGESTS[0]))  # the job that looks at them is queued once
        assert queries(DIGESTS) == queries(DIGESTS[:1])
        assert PushedDigest.objects.count() == len(DIGESTS)

    @pytest.mark.parametrize(
        ("name", "digest"),
        [
            ("team/app", ""),
            ("team/app", "sha256:" + "z" * 64),
            ("team/app", "sha256:" + "0" * 10_000),
            ("team/app", DIGESTS[0] + "\x00"),
            ("team/app", 7),
            ("team/app", None),
            ("team/app", [DIGESTS[0]]),
            ("team/app\ud800", DIGESTS[0]),
            ("team/" + "a" * 100_000, DIGESTS[0]),
            ("library/app", DIGESTS[0]),
            ("single", DIGESTS[0]),
            (None, DIGESTS[0]),
        ],
    )
    def test_what_cannot_be_used_is_counted(self, tell, name, digest):
        tell(event(name, digest), event("team/app", DIGESTS[1]))
        assert UnusableEvents.objects.get().count == 1
        assert [row.digest for row in PushedDigest.objects.all()] == [DIGESTS[1]]

    def test_the_consoles_own_and_other_actions_are_not(self, tell):
        tell(
            {**event("team/app", DIGESTS[0]), "actor": {"name": ":console"}},
            {**event("team/app", DIGESTS[1]), "action": "delete"},
            {**event("team/app", DIGESTS[2]), "action": "pull"},
        )
        assert not PushedDigest.objects.exists()
