"""Bodies of requests: chunked and compressed ones, at every address."""

import gzip
import io

import pytest
from django.conf import settings
from django.urls import reverse

from console.local import edge_configuration
from console.web import protocol_errors, request_bodies
from console.web.application import Application
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
                assert size == request_bodies.LONGEST + 1
                return b"x" * size

        found = environ(b"") | {"wsgi.input": Endless()}
        request_bodies.set_length(found)
        assert int(found["CONTENT_LENGTH"]) == request_bodies.LONGEST + 1

    def test_others_are_left_alone(self):
        for found in (environ(b"a=b"), environ(b"a=b")):
            found.pop("HTTP_TRANSFER_ENCODING" if "CONTENT_LENGTH" in found else "wsgi.input_terminated")
            request_bodies.set_length(found)
            assert "CONTENT_LENGTH" not in found
            assert found["wsgi.input"].tell() == 0


class TestWhole:
    """The edge passes a body on that broke off, and gunicorn reports its end."""

    @pytest.mark.parametrize("length", [7, MOST + 1, request_bodies.LONGEST + 9])
    def test_a_body_that_broke_off_is_not_taken_for_a_shorter_one(self, length):
        assert not request_bodies.read_whole({"wsgi.input": io.BytesIO(b"a=1&b="), "CONTENT_LENGTH": str(length)})

    def test_it_reaches_no_view(self):
        answers = []
        environ = {"wsgi.input": io.BytesIO(b"a=1"), "CONTENT_LENGTH": "7", "REQUEST_METHOD": "POST"}
        assert Application()(environ, lambda status, headers: answers.append(status)) == []
        assert answers == ["400 Bad Request"]

    @pytest.mark.parametrize("length", ["", "0", "3", "x"])
    def test_others_are_read_as_they_are(self, length):
        found = {"wsgi.input": io.BytesIO(b"a=b"), "CONTENT_LENGTH": length}
        assert request_bodies.read_whole(found)
        assert found["wsgi.input"].read() == b"a=b"

    def test_one_that_is_too_long_for_a_form_is_read_as_well(self):
        """Otherwise the server closes the connection while the edge still sends, and the answer may be lost."""
        for length, left in ((MOST + 1, 0), (request_bodies.LONGEST + 9, 8)):
            body = io.BytesIO(b"x" * length)
            assert request_bodies.read_whole({"wsgi.input": body, "CONTENT_LENGTH": str(length)})
            assert len(body.read()) == left

    def test_nothing_longer_comes_through_the_edge(self):
        assert max(edge_configuration.LONGEST_FORM, edge_configuration.LONGEST_MANIFEST) <= request_bodies.LONGEST


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
