"""What a deletion removes, and what it leaves."""

from __future__ import annotations

from tests.conformance import uploads
from tests.conformance.answers import Answer, Unsupported, require
from tests.conformance.cases.tags import tags_url
from tests.conformance.content import Content, random_blob
from tests.conformance.manifests import ACCEPT, manifest_url, push_all, put_manifest
from tests.conformance.run import Run
from tests.conformance.sections import (
    DELETING_BLOBS,
    DELETING_MANIFESTS,
    DELETING_TAGS,
    LISTING_TAGS,
    POST_THEN_PUT,
    PUSHING_MANIFESTS,
)
from tests.conformance.uploads import blob_url


def _accepted(answer: Answer) -> None:
    """Check the answer to a DELETE of something that is there.

    :raises Unsupported: when the registry says that it does not delete such things.
    """
    if answer.status in {400, 405}:
        raise Unsupported(str(answer))
    answer.must_be(202)


def tags(run: Run) -> None:
    """One tag of a manifest that has two."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image(tag="first")
    content.tags["second"] = image
    push_all(run, repository, content)
    with run.check("delete one", DELETING_TAGS):
        _accepted(target.delete(manifest_url(repository, "first")))
    with run.check("it is gone", DELETING_TAGS):
        answer = target.get(manifest_url(repository, "first"), ACCEPT)
        if answer.status == 200:
            raise Unsupported("200: tags are not deleted")
        answer.must_be(404).must_have_code("MANIFEST_UNKNOWN")
    for name, reference in (("the other tag", "second"), ("the manifest", image.digest)):
        with run.check(f"{name} stays", DELETING_TAGS):
            target.get(manifest_url(repository, reference), ACCEPT).must_be_content(image.body, image.media_type)
    with run.check("the list", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200)
        listed = (answer.document or {}).get("tags") or []
        if "first" in listed:
            raise Unsupported("200: tags are not deleted")
        require(listed == ["second"], "200 with other tags")
    with run.check("a tag that does not exist", DELETING_TAGS):
        answer = target.delete(manifest_url(repository, "missing"))
        if answer.status in {400, 405}:
            raise Unsupported(str(answer))
        answer.must_be(404).must_have_code("MANIFEST_UNKNOWN")
    with run.check("push it again", PUSHING_MANIFESTS):
        put_manifest(target, repository, "first", image).must_be(201)
    with run.check("in a repository that does not exist", DELETING_TAGS):
        answer = target.delete(manifest_url(run.new_repository(), "latest"))
        if answer.status in {400, 405}:
            raise Unsupported(str(answer))
        answer.must_be(404)


def manifests(run: Run) -> None:
    """A manifest with two tags, one of an index."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image(tag="first")
    content.tags["second"] = image
    other = content.image("other", tag="other")
    push_all(run, repository, content)
    with run.check("delete", DELETING_MANIFESTS):
        _accepted(target.delete(manifest_url(repository, image.digest)))
    for name, reference in (("digest", image.digest), ("first tag", "first"), ("second tag", "second")):
        with run.check(f"its {name} is gone", DELETING_MANIFESTS):
            target.get(manifest_url(repository, reference), ACCEPT).must_be(404).must_have_code("MANIFEST_UNKNOWN")
    with run.check("another one stays", DELETING_MANIFESTS):
        target.get(manifest_url(repository, "other"), ACCEPT).must_be_content(other.body, other.media_type)
    with run.check("the list", LISTING_TAGS):
        answer = target.get(tags_url(repository)).must_be(200)
        require((answer.document or {}).get("tags") == ["other"], "200 with other tags")
    with run.check("again", DELETING_MANIFESTS):
        target.delete(manifest_url(repository, image.digest)).must_be(202, 404)
    with run.check("one that never was", DELETING_MANIFESTS):
        target.delete(manifest_url(repository, random_blob(1).digest)).must_be(202, 404)
    with run.check("an invalid digest", DELETING_MANIFESTS):
        target.delete(manifest_url(repository, "sha256:baddigeststring")).must_be(400, 404).must_have_error_format()
    with run.check("push it again", PUSHING_MANIFESTS):
        put_manifest(target, repository, "first", image).must_be(201)
        target.get(manifest_url(repository, image.digest), ACCEPT).must_be_content(image.body, image.media_type)
    with run.check("in a repository that does not exist", DELETING_MANIFESTS):
        target.delete(manifest_url(run.new_repository(), image.digest)).must_be(404)


def blobs(run: Run) -> None:
    """A blob that two repositories have, and blobs that do not exist."""
    target, repository, other = run.target, run.new_repository(), run.new_repository()
    blob = random_blob(100)
    with run.check("push to both", POST_THEN_PUT):
        uploads.post_then_put(target, repository, blob)
        uploads.post_then_put(target, other, blob)
    with run.check("delete in one", DELETING_BLOBS):
        _accepted(target.delete(blob_url(repository, blob.digest)))
    with run.check("gone in one", DELETING_BLOBS):
        target.get(blob_url(repository, blob.digest)).must_be(404).must_have_code("BLOB_UNKNOWN")
    with run.check("there in the other", DELETING_BLOBS):
        target.get(blob_url(other, blob.digest)).must_be_content(blob.body)
    with run.check("one that never was", DELETING_BLOBS):
        target.delete(blob_url(repository, random_blob(1).digest)).must_be(404).must_have_code("BLOB_UNKNOWN")
    with run.check("an invalid digest", DELETING_BLOBS):
        target.delete(blob_url(repository, "sha256:baddigeststring")).must_be(400, 404).must_have_error_format()
    with run.check("in a repository that does not exist", DELETING_BLOBS):
        target.delete(blob_url(run.new_repository(), blob.digest)).must_be(404)


CASES = {"tags": tags, "manifests": manifests, "blobs": blobs}
