import json
import pickle

import pytest

import registry_client
from registry_client import (
    BlobUnknown,
    Denied,
    InvalidName,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    RegistryError,
    RegistryUnavailable,
    Unauthorized,
    UnexpectedAnswer,
    Unsupported,
)
from tests.support.http_servers import Reply, error_reply

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MANIFEST_INVALID", RegistryError),
        (400, "MANIFEST_BLOB_UNKNOWN", ManifestBlobUnknown),
        (401, "UNAUTHORIZED", Unauthorized),
        (403, "DENIED", Denied),
        (404, "MANIFEST_UNKNOWN", ManifestUnknown),
        (404, "NAME_UNKNOWN", NameUnknown),
        (404, "BLOB_UNKNOWN", BlobUnknown),
        (404, "BLOB_UPLOAD_UNKNOWN", NotFound),
        (405, "UNSUPPORTED", Unsupported),
        (418, "TEAPOT", RegistryError),
        (429, "TOOMANYREQUESTS", RegistryUnavailable),
        (500, "UNKNOWN", RegistryUnavailable),
        (503, "UNAVAILABLE", RegistryUnavailable),
        (599, "ODD", RegistryUnavailable),
    ],
)
def test_it_carries_status_code_message_and_detail(server, faulty, status, code, kind):
    server.replies(error_reply(status, code, "what the registry says"))
    with pytest.raises(RegistryError) as caught:
        faulty.manifest("team/app", "1.0")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, "what the registry says")
    assert error.detail == {"a": 1}
    assert str(error) == f"GET /v2/team/app/manifests/1.0: {status} {code}: what the registry says"


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"<html>Bad Gateway</html>", b"[]", b"{}", b'{"errors":[]}', b'{"errors":{}}', b'{"errors":["x"]}'],
        *[b"\xff", b"[" * 60000, b'{"errors":' + b" " * 70000 + b"[]}"],
    ],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, UnexpectedAnswer),
        (599, RegistryUnavailable),
        (401, Unauthorized),
        (403, Denied),
        (400, RegistryError),
        (502, RegistryUnavailable),
    ],
)
def test_a_body_that_is_no_error_body(server, faulty, body, status, kind):
    server.replies(Reply(status, body, {"Content-Type": "text/html"}))
    with pytest.raises(RegistryError) as caught:
        faulty.tags("team/app")
    assert type(caught.value) is kind and caught.value.code == "" and caught.value.status == status
    assert "<html>" not in str(caught.value)


def test_a_code_of_the_wrong_type(server, faulty):
    server.replies(Reply(400, json.dumps({"errors": [{"code": 5, "message": ["x"]}]}).encode()))
    with pytest.raises(RegistryError) as caught:
        faulty.tags("team/app")
    assert (caught.value.code, caught.value.message) == ("", "Bad Request")


def test_a_page_that_says_not_found_is_not_the_registrys_word(server, faulty):
    """A proxy in front of the registry must not make anybody believe that an image is gone."""
    server.replies(Reply(404, b"404 page not found", {"Content-Type": "text/plain"}))
    for call in (
        lambda: faulty.resolve("a", "b"),
        lambda: faulty.stat_blob("a", DIGEST),
        lambda: faulty.manifest("a", "b"),
        lambda: faulty.delete_manifest("a", DIGEST, missing_ok=True),
    ):
        with pytest.raises(UnexpectedAnswer) as caught:
            call()
        assert caught.value.status == 404


@pytest.mark.parametrize(
    "secret",
    ["Bearer abc.def-ghi", "Basic dXNlcjpwYXNz", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", "bearer  x~y/z+1=="],
)
def test_it_never_repeats_a_token(server, faulty, secret):
    server.replies(error_reply(403, "DENIED", f"you sent {secret}, no"))
    with pytest.raises(Denied) as caught:
        faulty.tags("team/app")
    for text in (str(caught.value), repr(caught.value), caught.value.message):
        assert secret.split()[-1] not in text and "[removed]" in text


def test_it_is_one_line_of_bounded_length(server, faulty):
    server.replies(error_reply(403, "DENIED\n" * 500, "a\r\nb\x1b[31m\u2028" * 500))
    with pytest.raises(Denied) as caught:
        faulty.tags("team/app")
    assert len(str(caught.value)) < 700 and len(str(caught.value).splitlines()) == 1 and "\x1b" not in str(caught.value)


def test_errors_survive_pickling():
    error = ManifestUnknown("gone", status=404, code="MANIFEST_UNKNOWN", detail={"a": 1}, request="GET /v2/")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is ManifestUnknown and vars(copy) == vars(error) and str(copy) == str(error)


def test_the_family():
    for name in registry_client.__all__:
        thing = getattr(registry_client, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert issubclass(thing, RegistryError)
    assert issubclass(InvalidName, ValueError)
    assert all(issubclass(kind, NotFound) for kind in (ManifestUnknown, NameUnknown, BlobUnknown))
    assert not issubclass(ManifestBlobUnknown, NotFound)
    error = RegistryError("plain")
    assert (error.status, error.code, error.detail, str(error)) == (None, "", None, "plain")
