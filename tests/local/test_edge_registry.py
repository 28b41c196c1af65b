"""The registry's address at the edge: what goes straight to the registry, and what is mended in a request's head."""

import contextlib
import json

import pytest

from console.local import edge_registry
from registry_client import MANIFEST_MEDIA_TYPES, names
from tests.local.test_edge import DIGEST, Front

SHA512 = "sha512:" + "b" * 128
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"]
BLOB, UPLOADS = f"/v2/team/app/blobs/{DIGEST}", "/v2/team/app/blobs/uploads/"


@pytest.fixture(scope="module")
def front():
    with contextlib.ExitStack() as stack:
        yield Front(stack)


@pytest.fixture(autouse=True)
def services(front):
    """The services as they are at first: both answer 200."""
    for service in (front.console, front.registry):
        service.seen.clear()
        service.status, service.headers = 200, {}
    return front


def seen(service):
    return [(one.method, one.target) for one in service.seen]


def test_names_are_those_of_the_client():
    assert edge_registry.REPOSITORY == names.REPOSITORY_PATTERN
    assert edge_registry.TAG == names.TAG_PATTERN
    assert edge_registry.DIGEST == names.DIGEST_PATTERN
    assert edge_registry.MEDIA_TYPES == MANIFEST_MEDIA_TYPES


@pytest.mark.parametrize(
    ("methods", "target"),
    [
        ("GET HEAD OPTIONS", "/v2/"),
        ("GET HEAD", "/v2/team/app/manifests/v1"),
        ("GET HEAD", f"/v2/a/b_c/d-e/f.g/manifests/{SHA512}"),
        ("GET HEAD DELETE", BLOB),
        ("GET HEAD DELETE", f"/v2/team/app/blobs/{SHA512}"),
        ("GET HEAD DELETE", f"/v2/team/app/blobs/{DIGEST.replace(':', '%3A')}"),
        ("GET HEAD DELETE", f"/v2/team%2Fapp/%62lobs/{DIGEST}?x=//.."),
        ("POST", UPLOADS),
        ("GET HEAD PUT PATCH DELETE", f"{UPLOADS}5e1f6c5a-0000-4000-8000-000000000000?_state=x"),
    ],
)
def test_what_is_well_formed_goes_straight_to_the_registry(front, methods, target):
    for method in METHODS:
        front.ask(method, target)
    assert seen(front.registry) == [(method, target) for method in methods.split()]
    assert {method for method, _target in seen(front.console)} == set(METHODS) - set(methods.split())


@pytest.mark.parametrize("method", METHODS)
def test_everything_else_is_for_the_gate(front, method):
    targets = [
        "/v2/x",
        "/v2/team/app/",
        "/v2/_catalog/",
        "/v2/_chunk",
        "/v2/team/app/tags/list/",
        "/v2//",
        "/v2/.",
        f"/v2/Team/app/blobs/{DIGEST}",
        f"/v2/te%20am/app/blobs/{DIGEST}",
        f"/v2/team/a..b/blobs/{DIGEST}",
        f"/v2/team/app-/blobs/{DIGEST}",
        f"/v2/team//app/blobs/{DIGEST}",
        f"/v2/team/./app/blobs/{DIGEST}",
        f"/v2/x/../team/app/blobs/{DIGEST}",
        f"/v2/%2e%2e/v2/team/app/blobs/{DIGEST}",
        f"/v2/team%2f%2fapp/blobs/{DIGEST}",
        f"/v2/team/app%00/blobs/{DIGEST}",
        f"/v2/team/app/blobs//{DIGEST}",
        f"{BLOB}/",
        f"{BLOB}%0a",
        f"{BLOB}0",
        f"/v2/team/app/blobs/{DIGEST.upper()}",
        "/v2/team/app/blobs/sha256:baddigeststring",
        "/v2/team/app/blobs/md5:" + "0" * 32,
        f"{UPLOADS}/",
        f"{UPLOADS}.",
        f"{UPLOADS}..",
        f"{UPLOADS}../uploads/x",
        f"{UPLOADS}x/y",
        f"{UPLOADS}x%2f..",
        f"{UPLOADS}a%3fb",
        "/v2/team/app/manifests/" + "t" * 129,
        "/v2/team/app/manifests/.tag",
        "/v2/team/app/manifests/a+b",
        "/v2/team/app/manifests/sha256:baddigeststring",
        "/v2/team/app/manifests/",
        "/v2/team/app/manifests/v1/",
        "/v2/team/app/manifests/x/y",
    ]
    for target in targets:
        front.ask(method, target)
    assert not front.registry.seen
    # What is no HTTP at all is refused by the edge.
    assert set(seen(front.console)) <= {(method, target) for target in targets}
    assert len(front.console.seen) >= len(targets) - 2


@pytest.mark.parametrize("target", ["/", "/images/", "/token/", "//v2/", f"/{BLOB}", "/V2/", "/x/../v2/", "/v2x", "*"])
def test_there_is_nothing_outside_the_api(front, target):
    answer = front.ask("GET", target)
    assert answer.startswith(("HTTP/1.1 404 ", "HTTP/1.1 400 ")), answer
    assert not front.registry.seen and not front.console.seen


OCI, INDEX = MANIFEST_MEDIA_TYPES[2:]
ALL = ", ".join(MANIFEST_MEDIA_TYPES)


@pytest.mark.parametrize(
    ("accepted", "passed_on"),
    [
        ([], ALL),
        (["*/*"], ALL),
        (["application/json, text/html;q=0.5"], ALL),
        ([OCI], OCI),
        ([f"{INDEX};q=0.5, {OCI}"], f"{INDEX};q=0.5, {OCI}"),
        (["application/vnd.docker.distribution.manifest.v1+prettyjws"],) * 2,
        (["text/html", OCI], OCI),
    ],
)
def test_a_client_that_names_no_type_of_manifest_takes_all(front, accepted, passed_on):
    front.ask("GET", "/v2/team/app/manifests/v1", *(f"Accept: {value}" for value in accepted))
    (one,) = front.registry.seen
    assert one.headers["Accept"] == (passed_on if isinstance(passed_on, str) else passed_on[0])


@pytest.mark.parametrize(
    ("method", "target", "stated", "passed_on"),
    [
        ("PATCH", f"{UPLOADS}1", "application/x-www-form-urlencoded", "application/octet-stream"),
        ("PUT", f"{UPLOADS}1", "multipart/form-data; boundary=x", "application/octet-stream"),
        ("POST", UPLOADS, "text/plain", "application/octet-stream"),
        ("PUT", f"{UPLOADS}1", "application/octet-stream", "application/octet-stream"),
        ("PUT", f"{UPLOADS}1", None, None),
    ],
)
def test_what_is_uploaded_is_never_a_form(front, method, target, stated, passed_on):
    front.ask(method, target, *([f"Content-Type: {stated}"] if stated else []), body=b"digest=x&mount=y")
    (one,) = front.registry.seen
    assert (one.headers.get("Content-Type"), one.body) == (passed_on, b"digest=x&mount=y")


def test_a_manifest_keeps_its_type(front):
    for target in ("/v2/team/app/manifests/v1", "/v2/team/blobs/uploads/manifests/v1"):
        front.ask("PUT", target, f"Content-Type: {OCI}", body=b"{}")
    assert [one.headers["Content-Type"] for one in front.console.seen] == [OCI, OCI]


@pytest.mark.parametrize(
    ("query", "passed_on"),
    [
        (f"mount={DIGEST}&from=team/other", f"?mount={DIGEST}&from=team/other"),
        (f"mount={SHA512}&from=team/other", ""),
        (f"mount={SHA512}&from=team/other&digest={DIGEST}", f"?digest={DIGEST.replace(':', '%3A')}"),
        (f"mount={DIGEST}&mount={SHA512}&from=team/other", ""),
        (f"mount={SHA512}&mount={DIGEST}&from=team/other", ""),
        ("mount=sha256:baddigeststring&from=team/other", ""),
        ("from=team/other", "?from=team/other"),
    ],
)
def test_blobs_are_mounted_by_sha256_alone(front, query, passed_on):
    front.ask("POST", f"{UPLOADS}?{query}")
    assert seen(front.registry) == [("POST", f"{UPLOADS}{passed_on}")]


class TestSha512:
    """The registry answers with its own digest of a blob that was asked for, or pushed, by another."""

    def digest(self, front, method, target, status=200, *, answered=DIGEST):
        front.registry.status = status
        front.registry.headers = {"Docker-Content-Digest": answered} if answered else {}
        lines = f"{method} {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        head = front.raw(front.environment.registry_port, lines.encode()).partition(b"\r\n\r\n")[0].decode()
        assert head.startswith(f"HTTP/1.1 {status} ")
        return [line.split(": ")[1] for line in head.splitlines() if line.startswith("Docker-Content-Digest")]

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_pull(self, front, method):
        target = f"/v2/team/app/blobs/{SHA512}"
        assert self.digest(front, method, target) == [SHA512]
        assert self.digest(front, method, target.replace(":", "%3a"), 206) == [SHA512]
        assert self.digest(front, method, target, 404) == [DIGEST]
        assert self.digest(front, method, target, answered=None) == []
        assert self.digest(front, method, BLOB) == [DIGEST]

    def test_the_end_of_a_push(self, front):
        target = f"{UPLOADS}1?_state=x&digest="
        assert self.digest(front, "PUT", f"{target}{SHA512}", 201) == [SHA512]
        assert self.digest(front, "PUT", f"{target}{SHA512.replace(':', '%3A')}", 201) == [SHA512]
        assert self.digest(front, "PUT", f"{target}{SHA512}", 400) == [DIGEST]
        assert self.digest(front, "PUT", f"{target}{DIGEST}", 201) == [DIGEST]
        assert self.digest(front, "PUT", f"{target}{DIGEST}&digest={SHA512}", 201) == [DIGEST]
        assert self.digest(front, "PUT", f"{target}sha512:x", 201) == [DIGEST]


class TestChunks:
    """The gate is asked whether a chunk goes on, with its head alone."""

    TARGET = f"{UPLOADS}1?_state=a%2Bb&x=1"
    RANGE = "Content-Range: 100-199"

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_one_that_goes_on(self, front, method):
        front.console.status = 204
        body = b"x" * 100
        assert front.ask(method, self.TARGET, self.RANGE, "Expect: 100-continue", body=body).endswith("registry")
        (asked,) = front.console.seen
        assert (asked.method, asked.target, asked.body) == ("GET", "/v2/_chunk?_state=a%2Bb&x=1", b"")
        assert (asked.headers["Content-Range"], asked.headers["X-Chunk-Length"]) == ("100-199", "100")
        assert not {"Expect", "Content-Length", "Transfer-Encoding"} & set(asked.headers)
        (one,) = front.registry.seen
        assert (one.method, one.target, one.body) == (method, self.TARGET, body)
        assert one.headers["Content-Range"] == "100-199"
        assert "X-Chunk-Length" not in one.headers

    def test_one_of_unknown_length(self, front):
        front.console.status = 204
        head = f"PATCH {self.TARGET} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{self.RANGE}\r\n"
        end = "Transfer-Encoding: chunked\r\nX-Chunk-Length: 7\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        assert front.raw(front.environment.registry_port, (head + end).encode()).endswith(b"registry")
        assert front.console.seen[0].headers.get("X-Chunk-Length", "") == ""
        assert front.registry.seen[0].body == b"abc"

    def test_one_that_is_refused(self, front):
        """With the gate's answer, and before its bytes are sent where the client waits for that."""
        front.console.status, front.console.headers = 416, {"Range": "0-99"}
        answer = front.ask("PATCH", self.TARGET, self.RANGE, "Content-Length: 1000", "Expect: 100-continue")
        assert answer.startswith("HTTP/1.1 416 ") and answer.endswith("console")
        assert "\r\nRange: 0-99\r\n" in answer
        assert not front.registry.seen

    def test_gunicorns_own_refusal(self, front):
        front.console.status, front.console.headers = 400, {"Content-Security-Policy": None}
        answer = front.ask("PATCH", self.TARGET, self.RANGE, body=b"x")
        assert json.loads(answer.partition("\r\n\r\n")[2])["errors"][0]["code"] == "UNSUPPORTED"
        assert not front.registry.seen

    @pytest.mark.parametrize(
        ("method", "target", "headers"),
        [("PATCH", TARGET, []), ("PUT", TARGET, []), ("GET", TARGET, [RANGE]), ("POST", UPLOADS, [RANGE])],
    )
    def test_without_a_range_it_is_not_asked(self, front, method, target, headers):
        front.ask(method, target, *headers)
        assert len(front.registry.seen) == 1 and not front.console.seen


class TestSinglePost:
    """The gate starts an upload, to which the bytes are sent."""

    TARGET = f"{UPLOADS}?digest={DIGEST}"
    PUT = f"{UPLOADS}1?_state=a%2Bb%3D&digest={DIGEST}"

    @pytest.fixture(autouse=True)
    def started(self, front):
        front.console.status, front.console.headers = 204, {"Location": self.PUT}

    def test_it_becomes_a_put(self, front):
        headers = ["Authorization: Bearer x", "Expect: 100-continue", "Content-Type: application/x-www-form-urlencoded"]
        assert front.ask("POST", self.TARGET.replace(":", "%3A"), *headers, body=b"abc").endswith("registry")
        (asked,) = front.console.seen
        wanted = f"/v2/_upload?name=team%2Fapp&digest={DIGEST.replace(':', '%3A')}"
        assert (asked.method, asked.target, asked.body) == ("GET", wanted, b"")
        assert asked.headers["Authorization"] == "Bearer x"
        assert not {"Expect", "Content-Length", "Transfer-Encoding"} & set(asked.headers)
        (one,) = front.registry.seen
        assert (one.method, one.target, one.body) == ("PUT", self.PUT, b"abc")
        assert (one.headers["Authorization"], one.headers["Content-Type"]) == ("Bearer x", "application/octet-stream")

    def test_one_of_unknown_length(self, front):
        head = f"POST {self.TARGET} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        answer = front.raw(front.environment.registry_port, f"{head}\r\n3\r\nabc\r\n0\r\n\r\n".encode())
        assert answer.endswith(b"registry")
        assert [(one.method, one.target, one.body) for one in front.registry.seen] == [("PUT", self.PUT, b"abc")]

    def test_one_by_sha512_is_answered_with_that(self, front):
        front.console.headers = {"Location": self.PUT.replace(DIGEST, SHA512)}
        front.registry.status, front.registry.headers = 201, {"Docker-Content-Digest": DIGEST}
        answer = front.ask("POST", self.TARGET.replace(DIGEST, SHA512), body=b"abc")
        assert f"\r\nDocker-Content-Digest: {SHA512}\r\n" in answer

    def test_one_that_may_not_be(self, front):
        front.console.status, front.console.headers = 401, {"WWW-Authenticate": "Bearer"}
        answer = front.ask("POST", self.TARGET, body=b"abc")
        assert answer.startswith("HTTP/1.1 401 ") and answer.endswith("console")
        assert not front.registry.seen

    @pytest.mark.parametrize(
        ("target", "body"),
        [
            (TARGET, b""),
            (UPLOADS, b"abc"),
            (f"{UPLOADS}?digest=sha256:bad", b"abc"),
            (f"{UPLOADS}?mount={DIGEST}&digest={DIGEST}&from=team/other", b"abc"),
        ],
    )
    def test_others_start_an_upload(self, front, target, body):
        front.ask("POST", target, body=body)
        assert seen(front.registry) == [("POST", target)] and not front.console.seen
