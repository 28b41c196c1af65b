"""Pushing content: its blobs, its manifests, its tags."""

from __future__ import annotations

from registry_client import MANIFEST_MEDIA_TYPES
from tests.conformance.answers import Answer
from tests.conformance.content import Content, Item
from tests.conformance.run import Run
from tests.conformance.sections import POST_THEN_PUT, PUSHING_MANIFESTS
from tests.conformance.target import Target
from tests.conformance.uploads import post_then_put

ACCEPT = {"Accept": ", ".join(MANIFEST_MEDIA_TYPES)}


def manifest_url(repository: str, reference: str) -> str:
    """The path of a manifest, by tag or digest."""
    return f"/v2/{repository}/manifests/{reference}"


def put_manifest(target: Target, repository: str, reference: str, manifest: Item) -> Answer:
    """Push a manifest."""
    headers = {"Content-Type": manifest.media_type}
    return target.send("PUT", manifest_url(repository, reference), headers, manifest.body)


def must_be_stored(target: Target, answer: Answer, manifest: Item) -> None:
    """Check the answer to a push: 201 with a URL that the manifest can be pulled from, byte for byte."""
    answer.must_be(201).must_have_digest(manifest.digest)
    target.get(answer.location(), ACCEPT).must_be_content(manifest.body, manifest.media_type)


def push_blobs(run: Run, repository: str, content: Content) -> None:
    """Push the blobs of ``content``, a check each."""
    for blob in content.blobs:
        with run.check(f"push {blob.name}", POST_THEN_PUT):
            post_then_put(run.target, repository, blob)


def push_all(run: Run, repository: str, content: Content) -> None:
    """Push everything: what other checks of a case need. One check."""
    with run.check("push", PUSHING_MANIFESTS):
        for blob in content.blobs:
            post_then_put(run.target, repository, blob)
        for manifest in content.manifests:
            put_manifest(run.target, repository, manifest.digest, manifest).must_be(201)
        for tag, manifest in content.tags.items():
            put_manifest(run.target, repository, tag, manifest).must_be(201)
