"""Images whose layers are not in the registry but at addresses of their own, as Windows' base images have them."""

import json
import os

import pytest

from console.installation import environment
from console.local import registry as bundled
from console.official_images import cached
from console.registry.connection import registry
from console.registry.index.sync import reread_image
from console.repositories.models import Copy, Image, Manifest
from registry_client import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    FOREIGN_LAYERS,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    ManifestBlobUnknown,
    RegistryClient,
    RegistryUnavailable,
)
from registry_client import Manifest as RegistryManifest
from tests.images.copies import ask, run, tag_of, target
from tests.images.test_deletion import run_deletion
from tests.support import disk
from tests.support.factories import ImageFactory
from tests.support.http_servers import Server, running_registry
from tests.support.import_requests import bring, serving
from tests.support.import_requests import run as transfer
from tests.support.pushed_images import Pushed, digest_of, push_blob

MICROSOFT = "https://mcr.microsoft.com/v2/windows/servercore/blobs/x"
MISSING = b"a layer that nobody has pushed"
CONFIG = json.dumps({"os": "windows", "architecture": "amd64", "history": [{"created_by": "Install update"}]}).encode()
OCI_FOREIGN = [one for one in FOREIGN_LAYERS if "oci" in one]


def layer(media_type, content, *urls):
    entry = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    return {**entry, "urls": list(urls)} if urls else entry


def manifest_of(layers, media_type=DOCKER_MANIFEST):
    kind = "docker.container" if media_type == DOCKER_MANIFEST else "oci"
    config = {"mediaType": f"application/vnd.{kind}.image{'.config' * (kind == 'oci')}.v1+json"}
    config |= {"digest": digest_of(CONFIG), "size": len(CONFIG)}
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}
    return json.dumps(document).encode()


def push(client, repository, layers, *contents, tag="v1", media_type=DOCKER_MANIFEST):
    for content in (CONFIG, *contents):
        push_blob(client, repository, content)
    content = manifest_of(layers, media_type)
    digest = client.put_manifest(repository, tag, content, media_type)
    return Pushed(repository, digest, content, [], len(CONFIG) + sum(map(len, contents)))


def registry_with(program, folder, **variables):
    """A registry with the part of the configuration that the product writes about foreign layers."""
    return running_registry(program, folder, more=bundled._validation(environment.load(variables)))


@pytest.fixture(scope="module")
def any_address(registry_program, tmp_path_factory):
    with registry_with(registry_program, tmp_path_factory.mktemp("any")) as url:
        yield RegistryClient(url, retries=0)


@pytest.fixture(scope="module")
def microsofts_alone(registry_program, tmp_path_factory):
    allowed = {"FOREIGN_LAYER_URLS": "https://mcr.microsoft.com/"}
    with registry_with(registry_program, tmp_path_factory.mktemp("some"), **allowed) as url:
        yield RegistryClient(url, retries=0)


class TestWhatTheRegistryAnswers:
    """The table of docs/registry.md."""

    @pytest.mark.parametrize("url", [MICROSOFT, "http://go.microsoft.com/fwlink/?linkid=837858", "HTTPS://A.example/"])
    @pytest.mark.parametrize("media_type", FOREIGN_LAYERS)
    def test_one_that_is_nowhere_here_is_taken(self, any_address, media_type, url):
        manifest = OCI_MANIFEST if media_type in OCI_FOREIGN else DOCKER_MANIFEST
        assert push(any_address, "a/b", [layer(media_type, MISSING, url)], media_type=manifest)

    def test_beside_others(self, any_address):
        layers = [layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT), layer(DOCKER_LAYER, b"here")]
        assert push(any_address, "a/b", layers, b"here")

    def test_one_that_was_pushed_as_well(self, any_address):
        assert push(any_address, "a/b", [layer(DOCKER_FOREIGN_LAYER, b"here", MICROSOFT)], b"here")

    @pytest.mark.parametrize("media_type", OCI_FOREIGN)
    def test_without_an_address_it_has_to_be_here(self, any_address, media_type):
        with pytest.raises(ManifestBlobUnknown):
            push(any_address, "a/b", [layer(media_type, MISSING)], media_type=OCI_MANIFEST)
        assert push(any_address, "a/b", [layer(media_type, b"here")], b"here", media_type=OCI_MANIFEST)

    @pytest.mark.parametrize(
        "entry",
        [
            layer(DOCKER_FOREIGN_LAYER, MISSING, "ftp://a.example/x"),
            layer(DOCKER_FOREIGN_LAYER, MISSING, f"{MICROSOFT}#fragment"),
            layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT, "ftp://a.example/x"),
            layer(DOCKER_FOREIGN_LAYER, MISSING),
        ],
    )
    def test_what_distribution_answers_with_500(self, any_address, entry):
        """It is not ours to change: when this fails, a later version no longer does, and the table can be shorter."""
        with pytest.raises(RegistryUnavailable) as caught:
            push(any_address, "a/b", [entry])
        assert caught.value.status == 500

    def test_an_administrator_may_allow_some_addresses_alone(self, microsofts_alone):
        assert push(microsofts_alone, "a/b", [layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT)])
        for other in ("https://mcr.microsoft.com.evil.example/x", "https://go.microsoft.com/fwlink/?linkid=837858"):
            with pytest.raises(RegistryUnavailable):
                push(microsofts_alone, "a/b", [layer(DOCKER_FOREIGN_LAYER, MISSING, other)])


class TestSetting:
    @pytest.mark.parametrize(
        "value", ["https://mcr.microsoft.com", "mcr.microsoft.com/", "ftp://a.example/", "https:///x"]
    )
    def test_what_is_no_beginning_of_an_address(self, value):
        with pytest.raises(environment.EnvironmentProblem, match="FOREIGN_LAYER_URLS"):
            environment.load({"FOREIGN_LAYER_URLS": value})

    def test_none(self):
        assert environment.load({"FOREIGN_LAYER_URLS": "none"}).foreign_layer_urls == ()
        assert bundled._validation(environment.load({"FOREIGN_LAYER_URLS": "none"})) == {}

    def test_some(self):
        found = environment.load({"FOREIGN_LAYER_URLS": "https://mcr.microsoft.com/, https://a.example:8443/layers/"})
        assert found.foreign_layer_urls == (r"^https://mcr\.microsoft\.com/", r"^https://a\.example:8443/layers/")


@pytest.fixture
def source(ann, team):
    return ImageFactory(namespace=team, name=f"windows-{os.urandom(4).hex()}")


@pytest.fixture
def pushed(registry_server, source):
    """An image of a foreign layer and one of its own, in the index."""
    layers = [layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT), layer(DOCKER_LAYER, b"our own")]
    made = push(registry(), source.repository, layers, b"our own")
    reread_image(source.repository)
    return made


@pytest.mark.django_db
class TestInTheConsole:
    def test_its_page(self, client, source, pushed):
        row = Manifest.objects.get(digest=pushed.digest)
        assert (row.size, row.platforms) == (pushed.size, ["windows/amd64"])
        page = client.get(f"/images/{source.repository}/-/tags/v1/").content.decode()
        assert page.count("Foreign layer, not stored here: clients download it from mcr.microsoft.com.") == 1

    def test_copied(self, source, pushed):
        ask(source, "v1", "target", "v2")
        run()
        made = target(source)
        assert tag_of(made, "v2").manifest.digest == pushed.digest
        assert disk.blobs(made.repository) == {digest_of(CONFIG), digest_of(b"our own")}

    def test_not_copied_once_its_address_is_no_longer_allowed(self, source, pushed, settings):
        """The registry would answer the same 500 each time that it is tried."""
        settings.FOREIGN_LAYER_URLS = ()
        ask(source, "v1", "target", "v2")
        run()
        assert "at mcr.microsoft.com, which this registry does not allow" in Copy.objects.get().problem

    def test_deleted(self, source, pushed):
        run_deletion(source)
        assert not Image.objects.exists()

    def test_deleted_with_a_foreign_layer_that_was_pushed(self, registry_server, source):
        push(registry(), source.repository, [layer(DOCKER_FOREIGN_LAYER, b"pushed", MICROSOFT)], b"pushed")
        reread_image(source.repository)
        run_deletion(source)


def test_the_cache_of_docker_hub_has_a_platform_without_its_foreign_layers():
    layers = [layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT), layer(DOCKER_LAYER, b"our own")]
    content = manifest_of(layers)
    image = RegistryManifest("library/golang", digest_of(content), DOCKER_MANIFEST, content)
    child = {"mediaType": DOCKER_MANIFEST, "digest": image.digest, "size": len(content)}
    child["platform"] = {"os": "windows", "architecture": "amd64"}
    index = RegistryManifest("library/golang", MISSING, OCI_INDEX, json.dumps({"manifests": [child]}).encode())
    there = {digest_of(CONFIG), digest_of(b"our own")}
    found = cached._tag("1", index, {image.digest: image}, there)
    assert (found.platforms, found.size) == (["windows/amd64"], len(CONFIG) + len(b"our own"))


@pytest.mark.django_db
@pytest.mark.usefixtures("registry_server")
class TestImports:
    @pytest.fixture
    def elsewhere(self, settings):
        server = Server()
        settings.ALLOWED_IMPORT_HOSTS = [server.url.removeprefix("http://")]
        yield server
        server.close()

    def import_of(self, server, namespace, *layers, media_type=DOCKER_MANIFEST):
        blobs = {digest_of(content): content for content in (CONFIG, b"our own")}
        server.answer = serving(manifest_of(layers, media_type), media_type, blobs)
        return transfer(bring(namespace, f"{server.url}/team/windows:1"))

    def test_the_layer_is_left_where_it_is(self, elsewhere, team):
        layers = [layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT), layer(DOCKER_LAYER, b"our own")]
        assert self.import_of(elsewhere, team, *layers) is None
        assert not [one for one in elsewhere.requests if digest_of(MISSING) in one.target]
        made = Image.objects.get(namespace=team)
        assert (made.tag_count, made.size) == (1, len(CONFIG) + len(b"our own"))

    def test_a_layer_of_the_usual_kind_is_fetched_whatever_addresses_it_names(self, elsewhere, team):
        assert self.import_of(elsewhere, team, layer(DOCKER_LAYER, b"our own", MICROSOFT)) is None
        assert digest_of(b"our own") in disk.blobs(Image.objects.get(namespace=team).repository)

    @pytest.mark.parametrize(
        ("media_type", "entry", "sentence"),
        [
            (DOCKER_MANIFEST, layer(DOCKER_FOREIGN_LAYER, MISSING, "ftp://a.example/x"), "at a.example, which"),
            (DOCKER_MANIFEST, layer(DOCKER_FOREIGN_LAYER, MISSING, "http://["), "an invalid address"),
            (DOCKER_MANIFEST, layer(DOCKER_FOREIGN_LAYER, MISSING), "the image does not say where"),
            (OCI_MANIFEST, layer(OCI_LAYER, MISSING, f"{MICROSOFT}#f"), "at mcr.microsoft.com, which"),
        ],
    )
    def test_what_the_registry_would_answer_with_500_is_one_sentence(
        self, elsewhere, team, media_type, entry, sentence
    ):
        failed = self.import_of(elsewhere, team, entry, media_type=media_type)
        assert failed.state == "failed"
        assert sentence in failed.problem

    def test_an_address_that_the_administrator_does_not_allow(self, elsewhere, team, settings):
        settings.FOREIGN_LAYER_URLS = (r"^https://a\.example/",)
        failed = self.import_of(elsewhere, team, layer(DOCKER_FOREIGN_LAYER, MISSING, MICROSOFT))
        assert "at mcr.microsoft.com, which this registry does not allow" in failed.problem
