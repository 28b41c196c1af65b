"""Manifests that are to be refused, and those that only seem so."""

from __future__ import annotations

import json

from registry_client import OCI_MANIFEST
from tests.conformance import uploads
from tests.conformance.answers import Unsupported
from tests.conformance.content import Content, Item, random_blob
from tests.conformance.manifests import ACCEPT, manifest_url, must_be_stored, put_manifest
from tests.conformance.run import Run
from tests.conformance.sections import (
    CONTENT_EXISTS,
    ERROR_CODES,
    POST_THEN_PUT,
    PULLING_MANIFESTS,
    PUSHING_MANIFESTS,
)

_FOUR_MIB = 4 << 20


def _pushed_blobs(run: Run, repository: str, content: Content) -> None:
    with run.check("push blobs", POST_THEN_PUT):
        for blob in content.blobs:
            uploads.post_then_put(run.target, repository, blob)


def wrong_digest(run: Run) -> None:
    """The digest in the path is another one, or none."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image()
    _pushed_blobs(run, repository, content)
    with run.check("another digest", PUSHING_MANIFESTS):
        changed = Item("image", image.body + b"  ", image.media_type)
        put_manifest(target, repository, image.digest, changed).must_be(400).must_have_code("DIGEST_INVALID")
    with run.check("not stored", CONTENT_EXISTS):
        target.head(manifest_url(repository, image.digest), ACCEPT).must_be(404)
    with run.check("invalid digest: PUT", PUSHING_MANIFESTS):
        put_manifest(target, repository, "sha256:baddigeststring", image).must_be(400)
    with run.check("invalid digest: GET", PULLING_MANIFESTS):
        target.get(manifest_url(repository, "sha256:baddigeststring"), ACCEPT).must_be(400, 404)


def missing_parts(run: Run) -> None:
    """Blobs and manifests that are not there: a registry may refuse, with MANIFEST_BLOB_UNKNOWN."""
    target, repository = run.target, run.new_repository()
    with run.check("push a blob", POST_THEN_PUT):
        uploads.post_then_put(target, repository, random_blob(10))
    content = Content()
    image = content.image()
    index = content.index(entries=[image.descriptor()])
    for name, manifest in (("image", image), ("index", index)):
        with run.check(name, PUSHING_MANIFESTS):
            answer = put_manifest(target, repository, "tag", manifest).must_be(201, 400, 404)
            if answer.status != 201:
                answer.must_have_code("MANIFEST_BLOB_UNKNOWN")


def malformed(run: Run) -> None:
    """Bodies that are no manifest."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image()
    _pushed_blobs(run, repository, content)
    bodies = {
        "no JSON": b"oh no",
        "no bytes": b"",
        "a list": b"[]",
        "another media type in it": json.dumps({**image.document, "mediaType": "application/json"}).encode(),
        "a number as digest": image.body.replace(image.document["config"]["digest"].encode(), b"7"),
    }
    for name, body in bodies.items():
        with run.check(name, ERROR_CODES):
            answer = put_manifest(target, repository, "tag", Item("image", body, OCI_MANIFEST))
            answer.must_be_refused().must_have_error_format()
    with run.check("not stored", PULLING_MANIFESTS):
        target.get(manifest_url(repository, "tag"), ACCEPT).must_be(404)
    with run.check("an unknown media type", PUSHING_MANIFESTS):
        # A registry may take it or not.
        document = Item("image", image.body, "application/vnd.example.manifest+json")
        answer = put_manifest(target, repository, "unknown", document)
        if answer.status != 201:
            answer.must_be_refused().must_have_error_format()


def large(run: Run) -> None:
    """4 MB are to be accepted; beyond its limit a registry should answer 413."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image()
    _pushed_blobs(run, repository, content)

    def padded(size: int) -> Item:
        return Item("image", image.body + b" " * (size - len(image.body)), image.media_type)

    with run.check("4,000,000 bytes", PUSHING_MANIFESTS):
        manifest = padded(4_000_000)
        must_be_stored(target, put_manifest(target, repository, "large", manifest), manifest)
    with run.check("4 MiB", PUSHING_MANIFESTS):
        manifest = padded(_FOUR_MIB)
        must_be_stored(target, put_manifest(target, repository, "larger", manifest), manifest)
    with run.check("8 MiB", PUSHING_MANIFESTS):
        answer = put_manifest(target, repository, "too-large", padded(2 * _FOUR_MIB))
        if answer.status == 201:
            raise Unsupported("201: no limit")
        answer.must_be(413)


def content_type(run: Run) -> None:
    """Parameters of ``Content-Type`` are ignored, and not returned."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image()
    _pushed_blobs(run, repository, content)
    with run.check("with a parameter: PUT", PUSHING_MANIFESTS):
        with_parameter = Item("image", image.body, f"{OCI_MANIFEST}; charset=utf-8")
        put_manifest(target, repository, "parameter", with_parameter).must_be(201)
    with run.check("with a parameter: GET", PULLING_MANIFESTS):
        target.get(manifest_url(repository, "parameter"), ACCEPT).must_be_content(image.body, OCI_MANIFEST)
    with run.check("none, with a mediaType", PUSHING_MANIFESTS):
        # Clients should send one; a registry may need it.
        answer = target.send("PUT", manifest_url(repository, "none"), None, image.body)
        if answer.status != 201:
            answer.must_be_refused().must_have_error_format()


CASES = {
    "wrong-digest": wrong_digest,
    "missing-parts": missing_parts,
    "malformed": malformed,
    "large": large,
    "content-type": content_type,
}
