import json
import pickle

import pytest

from registry_client import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    MANIFEST_MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    MalformedManifest,
    Manifest,
    Platform,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
PROPERTIES = ("is_index", "config", "layers", "children", "subject", "artifact_type", "annotations", "references")


def descriptor(digest, size=1, **more):
    return {"mediaType": "application/x", "digest": digest, "size": size, **more}


def manifest(document, media_type=OCI_MANIFEST):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Manifest("team/app", A, media_type, content)


def test_image():
    image = manifest(
        {
            "config": descriptor(A, 10),
            "layers": [descriptor(B, 20), descriptor(C, 30), descriptor(B, 20)],
            "subject": descriptor(C, 5),
            "artifactType": "application/vnd.example",
            "annotations": {"title": "Ä"},
        }
    )
    assert not image.is_index and image.children == ()
    assert image.config == Descriptor(A, "application/x", 10)
    assert [layer.digest for layer in image.layers] == [B, C, B]
    assert image.references == (A, B, C)
    assert image.total_size == 80
    assert image.subject == Descriptor(C, "application/x", 5)
    assert image.artifact_type == "application/vnd.example"
    assert image.annotations == {"title": "Ä"}


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_MANIFEST_LIST])
def test_index(media_type):
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    index = manifest(
        {
            "manifests": [
                descriptor(A, 10, platform=platform),
                descriptor(B, 20, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
                descriptor(A, 10, platform={"os": "linux", "architecture": "amd64"}),
            ]
        },
        media_type,
    )
    assert index.is_index and index.config is None and index.layers == () and index.total_size == 0
    first, second, third = index.children
    assert (first.digest, first.descriptor.size, str(first.platform)) == (A, 10, "linux/arm64/v8")
    assert second.platform is None and second.annotations == {"vnd.docker.reference.type": "attestation-manifest"}
    assert third.platform == Platform("linux", "amd64")
    assert index.references == (A, B)


def test_platform_text():
    assert str(Platform("linux", "amd64", "")) == "linux/amd64"
    assert str(Platform("", "", "")) == ""


def test_the_media_type_decides_what_it_is():
    both = {"manifests": [descriptor(A)], "layers": [descriptor(B)]}
    assert not manifest(both, DOCKER_MANIFEST).is_index and manifest(both, DOCKER_MANIFEST).children == ()
    assert manifest(both, OCI_INDEX).is_index and manifest(both, OCI_INDEX).layers == ()
    assert manifest({}, OCI_INDEX).is_index and manifest(b"broken", DOCKER_MANIFEST_LIST).is_index
    assert manifest({"manifests": []}, "application/json").is_index
    assert not manifest({"layers": []}, "application/json").is_index
    assert len(set(MANIFEST_MEDIA_TYPES)) == 4


@pytest.mark.parametrize("media_type", MANIFEST_MEDIA_TYPES)
@pytest.mark.parametrize(
    "document",
    [
        {},
        dict.fromkeys(("config", "layers", "manifests", "subject", "artifactType", "annotations")),
    ],
)
def test_missing_fields(document, media_type):
    empty = manifest(document, media_type)
    assert empty.config is None and empty.layers == () and empty.children == () and empty.references == ()
    assert empty.subject is None and empty.artifact_type is None and empty.annotations == {} and empty.total_size == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"5", b'"text"', b"[" * 100_000, b'{"a":' + b"1" * 5000 + b"}"],
)
def test_not_a_json_object(content):
    for name in (*PROPERTIES, "total_size"):
        broken = manifest(content, "application/json")
        with pytest.raises(MalformedManifest):
            getattr(broken, name)


WRONG = [5, "text", True, [[]], {"digest": 5}]
WRONG_DESCRIPTORS = [
    *[5, "text", [], True],
    {},
    {"digest": A},
    {"size": 1},
    *[{"digest": A, "size": size} for size in (-1, "1", 1.5, True, None, 1 << 63)],
    *[{"digest": digest, "size": 1} for digest in ("", "latest", None, 5, A.upper(), [A])],
    *[{"digest": A, "size": 1, "mediaType": media_type} for media_type in (None, 5, "a\0b", "\ud800")],
]


@pytest.mark.parametrize("value", [value for value in WRONG_DESCRIPTORS if value is not None])
def test_wrong_descriptors(value):
    for key, name in (("config", "config"), ("subject", "subject")):
        with pytest.raises(MalformedManifest):
            getattr(manifest({key: value}), name)
    with pytest.raises(MalformedManifest):
        _ = manifest({"layers": [value]}).total_size
    with pytest.raises(MalformedManifest):
        _ = manifest({"manifests": [value]}, OCI_INDEX).references


@pytest.mark.parametrize("value", WRONG)
def test_wrong_lists(value):
    with pytest.raises(MalformedManifest):
        _ = manifest({"layers": value}).layers
    with pytest.raises(MalformedManifest):
        _ = manifest({"manifests": value}, OCI_INDEX).children


@pytest.mark.parametrize("value", [5, "text", [], True, {"a": 5}, {"a": None}, {"a": "\ud800"}, {"a\0": "b"}])
def test_wrong_annotations(value):
    with pytest.raises(MalformedManifest):
        _ = manifest({"annotations": value}).annotations
    with pytest.raises(MalformedManifest):
        _ = manifest({"manifests": [descriptor(A, annotations=value)]}, OCI_INDEX).children


@pytest.mark.parametrize("value", [5, "linux", [], True, {"os": 5}, {"architecture": ["amd64"]}, {"variant": "\0"}])
def test_wrong_platforms(value):
    with pytest.raises(MalformedManifest):
        _ = manifest({"manifests": [descriptor(A, platform=value)]}, OCI_INDEX).children


@pytest.mark.parametrize("value", [5, [], {}, True])
def test_wrong_artifact_type(value):
    with pytest.raises(MalformedManifest):
        _ = manifest({"artifactType": value}).artifact_type


def test_sizes_beyond_belief():
    huge = manifest({"layers": [descriptor(A, (1 << 63) - 1), descriptor(B, 1)]})
    assert len(huge.layers) == 2
    with pytest.raises(MalformedManifest):
        _ = huge.total_size


def test_values_are_frozen_equal_and_portable():
    one, two = manifest({"config": descriptor(A)}), manifest({"config": descriptor(A)})
    assert one.config and one == two and hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(two)) == one
    with pytest.raises(AttributeError):
        one.digest = B
    with pytest.raises(AttributeError):
        one.config.size = 5
    assert "content" not in repr(one)
