"""Pushing, listing, pulling and deleting every kind of content that registries are to take."""

from __future__ import annotations

from collections.abc import Callable

from registry_client import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST
from registry_client.names import Digest
from tests.conformance.answers import Unsupported, require
from tests.conformance.cases import blobs
from tests.conformance.cases.referrers import list_referrers
from tests.conformance.content import (
    AMD64,
    EMPTY_JSON,
    EXAMPLE_ONE,
    EXAMPLE_TWO,
    OCTETS,
    Content,
    Descriptor,
    random_blob,
    unique_annotations,
)
from tests.conformance.manifests import ACCEPT, manifest_url, must_be_stored, push_blobs, put_manifest
from tests.conformance.run import Run
from tests.conformance.sections import (
    CONTENT_EXISTS,
    DELETING_MANIFESTS,
    DELETING_TAGS,
    LISTING_REFERRERS,
    LISTING_TAGS,
    PULLING_MANIFESTS,
    PUSHING_MANIFESTS,
    SUBJECT,
)

_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"


def image() -> Content:
    content = Content()
    content.image(tag="image")
    return content


def image_uncompressed() -> Content:
    content = Content()
    content.image(tag="image", compressed=False)
    return content


def image_without_layers() -> Content:
    content = Content()
    content.image(tag="image", layers=0)
    return content


def image_with_data() -> Content:
    content = Content()
    content.image(tag="image", data=True)
    return content


def image_of_four_megabytes() -> Content:
    """A manifest just below the 4 MB that registries are expected to accept."""
    content = Content()
    content.image(tag="image", annotations={f"org.example.large-{number}": "A" * 10_000 for number in range(390)})
    return content


def image_with_foreign_layers() -> Content:
    """Layers that are not pushed, in two media types (deprecated in the image specification 1.1)."""

    def foreign(media_type: str) -> Descriptor:
        digest = random_blob(256).digest
        url = f"https://store.example.com/blobs/{digest.replace(':', '/')}"
        return {"mediaType": media_type, "digest": digest, "size": 123456, "urls": [url]}

    content = Content()
    layers = [foreign(f"{_NONDISTRIBUTABLE}+gzip"), foreign(_NONDISTRIBUTABLE)]
    content.image(tag="image", layers=1, foreign=layers)
    return content


def index() -> Content:
    content = Content()
    content.index(entries=content.platforms(), tag="index")
    return content


def index_of_indexes() -> Content:
    content = Content()
    inner = [content.index(f"{name} index", content.platforms(f"{name} ")).descriptor() for name in ("first", "second")]
    content.index("outer index", inner, tag="index")
    return content


def index_without_entries() -> Content:
    content = Content()
    content.index(tag="index")
    return content


def custom_fields() -> Content:
    """Manifests and configs with a field that no specification names."""
    content = Content(fields={"org.example.custom": random_blob(8).digest})
    content.index(entries=content.platforms(), tag="index")
    return content


def artifact() -> Content:
    content = Content()
    content.artifact(tag="artifact")
    return content


def artifact_without_content() -> Content:
    content = Content()
    content.artifact(tag="artifact", body=b"{}", layer_type=EMPTY_JSON)
    return content


def artifact_with_config() -> Content:
    """An artifact as before 1.1: its type is that of its config."""
    content = Content()
    content.image(tag="artifact", config_type=EXAMPLE_ONE)
    return content


def artifact_index() -> Content:
    content = Content()
    entries = [content.artifact(f"artifact {number}").descriptor() for number in (1, 2)]
    content.index(entries=entries, tag="index", artifactType=EXAMPLE_ONE)
    return content


def artifacts_with_subject() -> Content:
    content = Content()
    subject = content.image("subject", tag="subject").descriptor()
    content.image("image", subject=subject)
    content.artifact("artifact 1", tag="artifact-1", subject=subject, annotations=unique_annotations())
    more = {"layer_type": OCTETS, "subject": subject, "annotations": unique_annotations()}
    content.artifact("artifact 2", EXAMPLE_TWO, tag="artifact-2", **more)
    return content


def index_with_subject() -> Content:
    content = Content()
    subject = content.index("subject", content.platforms(), tag="subject").descriptor()
    entries = [content.artifact("artifact").descriptor()]
    more = {"subject": subject, "annotations": unique_annotations()}
    content.index("artifact index", entries, tag="artifact", artifactType=EXAMPLE_ONE, **more)
    return content


def subject_missing() -> Content:
    """A subject that is not there yet, which registries have to accept."""
    content = Content()
    subject = Content().image().descriptor()
    content.artifact(tag="artifact", subject=subject, annotations=unique_annotations())
    return content


def subject_by_sha512() -> Content:
    """A subject that is named by its sha512 digest."""
    content = Content()
    subject = Content(algorithm="sha512").image().descriptor()
    content.artifact(tag="artifact", subject=subject, annotations=unique_annotations())
    return content


def sha512() -> Content:
    """Only by digest: a tag says nothing about the algorithm."""
    content = Content(algorithm="sha512")
    content.index(entries=content.platforms())
    return content


def sha512_layers() -> Content:
    """A manifest by tag, and by its sha256 digest, whose layers and config have sha512 digests."""
    content = Content(algorithm="sha512")
    content.image(tag="image")
    content.algorithm = "sha256"
    content.manifests.clear()
    document = content.tags["image"].document
    content.manifest("image", content.tags["image"].media_type, document, "image")
    return content


def without_media_type() -> Content:
    """A manifest without the field, which is optional: its type is what ``Content-Type`` says."""
    content = Content()
    made = content.image()
    content.manifests.clear()
    document = made.document
    del document["mediaType"]
    content.manifest("image", made.media_type, document, "image")
    return content


def odd_whitespace() -> Content:
    """A manifest in a form that no marshaller writes: registries store the bytes."""
    content = Content()
    made = content.image()
    content.manifests.clear()
    body = b"\n " + made.body.replace(b'", "', b'"\t,\r\n "') + b"\n\n"
    made = type(made)("image", body, made.media_type)
    content.manifests.append(made)
    content.tags["image"] = made
    return content


def _docker_image(content: Content, name: str = "image") -> None:
    made = content.image(name, config_type=DOCKER_CONFIG)
    document = made.document
    document["mediaType"] = DOCKER_MANIFEST
    for layer in document["layers"]:
        layer["mediaType"] = DOCKER_LAYER
    content.manifests.pop()
    content.manifest(name, DOCKER_MANIFEST, document)


def docker_image() -> Content:
    content = Content()
    _docker_image(content)
    content.tags["image"] = content.manifests[-1]
    return content


def docker_list() -> Content:
    content = Content()
    _docker_image(content)
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST_LIST,
        "manifests": [content.manifests[-1].descriptor(platform=AMD64)],
    }
    content.manifest("list", DOCKER_MANIFEST_LIST, document, "list")
    return content


KINDS: dict[str, Callable[[], Content]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        image, image_uncompressed, image_without_layers, image_with_data, image_of_four_megabytes,
        image_with_foreign_layers, index, index_of_indexes, index_without_entries, custom_fields, artifact,
        artifact_without_content, artifact_with_config, artifact_index, artifacts_with_subject, index_with_subject,
        subject_missing, subject_by_sha512, sha512, sha512_layers, without_media_type, odd_whitespace, docker_image,
        docker_list,
    )
}  # fmt: skip


def whole_life(run: Run, make: Callable[[], Content]) -> None:
    """Push ``make()``, list and pull it, and delete it."""
    content, repository = make(), run.new_repository()
    _push(run, repository, content)
    if content.tags:
        _list(run, repository, content)
    _pull(run, repository, content)
    for subject in dict.fromkeys(item.subject for item in content.manifests if item.subject):
        _referrers(run, repository, content, subject)
    _delete(run, repository, content)


def _push(run: Run, repository: str, content: Content) -> None:
    push_blobs(run, repository, content)
    references = [(f"push {item.name} by digest", item.digest, item) for item in content.manifests]
    references += [(f"push {item.name} by tag {tag}", tag, item) for tag, item in content.tags.items()]
    for name, reference, item in references:
        answer = None
        with run.check(name, PUSHING_MANIFESTS):
            answer = put_manifest(run.target, repository, reference, item)
            must_be_stored(run.target, answer, item)
        if item.subject:
            with run.check(f"{name}: OCI-Subject", SUBJECT):
                require(answer, "no answer")
                answer.must_have_header("OCI-Subject", item.subject)


def _list(run: Run, repository: str, content: Content) -> None:
    with run.check("tags", LISTING_TAGS):
        answer = run.target.get(f"/v2/{repository}/tags/list").must_be(200)
        listed = (answer.document or {}).get("tags") or []
        require(set(content.tags) <= set(listed), f"{answer} without a tag that was pushed")


def _pull(run: Run, repository: str, content: Content) -> None:
    references = [(f"{item.name} by digest", item.digest, item) for item in content.manifests]
    references += [(f"{item.name} by tag {tag}", tag, item) for tag, item in content.tags.items()]
    for name, reference, item in references:
        url = manifest_url(repository, reference)
        with run.check(f"head {name}", CONTENT_EXISTS):
            answer = run.target.head(url, ACCEPT).must_be(200)
            answer.must_have_length(item.body)
            answer.must_have_digest(item.digest)
            require(answer.media_type == item.media_type, f"{answer} with the type {answer.media_type}")
            require(not answer.body, f"{answer} with a body")
        with run.check(f"get {name}", PULLING_MANIFESTS):
            answer = run.target.get(url, ACCEPT)
            answer.must_be_content(item.body, item.media_type)
            answer.must_have_digest(item.digest)
            require(Digest.of(answer.body, content.algorithm) == item.digest, f"{answer} with other bytes")
    for blob in content.blobs:
        blobs.pull(run, repository, blob, f"{blob.name}: ")


def _referrers(run: Run, repository: str, content: Content, subject: str) -> None:
    referrers = [item.referrer() for item in content.manifests if item.subject == subject]
    with run.check("referrers", LISTING_REFERRERS):
        found = list_referrers(run.target, repository, subject)
        require(_same(found, referrers), "200 with other referrers")
    for kind in sorted({one["artifactType"] for one in referrers}):
        with run.check(f"referrers of the type {kind}", LISTING_REFERRERS):
            found = list_referrers(run.target, repository, subject, kind)
            require(_same(found, [one for one in referrers if one["artifactType"] == kind]), "200 with other referrers")


def _same(found: list[Descriptor], expected: list[Descriptor]) -> bool:
    """Whether these are the same referrers, in any order, each with at least the expected fields."""
    by_digest = {one.get("digest"): one for one in found}
    return len(found) == len(expected) and all(
        one.items() <= by_digest.get(one["digest"], {}).items() for one in expected
    )


def _delete(run: Run, repository: str, content: Content) -> None:
    for tag in content.tags:
        with run.check(f"delete the tag {tag}", DELETING_TAGS):
            answer = run.target.delete(manifest_url(repository, tag))
            if answer.status in {400, 405}:
                raise Unsupported(str(answer))
            answer.must_be(202)
        with run.check(f"deleted tag {tag}", DELETING_TAGS):
            answer = run.target.head(manifest_url(repository, tag), ACCEPT)
            if answer.status == 200:
                raise Unsupported("200: tags are not deleted")
            answer.must_be(404)
    for item in reversed(content.manifests):
        with run.check(f"delete {item.name}", DELETING_MANIFESTS):
            answer = run.target.delete(manifest_url(repository, item.digest))
            if answer.status in {400, 405}:
                raise Unsupported(str(answer))
            answer.must_be(202)
        with run.check(f"deleted {item.name}", DELETING_MANIFESTS):
            run.target.head(manifest_url(repository, item.digest), ACCEPT).must_be(404)
    for blob in content.blobs:
        blobs.delete(run, repository, blob, f"{blob.name}: ")
