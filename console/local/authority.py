"""The installation's own certificate authority (``TLS=internal``), whose certificates are for the site's names alone.

Machines that trust it believe no certificate of it for other names (name constraints, RFC 5280, 4.2.1.10). The edge
makes its intermediate certificate and those of the site, and renews them.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import shutil
from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from console.installation.environment import Environment
from console.installation.files import replace_file
from console.local.log import say

_YEARS = 10
_DAY = datetime.timedelta(days=1)
_EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
# A name that never exists (RFC 6761, 6.4): for an authority that has no other.
_NO_NAME = "invalid"


def key_file(environment: Environment) -> Path:
    """The file with the authority's private key."""
    return environment.data_dir / "keys" / "authority.key"


def ensure(environment: Environment, names: Collection[str]) -> None:
    """Create the authority, or another one if it cannot vouch for these names.

    The former one is kept beside it: machines trust it, and it is used again when the site has its names again.

    :param names: host names and IP addresses of the site.
    :raises OSError: when a file cannot be read or written.
    """
    file, key = environment.authority_certificate, key_file(environment)
    if file is None:
        return
    found = _read(file, key)
    if found is None or _constraints(found) != _name_constraints(names):
        if found:
            former = f"authority-{found.serial_number:x}"
            file.replace(file.with_name(f"{former}.crt"))
            key.replace(key.with_name(f"{former}.key"))
        if earlier := _earlier(file.parent, names):
            say("The authority is the one that the site had with this name before.")
            for name, target in zip(earlier, (file, key), strict=True):
                name.replace(target)
            _remove_stale(environment.data_dir / "edge", _load(file))
            return
        if found or file.exists() or key.exists():
            reason = "the site has another name" if found else "the files of the one before are damaged"
            say(f"There is a new authority, because {reason}: clients have to trust its certificate.")
        found = _create(file, key, names)
    _remove_stale(environment.data_dir / "edge", found)


def checksum(file: Path) -> str:
    """The SHA-256 checksum of the certificate's file as the help page offers it (``console.help.authority``)."""
    return hashlib.sha256(_load(file).public_bytes(serialization.Encoding.PEM)).hexdigest()


def _read(file: Path, key: Path) -> x509.Certificate | None:
    """The certificate; ``None`` if it, or the key that belongs to it, is missing or damaged."""
    try:
        certificate = _load(file)
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return certificate if certificate.public_key() == private.public_key() else None


def _load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _earlier(folder: Path, names: Collection[str]) -> tuple[Path, Path] | None:
    """Certificate and key of an authority of before that is for these names."""
    for file in sorted(folder.glob("authority-*.crt")):
        key = file.with_suffix(".key")
        certificate = _read(file, key)
        if certificate is not None and _constraints(certificate) == _name_constraints(names):
            return file, key
    return None


def _create(file: Path, key: Path, names: Collection[str]) -> x509.Certificate:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"My Images at {sorted(names)[0]}"[:64])])
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment"), False)
    usage |= dict.fromkeys(("data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 365 * _YEARS * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(_name_constraints(names), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(key, pem)
    replace_file(file, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def _name_constraints(names: Collection[str]) -> x509.NameConstraints:
    """Constraints that allow these names; a kind of name without a constraint would be allowed as a whole."""
    hosts: list[x509.GeneralName] = []
    networks: list[x509.GeneralName] = []
    for name in sorted(names):
        try:
            networks.append(x509.IPAddress(ipaddress.ip_network(name)))
        except ValueError:
            hosts.append(x509.DNSName(name))
    missing = [] if networks else [x509.IPAddress(network) for network in _EVERYTHING]
    return x509.NameConstraints([*(hosts or [x509.DNSName(_NO_NAME)]), *networks], missing or None)


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _remove_stale(folder: Path, authority: x509.Certificate) -> None:
    """Remove what another authority has signed: the edge would go on with it.

    :param folder: the edge's.
    """
    inside = folder / "pki" / "authorities" / "local"
    try:
        intermediate = x509.load_pem_x509_certificate((inside / "intermediate.crt").read_bytes())
        intermediate.verify_directly_issued_by(authority)
    except (OSError, ValueError, InvalidSignature):
        shutil.rmtree(inside, ignore_errors=True)
        shutil.rmtree(folder / "certificates" / "local", ignore_errors=True)
