"""The console as it is served behind a proxy with TLS, and what nobody but the proxy may say."""

import contextlib
import http.client
import os
import subprocess
import sys

import pytest

from console.installation import environment
from console.installation.environment import BASE_DIR
from tests.support import edge
from tests.support.environment import ENVIRONMENT
from tests.support.ports import free_port

NAME = "images.example.com"
HTTPS = {"X-Forwarded-Proto": "https"}


@contextlib.contextmanager
def served(**more):
    """Ask the console that is served so; the answer's status, header and body."""
    port = free_port()
    given = {"CONSOLE_PORT": str(port), "CONSOLE_URL": f"https://{NAME}", "WEB_WORKERS": "1", **more}

    def ask(path, method="GET", host=NAME, **headers):
        connection = http.client.HTTPConnection(ENVIRONMENT.console_host, port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Host": host, **headers})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()

    with edge.served(environment.load({**os.environ, **given}), variables=given):
        yield ask


@pytest.fixture(scope="module")
def ask():
    with served() as ask:
        yield ask


def test_a_page(ask):
    status, headers, _body = ask("/sign-in/", **HTTPS)
    assert status == 200
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Frame-Options"] == "DENY"
    (cookie,) = headers.get_all("Set-Cookie")
    assert cookie.startswith("__Host-my_images_csrf=")
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


def test_the_session_is_as_well_kept():
    given = {**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings", "CONSOLE_URL": f"https://{NAME}"}
    names = ("NAME", "SECURE", "HTTPONLY", "SAMESITE", "PATH", "DOMAIN")
    code = f"from django.conf import settings as s; print(*(getattr(s, 'SESSION_COOKIE_' + name) for name in {names}))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=given, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["__Host-my_images_session", "True", "True", "Lax", "/", "None"]


def test_plain_http_leads_to_the_console(ask):
    for host in (NAME, "127.0.0.1"):
        status, headers, _body = ask("/sign-in/?next=/images/", host=host)
        assert status == 301
        assert headers["Location"] == f"https://{NAME}/sign-in/?next=/images/"


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "http"}, {"X-Forwarded-Proto": "HTTPS, http"}])
def test_so_does_a_proxy_that_was_asked_without_tls(ask, headers):
    assert ask("/sign-in/", **headers)[0] == 301


def test_but_for_what_is_asked_from_inside(ask):
    assert ask("/healthz", host="127.0.0.1")[0] == 200
    assert ask("/indexing/notifications/", "POST", host="127.0.0.1")[0] == 401


def test_another_host(ask):
    status, headers, body = ask("/sign-in/", host="evil.example.com", **HTTPS)
    assert status == 400
    assert f"Open https://{NAME} instead" in " ".join(body.split())
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_nobody_else_says_that_there_was_tls():
    with served(TRUSTED_PROXIES="192.0.2.1") as ask:
        assert ask("/sign-in/", **HTTPS)[0] == 301


def test_without_an_https_address_nobody_does():
    with served(CONSOLE_URL="") as ask:
        status, headers, _body = ask("/sign-in/", host="127.0.0.1", **HTTPS)
        assert status == 200
        assert headers["Strict-Transport-Security"] is None
        assert "secure" not in headers["Set-Cookie"].lower()
        assert headers["Set-Cookie"].startswith("my_images_csrf=")


def test_nothing_to_say_about_how_it_is_deployed(tmp_path):
    """Django's own list of what is to be set before a site is opened."""
    given = {**os.environ, "DATA_DIR": str(tmp_path), "CONSOLE_URL": f"https://{NAME}"}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    result = subprocess.run(command, cwd=BASE_DIR, env=given, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


class TestTrustedProxies:
    def load(self, **given):
        return environment.load(given).trusted_proxies

    def test_who_they_are(self):
        assert self.load() == ()
        assert self.load(CONSOLE_URL=f"https://{NAME}") == ("127.0.0.1/32", "::1/128")
        assert self.load(TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.7") == ("10.0.0.0/8", "192.0.2.7/32")

    @pytest.mark.parametrize("value", ["*", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/8;192.0.2.7"])
    def test_who_they_cannot_be(self, value):
        with pytest.raises(environment.EnvironmentProblem, match="TRUSTED_PROXIES"):
            self.load(TRUSTED_PROXIES=value)
