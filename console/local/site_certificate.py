"""Check the certificate in ``TLS_CERTIFICATE`` and its key in ``TLS_KEY``: at the start, and when they have changed."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from console.installation.site import Site
from console.local.problems import Problem

_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
# Names of a certificate in a warning.
_MOST_NAMES = 5


def check(site: Site | None, hosts: Collection[str]) -> list[str]:
    """Warnings about a certificate that clients will not accept, as sentences; none without such files.

    Only the first certificate of the file is read: those after it are its authority's, which the edge passes on.

    :param hosts: the host names and IP addresses that clients use.
    :raises Problem: when the edge could not use the files: no certificate, no key, or the key of another certificate.
    """
    if site is None or site.certificate is None or site.key is None:
        return []
    file = site.certificate
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        public = certificate.public_key()
    except _UNREADABLE:
        raise Problem(
            f"TLS_CERTIFICATE: {file} is not a certificate in PEM form. openssl x509 -inform der converts a DER file."
        ) from None
    try:
        key = serialization.load_pem_private_key(site.key.read_bytes(), None)
    except _UNREADABLE:
        raise Problem(
            f"TLS_KEY: {site.key} is not a private key in PEM form without a password. openssl pkey removes one."
        ) from None
    if _encoded(key.public_key()) != _encoded(public):
        raise Problem(
            f"TLS_KEY ({site.key}) does not belong to the first certificate in TLS_CERTIFICATE ({file}). "
            "Put the site's own certificate first, then its chain."
        )
    return [*_about_time(file, certificate), *_about_names(file, certificate, hosts)]


def _encoded(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(*_PUBLIC)


def _about_time(file: Path, certificate: x509.Certificate) -> list[str]:
    now = datetime.datetime.now(datetime.UTC)
    if (end := certificate.not_valid_after_utc) < now:
        return [f"The certificate in {file} expired on {end:%Y-%m-%d}: clients refuse it until you replace it."]
    if (begin := certificate.not_valid_before_utc) > now:
        return [
            f"The certificate in {file} is valid from {begin:%Y-%m-%d %H:%M} UTC on: clients refuse it until then. "
            "Check this machine's clock."
        ]
    return []


def _about_names(file: Path, certificate: x509.Certificate, hosts: Collection[str]) -> list[str]:
    try:
        names, addresses = _names(certificate)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return [f"The host names of the certificate in {file} cannot be read: clients may refuse it."]
    missing = sorted(host for host in hosts if not _covers(names, addresses, host))
    if not missing:
        return []
    every = [*names, *addresses]
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return [
        f"The certificate in {file} is for {', '.join(every[:_MOST_NAMES]) or 'no host'}{more}, not for "
        f"{', '.join(missing)}: clients refuse it there. Get a certificate for that name, or use one of its names."
    ]


def _names(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """The host names and the IP addresses that the certificate is for (RFC 9525, 6; the common name does not count)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    return found.get_values_for_type(x509.DNSName), [str(one) for one in found.get_values_for_type(x509.IPAddress)]


def _covers(names: Collection[str], addresses: Collection[str], host: str) -> bool:
    """Whether a certificate is for the host; ``*`` stands for one label of a name (RFC 9525, 6.3)."""
    try:
        return str(ipaddress.ip_address(host)) in addresses
    except ValueError:
        pass
    host = host.lower().rstrip(".")
    rest = host.partition(".")[2]
    return bool({host, f"*.{rest}"} & {name.lower() for name in names})
