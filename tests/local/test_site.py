"""``SITE``: everything at one address with TLS."""

import contextlib
import datetime
import http.client
import ipaddress
import shutil
import socket
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from console.installation import environment
from console.local import site_certificate
from console.local.edge import Edge, certificate_warnings
from console.local.problems import Problem
from tests.local.test_edge import Front
from tests.support.ports import free_port
from tests.support.stack import wait_until

PATIENCE = 20


def write_certificate(folder, name="localhost", days=30, since=9):
    """Write a self-signed certificate for the name or IP address, and its key, over those of before.

    :param since: how many days ago it became valid; ``days``, how long it still is.
    """
    try:
        general = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        general = x509.DNSName(name)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=since))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([general]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


class Site(Front):
    """The edge with stand-ins for all services, at one address."""

    def __init__(self, stack, **variables):
        self.port, self.http_port = free_port(), free_port()
        address = f"https://localhost:{self.port}"
        super().__init__(stack, SITE=address, HTTP_PORT=str(self.http_port), **variables)
        self.name = f"localhost:{self.port}"
        self.root = self.environment.site.certificate or self.environment.authority_certificate
        wait_until(self.root.exists, "the authority is made")
        wait_until(self.answers, "there is a certificate")

    def connect(self, name="localhost", protocols=("http/1.1",)):
        context = ssl.create_default_context(cafile=str(self.root))
        context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), PATIENCE), server_hostname=name)

    def answers(self):
        with contextlib.suppress(OSError), self.connect():
            return True
        return False

    def get(self, target, method="GET", host=None, name="localhost", **headers):
        connection = http.client.HTTPConnection("localhost", self.port)
        connection.sock = self.connect(name)
        with contextlib.closing(connection):
            connection.request(method, target, headers={"Host": host or self.name, **headers})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()


@pytest.fixture(scope="module")
def site():
    with contextlib.ExitStack() as stack:
        yield Site(stack, TLS="internal")


@pytest.mark.parametrize(
    ("method", "target", "service"),
    [
        ("GET", "/", "console"),
        ("GET", "/images/", "console"),
        ("POST", "/token/", "console"),
        ("GET", "/v2/", "registry"),
        ("GET", "/v2", "registry"),
        ("PUT", "/v2/team/app/blobs/uploads/1", "registry"),
        ("PUT", "/v2/team/app/manifests/v1", "console"),
        ("GET", "/v2/_catalog", "console"),
        ("GET", "/v2/dockerhub/library/debian/manifests/stable", "dockerhub"),
        ("GET", "/v2/dockerhub", "console"),
        ("GET", "/v22/", "console"),
    ],
)
def test_one_address_has_everything(site, method, target, service):
    assert site.get(target, method)[2] == service


def test_the_cache_is_a_folder_of_the_registry(site):
    site.dockerhub.seen.clear()
    site.get("/v2/dockerhub/library/debian/blobs/sha256:abc?x=/v2/dockerhub/")
    assert site.dockerhub.seen[-1].target == "/v2/library/debian/blobs/sha256:abc?x=/v2/dockerhub/"


@pytest.mark.parametrize("target", ["/", "/v2/", "/v2/dockerhub/library/debian/tags/list"])
def test_only_tls_for_a_year(site, target):
    assert site.get(target)[1].get_all("Strict-Transport-Security") == ["max-age=31536000"]


def test_the_services_know_that_there_was_tls(site):
    site.registry.seen.clear()
    site.get("/v2/", **{"X-Forwarded-Proto": "http", "X-Forwarded-For": "1.2.3.4"})
    (seen,) = site.registry.seen
    assert (seen.headers["X-Forwarded-Proto"], seen.headers["X-Forwarded-Host"]) == ("https", site.name)
    assert ipaddress.ip_address(seen.headers["X-Forwarded-For"]).is_loopback
    assert seen.headers["Host"] == site.name


def test_plain_http_leads_there(site):
    connection = http.client.HTTPConnection("127.0.0.1", site.http_port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/images/?q=a%20b", headers={"Host": "evil.example.com"})
        response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (308, f"https://{site.name}/images/?q=a%20b")


def test_http_2(site):
    with site.connect(protocols=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}


def test_the_ports_of_this_machine_stay(site):
    assert site.ask("GET", "/v2/") == "registry"
    assert site.ask("GET", "/v2/library/debian/tags/list", port=site.environment.dockerhub_port) == "dockerhub"
    assert site.ask("GET", "/healthz", port=site.environment.console_port) == "console"


def serial_number(site):
    """The number of the certificate that the site shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", site.port), PATIENCE)) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(True)).serial_number


class TestOwnFiles:
    @pytest.fixture
    def folder(self):
        folder = Path(tempfile.mkdtemp(prefix="my-images-tls-"))
        yield folder
        shutil.rmtree(folder)

    def test_a_link_that_leads_to_new_files(self, folder):
        """As certbot renews: the files before stay as they are."""
        files = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            files.append(write_certificate(folder / name))
        links = [folder / file.name for file in files[0]]
        for link, file in zip(links, files[0], strict=True):
            link.symlink_to(file)
        with contextlib.ExitStack() as stack:
            site = Site(stack, TLS_CERTIFICATE=str(links[0]), TLS_KEY=str(links[1]))
            front = Edge(site.environment, site.content)
            first = serial_number(site)
            for link, file in zip(links, files[1], strict=True):
                link.unlink()
                link.symlink_to(file)
            front.check()
            assert serial_number(site) != first

    def test_they_are_read_again_when_they_change(self, folder):
        certificate, key = write_certificate(folder)
        with contextlib.ExitStack() as stack:
            site = Site(stack, TLS_CERTIFICATE=str(certificate), TLS_KEY=str(key))
            front, clock = Edge(site.environment, site.content), iter(range(0, 10_000, 100))

            first = serial_number(site)
            with site.connect() as kept:
                head = (
                    "PUT /v2/a/b/blobs/uploads/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"
                )
                kept.sendall(head.encode() + b"12345")
                front.check(lambda: next(clock))
                assert serial_number(site) == first
                # The key of another certificate: the old pair stays.
                before = certificate.read_bytes()
                write_certificate(folder)
                after = certificate.read_bytes()
                certificate.write_bytes(before)
                front.check(lambda: next(clock))
                assert serial_number(site) == first
                certificate.write_bytes(after)
                front.check(lambda: next(clock))
                assert serial_number(site) == x509.load_pem_x509_certificate(after).serial_number != first
                # An upload goes on.
                kept.sendall(b"67890")
                assert kept.recv(4096).startswith(b"HTTP/1.1 200 ")
                assert site.registry.seen[-1].body == b"1234567890"


class TestNames:
    def test_a_name_for_each_registry(self):
        with contextlib.ExitStack() as stack:
            port = free_port()
            names = {"REGISTRY_ADDRESS": f"registry.localhost:{port}", "DOCKERHUB_ADDRESS": f"hub.localhost:{port}"}
            given = environment.load({"SITE": f"https://localhost:{port}", "TLS": "internal", **names})
            assert given.dockerhub_folder == ""

            class Fixed(Site):
                def __init__(self, stack, **variables):
                    Front.__init__(self, stack, SITE=f"https://localhost:{port}", TLS="internal", **variables)
                    self.port, self.name = port, f"localhost:{port}"
                    self.root = self.environment.authority_certificate
                    wait_until(self.root.exists, "the authority is made")
                    wait_until(self.answers, "there is a certificate")

            site = Fixed(stack, **names)
            assert site.get("/v2/", host=names["REGISTRY_ADDRESS"], name="registry.localhost")[2] == "registry"
            assert site.get("/", host=names["REGISTRY_ADDRESS"], name="registry.localhost")[0] == 404
            assert site.get("/v2/", host=names["DOCKERHUB_ADDRESS"], name="hub.localhost")[2] == "dockerhub"
            assert site.get("/v2/")[2] == "registry"
            assert site.get("/")[2] == "console"


class TestVariables:
    def test_everything_follows_from_one(self):
        found = environment.load({"SITE": "https://Images.example.com/"})
        assert found.console_url == "https://images.example.com"
        assert found.token_realm == "https://images.example.com/token/"
        assert found.registry_address == "images.example.com"
        assert found.dockerhub_address == "images.example.com/dockerhub"
        assert found.dockerhub_folder == "dockerhub"
        assert found.trusted_proxies == ()
        assert (found.site.tls, found.site.port, found.site.http_port) == ("acme", 443, 80)

    def test_another_port(self):
        found = environment.load({"SITE": "https://images.example.com:8443", "TLS": "internal"})
        assert found.registry_address == "images.example.com:8443"
        assert found.console_url == "https://images.example.com:8443"
        assert found.site.http_port == 0

    def test_no_port_for_plain_http(self):
        assert environment.load({"SITE": "https://images.example.com", "HTTP_PORT": "0"}).site.http_port == 0

    def test_without_it_nothing_changes(self):
        found = environment.load({})
        assert found.site is None
        assert (found.registry_address, found.dockerhub_address) == ("127.0.0.1:5000", "127.0.0.1:5001")
        assert found.dockerhub_folder == ""

    def test_files_that_cannot_be_read_are_not_missing_as_well(self):
        given = {"SITE": "https://images.example.com", "TLS_CERTIFICATE": "/nothing", "TLS_KEY": __file__}
        with pytest.raises(environment.EnvironmentProblem) as found:
            environment.load(given)
        assert "needed together" not in str(found.value)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"SITE": "http://images.example.com"}, "SITE is"),
            ({"SITE": "images.example.com"}, "SITE is"),
            ({"SITE": "https://images.example.com/images"}, "SITE is"),
            ({"SITE": "https://a:b@images.example.com"}, "SITE is"),
            ({"SITE": "https://images.example.com:0"}, "SITE is"),
            ({"SITE": "https://images.example.com", "TLS": "none"}, "TLS is"),
            ({"SITE": "https://images.example.com", "TLS_CERTIFICATE": "/nothing"}, "TLS_CERTIFICATE is"),
            ({"SITE": "https://images.example.com", "TLS": "files"}, "needed together"),
            ({"SITE": "https://images.example.com", "TLS": "internal", "TLS_KEY": __file__}, "keep one of both"),
            ({"TLS": "internal"}, "TLS is set, but SITE is not"),
            ({"TLS_CERTIFICATE": __file__, "TLS_KEY": __file__}, "TLS_KEY is set, but SITE is not"),
            ({"SITE": "https://images.example.com:8443"}, "port 443 or 80"),
            ({"SITE": "https://192.0.2.1"}, "TLS=internal"),
            ({"SITE": "https://localhost"}, "TLS=internal"),
            ({"SITE": "https://images.example.com", "HTTP_PORT": "443"}, "HTTP_PORT"),
            ({"SITE": "https://images.example.com", "CONSOLE_URL": "https://other.example.com"}, "CONSOLE_URL"),
        ],
    )
    def test_what_cannot_be(self, given, words):
        with pytest.raises(environment.EnvironmentProblem, match=words):
            environment.load(given)


class TestCertificateCheck:
    """The start says what clients will refuse, and stops for files that the edge cannot use."""

    @pytest.fixture
    def site(self, tmp_path):
        def make(name="localhost", days=30, since=9, written=None):
            certificate, key = write_certificate(tmp_path, name, days, since)
            for file, content in (written or {}).items():
                (tmp_path / file).write_bytes(content)
            given = {"SITE": "https://images.example.com", "TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key)}
            return environment.load(given).site

        return make

    @pytest.mark.parametrize(
        ("name", "host"),
        [
            ("localhost", "localhost"),
            ("Images.Example.com", "images.example.com"),
            ("images.example.com", "images.example.com."),
            ("*.example.com", "images.example.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8:0::1"),
        ],
    )
    def test_one_that_fits(self, site, name, host):
        assert site_certificate.check(site(name), [host]) == []

    @pytest.mark.parametrize(
        ("name", "host"),
        [
            ("other.example.com", "images.example.com"),
            ("*.images.example.com", "images.example.com"),
            ("*.com", "images.example.com"),
            ("example.com", "images.example.com"),
            ("*.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.1"),
        ],
    )
    def test_one_for_another_host(self, site, name, host):
        (warning,) = site_certificate.check(site(name), [name.replace("*", "a"), host])
        assert f"is for {name}, not for {host}: clients refuse it there" in warning

    @pytest.mark.parametrize(("days", "since", "words"), [(-1, 9, "expired on "), (30, -2, "is valid from ")])
    def test_one_whose_time_is_not_now(self, site, days, since, words):
        (warning,) = site_certificate.check(site(days=days, since=since), ["localhost"])
        assert words in warning

    def test_what_follows_the_certificate_is_not_read(self, site, tmp_path):
        found = site()
        with found.certificate.open("ab") as file:
            file.write(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        assert site_certificate.check(found, ["localhost"]) == []

    def test_files_that_cannot_be_used(self, site, tmp_path):
        (tmp_path / "other").mkdir()
        _certificate, key = write_certificate(tmp_path / "other")
        for name, content, words in (
            ("certificate.pem", b"nothing", "not a certificate in PEM form"),
            ("key.pem", b"nothing", "not a private key in PEM form"),
            ("key.pem", key.read_bytes(), "does not belong to the first certificate"),
        ):
            with pytest.raises(Problem, match=words):
                site_certificate.check(site(written={name: content}), ["localhost"])

    def test_each_name_of_the_site_is_asked_for(self, tmp_path):
        certificate, key = write_certificate(tmp_path, "images.example.com")
        given = {"SITE": "https://images.example.com", "REGISTRY_ADDRESS": "registry.example.com"}
        found = environment.load({**given, "TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(key)})
        (warning,) = certificate_warnings(found)
        assert "not for registry.example.com" in warning

    def test_without_files_there_is_nothing_to_check(self):
        assert certificate_warnings(environment.load({})) == []
        assert certificate_warnings(environment.load({"SITE": "https://images.example.com"})) == []
