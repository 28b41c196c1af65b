"""Pulling: ranges, content that does not exist, names that are invalid, and media types that are asked for."""

from __future__ import annotations

from registry_client import MANIFEST_MEDIA_TYPES, OCI_INDEX, OCI_MANIFEST
from tests.conformance import uploads
from tests.conformance.answers import Unsupported, require
from tests.conformance.cases.blobs import delete
from tests.conformance.content import Content, random_blob
from tests.conformance.manifests import ACCEPT, manifest_url, push_all, put_manifest
from tests.conformance.run import Run
from tests.conformance.sections import (
    CONTENT_EXISTS,
    ERROR_CODES,
    POST_THEN_PUT,
    PULLING_BLOBS,
    PULLING_MANIFESTS,
    PUSHING_MANIFESTS,
    SUPPORT,
)
from tests.conformance.uploads import blob_url


def support(run: Run) -> None:
    """``GET /v2/``."""
    with run.check("GET /v2/", SUPPORT):
        run.target.get("/v2/").must_be(200)


def ranges(run: Run, algorithm: str) -> None:
    """Parts of a blob (RFC 9110, section 14)."""
    target, repository, blob = run.target, run.new_repository(), random_blob(2048, algorithm)
    url, size = blob_url(repository, blob.digest), len(blob.body)
    with run.check("push", POST_THEN_PUT):
        uploads.post_then_put(target, repository, blob)
    for value, (first, last) in {
        "500-1499": (500, 1499),
        "500-": (500, size - 1),
        "-500": (size - 500, size - 1),
        "2000-5000": (2000, size - 1),
        "0-0": (0, 0),
    }.items():
        with run.check(f"bytes={value}", PULLING_BLOBS):
            answer = target.get(url, {"Range": f"bytes={value}"}).must_be(200, 206)
            if answer.status == 200:
                answer.must_be_content(blob.body)
                raise Unsupported("200 with the whole blob")
            require(answer.body == blob.body[first : last + 1], f"{answer} with other bytes")
            answer.must_have_length(answer.body)
            found = answer.must_have_header("Content-Range")
            require(found in {f"bytes {first}-{last}/{size}", f"bytes {first}-{last}/*"}, f"{answer} with {found}")
    for value in ("500-0", "5000-10000"):
        with run.check(f"bytes={value}", PULLING_BLOBS):
            answer = target.get(url, {"Range": f"bytes={value}"}).must_be(416, 200)
            if answer.status == 200:
                answer.must_be_content(blob.body)
                raise Unsupported("200 with the whole blob")
    with run.check("another unit", PULLING_BLOBS):
        # A unit that is not understood is ignored (RFC 9110, section 14.2); registries may also refuse it.
        target.get(url, {"Range": "items=0-1"}).must_be(200, 416)
    delete(run, repository, blob)


def missing(run: Run) -> None:
    """Content that a repository does not have."""
    target, repository = run.target, run.new_repository()
    content = Content()
    content.image(tag="image")
    push_all(run, repository, content)
    absent = random_blob(64).digest
    for name, algorithm in (("blob", "sha256"), ("blob by sha512", "sha512")):
        digest = random_blob(64, algorithm).digest
        with run.check(f"{name}: GET", PULLING_BLOBS):
            target.get(blob_url(repository, digest)).must_be(404).must_have_code("BLOB_UNKNOWN")
        with run.check(f"{name}: HEAD", CONTENT_EXISTS):
            target.head(blob_url(repository, digest)).must_be(404)
    for name, reference in (("manifest by digest", absent), ("manifest by tag", "missing")):
        url = manifest_url(repository, reference)
        with run.check(f"{name}: GET", PULLING_MANIFESTS):
            target.get(url, ACCEPT).must_be(404).must_have_code("MANIFEST_UNKNOWN")
        with run.check(f"{name}: HEAD", CONTENT_EXISTS):
            target.head(url, ACCEPT).must_be(404)


def missing_repository(run: Run) -> None:
    """A repository that nobody has pushed to: "An attempt to pull a nonexistent repository MUST return 404"."""
    target, repository = run.target, run.new_repository()
    digest = random_blob(64).digest
    for name, reference in (("manifest by digest", digest), ("manifest by tag", "latest")):
        with run.check(f"{name}: GET", PUSHING_MANIFESTS):
            answer = target.get(manifest_url(repository, reference), ACCEPT).must_be(404)
            answer.must_have_code("NAME_UNKNOWN", "MANIFEST_UNKNOWN")
        with run.check(f"{name}: HEAD", CONTENT_EXISTS):
            target.head(manifest_url(repository, reference), ACCEPT).must_be(404)
    with run.check("blob: GET", PULLING_BLOBS):
        target.get(blob_url(repository, digest)).must_be(404).must_have_code("NAME_UNKNOWN", "BLOB_UNKNOWN")
    with run.check("blob: HEAD", CONTENT_EXISTS):
        target.head(blob_url(repository, digest)).must_be(404)


def isolation(run: Run) -> None:
    """What one repository has, another does not have."""
    target, repository, other = run.target, run.new_repository(), run.new_repository()
    content = Content()
    image = content.image(tag="image")
    push_all(run, repository, content)
    with run.check("push to the other", POST_THEN_PUT):
        uploads.post_then_put(target, other, random_blob(10))
    with run.check("blob", PULLING_BLOBS):
        target.get(blob_url(other, content.blobs[0].digest)).must_be(404)
    with run.check("manifest by digest", PULLING_MANIFESTS):
        target.get(manifest_url(other, image.digest), ACCEPT).must_be(404)
    with run.check("manifest by tag", PULLING_MANIFESTS):
        target.get(manifest_url(other, "image"), ACCEPT).must_be(404)


def accept(run: Run) -> None:
    """``Accept`` in its usual forms: the manifest is the one that was pushed, whatever a client says it reads."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image(tag="image")
    index = content.index(entries=[*content.platforms()], tag="index")
    push_all(run, repository, content)
    for name, headers in {
        "one header": {"Accept": ", ".join(MANIFEST_MEDIA_TYPES)},
        "with weights": {"Accept": ";q=0.5, ".join(MANIFEST_MEDIA_TYPES)},
        "OCI only": {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"},
        "any type": {"Accept": "*/*"},
        "no Accept": {},
    }.items():
        for tag, manifest in (("image", image), ("index", index)):
            for way, reference in (("tag", tag), ("digest", manifest.digest)):
                with run.check(f"{name}: {tag} by {way}", PULLING_MANIFESTS):
                    answer = target.get(manifest_url(repository, reference), headers)
                    answer.must_be_content(manifest.body, manifest.media_type)
                    answer.must_have_digest(manifest.digest)


def invalid_names(run: Run) -> None:
    """Names, tags and digests that are none are refused, without a server error and without being stored."""
    target, repository = run.target, run.new_repository()
    content = Content()
    image = content.image()
    push_all(run, repository, content)
    prefix = repository.partition("/")[0]
    for name, wrong in {
        "upper case": f"{prefix}/Upper",
        "two dots": f"{prefix}/a..b",
        "ends with a dash": f"{prefix}/a-",
        "space": f"{prefix}/a%20b",
    }.items():
        for what, url in (("manifest", manifest_url(wrong, "latest")), ("blob", blob_url(wrong, image.digest))):
            with run.check(f"name with {name}: GET {what}", ERROR_CODES):
                target.get(url, ACCEPT).must_be(400, 404).must_have_error_format()
        with run.check(f"name with {name}: PUT manifest", ERROR_CODES):
            put_manifest(target, wrong, "latest", image).must_be_refused().must_have_error_format()
        with run.check(f"name with {name}: POST upload", ERROR_CODES):
            target.send("POST", uploads.uploads_url(wrong)).must_be_refused().must_have_error_format()
    for name, tag in {
        "129 characters": "t" * 129,
        "a dot first": ".tag",
        "a dash first": "-tag",
        "a plus": "a+b",
    }.items():
        with run.check(f"tag with {name}: PUT", PUSHING_MANIFESTS):
            put_manifest(target, repository, tag, image).must_be_refused().must_have_error_format()
        with run.check(f"tag with {name}: GET", PULLING_MANIFESTS):
            target.get(manifest_url(repository, tag), ACCEPT).must_be(400, 404).must_have_error_format()
    with run.check("tag with 128 characters", PUSHING_MANIFESTS):
        put_manifest(target, repository, "t" * 128, image).must_be(201)
    for name, digest in {
        "short": "sha256:baddigeststring",
        "upper case": "sha256:" + "A" * 64,
        "unknown algorithm": "md5:" + "0" * 32,
        "no hex": "sha256:" + "z" * 64,
    }.items():
        with run.check(f"digest, {name}: GET manifest", PULLING_MANIFESTS):
            target.get(manifest_url(repository, digest), ACCEPT).must_be(400, 404).must_have_error_format()
        with run.check(f"digest, {name}: HEAD manifest", CONTENT_EXISTS):
            target.head(manifest_url(repository, digest), ACCEPT).must_be(400, 404)
        with run.check(f"digest, {name}: PUT manifest", PUSHING_MANIFESTS):
            put_manifest(target, repository, digest, image).must_be(400, 404).must_have_error_format()
        with run.check(f"digest, {name}: GET blob", PULLING_BLOBS):
            target.get(blob_url(repository, digest)).must_be(400, 404).must_have_error_format()
        with run.check(f"digest, {name}: HEAD blob", CONTENT_EXISTS):
            target.head(blob_url(repository, digest)).must_be(400, 404)
