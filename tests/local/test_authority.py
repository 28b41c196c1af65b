"""The installation's own authority: it vouches for the site's names alone, and stays the same."""

import contextlib
import datetime
import ipaddress
import shutil
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from console.help.authority import load_authority
from console.installation import environment
from console.local import authority
from tests.local.test_site import Site


@pytest.fixture
def given(tmp_path):
    (tmp_path / "keys").mkdir()
    return environment.load({"DATA_DIR": str(tmp_path), "SITE": "https://images.example.com", "TLS": "internal"})


def believed(given, name, tmp_path):
    """Whether a client that trusts the authority believes a certificate of it for ``name``."""
    root = x509.load_pem_x509_certificate(given.authority_certificate.read_bytes())
    signer = serialization.load_pem_private_key(authority.key_file(given).read_bytes(), None)
    try:
        general, option = x509.IPAddress(ipaddress.ip_address(name)), "-verify_ip"
    except ValueError:
        general, option = x509.DNSName(name), "-verify_hostname"
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")]))
        .issuer_name(root.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([general]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    file = tmp_path / "leaf.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    command = ["openssl", "verify", "-CAfile", str(given.authority_certificate), option, name, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "subtree violation" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
@pytest.mark.parametrize(
    ("names", "good", "bad"),
    [
        (
            ["images.example.com", "hub.example.com"],
            ["images.example.com", "hub.example.com"],
            ["example.com", "bank.example", "192.0.2.7", "2001:db8::7"],
        ),
        (["192.0.2.7"], ["192.0.2.7"], ["192.0.2.8", "bank.example", "2001:db8::7"]),
        (["2001:db8::7", "images"], ["2001:db8::7", "images"], ["2001:db8::8", "192.0.2.7", "bank.example"]),
    ],
)
def test_only_the_sites_names_are_believed(given, tmp_path, names, good, bad):
    authority.ensure(given, names)
    assert [name for name in good if not believed(given, name, tmp_path)] == []
    assert [name for name in bad if believed(given, name, tmp_path)] == []


def test_it_stays_the_same_while_the_names_do(given, capsys):
    authority.ensure(given, ["images.example.com"])
    first = given.authority_certificate.read_bytes()
    authority.ensure(given, ["images.example.com"])
    assert given.authority_certificate.read_bytes() == first
    assert capsys.readouterr().out == ""
    authority.ensure(given, ["images.example.com", "hub.example.com"])
    assert given.authority_certificate.read_bytes() != first
    assert "because the site has another name: clients have to trust its certificate" in capsys.readouterr().out


def test_it_comes_back_with_its_names(given, capsys):
    """After a typing error in SITE, machines need not trust another one."""
    authority.ensure(given, ["images.example.com"])
    files = given.authority_certificate, authority.key_file(given)
    first = [file.read_bytes() for file in files]
    authority.ensure(given, ["imagse.example.com"])
    assert [file.read_bytes() for file in files] != first
    capsys.readouterr()
    authority.ensure(given, ["images.example.com"])
    assert [file.read_bytes() for file in files] == first
    assert "had with this name before" in capsys.readouterr().out
    for file in files[0].parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_its_files_are_private(given):
    authority.ensure(given, ["images.example.com"])
    for file in (given.authority_certificate, authority.key_file(given)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_start_and_the_help_page_have_the_same_checksum(given, settings):
    authority.ensure(given, ["images.example.com"])
    settings.AUTHORITY_CERTIFICATE = given.authority_certificate
    assert authority.checksum(given.authority_certificate) == load_authority().checksum


def test_a_key_of_another_makes_a_new_one(given):
    """As after a start that was killed between the two files."""
    authority.ensure(given, ["images.example.com"])
    first = given.authority_certificate.read_bytes()
    key = ec.generate_private_key(ec.SECP256R1())
    authority.key_file(given).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    authority.ensure(given, ["images.example.com"])
    assert given.authority_certificate.read_bytes() != first


def test_what_another_one_signed_is_removed():
    """After a restore, for example: the edge would go on with an intermediate certificate that nobody trusts."""
    with contextlib.ExitStack() as stack:
        site = Site(stack, TLS="internal")
        found, folder = site.environment, site.environment.data_dir / "edge"
        intermediate = folder / "pki" / "authorities" / "local" / "intermediate.crt"
        names = site.content["apps"]["tls"]["certificates"]["automate"]
        authority.ensure(found, names)
        assert intermediate.exists() and list(folder.rglob("certificates/local/*"))
        found.authority_certificate.unlink()
        authority.ensure(found, names)
        assert not intermediate.exists() and not list(folder.rglob("certificates/local/*"))
