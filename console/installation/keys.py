"""Secrets and signing keys of the installation: created once in ``DATA_DIR/keys``, mode 0600.

Registry tokens are signed with one key. The registries read their trusted certificates when they start: of the current
key, of the next one, and of former ones until their tokens expire. So the key can be rotated without restarting the
registries (``rotate``); a former key is rejected after their next restart.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from console.installation.environment import EnvironmentProblem
from console.installation.files import create_file, remove_stale_drafts, replace_file

_CERTIFICATE_LIFE = datetime.timedelta(days=3650)
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
# Certificates of former keys; the number is when they expire, in seconds since 1970.
_RETIRED = "token_retired_{}.pem"


@dataclass(frozen=True)
class Keys:
    """Paths of the secrets. ``token_certificate`` has the certificates that registries trust (``rootcertbundle``)."""

    folder: Path
    secret_key: str
    notification_secret: str
    token_key: Path
    token_certificate: Path

    @property
    def next_token_key(self) -> Path:
        """The signing key after the next rotation; the registries trust it already."""
        return self.folder / "token_next.pem"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a file lock, so that only one process changes the keys."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ensure_text(path: Path) -> str:
    if not path.exists():
        create_file(path, secrets.token_urlsafe(48).encode())
    text = path.read_bytes().decode(errors="replace").strip()
    if not text:
        raise _damaged(path, "is empty")
    return text


def _damaged(path: Path, how: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{path} {how}: put the file back from a backup, or remove it and a new one is made at the next start "
        "(docs/operations.md, Damaged keys)."
    )


def _new_signing_pair() -> bytes:
    """A new P-256 key and its self-signed certificate, in one PEM text so that they always match."""
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


def _certificate(pair: Path) -> bytes:
    """Read the certificate from a file with a signing key and its certificate.

    :raises EnvironmentProblem: when the file does not contain both.
    """
    text = pair.read_bytes()
    try:
        serialization.load_pem_private_key(text, password=None)
        x509.load_pem_x509_certificate(text)
    except ValueError:
        raise _damaged(pair, "holds no key with its certificate") from None
    return text[text.index(_CERTIFICATE) :]


def _retired(folder: Path) -> list[tuple[int, Path]]:
    """Certificates of former keys with their expiry in seconds since 1970; the latest first."""
    found = ((path.stem.rpartition("_")[2], path) for path in folder.glob(_RETIRED.format("*")))
    return sorted(((int(end), path) for end, path in found if end.isdigit()), reverse=True)


def _renew_bundle(keys: Keys, now: float) -> bool:
    """See :func:`renew_bundle`; the caller holds the lock."""
    trusted = [_certificate(keys.token_key), _certificate(keys.next_token_key)]
    for end, path in _retired(keys.folder):
        text = path.read_bytes()
        if end > now and text.startswith(_CERTIFICATE):
            trusted.append(text)
        else:
            path.unlink()
    bundle = b"".join(dict.fromkeys(trusted))
    if keys.token_certificate.exists() and keys.token_certificate.read_bytes() == bundle:
        return False
    replace_file(keys.token_certificate, bundle)
    return True


def renew_bundle(keys: Keys) -> bool:
    """Remove expired former keys from the trusted certificates; returns whether the file changed.

    Registries read the file when they start.
    """
    remove_stale_drafts(keys.folder)
    with _locked(keys.folder):
        return _renew_bundle(keys, time.time())


def retires_at(keys: Keys) -> float | None:
    """When the previous signing key stops being trusted, in seconds since 1970; ``None`` if there is none."""
    return next((float(end) for end, _ in _retired(keys.folder)), None)


def rotate(keys: Keys, overlap: float) -> float:
    """Rotate the signing key: sign with the next key, and create another next one.

    After each step the bundle contains the signing key, so this may be interrupted anywhere.

    :param overlap: how many seconds the former key stays trusted.
    :returns: when it stops being trusted, in seconds since 1970.
    """
    with _locked(keys.folder):
        end = int(time.time() + overlap) + 1
        while (keys.folder / _RETIRED.format(end)).exists():  # another key has this expiry
            end += 1
        create_file(keys.folder / _RETIRED.format(end), _certificate(keys.token_key))
        keys.next_token_key.replace(keys.token_key)
        create_file(keys.next_token_key, _new_signing_pair())
        _renew_bundle(keys, time.time())
    return float(end)


def contents(folder: Path) -> dict[str, bytes]:
    """A consistent snapshot of all files in the keys' folder, for a backup."""
    with _locked(folder):
        return {
            path.name: path.read_bytes()
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".")
        }


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Restore a folder of keys from a backup, with private permissions.

    :raises OSError: when it cannot be written, or exists.
    """
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        create_file(folder / name, content)
    return folder


def ensure_keys(data_dir: Path) -> Keys:
    """Read the installation's secrets, and create the missing ones.

    :param data_dir: the installation's data folder; created if missing.
    :raises OSError: when the folder cannot be written.
    :raises EnvironmentProblem: when a secret is damaged; the message names the file.
    """
    return ensure_folder(data_dir / "keys")


def ensure_folder(folder: Path) -> Keys:
    """Like ``ensure_keys``, for any folder of keys."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair, certificate = folder / "token_signing.pem", folder / "token_certificate.pem"
    if not pair.exists():
        create_file(pair, _new_signing_pair())
    keys = Keys(
        folder=folder,
        secret_key=_ensure_text(folder / "secret_key"),
        notification_secret=_ensure_text(folder / "notification_secret"),
        token_key=pair,
        token_certificate=certificate,
    )
    # Installations of versions with one key have no next key, and no certificate of it in the bundle.
    if not (keys.next_token_key.exists() and certificate.exists()):
        with _locked(folder):
            if not keys.next_token_key.exists():
                create_file(keys.next_token_key, _new_signing_pair())
            _renew_bundle(keys, time.time())
    return keys
