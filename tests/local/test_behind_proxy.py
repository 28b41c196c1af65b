"""``TLS=proxy``: the whole site at one port, for somebody else's proxy that has the certificate."""

import contextlib

import pytest

from console.installation import environment
from console.local import edge_proxied
from tests.local.test_edge import Front
from tests.support.ports import free_port

SITE = "https://images.example.com"
BY_TLS = "X-Forwarded-Proto: https"


class Proxied(Front):
    """The edge behind a proxy, which the tests play."""

    def __init__(self, stack, **variables):
        self.port = free_port()
        super().__init__(stack, SITE=SITE, TLS="proxy", HTTP_PORT=str(self.port), **variables)

    def pass_on(self, method, target, *headers, body=b""):
        return self.ask(method, target, *headers, port=self.port, body=body)


@pytest.fixture(scope="module")
def front():
    with contextlib.ExitStack() as stack:
        yield Proxied(stack)


@pytest.mark.parametrize(
    ("method", "target", "service"),
    [
        ("GET", "/images/", "console"),
        ("POST", "/token/", "console"),
        ("PATCH", "/v2/team/app/blobs/uploads/1", "registry"),
        ("PUT", "/v2/team/app/manifests/v1", "console"),
        ("GET", "/v2/dockerhub/library/debian/manifests/stable", "dockerhub"),
    ],
)
def test_one_port_has_everything(front, method, target, service):
    assert front.pass_on(method, target, BY_TLS) == service


def test_the_services_know_the_client_and_that_there_was_tls(front):
    front.registry.seen.clear()
    front.pass_on("GET", "/v2/", BY_TLS, "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: images.example.com")
    (seen,) = front.registry.seen
    assert seen.headers["X-Forwarded-Proto"] == "https"
    assert seen.headers["X-Forwarded-For"] == "198.51.100.7, 127.0.0.1"
    assert seen.headers["X-Forwarded-Host"] == "images.example.com"


def test_plain_http_is_redirected(front):
    answer = front.pass_on("GET", "/images/?q=a%20b", "X-Forwarded-Proto: http")
    assert answer.startswith("HTTP/1.1 308 ")
    assert f"\r\nLocation: {SITE}/images/?q=a%20b\r\n" in answer


def test_only_tls_for_a_year(front):
    answer = front.raw(front.port, f"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{BY_TLS}\r\n\r\n".encode())
    assert answer.count(b"\r\nStrict-Transport-Security: max-age=31536000\r\n") == 1


def test_a_proxy_that_does_not_say_whether_there_was_tls(front):
    """A redirect would be one without end."""
    answer = front.pass_on("GET", "/v2/")
    assert answer.startswith("HTTP/1.1 421 ")
    assert "must set X-Forwarded-Proto" in answer


def test_somebody_who_is_no_proxy():
    with contextlib.ExitStack() as stack:
        front = Proxied(stack, TRUSTED_PROXIES="192.0.2.1")
        for target in ("/images/", "/v2/team/app/manifests/v1", "/v2/dockerhub/library/debian/tags/list"):
            answer = front.pass_on("GET", target, BY_TLS)
            assert answer.startswith("HTTP/1.1 403 ")
            assert "TRUSTED_PROXIES" in answer
        assert not front.registry.seen and not front.console.seen and not front.dockerhub.seen
        assert front.pass_on("GET", "/healthz") == "console"


def test_a_health_check_needs_no_headers(front):
    assert front.pass_on("GET", "/healthz") == "console"


class TestVariables:
    def load(self, **given):
        return environment.load({"SITE": SITE, "TLS": "proxy", **given})

    def test_everything_follows_from_the_site(self):
        found = self.load()
        assert found.console_url == SITE
        assert found.registry_address == "images.example.com"
        assert found.dockerhub_address == "images.example.com/dockerhub"
        assert found.site.http_port == 8080
        assert found.trusted_proxies == ("127.0.0.1/32", "::1/128")

    def test_only_this_machine_unless_another_is_trusted(self):
        assert edge_proxied.host(self.load()) == "127.0.0.1"
        assert edge_proxied.host(self.load(TRUSTED_PROXIES="127.0.0.1, 10.0.0.5")) == ""

    def test_any_name_will_do(self):
        assert environment.load({"SITE": "https://localhost", "TLS": "proxy"}).site.host == "localhost"

    @pytest.mark.parametrize(
        ("given", "words"),
        [({"HTTP_PORT": "0"}, "TLS=proxy needs HTTP_PORT"), ({"TLS_KEY": __file__}, "keep one of both")],
    )
    def test_what_cannot_be(self, given, words):
        with pytest.raises(environment.EnvironmentProblem, match=words):
            self.load(**given)
