"""Bodies of requests: chunked and compressed ones, at every address."""

import gzip
import io

import pytest
from django.conf import settings
from django.urls import reverse

from console.local import refusals
from console.local.chunked_body import ChunkScanner
from console.web import protocol_errors, request_bodies
from tests.support.responses import text_of

MOST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def environ(body, **more):
    return {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", **more}


class TestLength:
    def test_of_a_chunked_body(self):
        found = environ(b"a=b")
        request_bodies.set_length(found)
        assert (found["CONTENT_LENGTH"], found["wsgi.input"].read()) == ("3", b"a=b")

    def test_no_more_is_read_than_is_allowed(self):
        class Endless:
            def read(self, size):
                assert size == MOST + 1
                return b"x" * size

        found = environ(b"") | {"wsgi.input": Endless()}
        request_bodies.set_length(found)
        assert int(found["CONTENT_LENGTH"]) == MOST + 1

    def test_others_are_left_alone(self):
        for found in (environ(b"a=b"), environ(b"a=b")):
            found.pop("HTTP_TRANSFER_ENCODING" if "CONTENT_LENGTH" in found else "wsgi.input_terminated")
            request_bodies.set_length(found)
            assert "CONTENT_LENGTH" not in found
            assert found["wsgi.input"].tell() == 0


class TestScanner:
    BODY = b'5\r\nhello\r\nA;x="y"\r\n0123456789\r\n0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n'

    @pytest.mark.parametrize("body", [BODY, b"0\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n", b"2\r\n\r\n\r\n0\r\n\r\n"])
    @pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
    def test_the_end_is_found_however_it_arrives(self, body, step):
        received = bytearray(b"head")
        scanner = ChunkScanner(len(received))
        whole = body + b"POST /next"
        for start in range(0, len(whole), step):
            received += whole[start : start + step]
            found = scanner.end(received)
            if len(received) < len(b"head" + body):
                assert found is None
            else:
                assert found == len(b"head" + body)
                return
        raise AssertionError("the end was not found")

    @pytest.mark.parametrize("body", [b"\r\n", b"x\r\n", b"-1\r\n", b"5" * 9000, b";a\r\n"])
    def test_what_is_malformed_is_not_waited_for(self, body):
        assert ChunkScanner(0).end(bytearray(body)) is not None

    def test_a_long_body_of_small_pieces_is_scanned_once(self):
        """Each call goes on where the last one stopped."""
        received, scanner, searched = bytearray(b"0\r\n"), ChunkScanner(0), []

        class Counted(bytearray):
            def find(self, *arguments):
                searched.append(arguments[1])
                return bytearray.find(self, *arguments)

        received = Counted(received)
        for _ in range(100):
            received += b"X: y\r\n"
            assert scanner.end(received) is None
        assert searched == sorted(searched)
        assert searched[-1] > len(received) - 20


@pytest.mark.django_db
class TestCompressed:
    @pytest.mark.parametrize("path", ["/sign-in/", "/account/", "/no-such-page/"])
    def test_a_page(self, client, path):
        response = client.post(
            path, gzip.compress(b"a=b"), "application/x-www-form-urlencoded", headers={"Content-Encoding": "gzip"}
        )
        assert response.status_code == 415
        assert response["Accept-Encoding"] == "identity"
        assert "Send the form again without compression." in text_of(response)

    def test_the_token_endpoint(self, client):
        response = client.post("/token/", gzip.compress(b"a=b"), "text/plain", headers={"Content-Encoding": "gzip"})
        assert response.status_code == 415
        assert response.json()["errors"][0]["code"] == "UNSUPPORTED"
        assert response.json()["error"] == "invalid_request"

    def test_another_transfer_coding(self, client):
        response = client.post("/token/", b"x", "text/plain", headers={"Transfer-Encoding": "gzip, chunked"})
        assert response.status_code == 501
        assert response.json()["errors"]

    @pytest.mark.parametrize("headers", [{"Content-Encoding": "identity"}, {"Transfer-Encoding": "Chunked"}])
    def test_neither(self, client, headers):
        assert client.post("/token/", b"", "text/plain", headers=headers).status_code == 400


def test_the_addresses_of_programs():
    assert {reverse("token"), reverse("notifications")} == protocol_errors.ADDRESSES


@pytest.mark.parametrize(
    ("received", "path"),
    [
        (b"GET /token/?a=b HTTP/1.1\r\nHost: x", "/token/"),
        (b"\r\nPOST /token/ HTTP/1.1\r\n", "/token/"),
        (b"GET /token/?" + b"x" * 9000, "/token/"),
        (b"GET", ""),
        (b"", ""),
        (b"GET \xff/ HTTP/1.1", "\xff/"),
    ],
)
def test_the_path_of_a_request_that_cannot_be_read(received, path):
    assert refusals.path(received) == path
