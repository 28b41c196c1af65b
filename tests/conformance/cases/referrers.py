"""The list of referrers of a manifest, and what keeps it right."""

from __future__ import annotations

from urllib.parse import urlsplit

from registry_client import OCI_INDEX
from tests.conformance import uploads
from tests.conformance.answers import require, with_query
from tests.conformance.content import EXAMPLE_ONE, EXAMPLE_TWO, Content, Descriptor, random_blob
from tests.conformance.manifests import manifest_url, push_all, put_manifest
from tests.conformance.run import Run
from tests.conformance.sections import (
    ENABLING_REFERRERS,
    LISTING_REFERRERS,
    POST_THEN_PUT,
)
from tests.conformance.target import Target

# Pages of one list; a registry that has more repeats itself.
_PAGES = 100


def referrers_url(repository: str, digest: str, **parameters: str) -> str:
    """The path of the referrers of a manifest."""
    return with_query(f"/v2/{repository}/referrers/{digest}", **parameters)


def list_referrers(target: Target, repository: str, digest: str, kind: str = "") -> list[Descriptor]:
    """All pages of a manifest's referrers, of one artifact type if one is given.

    :raises Nonconforming: when an answer is no index, or has no ``OCI-Filters-Applied`` where it is to be filtered.
    """
    url, found = referrers_url(repository, digest, **({"artifactType": kind} if kind else {})), []
    for _number in range(_PAGES):
        answer = target.get(url).must_be(200)
        answer.must_have_header("Content-Type", OCI_INDEX)
        document = answer.document
        require(isinstance(document, dict), f"{answer} that is no index")
        require(document.get("schemaVersion") == 2, f"{answer} with another schemaVersion")
        require(document.get("mediaType") == OCI_INDEX, f"{answer} with another mediaType")
        require(isinstance(document.get("manifests"), list), f"{answer} without manifests")
        if kind:
            filters = {one.strip() for one in answer.headers.get("OCI-Filters-Applied", "").split(",")}
            require("artifactType" in filters, f"{answer} without OCI-Filters-Applied")
        found += document["manifests"]
        url = answer.next_page()
        if not url:
            return found
    raise AssertionError("a list of referrers without an end")


def empty(run: Run) -> None:
    """No referrers: an empty list, never 404."""
    target, repository = run.target, run.new_repository()
    with run.check("push a blob", POST_THEN_PUT):
        uploads.post_then_put(target, repository, random_blob(10))
    for name, kind in (("of an unknown digest", ""), ("of an unknown digest and a type", EXAMPLE_ONE)):
        with run.check(name, LISTING_REFERRERS):
            require(list_referrers(target, repository, random_blob(1).digest, kind) == [], "200 with referrers")
    with run.check("of an unknown sha512 digest", LISTING_REFERRERS):
        require(list_referrers(target, repository, random_blob(1, "sha512").digest) == [], "200 with referrers")
    content = Content()
    image = content.image(tag="image")
    push_all(run, repository, content)
    with run.check("of an image without any", LISTING_REFERRERS):
        require(list_referrers(target, repository, image.digest) == [], "200 with referrers")


def new_repository(run: Run) -> None:
    """A repository that nobody has pushed to: a client asks before the first push, and 404 would say "no such API"."""
    with run.check("of an unknown digest", LISTING_REFERRERS):
        found = list_referrers(run.target, run.new_repository(), random_blob(1).digest)
        require(found == [], "200 with referrers")


def invalid(run: Run) -> None:
    """Digests that are none: 400."""
    target, repository = run.target, run.new_repository()
    with run.check("push a blob", POST_THEN_PUT):
        uploads.post_then_put(target, repository, random_blob(10))
    for name, digest in {
        "short": "sha256:baddigeststring",
        "upper case": "sha256:" + "A" * 64,
        "no algorithm": "0" * 64,
        "a tag": "latest",
    }.items():
        with run.check(name, LISTING_REFERRERS):
            target.get(referrers_url(repository, digest)).must_be(400).must_have_error_format()


def filters(run: Run) -> None:
    """``artifactType``."""
    target, repository = run.target, run.new_repository()
    content = Content()
    subject = content.image("subject", tag="subject")
    of = {"subject": subject.descriptor()}
    content.artifact("one", **of)
    content.artifact("two", EXAMPLE_TWO, **of)
    by_config = content.image("typed by its config", config_type=EXAMPLE_TWO, **of)
    content.index("index without a type", [subject.descriptor()], **of)
    push_all(run, repository, content)
    digests = {item.name: item.digest for item in content.manifests}

    def names(kind: str = "") -> set[str]:
        found = list_referrers(target, repository, subject.digest, kind)
        require(len(found) == len({one["digest"] for one in found}), "200 with a referrer twice")
        return {name for name, digest in digests.items() if digest in {one["digest"] for one in found}}

    with run.check("all", LISTING_REFERRERS):
        require(names() == set(digests) - {"subject"}, "200 with other referrers")
    with run.check("one type", LISTING_REFERRERS):
        require(names(EXAMPLE_ONE) == {"one"}, "200 with other referrers")
    with run.check("a type with a plus, of an artifact and of a config", LISTING_REFERRERS):
        require(names(EXAMPLE_TWO) == {"two", by_config.name}, "200 with other referrers")
    with run.check("a type that none has", LISTING_REFERRERS):
        require(names("application/vnd.example.none") == set(), "200 with other referrers")
    with run.check("an index without a type has none in the list", LISTING_REFERRERS):
        found = list_referrers(target, repository, subject.digest)
        entry = next((one for one in found if one["digest"] == digests["index without a type"]), None)
        require(entry is not None, "200 without the index")
        require("artifactType" not in entry, "200 with an artifactType of an index without one")


def many(run: Run) -> None:
    """Referrers in more than one page, if the registry has pages; each once."""
    target, repository = run.target, run.new_repository()
    content = Content()
    subject = content.image("subject", tag="subject")
    artifacts = [
        content.artifact(f"artifact {number}", body=b"{}", subject=subject.descriptor(), annotations={"n": str(number)})
        for number in range(60)
    ]
    push_all(run, repository, content)
    with run.check("each once", LISTING_REFERRERS):
        found = [one["digest"] for one in list_referrers(target, repository, subject.digest)]
        require(sorted(found) == sorted(item.digest for item in artifacts), "200 with other referrers")


def order(run: Run) -> None:
    """Pushed before its subject, pushed twice, and by tag alone."""
    target, repository = run.target, run.new_repository()
    content = Content()
    subject = content.image("subject")
    early = content.artifact("early", subject=subject.descriptor())
    by_tag = content.artifact("by tag", subject=subject.descriptor())
    with run.check("push blobs", POST_THEN_PUT):
        for blob in content.blobs:
            uploads.post_then_put(target, repository, blob)

    def referrers() -> list[str]:
        return sorted(one["digest"] for one in list_referrers(target, repository, subject.digest))

    with run.check("before its subject", LISTING_REFERRERS):
        put_manifest(target, repository, early.digest, early).must_be(201)
        require(referrers() == [early.digest], "200 with other referrers")
    with run.check("after its subject", LISTING_REFERRERS):
        put_manifest(target, repository, "subject", subject).must_be(201)
        require(referrers() == [early.digest], "200 with other referrers")
    with run.check("pushed again", LISTING_REFERRERS):
        put_manifest(target, repository, early.digest, early).must_be(201)
        put_manifest(target, repository, "early", early).must_be(201)
        require(referrers() == [early.digest], "200 with other referrers")
    with run.check("by tag alone", LISTING_REFERRERS):
        put_manifest(target, repository, "by-tag", by_tag).must_be(201)
        require(referrers() == sorted([early.digest, by_tag.digest]), "200 with other referrers")
    with run.check("its tag points elsewhere", LISTING_REFERRERS):
        put_manifest(target, repository, "by-tag", subject).must_be(201)
        require(referrers() == sorted([early.digest, by_tag.digest]), "200 with other referrers")
    with run.check("deleted", LISTING_REFERRERS):
        target.delete(manifest_url(repository, early.digest)).must_be(202)
        require(referrers() == [by_tag.digest], "200 with other referrers")
    with run.check("its subject is deleted", LISTING_REFERRERS):
        target.delete(manifest_url(repository, subject.digest)).must_be(202)
        require(referrers() == [by_tag.digest], "200 with other referrers")


def isolation(run: Run) -> None:
    """A referrer in another repository is none of this one."""
    target, repository, other = run.target, run.new_repository(), run.new_repository()
    content = Content()
    subject = content.image("subject", tag="subject")
    push_all(run, repository, content)
    elsewhere = Content()
    elsewhere.artifact(subject=subject.descriptor())
    with run.check("push to the other", POST_THEN_PUT):
        for blob in elsewhere.blobs:
            uploads.post_then_put(target, other, blob)
        put_manifest(target, other, "artifact", elsewhere.manifests[0]).must_be(201)
    with run.check("not in this one", LISTING_REFERRERS):
        require(list_referrers(target, repository, subject.digest) == [], "200 with referrers")
    with run.check("in the other", LISTING_REFERRERS):
        require(len(list_referrers(target, other, subject.digest)) == 1, "200 with other referrers")


def fallback_tag(run: Run) -> None:
    """What clients recorded in a tag ("Referrers Tag Schema") before the API was there is listed as well, once."""
    target, repository = run.target, run.new_repository()
    content = Content()
    subject = content.image("subject", tag="subject")
    artifact = content.artifact(subject=subject.descriptor())
    tag = subject.digest.replace(":", "-")
    content.index("fall-back", [artifact.referrer()], tag=tag)
    push_all(run, repository, content)
    with run.check("listed once", ENABLING_REFERRERS):
        found = [one["digest"] for one in list_referrers(target, repository, subject.digest)]
        require(found == [artifact.digest], "200 with other referrers")
    with run.check("the tag can be pulled", ENABLING_REFERRERS):
        answer = target.get(manifest_url(repository, tag), {"Accept": OCI_INDEX})
        answer.must_be_content(content.manifests[-1].body, OCI_INDEX)


def next_pages(run: Run) -> None:
    """A ``Link`` stays on the registry's address and in this repository."""
    target, repository = run.target, run.new_repository()
    content = Content()
    subject = content.image("subject", tag="subject")
    for number in range(3):
        content.artifact(f"artifact {number}", body=b"{}", subject=subject.descriptor(), annotations={"n": str(number)})
    push_all(run, repository, content)
    with run.check("with n", LISTING_REFERRERS):
        # The specification has no "n" here: a registry may ignore it.
        answer = target.get(referrers_url(repository, subject.digest, n="1")).must_be(200)
        url = answer.next_page()
        require(not url or urlsplit(url).path == urlsplit(answer.url).path, f"{answer} with a Link to another list")


CASES = {
    "empty": empty,
    "new-repository": new_repository,
    "invalid": invalid,
    "filters": filters,
    "many": many,
    "order": order,
    "isolation": isolation,
    "fallback-tag": fallback_tag,
    "next-pages": next_pages,
}
