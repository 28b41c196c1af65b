"""Requests as clients write them, byte by byte, to the console of the whole product."""

import gzip
import json
import socket
import uuid
from urllib.parse import urlencode

import pytest

from console.installation.keys import ensure_keys
from tests.local.test_slow_clients import all_of
from tests.support.stack import wait_until

PATIENCE = 30
FORM_TYPE = "Content-Type: application/x-www-form-urlencoded"
EVENTS_TYPE = "Content-Type: application/vnd.docker.distribution.events.v1+json"
# Without the time: each process has the same names of tests.
GZIPPED = gzip.compress(b"grant_type=password", mtime=0)
CHUNKED = "Transfer-Encoding: chunked"
PASSWORD = "a registry password"


@pytest.fixture(scope="module")
def account(stack):
    """The registry user name of somebody activated, and a namespace."""
    name = f"body-{uuid.uuid4().hex[:8]}"
    stack.manage(
        "shell", "-v0", "-c",
        "from console.accounts.services import create_account, mark_activated, store_credential\n"
        "from console.ownership.services import create_namespace\n"
        "from django.db import transaction\n"
        "account = create_account('Body', None, 'console password 1')\n"
        "with transaction.atomic():\n"
        f"    store_credential(account, {name!r}, {PASSWORD!r})\n"
        f"mark_activated(account); create_namespace(account, {name!r})",
    )  # fmt: skip
    return name


@pytest.fixture
def send(stack):
    """Sends pieces on one connection; the status and the body of the last answer, and all that came."""

    def send(*pieces, until_interim=False):
        with socket.create_connection(("127.0.0.1", stack.console_port), PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            before = b""
            for piece in pieces:
                connection.sendall(piece)
                if until_interim and not before:
                    before = connection.recv(4096)
                    assert before.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            received = all_of(connection)
        while received.startswith(b"HTTP/1.1 100 "):
            received = received.partition(b"\r\n\r\n")[2]
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body, head.decode("latin-1").lower()

    return send


def request(path, *headers, method="POST"):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chunks(*parts, extension=b"", trailers=b""):
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return framed + b"0\r\n" + trailers + b"\r\n"


def token_form(account, **more):
    asked = {"grant_type": "password", "service": "my-images-registry", "client_id": "test", "username": account}
    return urlencode({**asked, "password": PASSWORD, **more}).encode()


def errors(body):
    return [error["message"] for error in json.loads(body)["errors"]]


class TestChunkedForms:
    @pytest.mark.parametrize(
        "write",
        [
            lambda form: [chunks(form)],
            lambda form: [chunks(form[:10], form[10:])],
            lambda form: [chunks(*(bytes([byte]) for byte in form))],
            lambda form: [chunks(form, extension=b';name="a value";other')],
            lambda form: [chunks(form, trailers=b"X-Checksum: 1\r\nX-More: 2\r\n")],
            lambda form: [chunks(form)[:3], chunks(form)[3:]],
            lambda form: [bytes([byte]) for byte in chunks(form[:10], form[10:], trailers=b"X: 1\r\n")],
            lambda form: [b"%X\r\n%s\r\n000\r\n\r\n" % (len(form), form)],
        ],
        ids=["one", "two", "a byte each", "extensions", "trailers", "two pieces", "byte by byte", "capitals"],
    )
    def test_the_token_endpoint(self, send, account, write):
        head = request("/token/", FORM_TYPE, CHUNKED)
        status, body, _head = send(head, *write(token_form(account)))
        assert status == 200, body
        assert json.loads(body)["access_token"]

    def test_a_refresh_as_skopeo_podman_and_buildah_send_it(self, send, account):
        _status, body, _head = send(
            request("/token/", FORM_TYPE, CHUNKED), chunks(token_form(account, access_type="offline"))
        )
        form = urlencode(
            {
                "grant_type": "refresh_token", "service": "my-images-registry", "client_id": "containers/image",
                "refresh_token": json.loads(body)["refresh_token"], "scope": f"repository:{account}/app:pull,push",
            }
        ).encode()  # fmt: skip
        status, body, _head = send(request("/token/", FORM_TYPE, CHUNKED), chunks(form))
        assert status == 200
        assert json.loads(body)["scope"] == f"repository:{account}/app:pull,push"

    def test_who_waits_to_be_told_to_send_it_is_told(self, send, account):
        head = request("/token/", FORM_TYPE, CHUNKED, "Expect: 100-continue")
        status, _body, _head = send(head, chunks(token_form(account)), until_interim=True)
        assert status == 200

    def test_two_requests_on_one_connection(self, send, account):
        first = request("/token/", FORM_TYPE, CHUNKED).replace(b"Connection: close\r\n", b"")
        _status, body, _head = send(
            first + chunks(token_form(account)) + request("/token/", FORM_TYPE, CHUNKED) + chunks(token_form(account))
        )
        assert body.count(b"access_token") == 2

    def test_a_page(self, send):
        """Without a cookie it is refused for that, and no longer for want of a form."""
        status, body, _head = send(request("/sign-in/", FORM_TYPE, CHUNKED), chunks(b"username=x&password=y"))
        assert status == 403
        assert b"<title>" in body


class TestNotifications:
    def test_chunked(self, stack, send):
        keys = ensure_keys(stack.data_dir)
        secret = f"Authorization: Bearer {keys.notification_secret}"
        body = json.dumps({"events": [{"id": uuid.uuid4().hex, "action": "never heard of"}]}).encode()
        counted = "SELECT coalesce(sum(count), 0) FROM indexing_unusableevents WHERE reason = 'unknown'"
        before = stack.sql(counted)[0][0]
        status, _body, _head = send(
            request("/indexing/notifications/", EVENTS_TYPE, CHUNKED, secret), chunks(body[:20], body[20:])
        )
        assert status == 200
        assert stack.sql(counted)[0][0] == before + 1

    @pytest.mark.parametrize("compressed", [False, True])
    def test_what_cannot_be_read_is_not_sent_again(self, stack, send, compressed):
        """The registry repeats what is refused, and holds all other events back meanwhile."""
        keys = ensure_keys(stack.data_dir)
        secret = f"Authorization: Bearer {keys.notification_secret}"
        body = gzip.compress(b'{"events": []}', mtime=0) if compressed else b"x" * (2 * 1024 * 1024 + 1)
        coding = ["Content-Encoding: gzip"] if compressed else []
        assert send(request("/indexing/notifications/", EVENTS_TYPE, CHUNKED, secret, *coding), chunks(body))[0] == 200

    def test_a_stranger_is_refused(self, send):
        assert send(request("/indexing/notifications/", EVENTS_TYPE, CHUNKED), chunks(b"{}"))[0] == 401


class TestRefusals:
    """Each in the format of its address: JSON for programs, a sentence for people."""

    @pytest.mark.parametrize(
        ("headers", "body", "status", "sentence"),
        [
            ([CHUNKED], chunks(b"x" * (2 * 1024 * 1024 + 1)), 413, "too large"),
            ([CHUNKED], chunks(*[b"x" * 1000] * 4000), 413, "too large"),
            ([f"Content-Length: {3 * 1024 * 1024}"], b"x" * (3 * 1024 * 1024), 413, "too large"),
            ([CHUNKED, "Content-Encoding: gzip"], chunks(GZIPPED), 415, "compressed"),
            (["Content-Length: 2", "Content-Encoding: br"], b"ab", 415, "compressed"),
            ([CHUNKED], b"xyz\r\nhello\r\n0\r\n\r\n", 400, "chunks are malformed"),
            ([CHUNKED], b"5\r\nhello world\r\n0\r\n\r\n", 400, "chunks are malformed"),
            ([CHUNKED], b"5;" + b"a" * 9000, 400, "chunks are malformed"),
            ([f"X-Long: {'x' * 62_000}"], b"", 431, "header of the request is too long"),
            (["X-Many: x"] * 101, b"", 431, "header of the request is too long"),
        ],
        ids=[
            "chunk too long", "chunks too long", "too long", "gzip", "brotli", "no size", "wrong size",
            "long extension", "header", "headers",
        ],
    )  # fmt: skip
    def test_in_both_formats(self, send, headers, body, status, sentence):
        for path in ("/token/?service=x", "/indexing/notifications/"):
            if path == "/indexing/notifications/" and status in {413, 415}:
                continue
            if path == "/indexing/notifications/" and "compressed" in sentence:
                continue
            found, content, head = send(request(path, FORM_TYPE, *headers), body)
            assert found == status, content
            assert "content-type: application/json" in head
            assert sentence in errors(content)[0]
        found, content, head = send(request("/sign-in/", FORM_TYPE, *headers), body)
        assert found in ({status, 403} if status == 413 else {status})
        assert "application/json" not in head
        assert b"Traceback" not in content and b"gunicorn" not in content

    @pytest.mark.parametrize(
        ("headers", "body", "status"),
        [
            (["Transfer-Encoding: gzip, chunked"], chunks(GZIPPED), 501),
            (["Transfer-Encoding: br"], b"", 501),
            (["Transfer-Encoding: gzip"], b"", 501),
            (["Content-Length: 5", "Content-Length: 6"], b"hello!", 400),
            (["Content-Length: -1"], b"", 400),
            (["Expect: a-miracle", "Content-Length: 0"], b"", 417),
            (["No colon"], b"", 400),
        ],
    )
    def test_what_is_not_http_gets_a_status(self, send, headers, body, status):
        """From the edge's parser, in its own words: no client sends it."""
        found, content, _head = send(request("/token/?service=x", FORM_TYPE, *headers), body)
        assert found == status
        assert len(content) < 100

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ([CHUNKED, "Content-Length: 5"], chunks(b"hello")),
            ([CHUNKED], b"5;a=\x00b\r\nhello\r\n0\r\n\r\n"),
            ([CHUNKED], chunks(b"hello", trailers=b"Content-Length: 5\r\n")),
        ],
        ids=["two lengths", "bad extension", "forbidden trailer"],
    )
    def test_what_has_one_meaning_is_passed_on_with_that(self, send, headers, body):
        """The edge writes the request anew, with a single length."""
        found, content, _head = send(request("/token/?service=x", FORM_TYPE, *headers), body)
        assert (found, errors(content)) == (400, ["Unknown service."])

    def test_a_body_without_any_length_is_empty(self, send):
        """RFC 9112, 6.3: no wait for what may come."""
        status, body, _head = send(request("/token/", FORM_TYPE))
        assert (status, errors(body)) == (400, ["Unknown service."])

    def test_a_length_that_is_too_short(self, send, account):
        """What is left over is no request; the form that ended early is answered."""
        form = token_form(account)
        head = request("/token/", FORM_TYPE, f"Content-Length: {len(form) - 5}")
        status, body, _head = send(head + form)
        assert status == 400
        assert json.loads(body)["error"] == "invalid_grant"

    def test_half_a_body_of_somebody_who_hung_up_is_not_carried_out(self, stack, account):
        before = stack.sql("SELECT count(*) FROM tokens_login")
        framed = chunks(token_form(account, access_type="offline"))
        with socket.create_connection(("127.0.0.1", stack.console_port), PATIENCE) as connection:
            connection.sendall(request("/token/", FORM_TYPE, CHUNKED) + framed[:-5])
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 " not in all_of(connection)
        assert stack.sql("SELECT count(*) FROM tokens_login") == before


class TestManyScopes:
    """The request line is as long as the token endpoint's own limit of scopes needs."""

    @staticmethod
    def address(account, number, length=20):
        scopes = [
            f"repository:{account}/{f'{index:03}'.ljust(length, 'x')}:pull,push,delete" for index in range(number)
        ]
        return "/token/?" + urlencode({"service": "my-images-registry", "scope": scopes}, doseq=True)

    def test_two_hundred_are_refused_in_json(self, send, account):
        address = self.address(account, 200)
        assert len(address) > 8190
        status, body, _head = send(request(address, method="GET"))
        assert (status, errors(body)) == (400, ["At most 100 scopes can be requested at once."])

    def test_a_hundred_of_the_longest_are_answered(self, send, account):
        address = self.address(account, 100, 200)
        assert 8190 < len(address) < 32 * 1024
        status, body, _head = send(request(address, method="GET"))
        assert status == 200
        assert json.loads(body)["token"]

    @pytest.mark.parametrize("size", [33_000, 60_000])
    def test_beyond_the_limit(self, send, size):
        for path in ("/token/", "/indexing/notifications/"):
            status, body, head = send(request(f"{path}?scope={'x' * size}", method="GET"))
            assert status == 414
            assert "content-type: application/json" in head
            assert errors(body) == ["The address of the request is too long. Ask for less at once."]
        status, body, head = send(request(f"/images/?q={'x' * size}", method="GET"))
        assert status == 414
        assert body == b"The address of the request is too long. Ask for less at once.\n"

    def test_far_beyond_the_limit(self, send):
        assert send(request(f"/token/?scope={'x' * 200_000}", method="GET"))[0] == 431


def test_the_log_has_no_part_of_a_request_that_cannot_be_read(stack, send):
    send(request("/token/", "Authorization Bearer a-secret-without-a-colon"))
    send(request("/token/", f"Authorization: Bearer a-secret-without-a-colon{'x' * 62_000}"))
    wait_until(lambda: "Invalid request from ip=" in stack.log(), "the problem is logged")
    assert "a-secret-without-a-colon" not in stack.log()
