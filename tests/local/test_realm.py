"""The realm that the registries name: clients that guard against server-side request forgery must take it."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

import pytest
import requests

from console.installation import environment, keys
from console.local import edge, edge_configuration, hub_configuration, ports, registry
from console.local.problems import Problem
from tests.support.environment import ENVIRONMENT


def refusal(realm, registry_host, insecure):
    """Why go-containerregistry (crane, ko, kaniko) refuses a realm; empty when it takes it.

    The same steps as ``validateRealmURL`` of ``pkg/v1/remote/transport/bearer.go`` in its versions 0.21.6 to 0.21.9.
    Versions 0.21.4 and 0.21.5 do not make the exception for the registry's own host and port.
    """
    parts = urlsplit(realm)
    if parts.scheme not in {"http", "https"} or (parts.scheme == "http" and not insecure):
        return f"realm scheme {parts.scheme!r} not allowed"
    if parts.netloc == registry_host:
        return ""
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return ""  # A name: what it resolves to is not looked up.
    if address.is_loopback or address.is_link_local or address.is_private or address.is_unspecified:
        return f"realm host {parts.hostname!r} is a private or link-local address"
    return ""


def challenge(address):
    """What a registry asks of somebody without a token."""
    answer = requests.get(f"http://{address}/v2/", timeout=10)
    assert answer.status_code == 401
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))


def test_the_check_is_the_one_that_users_met():
    assert refusal("http://127.0.0.1:8000/token/", "127.0.0.1:5000", True) == (
        "realm host '127.0.0.1' is a private or link-local address"
    )
    for host in ("10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "[::1]", "[fe80::1]"):
        assert refusal(f"http://{host}/token/", "127.0.0.1:5000", True)
    assert not refusal("http://127.0.0.1:5000/token/", "127.0.0.1:5000", True)
    assert refusal("http://registry.example.com/token/", "registry.example.com", False)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("variables", "realm"),
        [
            ({}, "http://localhost:8000/token/"),
            ({"CONSOLE_PORT": "8080"}, "http://localhost:8080/token/"),
            ({"CONSOLE_URL": " "}, "http://localhost:8000/token/"),
            ({"CONSOLE_HOST": "0.0.0.0"}, "http://localhost:8000/token/"),
            ({"CONSOLE_URL": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000/token/"),
            ({"CONSOLE_URL": "https://images.example.com/"}, "https://images.example.com/token/"),
        ],
    )
    def test_a_configured_address_is_used_as_it_is(self, tmp_path, variables, realm):
        found, made = environment.load({"DATA_DIR": str(tmp_path), **variables}), keys.ensure_keys(tmp_path)
        for content in (
            registry.configuration(found, made),
            registry.external_snippet(found, made),
            hub_configuration.caching(found, made),
            hub_configuration.plain(found, made, 1),
        ):
            assert content["auth"]["token"]["realm"] == realm

    def test_pages_keep_their_address(self, tmp_path):
        assert environment.load({"DATA_DIR": str(tmp_path)}).console_url == "http://127.0.0.1:8000"


class TestListening:
    @pytest.mark.parametrize(
        ("host", "found"),
        [
            ("", ["127.0.0.1:8000", "[::1]:8000"]),
            ("0.0.0.0", ["0.0.0.0:8000", "[::1]:8000"]),
            ("192.0.2.1", ["192.0.2.1:8000"]),
            ("::", ["[::]:8000"]),
        ],
    )
    def test_both_loopback_addresses(self, tmp_path, monkeypatch, host, found):
        monkeypatch.setattr(edge, "_has_ipv6_loopback", lambda: True)
        given = environment.load({"DATA_DIR": str(tmp_path), "CONSOLE_HOST": host})
        content = edge_configuration.configuration(given, edge.console_hosts(given), dockerhub=False)
        assert content["apps"]["http"]["servers"]["console"]["listen"] == found

    def test_a_machine_without_ipv6(self, monkeypatch):
        monkeypatch.setattr(edge, "_has_ipv6_loopback", lambda: False)
        assert edge.console_hosts(ENVIRONMENT) == ["127.0.0.1"]

    @pytest.mark.skipif(not edge._has_ipv6_loopback(), reason="this machine has no ::1")
    def test_another_program_on_one_of_them_is_found_before_the_start(self):
        """It would be sent the passwords of clients that try ``::1`` first."""
        with socket.socket(socket.AF_INET6) as other:
            other.bind(("::1", 0))
            other.listen()
            with pytest.raises(Problem, match="on ::1 is taken"):
                ports.check("::1", other.getsockname()[1], "CONSOLE_PORT", "the console")


class TestTheDefaultInstallation:
    def test_go_containerregistry_takes_the_realm_of_both_registries(self, stack):
        for address in (stack.registry_address, stack.dockerhub_address):
            realm = challenge(address)["realm"]
            for named in (address, address.replace("127.0.0.1", "localhost")):
                assert refusal(realm, named, True) == ""

    def test_the_realm_answers_on_every_address_of_its_name(self, stack):
        asked = challenge(stack.registry_address)
        realm = urlsplit(asked["realm"])
        assert requests.get(asked["realm"], {"service": asked["service"]}, timeout=10).json()["token"]
        for host in edge.console_hosts(ENVIRONMENT):
            shown = f"[{host}]" if ":" in host else host
            answer = requests.get(f"http://{shown}:{realm.port}/token/", {"service": asked["service"]}, timeout=10)
            assert answer.json()["token"]
