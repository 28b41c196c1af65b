"""How much, and under which name, may be asked."""

import json

import pytest
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory, override_settings

from console.audit.middleware import client_address
from console.local import edge_configuration
from console.web.proxies import ProxyMiddleware
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db

MOST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
TOO_MUCH = "at most 2 MB per form"


OTHER_HOSTS = [
    "evil.example.com", "127.0.0.1.evil.example.com", "evil.example.com:8000", "127.0.0.1@evil.example.com",
    "localhost.evil", "a b", "[::1", "", "127.0.0.1:bad", "localhost/x", "ümlaut", "x" * 3000, "<script>",
]  # fmt: skip


class TestHost:
    @pytest.mark.parametrize("host", OTHER_HOSTS)
    @pytest.mark.parametrize("path", ["/images/", "/healthz", "/nothing/"])
    def test_another_is_told_where_we_are(self, client, host, path):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 400
        text = text_of(response)
        assert f"Open {settings.CONSOLE_URL} instead" in text
        assert f'href="{settings.CONSOLE_URL}"' in text
        assert "Traceback" not in text
        assert "evil" not in text

    @pytest.mark.parametrize("host", OTHER_HOSTS)
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", "/token/"),
            ("get", "/v2/_catalog"),
            ("put", "/v2/team/app/manifests/v1"),
            ("delete", "/v2/team/app/manifests/v1"),
            ("get", "/v2/nothing/"),
        ],
    )
    def test_a_registry_client_gets_an_error_of_the_protocol(self, client, method, path, host):
        """Docker and others print the sentence of such an error; a page they would print as it is, or not at all."""
        response = getattr(client, method)(path, headers={"Host": host})
        assert response.status_code == 400
        assert response["Content-Type"] == "application/json"
        (error,) = response.json()["errors"]
        assert error["code"] == "UNSUPPORTED"
        assert f"use {settings.REGISTRY_ADDRESS}, or ask an administrator" in error["message"]
        assert "evil" not in text_of(response)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:8000", "LOCALHOST"])
    def test_ours(self, client, host):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200

    def test_no_proxy_may_name_another(self, client):
        response = client.get("/account/", headers={"X-Forwarded-Host": "evil.example.com"})
        assert "evil" not in response["Location"]


class TestBodies:
    def test_the_server_gathers_as_much_as_is_taken(self):
        assert edge_configuration.LONGEST_FORM > MOST

    @pytest.mark.parametrize("path", ["/sign-in/", "/namespaces/-/create/", "/account/security/confirm/"])
    def test_a_form_that_is_too_long(self, client, ann, path, caplog):
        response = client.post(path, {"name": "x" * MOST}, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 413
        assert not caplog.records
        assert TOO_MUCH in text_of(response)

    def test_one_in_parts(self, client):
        for form in ({"username": "x" * MOST}, {f"f{number}": "x" * 10_000 for number in range(300)}):
            response = client.post("/sign-in/", form)
            assert response.status_code == 413
            assert TOO_MUCH in text_of(response)

    def test_one_of_which_not_one_byte_is_read(self):
        """What stands before the first part is nothing that Django would count."""
        request = RequestFactory().generic("POST", "/", b"x", content_type="multipart/form-data; boundary=b")

        class Endless:
            def read(self, size=-1):
                raise AssertionError("it is read")

        request.META["CONTENT_LENGTH"] = str(MOST + 1)
        request._stream = Endless()
        with pytest.raises(RequestDataTooBig):
            request.POST  # noqa: B018

    def test_more_fields_than_any_form_has(self, client):
        form = "&".join(f"f{number}=1" for number in range(1001))
        response = client.post("/sign-in/", form, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 413

    def test_files_are_refused_before_they_are_kept(self, client, monkeypatch):
        def kept(*arguments, **options):
            raise AssertionError("it is kept")

        monkeypatch.setattr("tempfile.NamedTemporaryFile", kept)
        for size in (1, 100_000):
            response = client.post("/sign-in/", {"username": SimpleUploadedFile("x.txt", b"x" * size)})
            assert response.status_code == 413
            assert TOO_MUCH in text_of(response)

    def test_what_docker_sends(self, client):
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
            response = client.post("/token/", b"x" * (MOST + 1), content_type=kind)
            assert response.status_code == 413
            assert response.json()["errors"][0]["message"] == "The request is too large."

    def test_what_the_registry_sends(self, client):
        """It would send it again for ever, and all that comes after it waits."""
        body = json.dumps({"events": [], "more": "x" * MOST})
        headers = {"Authorization": f"Bearer {settings.KEYS.notification_secret}"}
        response = client.post("/indexing/notifications/", body, content_type="application/json", headers=headers)
        assert response.status_code == 200

    def test_nothing_of_a_stranger_is_read_there(self, client):
        response = client.post("/indexing/notifications/", b"x" * (MOST + 1), content_type="application/json")
        assert response.status_code == 401


class TestProxies:
    def found(self, peer, said, trusted="10.0.0.0/8,192.0.2.7/32,::1/128"):
        # The edge, which has no address, appends the one that it sees.
        headers = {"X-Forwarded-For": f"{said}, {peer}" if said else peer}
        request = RequestFactory().get("/", REMOTE_ADDR="", headers=headers)
        with override_settings(TRUSTED_PROXIES=tuple(trusted.split(",")) if trusted else (), SECURE_SSL_REDIRECT=True):
            return ProxyMiddleware(client_address)(request)

    @pytest.mark.parametrize(
        ("peer", "said", "found"),
        [
            ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.5, 192.0.2.7", "203.0.113.5"),
            ("10.0.0.1", "1.1.1.1,10.9.9.9, 192.0.2.7", "1.1.1.1"),
            ("10.0.0.1", "2001:db8::5", "2001:db8::5"),
            ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("::1", "203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.5, <script>", "10.0.0.1"),
            ("10.0.0.1", ",,,", "10.0.0.1"),
            ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
            ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ],
    )
    def test_who_asks(self, peer, said, found):
        assert self.found(peer, said) == found

    def test_without_proxies_nobody_is_believed(self):
        assert self.found("127.0.0.1", "203.0.113.5", "") == "127.0.0.1"

    def test_as_it_is_started_nobody_is_believed(self, client, ann):
        client.post("/namespaces/-/create/", {"name": "of-ann"}, headers={"X-Forwarded-For": "203.0.113.5"})
        from console.audit.models import AuditEvent

        assert AuditEvent.objects.get(action="namespace.create").address == "127.0.0.1"

    def test_the_operator_is_told_why_browsers_go_in_circles(self, caplog):
        with override_settings(TRUSTED_PROXIES=("10.0.0.0/8",), SECURE_SSL_REDIRECT=True):
            middleware = ProxyMiddleware(client_address)
            for _ in range(2):
                headers = {"X-Claimed-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
                middleware(RequestFactory().get("/", REMOTE_ADDR="", headers=headers))
        assert [record.getMessage() for record in caplog.records] == [
            "192.0.2.9 is not a trusted proxy: its X-Forwarded headers are ignored (TRUSTED_PROXIES)"
        ]
