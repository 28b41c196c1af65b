"""What the page says of the cache: asked of a real registry over the storage of a real pull-through cache."""

import pytest

from console.official_images import cached
from console.official_images.models import OfficialImage
from tests.official_images.test_pages import text
from tests.support.hub_cache import Cache, Upstream, running
from tests.support.ports import free_port
from tests.support.pushed_images import push_image, push_index

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def upstream(registry_program, tmp_path_factory):
    with running(Upstream(registry_program, tmp_path_factory.mktemp("upstream"))) as started:
        yield started


@pytest.fixture(scope="module")
def cache(registry_program, tmp_path_factory, upstream):
    with running(Cache(registry_program, tmp_path_factory.mktemp("cache"), upstream.url)) as started:
        yield started


@pytest.fixture
def inner(registry_program, cache, settings):
    """A plain registry over the cache's storage, which the console asks."""
    plain = Upstream(registry_program, cache.folder / "dockerhub")
    with running(plain):
        settings.DOCKERHUB_INNER_URL = plain.url
        yield plain


def pull(client, image, repository):
    """What ``docker pull`` fetches of an image of one platform."""
    manifest = client.manifest(repository, image.digest)
    for blob in (manifest.config, *manifest.layers):
        assert sum(map(len, client.blob(repository, blob.digest))) == blob.size


def test_what_was_pulled_is_counted_once(client, ann, cache, upstream, inner):
    OfficialImage.objects.create(name="debian")
    with upstream.client() as theirs, cache.client() as ours:
        shared = b"s" * 5000
        pictures = [push_image(theirs, "library/debian", None, layers=[shared, bytes([n]) * 1000]) for n in range(3)]
        push_index(theirs, "library/debian", "12", pictures)
        push_image(theirs, "library/debian", "never-pulled")
        slim = push_image(theirs, "library/debian", "slim", layers=[shared])

        assert "Nothing yet" in text(client, "/docker-hub/debian/-/cached/")
        ours.manifest("library/debian", "12")
        assert cached.read_cached("library/debian") == cached.Cached([], 0, False)

        pull(ours, pictures[1], "library/debian")
        cache.wait_until_it_holds("library/debian", pictures[1].blobs)
        assert cached.read_cached("library/debian") == cached.Cached(
            [cached.CachedTag("12", pictures[1].size, ["linux/arm64"])], pictures[1].size, False
        )

        ours.manifest("library/debian", "slim")
        pull(ours, slim, "library/debian")
        cache.wait_until_it_holds("library/debian", slim.blobs)
        found = cached.read_cached("library/debian")
        assert [(tag.name, tag.size, tag.platforms) for tag in found.tags] == [
            ("12", pictures[1].size, ["linux/arm64"]), ("slim", slim.size, [])
        ]  # fmt: skip
        assert found.size == pictures[1].size + slim.size - len(shared)

    html = text(client, "/docker-hub/debian/-/cached/")
    assert "2 tags" in html
    assert "linux/arm64" in html
    assert "never-pulled" not in html


def test_of_very_much_a_part_is_looked_at(cache, upstream, inner, monkeypatch):
    with upstream.client() as theirs, cache.client() as ours:
        for name in ("a", "b", "c"):
            image = push_image(theirs, "library/busybox", name)
            ours.manifest("library/busybox", name)
            pull(ours, image, "library/busybox")
            cache.wait_until_it_holds("library/busybox", image.blobs)
    everything = cached.read_cached("library/busybox")
    assert not everything.more
    for limit, most in (("_MOST_TAGS", 2), ("_MOST_BLOBS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(cached, limit, most)
            found = cached.read_cached("library/busybox")
            assert found.more, limit
            assert 0 < found.size < everything.size, limit


def test_what_was_forgotten_does_not_count(cache, upstream, inner):
    with upstream.client() as theirs, cache.client() as ours, inner.client() as storage:
        image = push_image(theirs, "library/alpine", "3")
        ours.manifest("library/alpine", "3")
        pull(ours, image, "library/alpine")
        cache.wait_until_it_holds("library/alpine", image.blobs)
        storage.delete_blob("library/alpine", image.blobs[1])
        assert cached.read_cached("library/alpine").tags[0].size == image.size - 64
        storage.delete_manifest("library/alpine", image.digest)
        assert cached.read_cached("library/alpine") == cached.Cached([], 0, False)


def test_nobody_answers(client, ann, settings):
    OfficialImage.objects.create(name="debian")
    settings.DOCKERHUB_INNER_URL = f"http://127.0.0.1:{free_port()}"
    assert "Can’t reach the cache." in text(client, "/docker-hub/debian/-/cached/")
