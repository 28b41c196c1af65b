"""Check the certificate in ``TLS_CERTIFICATE`` and its key in ``TLS_KEY`` at the start, before the edge loads them."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from console.installation.site import Site
from console.local.problems import Problem

_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def check(site: Site | None) -> list[str]:
    """Warnings about a certificate that clients will not accept, as sentences; none without such files.

    :raises Problem: when the edge could not use the files: no certificate, no key, or the key of another certificate.
    """
    if site is None or site.certificate is None or site.key is None:
        return []
    try:
        certificate = x509.load_pem_x509_certificates(site.certificate.read_bytes())[0]
    except ValueError:
        raise Problem(f"TLS_CERTIFICATE: {site.certificate} has no certificate in PEM form.") from None
    try:
        key = serialization.load_pem_private_key(site.key.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Problem(f"TLS_KEY: {site.key} has no private key in PEM form without a password.") from None
    if key.public_key().public_bytes(*_PUBLIC) != certificate.public_key().public_bytes(*_PUBLIC):
        raise Problem(
            "TLS_KEY is not the key of TLS_CERTIFICATE. The file's first certificate must be that of the site, before "
            "those of its authority."
        )
    warnings = []
    end = certificate.not_valid_after_utc
    if end < datetime.datetime.now(datetime.UTC):
        warnings.append(
            f"The certificate in {site.certificate} expired on {end:%Y-%m-%d}: clients refuse it until you replace it."
        )
    names = _names(certificate)
    if not any(_covers(name, site.host) for name in names):
        warnings.append(
            f"The certificate in {site.certificate} is for {', '.join(names) or 'no host'}, not for {site.host}: "
            "clients refuse it."
        )
    return warnings


def _names(certificate: x509.Certificate) -> list[str]:
    """The host names and IP addresses that the certificate is for (RFC 9525, 6; the common name does not count)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of the host; ``*`` stands for one label (RFC 9525, 6.3)."""
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        pass
    name, host = name.lower(), host.lower()
    first, _dot, rest = host.partition(".")
    return name == host or (bool(first and rest) and name == f"*.{rest}")
