"""What others wrote is parsed within a bound: a manifest with too many values is unreadable, and still names parts."""

import json
import tracemalloc

import pytest

from registry_client import (
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    AnswerTooLarge,
    Descriptor,
    MalformedManifest,
    Manifest,
    RegistryClient,
)
from registry_client.json_documents import MOST_SEPARATORS, TooManyValues, parse
from tests.support.http_servers import Reply, Server
from tests.support.pushed_images import digest_of, push_blob, push_image

LARGEST = 4 << 20


def filled(part, size=LARGEST):
    """A list of nothing but ``part``, as long as the registry takes a manifest."""
    return b"[" + b",".join([part] * (size // (len(part) + 1) - 1)) + b"]"


@pytest.mark.parametrize(
    "part", [b"[]", b"{}", b"7.5", b'"ab"', b'{"a":1}', b'{"":[]}', b'{"a":{"b":{}}}', b"[[[[]]]]"]
)
def test_what_takes_much_room_is_not_parsed(part):
    raw = filled(part)
    tracemalloc.start()
    with pytest.raises(TooManyValues):
        parse(raw)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("part", [b"[]", b"{}", b'{"a":1}', '"\u4e00\u4e01"'.encode(), b'{"a":{"b":{}}}'])
def test_what_is_parsed_takes_little(part):
    each = 1 + sum(part.count(separator) for separator in (b",", b":", b"[", b"{"))
    raw = b"[" + b",".join([part] * ((MOST_SEPARATORS - 1) // each)) + b"]"
    tracemalloc.start()
    parse(raw)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 50_000, b"\xff", b"{" * 99_000])
def test_what_is_no_json(raw):
    with pytest.raises(ValueError):
        parse(raw)


def test_exactly_as_many_as_are_parsed():
    assert len(parse(b"[" + b"1," * (MOST_SEPARATORS - 1) + b"1]")) == MOST_SEPARATORS
    with pytest.raises(TooManyValues):
        parse(b"[" + b"1," * MOST_SEPARATORS + b"1]")


def many(count, key="layers", media_type=OCI_MANIFEST):
    entries = [{"mediaType": OCI_LAYER, "digest": digest_of(b"%d" % number), "size": 7} for number in range(count)]
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, key: entries}).encode()
    return Manifest("team/app", digest_of(raw), media_type, raw), [one["digest"] for one in entries]


class TestManifests:
    def test_ten_thousand_layers_are_read(self):
        manifest, digests = many(10_000)
        assert [layer.digest for layer in manifest.layers] == digests
        assert not manifest.has_too_many_values

    @pytest.mark.parametrize(("key", "media_type"), [("layers", OCI_MANIFEST), ("manifests", OCI_INDEX)])
    def test_more_are_found_and_not_read(self, key, media_type):
        manifest, digests = many(20_000, key, media_type)
        assert manifest.has_too_many_values
        with pytest.raises(MalformedManifest, match="more than 100,000 values"):
            _ = manifest.references
        assert [one.digest for one in manifest.entries] == digests
        assert manifest.is_index is (key == "manifests")
        assert manifest.subject_digest == ""

    def test_one_that_is_no_json_has_no_entries(self):
        manifest = Manifest("team/app", "", OCI_MANIFEST, b'{"digest":"%s"' % digest_of(b"").encode())
        assert not manifest.has_too_many_values and manifest.entries == ()


class TestLimits:
    def test_a_manifest_larger_than_wanted(self, client):
        pushed = push_image(client, "team/app", "1")
        assert client.manifest("team/app", "1", limit=len(pushed.content)).content == pushed.content
        for ask in (client.manifest, client.content_of):
            with pytest.raises(AnswerTooLarge):
                ask("team/app", pushed.digest, limit=len(pushed.content) - 1)

    def test_a_blob_is_told_whatever_its_size(self, client):
        digest = push_blob(client, "team/app", b"x" * 5000)
        assert isinstance(client.content_of("team/app", digest, OCI_MANIFEST, limit=10), Descriptor)

    def test_no_more_is_read_than_registries_take(self):
        content = b"[" * ((4 << 20) + 1)
        server = Server(lambda request: Reply(200, content, {"Content-Type": OCI_MANIFEST}))
        with RegistryClient(server.url) as client, pytest.raises(AnswerTooLarge):
            client.manifest("team/app", digest_of(content))
        server.close()
