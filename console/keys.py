"""The installation's secrets: made once under ``DATA_DIR/keys``, mode 0600, and read from there ever after."""

from __future__ import annotations

import datetime
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_CERTIFICATE_LIFE = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Keys:
    """Where the secrets lie. ``token_certificate`` is what the registry trusts (``rootcertbundle``)."""

    folder: Path
    secret_key: str
    notification_secret: str
    token_key: Path
    token_certificate: Path


def _create(path: Path, content: bytes) -> None:
    """Write ``path`` with mode 0600 unless it is there; of two processes doing so at once, one wins whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def _ensure_text(path: Path) -> str:
    if not path.exists():
        _create(path, secrets.token_urlsafe(48).encode())
    return path.read_text().strip()


def _new_signing_pair() -> bytes:
    """A P-256 key and its self-signed certificate, as one PEM text so that the two always belong together."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "My Images token signing")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def ensure_keys(data_dir: Path) -> Keys:
    """Read the installation's secrets, making those that are not there yet.

    :param data_dir: the installation's data folder; made when missing.
    :raises OSError: when the folder cannot be written.
    """
    folder = data_dir / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair, certificate = folder / "token_signing.pem", folder / "token_certificate.pem"
    if not pair.exists():
        _create(pair, _new_signing_pair())
    if not certificate.exists():
        text = pair.read_bytes()
        _create(certificate, text[text.index(b"-----BEGIN CERTIFICATE-----") :])
    return Keys(
        folder=folder,
        secret_key=_ensure_text(folder / "secret_key"),
        notification_secret=_ensure_text(folder / "notification_secret"),
        token_key=pair,
        token_certificate=certificate,
    )
