"""The edge's access log: who asked for what, with how many bytes, and no secret."""

import contextlib
import json
import re
import stat

import pytest
from django.urls import get_resolver, reverse

from console.installation import environment
from console.installation.logs import SECRET_PATHS
from console.local import edge_log
from tests.local.test_edge import Front
from tests.support.stack import wait_until


@contextlib.contextmanager
def logging_front(**variables):
    with contextlib.ExitStack() as stack:
        yield Front(stack, **variables)


def lines_of(front, count):
    """The first lines; they are written after the answers have been sent."""
    file = front.environment.data_dir / "log" / edge_log.NAME
    found = wait_until(lambda: file.exists() and len(text := file.read_text().splitlines()) >= count and text, "lines")
    return [json.loads(line) for line in found]


@pytest.fixture
def front():
    with logging_front() as front:
        yield front


def test_a_line_for_each_request_with_its_bytes(front):
    front.ask(
        "PATCH", "/v2/team/app/blobs/uploads/1?_state=a-secret", "Authorization: Bearer a-secret", body=b"x" * 5000
    )
    front.ask("GET", "/images/?q=a-secret", "Cookie: session=a-secret", port=front.environment.console_port)
    upload, page = lines_of(front, 2)
    assert upload["request"] == {
        "client_ip": "127.0.0.1",
        "proto": "HTTP/1.1",
        "method": "PATCH",
        "host": "here",
        "uri": "/v2/team/app/blobs/uploads/1",
    }
    assert (upload["status"], upload["bytes_read"], upload["size"]) == (200, 5000, len("registry"))
    assert upload["duration"] > 0
    assert upload["time"].endswith("Z") and "T" in upload["time"]
    assert set(upload) == {"time", "request", "bytes_read", "duration", "size", "status"}
    assert (page["request"]["uri"], page["size"]) == ("/images/", len("console"))


def test_nobody_else_may_read_it(front):
    front.ask("GET", "/v2/")
    lines_of(front, 1)
    assert stat.S_IMODE((front.environment.data_dir / "log" / edge_log.NAME).stat().st_mode) == 0o600


def test_no_secret_of_an_address_is_in_it():
    secret = "a-s3cret-token"
    addresses = [
        reverse("password_reset_confirm", args=["uid", secret]),
        reverse("sign-in-link", args=[secret]),
        reverse("email-confirm", args=[secret]),
        reverse("invitation-link", args=[secret]),
        reverse("sign-up-link", args=[secret]),
    ]
    with logging_front() as front:
        for address in addresses:
            front.ask("GET", address, "Referer: http://x/a-s3cret-token", port=front.environment.console_port)
        found = lines_of(front, len(addresses))
        assert secret not in (front.environment.data_dir / "log" / edge_log.NAME).read_text()
        assert secret not in (front.environment.data_dir / "edge" / "edge.log").read_text()
    assert [one["request"]["uri"] for one in found] == [address.replace(secret, "…") for address in addresses]


def routes(resolver, before="/"):
    for pattern in resolver.url_patterns:
        route = f"{before}{pattern.pattern}"
        yield from routes(pattern, route) if hasattr(pattern, "url_patterns") else [route]


def test_every_address_with_a_token_is_known():
    found = [route for route in routes(get_resolver()) if "token>" in route or "secret>" in route]
    assert len(found) >= 5
    for route in found:
        address = re.sub(r"<[^>]*>", "x", route)
        assert any(re.match(f"{path}x", address) for path in SECRET_PATHS), route


def test_the_client_of_a_trusted_proxy():
    with logging_front(TRUSTED_PROXIES="127.0.0.1") as front:
        front.ask("GET", "/v2/", "X-Forwarded-For: 198.51.100.7")
        (line,) = lines_of(front, 1)
    assert line["request"]["client_ip"] == "198.51.100.7"


def test_what_the_edge_refuses_is_in_it_too():
    with logging_front() as front:
        front.ask("GET", f"/images/?{'q' * 40_000}", port=front.environment.console_port)
        (line,) = lines_of(front, 1)
    assert line["status"] == 414


def test_all_files_together_have_a_limit():
    with logging_front(ACCESS_LOG_MB="5") as front:
        path = "/" + "x" * 30_000
        folder = front.environment.data_dir / "log"
        for _ in range(300):
            front.ask("GET", path, port=front.environment.console_port)
        wait_until(lambda: len(list(folder.iterdir())) == 3, "the oldest are removed")
        assert sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000


def test_without_one():
    with logging_front(ACCESS_LOG_MB="0") as front:
        assert front.ask("GET", "/v2/") == "registry"
        assert not (front.environment.data_dir / "log").exists()


@pytest.mark.parametrize("value", ["1", "4"])
def test_a_limit_that_cannot_be(value):
    with pytest.raises(environment.EnvironmentProblem, match="ACCESS_LOG_MB is"):
        environment.load({"ACCESS_LOG_MB": value})
