"""The installation's secrets: made once under ``DATA_DIR/keys``, mode 0600, and read from there ever after.

Registry tokens are signed with one key. The registries, which read what they trust when they start, trust that one, the
one that will sign next, and those that signed before, for as long as their tokens live. So the key can be changed
without starting any registry again (``rotate``), and the former one is refused from their next start after that on.
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
# Certificates of former keys, each until the second in its name.
_RETIRED = "token_retired_{}.pem"


@dataclass(frozen=True)
class Keys:
    """Where the secrets lie. ``token_certificate`` is what the registry trusts (``rootcertbundle``)."""

    folder: Path
    secret_key: str
    notification_secret: str
    token_key: Path
    token_certificate: Path

    @property
    def next_token_key(self) -> Path:
        """The key that will sign next; the registries trust it already."""
        return self.folder / "token_next.pem"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes which keys there are meanwhile."""
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


def _certificate(pair: Path) -> bytes:
    """The certificate of a signing key and its certificate in one file.

    :raises EnvironmentProblem: when the file does not hold both.
    """
    text = pair.read_bytes()
    try:
        serialization.load_pem_private_key(text, password=None)
        x509.load_pem_x509_certificate(text)
    except ValueError:
        raise _damaged(pair, "holds no key with its certificate") from None
    return text[text.index(_CERTIFICATE) :]


def _retired(folder: Path) -> list[tuple[int, Path]]:
    """Certificates of former keys and until when they are trusted, in seconds since 1970; the latest first."""
    found = ((path.stem.rpartition("_")[2], path) for path in folder.glob(_RETIRED.format("*")))
    return sorted(((int(end), path) for end, path in found if end.isdigit()), reverse=True)


def _renew_bundle(keys: Keys, now: float) -> bool:
    """See :func:`renew_bundle`; the caller is alone."""
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
    """Leave out of what the registries trust those former keys whose time is over; whether that changed anything.

    Registries read it when they start.
    """
    remove_stale_drafts(keys.folder)
    with _alone(keys.folder):
        return _renew_bundle(keys, time.time())


def retires_at(keys: Keys) -> float | None:
    """Until when the key that signed before is trusted, in seconds since 1970; ``None`` when there is none."""
    return next((float(end) for end, _ in _retired(keys.folder)), None)


def rotate(keys: Keys, overlap: float) -> float:
    """Sign with the next key from now on, and make another one to follow it.

    Every step leaves the signing key among those that the bundle names, wherever this is interrupted.

    :param overlap: for how many seconds what the present key has signed is still to be trusted.
    :returns: when that ends, in seconds since 1970.
    """
    with _alone(keys.folder):
        end = int(time.time() + overlap) + 1
        while (keys.folder / _RETIRED.format(end)).exists():  # another was retired in this second
            end += 1
        create_file(keys.folder / _RETIRED.format(end), _certificate(keys.token_key))
        keys.next_token_key.replace(keys.token_key)
        create_file(keys.next_token_key, _new_signing_pair())
        _renew_bundle(keys, time.time())
    return float(end)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the keys' folder, as they are together at one moment: for a backup."""
    with _alone(folder):
        return {
            path.name: path.read_bytes()
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".")
        }


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Make a folder of keys out of a backup's, private as the first was.

    :raises OSError: when it cannot be written, or is there.
    """
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        create_file(folder / name, content)
    return folder


def ensure_keys(data_dir: Path) -> Keys:
    """Read the installation's secrets, making those that are not there yet.

    :param data_dir: the installation's data folder; made when missing.
    :raises OSError: when the folder cannot be written.
    :raises EnvironmentProblem: when a secret is damaged; it names the file.
    """
    return ensure_folder(data_dir / "keys")


def ensure_folder(folder: Path) -> Keys:
    """The same, for a folder of keys wherever it is."""
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
    # An installation of before there were two keys has neither the second nor its certificate in the bundle.
    if not (keys.next_token_key.exists() and certificate.exists()):
        with _alone(folder):
            if not keys.next_token_key.exists():
                create_file(keys.next_token_key, _new_signing_pair())
            _renew_bundle(keys, time.time())
    return keys
