"""Calls to addresses that somebody typed: which are refused, and that nothing goes round it."""

import datetime
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from registry_client import AddressGuard, Challenged, Connections, RefusedAddress, RegistryClient, RegistryUnavailable
from registry_client import connections as module
from tests.support.http_servers import Reply, Server, error_reply, json_reply


class TestNames:
    @pytest.mark.parametrize("port", [None, 80, 443, 5000, 8443, 65535])
    def test_taken(self, port):
        AddressGuard().check_name("https", "registry.example.com", port)

    @pytest.mark.parametrize("port", [1, 22, 25, 1023])
    def test_ports_of_other_services(self, port):
        with pytest.raises(RefusedAddress, match="port"):
            AddressGuard().check_name("https", "registry.example.com", port)

    def test_without_tls(self):
        with pytest.raises(RefusedAddress, match="TLS"):
            AddressGuard().check_name("http", "registry.example.com", None)

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "[::ffff:10.0.0.1]", "[2002:101:101::1]"])
    def test_addresses(self, host):
        with pytest.raises(RefusedAddress, match="public"):
            AddressGuard().check_name("https", host, 5000)

    @pytest.mark.parametrize("allowed", ["Registry.example.com", "registry.example.com:5000", " registry.example.com "])
    def test_allowed_by_the_administrator(self, allowed):
        AddressGuard([allowed]).check_name("http", "registry.example.com.", 5000)

    def test_one_port_alone(self):
        guard = AddressGuard(["registry.example.com:5000", "10.0.0.1"])
        guard.check_name("http", "10.0.0.1", 22)
        with pytest.raises(RefusedAddress):
            guard.check_name("http", "registry.example.com", 5001)


@pytest.fixture
def names(monkeypatch):
    """What names resolve to; what is not in it resolves as ever."""
    known = {}
    real = socket.getaddrinfo

    def resolve(host, port, *arguments, **options):
        if host not in known:
            return real(host, port, *arguments, **options)
        answer = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [entry for address in answer for entry in real(address, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(module, "_BACKOFF_SECONDS", 0.0)
    return known


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def guarded(*allowed, **options):
    return Connections(guard=AddressGuard(allowed), connect_timeout=2, **options)


def port_of(server):
    return int(server.url.rpartition(":")[2])


class TestConnections:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0", "[::1]", "[::ffff:127.0.0.1]"]
    )
    def test_this_machine_however_it_is_written(self, server, host):
        with pytest.raises(RefusedAddress):
            guarded().send("GET", f"https://{host}:{port_of(server)}/v2/", {})
        assert server.requests == []

    def test_a_name_at_an_address_inside(self, server, names):
        names["evil.example"] = [["127.0.0.1"]]
        with pytest.raises(RefusedAddress, match="not at a public address"):
            guarded().send("GET", f"https://evil.example:{port_of(server)}/v2/", {})
        assert server.requests == []

    def test_one_address_inside_among_others(self, names):
        names["evil.example"] = [["1.1.1.1", "10.0.0.1"]]
        with pytest.raises(RefusedAddress):
            guarded().send("GET", "https://evil.example/v2/", {})

    def test_what_was_looked_at_is_what_is_called(self, server, names, monkeypatch):
        """A name that is public when it is looked at and inside a moment later."""
        names["evil.example"] = [["1.1.1.1"], ["127.0.0.1"]]
        called = []

        def connect(address, *arguments, **options):
            called.append(address)
            raise OSError("nobody leaves this test")

        monkeypatch.setattr("registry_client.guard.create_connection", connect)
        with pytest.raises(RegistryUnavailable):
            guarded(retries=0).send("GET", f"https://evil.example:{port_of(server)}/v2/", {})
        assert called == [("1.1.1.1", port_of(server))]
        with pytest.raises(RefusedAddress):
            guarded(retries=0).send("GET", f"https://evil.example:{port_of(server)}/v2/", {})
        assert len(called) == 1

    def test_a_host_that_is_allowed(self, server, names):
        names["registry.inside"] = [["127.0.0.1"]]
        port = port_of(server)
        server.replies(Reply())
        response = guarded(f"registry.inside:{port}").send("GET", f"http://registry.inside:{port}/v2/", {})
        assert response.status_code == 200
        assert server.requests[0].headers["Host"] == f"registry.inside:{port}"

    def test_no_proxy_goes_round_it(self, server, names, monkeypatch):
        names["evil.example"] = [["127.0.0.1"]]
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        module._surroundings.cache_clear()
        with pytest.raises(RefusedAddress):
            guarded().send("GET", "https://evil.example/v2/", {})
        module._surroundings.cache_clear()
        assert server.requests == []

    def test_a_name_that_is_nowhere(self, names, monkeypatch):
        def nowhere(*_arguments, **_options):
            raise socket.gaierror("no such name")

        monkeypatch.setattr(socket, "getaddrinfo", nowhere)
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            guarded().send("GET", "https://registry.example/v2/", {})

    def test_a_name_that_is_none(self):
        with pytest.raises((RegistryUnavailable, RefusedAddress)):
            guarded().send("GET", f"https://{'a' * 70}.example/v2/", {})


class TestWhatAnswersName:
    """The registry is allowed; where it sends its callers is not."""

    @pytest.fixture
    def inside(self):
        server = Server()
        yield server
        server.close()

    @pytest.fixture
    def client(self, server):
        connections = guarded(f"127.0.0.1:{port_of(server)}")
        with RegistryClient(server.url, Challenged(connections=connections), connections=connections) as client:
            yield client

    def test_a_redirect(self, server, inside, client):
        digest = "sha256:" + "0" * 64
        server.answer = lambda request: Reply(307, b"", {"Location": f"{inside.url}/blob"})
        with pytest.raises(RefusedAddress):
            client.read_blob("team/app", digest, 100)
        assert inside.requests == []

    def test_a_redirect_of_a_redirect(self, server, inside, client):
        answers = iter([f"{server.url}/again", f"{inside.url}/blob"])
        server.answer = lambda request: Reply(307, b"", {"Location": next(answers)})
        with pytest.raises(RefusedAddress):
            client.read_blob("team/app", "sha256:" + "0" * 64, 100)
        assert inside.requests == []

    def test_a_token_server(self, server, inside, client):
        challenge = {"WWW-Authenticate": f'Bearer realm="{inside.url}/token",service="x"'}
        server.answer = lambda request: error_reply(401, "UNAUTHORIZED", **challenge)
        with pytest.raises(RefusedAddress):
            client.manifest("team/app", "latest")
        assert inside.requests == []

    def test_a_token_server_that_redirects(self, server, inside, client):
        def answer(request):
            if request.path == "/token":
                return Reply(302, b"", {"Location": f"{inside.url}/token"})
            challenge = {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="x"'}
            return error_reply(401, "UNAUTHORIZED", **challenge)

        server.answer = answer
        with pytest.raises(Exception, match="no token"):
            client.manifest("team/app", "latest")
        assert inside.requests == []

    @pytest.mark.parametrize(
        "realm", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://[::1", "http://a:b@127.0.0.1/"]
    )
    def test_a_token_server_that_is_none(self, server, client, realm):
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
        server.answer = lambda request: error_reply(401, "UNAUTHORIZED", **challenge)
        with pytest.raises(Exception, match="cannot be asked|cannot be called|TLS|public"):
            client.manifest("team/app", "latest")

    def test_a_next_page_elsewhere_stays_with_the_registry(self, server, inside, client):
        pages = iter(
            [
                json_reply({"tags": ["a"]}, Link=f'<{inside.url}/v2/team/app/tags/list?last=a>; rel="next"'),
                json_reply({"tags": ["b"]}),
            ]
        )
        server.answer = lambda request: next(pages)
        assert client.tags("team/app") == ["a", "b"]
        assert inside.requests == []


class TestWithTls:
    """The name is what the certificate must be for, although the connection goes to an address."""

    @pytest.fixture
    def secured(self, server, tmp_path, monkeypatch):
        """``server`` behind a certificate for ``registry.inside``; its port."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry.inside")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("registry.inside")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = tmp_path / "certificate.pem"
        private = serialization.PrivateFormat.PKCS8
        pem.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        module._surroundings.cache_clear()
        yield port_of(server)
        module._surroundings.cache_clear()

    def test_the_right_name(self, server, secured, names):
        names["registry.inside"] = [["127.0.0.1"]]
        server.replies(Reply(200, b"{}"))
        with guarded("registry.inside").send("GET", f"https://registry.inside:{secured}/v2/", {}) as response:
            assert response.status_code == 200

    def test_another_name(self, server, secured, names):
        names["registry.other"] = [["127.0.0.1"]]
        with pytest.raises(RegistryUnavailable, match="certificate"):
            guarded("registry.other", retries=0).send("GET", f"https://registry.other:{secured}/v2/", {})
        assert server.requests == []

    def test_interrupted(self, server, secured, names):
        names["registry.inside"] = [["127.0.0.1"]]
        released = threading.Event()
        reply = Reply(200, bytes(5000), cut=1000)
        reply.after = lambda: released.wait(20)
        server.replies(reply)
        connections = guarded("registry.inside")
        response = connections.send("GET", f"https://registry.inside:{secured}/v2/", {})
        threading.Timer(0.1, connections.interrupt).start()
        with pytest.raises(RegistryUnavailable, match="broke off"):
            module.read(response, 10_000)
        assert not released.is_set()
        released.set()
