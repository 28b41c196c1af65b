"""What can go wrong at the registry that is copied from, and at one's own."""

import contextlib
import datetime
import json
import os
import threading

import pytest
from django.utils import timezone

from console.imports import copying, sources
from console.imports.models import Transfer
from console.imports.problems import SourceFailure
from console.official_images.models import OfficialImage, OfficialTag
from console.registry import connection
from console.registry.connection import registry
from registry_client import RegistryClient, RegistryUnavailable, connections
from tests.imports.conftest import pull_through
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.http_servers import Reply, error_reply, running_registry
from tests.support.import_requests import ask, bring, image, manifest_reply, official, pulled, ready, run, serving
from tests.support.pushed_images import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, digest_of, push_image, push_index

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def made():
    """An image of one layer, by hand: its manifest, and its blobs by their digests."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "n": os.urandom(4).hex()}).encode()
    layer = os.urandom(300_000)
    blobs = {digest_of(one): one for one in (config, layer)}
    parts = [{"digest": digest, "size": len(content)} for digest, content in blobs.items()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, **parts[0]},
        "layers": [{"mediaType": DOCKER_LAYER, **parts[1]}],
    }
    return json.dumps(manifest).encode(), blobs


def layer_of(blobs):
    return list(blobs)[1]


def waits(transfer, error=SourceFailure):
    """It fails for now, and says so; the sentence."""
    with pytest.raises(error):
        run(transfer)
    transfer.refresh_from_db()
    assert transfer.state == Transfer.State.RUNNING
    assert not ready(transfer)
    assert disk.tags(transfer.image.repository) == {}
    return transfer.problem


def failed(transfer):
    """It fails for good; the sentence."""
    ended = run(transfer)
    assert ended.state == Transfer.State.FAILED
    assert disk.tags(ended.image.repository) == {}
    return ended.problem


class TestTheSource:
    def test_down_and_up_again(self, registry_program, tmp_path, namespace, monkeypatch):
        monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
        with running_registry(registry_program, tmp_path) as url, RegistryClient(url) as client:
            pushed = push_image(client, "library/some", "latest")
        monkeypatch.setattr(connection, "hub", lambda: client)
        transfer = ask(namespace, "some")
        with RegistryClient(url) as client:
            assert "Can’t reach" in waits(transfer)
        port = int(url.rpartition(":")[2])
        with running_registry(registry_program, tmp_path, port=port) as url, RegistryClient(url) as client:
            assert run(transfer) is None
        assert pulled(image(namespace)) == pushed.digest

    def test_down_behind_the_cache(self, registry_program, tmp_path, namespace, monkeypatch):
        """The cache says of what it does not have that it is not there, or fails itself."""
        monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
        (tmp_path / "up").mkdir()
        (tmp_path / "cache").mkdir()
        with contextlib.ExitStack() as running:
            with running_registry(registry_program, tmp_path / "up") as url:
                with RegistryClient(url) as client:
                    children = [push_image(client, "library/some", None) for _ in range(2)]
                    push_index(client, "library/some", "latest", children)
                cache = running.enter_context(pull_through(registry_program, tmp_path / "cache", url))
                hub = running.enter_context(RegistryClient(cache))
                monkeypatch.setattr(connection, "hub", lambda: hub)
                hub.manifest("library/some", "latest")
            transfer = ask(namespace, "some")
            assert waits(transfer)
            other = ask(namespace, "other", tag="v2")
            with contextlib.suppress(SourceFailure):
                run(other)
            other.refresh_from_db()
            assert "Docker Hub" in other.problem
            with running_registry(registry_program, tmp_path / "up", port=int(url.rpartition(":")[2])):
                assert run(transfer) is None
        assert pulled(image(namespace))

    @pytest.mark.parametrize(("status", "sentence"), [(429, "The rate limit of"), (503, "returned an error")])
    def test_not_now(self, faulty, made, namespace, status, sentence):
        content, blobs = made
        faulty.answer = lambda request: error_reply(status, "TOOMANYREQUESTS")
        transfer = ask(namespace, official())
        assert sentence in waits(transfer)
        faulty.answer = serving(content, DOCKER_MANIFEST, blobs)
        assert run(transfer) is None
        assert pulled(image(namespace)) == digest_of(content)

    def test_not_now_for_a_day(self, faulty, namespace):
        faulty.answer = lambda request: error_reply(429, "TOOMANYREQUESTS")
        transfer = ask(namespace, official())
        Transfer.objects.update(requested_at=timezone.now() - datetime.timedelta(hours=25))
        assert "My Images retried for a day, then gave up." in failed(transfer)

    def test_the_cache_refuses_the_console(self, faulty, namespace):
        faulty.answer = lambda request: error_reply(401, "UNAUTHORIZED")
        assert "denies access" in waits(ask(namespace, official()))

    def test_there_is_no_such_image(self, hub, namespace):
        name = official()
        assert f"Docker Hub has no image “{name}:latest”" in failed(ask(namespace, name))

    def test_a_tag_that_the_catalogue_has(self, hub, upstream, namespace):
        """The cache says that it is not there while Docker Hub refuses it, too."""
        name = official()
        OfficialTag.objects.create(image=OfficialImage.objects.create(name=name), name="latest")
        transfer = ask(namespace, name)
        assert "at the moment, or no longer has it" in waits(transfer)
        pushed = push_image(upstream, f"library/{name}", "latest")
        assert run(transfer) is None
        assert pulled(image(namespace)) == pushed.digest

    def test_a_blob_that_is_something_else(self, faulty, made, namespace):
        content, blobs = made
        spoilt = {**blobs, layer_of(blobs): os.urandom(300_000)}
        faulty.answer = serving(content, DOCKER_MANIFEST, spoilt)
        transfer = ask(namespace, official())
        assert "does not match its digest" in failed(transfer)
        assert layer_of(blobs) not in disk.blobs(image(namespace).repository)

    def test_a_blob_of_another_size_than_the_manifest_says(self, faulty, made, namespace):
        content, blobs = made
        document = json.loads(content)
        document["layers"][0]["size"] -= 1
        faulty.answer = serving(json.dumps(document).encode(), DOCKER_MANIFEST, blobs)
        assert "does not match its digest" in failed(ask(namespace, official()))

    def test_a_manifest_that_is_something_else(self, faulty, made, namespace):
        content, _blobs = made
        reply = manifest_reply(content, DOCKER_MANIFEST)
        reply.headers["Docker-Content-Digest"] = digest_of(b"another")
        faulty.answer = lambda request: reply
        assert "does not match its digest" in failed(ask(namespace, official()))

    def test_a_blob_that_breaks_off(self, faulty, made, namespace):
        content, blobs = made

        def cut(request):
            if request.path.endswith(layer_of(blobs)):
                return Reply(200, blobs[layer_of(blobs)], {"Content-Type": "application/octet-stream"}, cut=200_000)
            return None

        faulty.answer = serving(content, DOCKER_MANIFEST, blobs, spoil=cut)
        transfer = ask(namespace, official())
        assert "Can’t reach" in waits(transfer)
        assert layer_of(blobs) not in disk.blobs(image(namespace).repository)
        faulty.answer = serving(content, DOCKER_MANIFEST, blobs)
        assert run(transfer) is None
        assert pulled(image(namespace)) == digest_of(content)

    @pytest.mark.parametrize(
        ("content", "media_type", "sentence"),
        [
            (b"[]", DOCKER_MANIFEST, "cannot be understood"),
            (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "old or unknown form"),
            (b"<html>", "text/html", "does not respond like a registry"),
            (b'{"manifests": [{"digest": "x"}]}', "application/vnd.oci.image.index.v1+json", "cannot be understood"),
        ],
    )
    def test_a_manifest_that_is_none(self, faulty, namespace, content, media_type, sentence):
        faulty.answer = lambda request: manifest_reply(content, media_type)
        assert sentence in failed(ask(namespace, official()))

    def test_indexes_without_end(self, faulty, namespace):
        """Each names another, as deep as anybody looks."""
        contents = [b'{"schemaVersion": 2, "manifests": []}']
        for _ in range(10):
            child = {
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "digest": digest_of(contents[-1]),
                "size": len(contents[-1]),
            }
            contents.append(json.dumps({"schemaVersion": 2, "manifests": [child]}).encode())
        by_digest = {digest_of(content): content for content in contents}

        def answer(request):
            content = by_digest.get(request.path.rpartition("/")[2], contents[-1])
            return manifest_reply(content, "application/vnd.oci.image.index.v1+json")

        faulty.answer = answer
        assert "too deeply" in failed(ask(namespace, official()))


def test_a_source_that_sends_a_byte_now_and_then(server, made, namespace, settings, monkeypatch):
    """It is broken off, and the place is free for others; the server here sends nothing more until that."""
    content, blobs = made
    monkeypatch.setattr(sources, "_LONGEST_SILENCE", 0.2)
    settings.ALLOWED_IMPORT_HOSTS = [server.url.removeprefix("http://")]
    released, waited_in_vain = threading.Event(), []

    def hold(request):
        if not request.path.endswith(layer_of(blobs)):
            return None
        reply = Reply(200, blobs[layer_of(blobs)], {"Content-Type": "application/octet-stream"}, cut=1000)
        reply.after = lambda: released.wait(20) or waited_in_vain.append(request)
        return reply

    server.answer = serving(content, DOCKER_MANIFEST, blobs, spoil=hold)
    transfer = bring(namespace, f"{server.url}/some/app:1")
    assert "Can’t reach" in waits(transfer)
    assert waited_in_vain == []
    released.set()
    server.answer = serving(content, DOCKER_MANIFEST, blobs)
    monkeypatch.setattr(sources, "_LONGEST_SILENCE", 300.0)
    assert run(transfer) is None
    assert pulled(image(namespace)) == digest_of(content)


class TestOnesOwnRegistry:
    @pytest.fixture
    def full(self):
        """The storage fails for whatever is written to one image, and how that is mended."""
        broken = []

        def fill(made):
            folder = disk.ROOT / "repositories" / made.repository
            folder.mkdir(parents=True)
            broken.append(folder / "_uploads")
            broken[0].write_text("where the uploads' folder should be")
            return broken[0].unlink

        yield fill
        for path in broken:
            path.unlink(missing_ok=True) if path.is_file() else None

    def test_its_storage_takes_nothing(self, upstream, hub, namespace, full):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        made = ImageFactory(namespace=namespace, name="mine")
        mend = full(made)
        transfer = ask(namespace, name)
        assert "storage may be full" in waits(transfer, RegistryUnavailable)
        mend()
        assert run(transfer) is None
        assert pulled(made) == pushed.digest

    def test_away_while_the_tag_is_put(self, upstream, hub, namespace, monkeypatch):
        name = official()
        pushed = push_image(upstream, f"library/{name}", "latest")
        transfer = ask(namespace, name)
        real = RegistryClient.put_manifest

        def put(self, repository, reference, *arguments):
            if reference == "v1":
                raise RegistryUnavailable("no")
            return real(self, repository, reference, *arguments)

        with monkeypatch.context() as patched, pytest.raises(RegistryUnavailable):
            patched.setattr(RegistryClient, "put_manifest", put)
            run(transfer)
        transfer.refresh_from_db()
        assert (transfer.state, "Can’t reach" in transfer.problem) == (Transfer.State.RUNNING, True)
        assert run(transfer) is None
        assert pulled(image(namespace)) == pushed.digest

    def test_it_refuses_the_manifest(self, upstream, hub, namespace, monkeypatch):
        name = official()
        push_image(upstream, f"library/{name}", "latest")

        def put(*_arguments):
            raise copying.RegistryError("no", status=400, code="MANIFEST_INVALID")

        monkeypatch.setattr(RegistryClient, "put_manifest", put)
        assert "refused a step" in failed(ask(namespace, name))
        assert registry()
