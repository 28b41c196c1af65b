"""Credentials of one import: stored encrypted until the job has used them, for an hour at most.

The worker is another process, and a job's arguments are readable in the queue. So the credentials are in a table,
encrypted with a key derived from ``SECRET_KEY``, which is not in the database.
"""

from __future__ import annotations

import base64
import datetime
import json

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils import timezone

from console.imports.models import Credentials, Transfer

LIFE = datetime.timedelta(hours=1)
# Characters of a user name, and of a password.
LONGEST_CREDENTIAL = 4096


class Expired(Exception):
    """The credentials have expired, or cannot be decrypted."""


def _fernet() -> Fernet:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"my-images: credentials of an import")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))


def keep(transfer: Transfer, username: str, password: str) -> None:
    """Store credentials for ``transfer`` until it ends, for an hour at most."""
    # The transfer's ID is encrypted with them, so that a row cannot be used for another transfer.
    content = json.dumps([transfer.pk, username, password]).encode()
    Credentials.objects.create(transfer=transfer, sealed=_fernet().encrypt(content), expires_at=timezone.now() + LIFE)


def of(transfer: Transfer) -> tuple[str, str] | None:
    """User name and password for ``transfer``; ``None`` if it has none.

    :raises Expired: when they have expired, or cannot be decrypted any more.
    """
    if not transfer.with_credentials:
        return None
    stored = Credentials.objects.filter(transfer=transfer, expires_at__gt=timezone.now()).first()
    if stored is None:
        raise Expired
    try:
        content = _fernet().decrypt(bytes(stored.sealed), ttl=int(LIFE.total_seconds()))
    except InvalidToken:
        raise Expired from None
    number, username, password = json.loads(content)
    if number != transfer.pk:
        raise Expired
    return username, password


def forget(transfer_id: int) -> None:
    """Delete the credentials of a transfer that has ended."""
    Credentials.objects.filter(transfer_id=transfer_id).delete()


def forget_expired() -> None:
    """Delete all expired credentials."""
    Credentials.objects.filter(expires_at__lte=timezone.now()).delete()
