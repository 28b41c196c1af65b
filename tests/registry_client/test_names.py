import pickle
import re

import pytest

from registry_client import (
    REPOSITORY_PATTERN,
    Digest,
    InvalidName,
    RegistryClient,
    RegistryError,
    Repository,
    check_digest,
    check_reference,
    check_repository,
    check_tag,
    is_digest,
)

SHA256 = "sha256:" + "a1" * 32
SHA512 = "sha512:" + "b2" * 64


@pytest.mark.parametrize(
    "name",
    ["a", "library/alpine", "a.b_c__d-e---f/1/2", "x" * 255, "a/b/c/d/e/f", "0", "manifests/tags/list"],
)
def test_repository(name):
    assert check_repository(name) == name
    assert re.fullmatch(REPOSITORY_PATTERN, name)


@pytest.mark.parametrize(
    "name",
    [
        *["", "/", "a/", "/a", "a//b", "A", "aB", "-a", "a-", ".a", "a.", "..", "a/../b", "a/./b", "a..b", "a___b"],
        *["a.-b", "a b", "a%2fb", "a?n=1", "a#b", "a\n", "a\0", "ａ", "é", "а", "localhost:5000/a", "x" * 256],
        *["a@sha256", "a:b", "_catalog", "\u0661"],
    ],
)
def test_no_repository(name):
    with pytest.raises(InvalidName):
        check_repository(name)


@pytest.mark.parametrize("tag", ["a", "latest", "1.0", "_", "A-b.C_d", "x" * 128, "..".replace(".", "_.")])
def test_tag(tag):
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", ".a", "-a", "..", "a/b", "a b", "a:b", "é", "x" * 129, "a\n", "a?b", "%41"])
def test_no_tag(tag):
    with pytest.raises(InvalidName):
        check_tag(tag)


def test_digest():
    assert check_digest(SHA256) == SHA256 and check_digest(SHA512) == SHA512
    assert (Digest(SHA512).algorithm, Digest(SHA512).hex) == ("sha512", "b2" * 64)
    assert is_digest(SHA256) and not is_digest("latest") and not is_digest(None)


@pytest.mark.parametrize(
    "digest",
    [
        *["", "sha256:", "sha256", "a1" * 32, "sha256:" + "a1" * 31, "sha256:" + "A1" * 32, "sha512:" + "a1" * 32],
        *["sha256:" + "g1" * 32, "md5:" + "a1" * 16, "sha256:" + "a1" * 33, SHA256 + "\n", "../" + SHA256],
    ],
)
def test_no_digest(digest):
    with pytest.raises(InvalidName):
        check_digest(digest)
    assert not is_digest(digest)


def test_digest_of_content():
    digest = Digest.of(b"hello")
    assert digest == "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert digest.is_of(b"hello") and not digest.is_of(b"hallo")
    assert Digest.of(b"hello", "sha512").is_of(b"hello")


def test_reference():
    assert isinstance(check_reference(SHA256), Digest)
    assert not isinstance(check_reference("latest"), Digest)
    for wrong in ("sha256:abc", "a:b", "..", "", None, 5):
        with pytest.raises(InvalidName):
            check_reference(wrong)


@pytest.mark.parametrize("check", [check_repository, check_tag, check_digest])
@pytest.mark.parametrize("value", [None, 5, b"a", ["a"]])
def test_only_text_is_a_name(check, value):
    with pytest.raises(InvalidName):
        check(value)


def test_the_exception():
    with pytest.raises(ValueError) as caught:
        check_repository("a\n" + "b" * 400)
    assert isinstance(caught.value, RegistryError)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 150


def test_names_survive_pickling():
    name = pickle.loads(pickle.dumps(Repository("a/b")))
    assert name == "a/b" and isinstance(name, Repository)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.tags("a/../b"),
        lambda client: client.resolve("a?b", "latest"),
        lambda client: client.resolve("a", "../tags/list"),
        lambda client: client.manifest("A", "latest"),
        lambda client: client.manifest("a", "x?y"),
        lambda client: client.put_manifest("a", "a/b", b"{}", "application/json"),
        lambda client: client.put_manifest("a/", "b", b"{}", "application/json"),
        lambda client: client.delete_manifest("a", "latest"),
        lambda client: client.delete_manifest("", SHA256),
        lambda client: client.stat_blob("a", "latest"),
        lambda client: client.blob("a", "sha256:x"),
        lambda client: client.blob("a b", SHA256),
        lambda client: client.read_blob("a", "../x", 1),
        lambda client: client.upload_blob("a", "x", []),
        lambda client: client.upload_blob("-", SHA256, []),
        lambda client: client.start_upload("a/../b"),
        lambda client: client.mount_blob("a", SHA256, "b&from=c"),
        lambda client: client.mount_blob("a", "b", "c"),
        lambda client: client.delete_blob("a", "latest"),
    ],
)
def test_a_wrong_name_is_never_sent(server, call):
    with RegistryClient(server.url) as client, pytest.raises(InvalidName):
        call(client)
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *["", "registry:5000", "ftp://registry", "http://", "http://user:secret@registry", "http://registry/prefix"],
        *["http://registry?x=secret", "http://registry#x", "http://registry:port"],
    ],
)
def test_wrong_addresses(url):
    with pytest.raises(ValueError) as caught:
        RegistryClient(url)
    assert "secret" not in str(caught.value)


def test_repr_names_the_registry():
    assert repr(RegistryClient("http://registry:5000/")) == "<RegistryClient http://registry:5000>"
