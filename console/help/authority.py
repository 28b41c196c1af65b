"""The certificate of the installation's own authority (``TLS=internal``), which clients must trust. It is public."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from django.conf import settings


@dataclass(frozen=True)
class Authority:
    """The authority's certificate.

    :ivar pem: as a file, which is stable as long as the certificate is.
    :ivar checksum: SHA-256 of the file, as ``sha256sum`` prints it.
    :ivar fingerprint: SHA-256 of the certificate, as browsers show it.
    """

    pem: bytes
    checksum: str
    fingerprint: str


def load_authority() -> Authority | None:
    """The certificate; ``None`` where the installation has no authority of its own, or has not made it yet."""
    if settings.AUTHORITY_CERTIFICATE is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(settings.AUTHORITY_CERTIFICATE.read_bytes())
    except (OSError, ValueError):
        return None
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return Authority(pem, hashlib.sha256(pem).hexdigest(), fingerprint)
