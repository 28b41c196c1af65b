"""What is no address of the registry's API, or none with this method: the protocol's error, without a token."""

import pytest

pytestmark = pytest.mark.django_db

DIGEST = "sha256:" + "a" * 64
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def ask(client, method, path):
    return client.generic(method, path)


@pytest.mark.parametrize(
    ("path", "methods", "status", "code"),
    [
        ("team/App/manifests/v1", "GET HEAD PUT DELETE", 400, "NAME_INVALID"),
        ("team//app/manifests/v1", "GET HEAD PUT DELETE", 400, "NAME_INVALID"),
        ("team/../app/manifests/v1", "GET HEAD PUT DELETE", 400, "NAME_INVALID"),
        ("team/app/manifests/.v1", "GET HEAD PUT DELETE", 400, "MANIFEST_INVALID"),
        ("team/app/manifests/sha256:bad", "GET HEAD PUT DELETE", 400, "DIGEST_INVALID"),
        ("team/app/manifests/v1", "GET HEAD", 404, "UNSUPPORTED"),
        (f"team/App/blobs/{DIGEST}", "GET HEAD DELETE", 400, "NAME_INVALID"),
        ("team/app/blobs/sha256:bad", "GET HEAD DELETE", 400, "DIGEST_INVALID"),
        (f"team/app/blobs/{DIGEST}", "GET HEAD DELETE", 404, "UNSUPPORTED"),
        ("team/App/blobs/uploads/", "POST", 400, "NAME_INVALID"),
        ("team/app/blobs/uploads/", "POST", 404, "UNSUPPORTED"),
        ("team/App/blobs/uploads/1", "GET HEAD PUT PATCH DELETE", 400, "NAME_INVALID"),
        ("team/app/blobs/uploads/..", "GET HEAD PUT PATCH DELETE", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("team/app/manifests/v1/", "GET HEAD POST PUT PATCH DELETE OPTIONS", 404, "UNSUPPORTED"),
        ("team/app", "GET HEAD POST PUT PATCH DELETE OPTIONS", 404, "UNSUPPORTED"),
        ("", "GET HEAD POST PUT PATCH DELETE OPTIONS", 404, "UNSUPPORTED"),
    ],
)
def test_an_address_that_is_none(client, gate, path, methods, status, code):
    for method in methods.split():
        answer = ask(client, method, f"/v2/{path}")
        assert answer.status_code == status
        assert method == "HEAD" or gate.error(answer, status)[0] == code
        assert answer["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("team/app/manifests/v1", "GET HEAD PUT DELETE"),
        (f"team/app/blobs/{DIGEST}", "GET HEAD DELETE"),
        ("team/app/blobs/uploads/", "POST"),
        ("team/app/blobs/uploads/1", "GET HEAD PATCH PUT DELETE"),
        ("team/app/tags/list", "GET HEAD"),
        ("_catalog", "GET HEAD"),
        ("_chunk", "GET"),
    ],
)
def test_a_method_that_is_none(client, gate, path, methods):
    for method in set(METHODS) - set(methods.split()):
        answer = ask(client, method, f"/v2/{path}")
        assert (answer.status_code, answer["Allow"]) == (405, methods.replace(" ", ", ")), method
        assert method == "HEAD" or gate.error(answer, 405)[0] == "UNSUPPORTED"
