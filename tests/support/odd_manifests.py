"""Unusual and malformed manifests that registries accept."""

from __future__ import annotations

import json
import os

from registry_client import DOCKER_MANIFEST_LIST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from tests.support.pushed_images import Pushed, digest_of, push_blob, push_image

BUILD_CACHE = "application/vnd.buildkit.cacheconfig.v0"
GONE = "sha256:" + "1" * 64
LARGEST = (1 << 63) - 1


class Maker:
    """Pushes the parts of an odd manifest to a repository, each with new content, and then the manifest with a tag."""

    def __init__(self, client, repository):
        self.client, self.repository = client, repository

    def blob(self, content=None):
        return push_blob(self.client, self.repository, os.urandom(40) if content is None else content)

    def image(self):
        return push_image(self.client, self.repository, None)

    def put(self, reference, document, media_type):
        content = json.dumps(document).encode()
        digest = self.client.put_manifest(self.repository, reference or digest_of(content), content, media_type)
        return Pushed(self.repository, digest, content)


def entry(digest, media_type=OCI_LAYER, size=40, **more):
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def index(*entries, **more):
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}, OCI_INDEX


def image(config, *layers):
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list(layers)}, OCI_MANIFEST


def manifest_bytes(maker):
    """A manifest's content, pushed only as a blob."""
    config = entry(maker.blob(b"{}"), OCI_CONFIG, 2)
    return maker.blob(json.dumps(image(config, entry(maker.blob()))[0]).encode())


def _huge_config(maker):
    return image(entry(maker.blob(b"x" * (5 << 20)), OCI_CONFIG, 5 << 20), entry(maker.blob()))


def _nested(maker):
    inner = maker.put(None, *index(entry(maker.blob()), entry(maker.image().digest, OCI_MANIFEST)))
    return index(entry(inner.digest, OCI_INDEX), entry(maker.blob(b"{}"), BUILD_CACHE, 2))


def _docker_list(maker):
    document = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST_LIST, "manifests": [entry(maker.blob())]}
    return document, DOCKER_MANIFEST_LIST


def _config(maker, content=b"{}", **more):
    return entry(maker.blob(content), OCI_CONFIG, len(content), **more)


# By name a function that pushes the parts, and returns the document and its media type.
ODD = {
    "a layer": lambda maker: index(entry(maker.blob())),
    "BuildKit's cache": lambda maker: index(
        entry(maker.blob()), entry(maker.blob()), entry(maker.blob(b"{}"), BUILD_CACHE, 2)
    ),
    "BuildKit's cache as an image": lambda maker: image(entry(maker.blob(b"{}"), BUILD_CACHE, 2), entry(maker.blob())),
    "a Docker list of layers": _docker_list,
    "JSON": lambda maker: index(entry(maker.blob(b"[1]"), "application/json", 3)),
    "an unknown media type": lambda maker: index(entry(maker.blob(), "what/ever")),
    "no media type": lambda maker: index({"digest": maker.blob(), "size": 40}),
    "a layer that says it is a manifest": lambda maker: index(entry(maker.blob(), OCI_MANIFEST)),
    "JSON that says it is a manifest": lambda maker: index(entry(maker.blob(b"{}"), OCI_MANIFEST, 2)),
    "a manifest of schema 1 that is a blob": lambda maker: index(
        entry(maker.blob(b'{"schemaVersion":1}'), OCI_MANIFEST)
    ),
    "a manifest that is only a blob": lambda maker: index(entry(manifest_bytes(maker), OCI_MANIFEST)),
    "a manifest that says it is a layer": lambda maker: index(entry(maker.image().digest)),
    "a blob of five megabytes that says it is a manifest": lambda maker: index(
        entry(maker.blob(b"{" * (5 << 20)), OCI_MANIFEST)
    ),
    "a nested index of layers": _nested,
    "manifests and layers": lambda maker: index(entry(maker.image().digest, OCI_MANIFEST), entry(maker.blob())),
    "an entry twice": lambda maker: index(
        *[entry(maker.blob(b"twice"))] * 2, entry(maker.blob(b"twice"), OCI_MANIFEST)
    ),
    "nothing": lambda maker: index(),
    "no list": lambda maker: ({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}, OCI_INDEX),
    "a negative size": lambda maker: index(entry(maker.blob(), size=-5), entry(maker.image().digest, OCI_MANIFEST, -5)),
    "no size": lambda maker: index({"mediaType": OCI_MANIFEST, "digest": maker.image().digest}),
    "impossible sizes": lambda maker: index(entry(maker.blob(), size=LARGEST), entry(maker.blob(), size=LARGEST)),
    "a subject that is a blob": lambda maker: index(entry(maker.blob(b"both")), subject=entry(maker.blob(b"both"))),
    "a subject that is not there": lambda maker: index(entry(maker.blob()), subject=entry(GONE, OCI_MANIFEST)),
    "a subject that is none": lambda maker: index(entry(maker.blob()), subject="x"),
    "a config that is a layer": lambda maker: image(_config(maker, os.urandom(40)), entry(maker.blob())),
    "a config that is too large": _huge_config,
    "a config of a size beyond belief": lambda maker: image(
        {**_config(maker), "size": LARGEST}, entry(maker.blob(), size=LARGEST)
    ),
    "a config of a negative size": lambda maker: image({**_config(maker), "size": -1}, entry(maker.blob())),
    "a layer of a negative size": lambda maker: image(_config(maker), entry(maker.blob(), size=-1)),
    "a layer twice, which is the config too": lambda maker: image(
        entry(maker.blob(b"{}"), OCI_CONFIG, 2), *[entry(maker.blob(b"{}"), size=2)] * 2
    ),
    "a layer of an unknown media type": lambda maker: image(_config(maker), entry(maker.blob(), "what/ever")),
}


def push_odd(client, repository, name, reference="odd"):
    """Push the odd manifest of this name with a tag."""
    maker = Maker(client, repository)
    return maker.put(reference, *ODD[name](maker))
