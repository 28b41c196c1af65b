"""The head of a chunk: whether its range is one, is that of its bytes, and begins where the upload ends."""

import base64
import json

import pytest

pytestmark = pytest.mark.django_db

PATH = "/v2/_chunk"


def state(offset, **more):
    """The state of an upload in its address, as the registry makes it."""
    document = {"Name": "team/app", "UUID": "1", "Offset": offset, "StartedAt": "2026-01-01T00:00:00Z", **more}
    return base64.urlsafe_b64encode(b"\xff" * 32 + json.dumps(document).encode()).decode()


def ask(client, content_range, length, offset=0, **query):
    headers = {"Content-Range": content_range}
    if length is not None:
        headers["X-Chunk-Length"] = str(length)
    return client.get(PATH, {"_state": state(offset), **query}, headers=headers)


@pytest.mark.parametrize(
    ("content_range", "length", "offset"),
    [
        ("0-1023", 1024, 0),
        ("1024-1024", 1, 1024),
        ("1024-2047", None, 1024),
        ("bytes 0-9", 10, 0),
        ("bytes 10-19/*", 10, 10),
        ("10-19/20", 10, 10),
        # The end of an upload that has all its bytes: nothing is appended.
        ("0-1023", 0, 1024),
        ("*", 0, 1024),
    ],
)
def test_one_that_the_registry_may_append(client, content_range, length, offset):
    answer = ask(client, content_range, length, offset)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "content_range", ["", "0", "0-", "-9", "a-b", "9-0", "0-9,10-19", "0x0-9", "٠-٩", "0-9 ", "items 0-9"]
)
def test_one_without_a_range(client, gate, content_range):
    code, message = gate.error(ask(client, content_range, 10), 400)
    assert (code, message[:13]) == ("BLOB_UPLOAD_INVALID", "Content-Range")


@pytest.mark.parametrize("content_range", ["0-8", "0-10", "5-9"])
def test_one_with_the_range_of_another(client, gate, content_range):
    code, message = gate.error(ask(client, content_range, 10), 400)
    assert (code, message[-21:]) == ("SIZE_INVALID", "but the chunk has 10.")


@pytest.mark.parametrize(("first", "offset"), [(1024, 0), (0, 1024), (512, 1024), (2048, 1024)])
@pytest.mark.parametrize("length", [1024, None])
def test_one_out_of_order(client, gate, first, offset, length):
    answer = ask(client, f"{first}-{first + 1023}", length, offset)
    code, message = gate.error(answer, 416)
    assert code == "BLOB_UPLOAD_INVALID"
    assert message == f"The upload has {offset} bytes so far: the next chunk begins at {offset}, not at {first}."
    assert answer["Range"] == f"0-{max(offset - 1, 0)}"


@pytest.mark.parametrize(
    "text",
    ["", "x", "%%%", "é", base64.urlsafe_b64encode(b"x" * 40).decode(), state("7"), state(True), state(-1), "A" * 100]
    + [base64.urlsafe_b64encode(b"x" * 32 + b"[" * 9_000).decode()],
)
def test_a_state_that_only_the_registry_can_refuse(client, text):
    assert ask(client, "5-14", 10, _state=text).status_code == 204
    assert client.get(PATH, headers={"Content-Range": "5-14", "X-Chunk-Length": "10"}).status_code == 204
