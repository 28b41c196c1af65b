"""Credentials of one import: stored encrypted until the job has used them, an hour at most.

A job's arguments can be read by whoever reads the queue, and the worker is another process than the one that got them.
So they lie beside the transfer, encrypted with a key that comes from ``SECRET_KEY`` and is not in the database.
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
    """They were there and are not kept any longer."""


def _fernet() -> Fernet:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"my-images: credentials of an import")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.SECRET_KEY.encode())))


def keep(transfer: Transfer, username: str, password: str) -> None:
    """Keep them for ``transfer`` until it ends, for an hour at most."""
    # The number inside keeps what was sealed for one transfer from being used for another.
    content = json.dumps([transfer.pk, username, password]).encode()
    Credentials.objects.create(transfer=transfer, sealed=_fernet().encrypt(content), expires_at=timezone.now() + LIFE)


def of(transfer: Transfer) -> tuple[str, str] | None:
    """User name and password for ``transfer``; ``None`` when it was asked for without.

    :raises Expired: when it was asked for with some that are gone by now, or cannot be read any more.
    """
    if not transfer.with_credentials:
        return None
    kept = Credentials.objects.filter(transfer=transfer, expires_at__gt=timezone.now()).first()
    if kept is None:
        raise Expired
    try:
        content = _fernet().decrypt(bytes(kept.sealed), ttl=int(LIFE.total_seconds()))
    except InvalidToken:
        raise Expired from None
    number, username, password = json.loads(content)
    if number != transfer.pk:
        raise Expired
    return username, password


def forget(transfer_id: int) -> None:
    """Remove those of a transfer that has ended."""
    Credentials.objects.filter(transfer_id=transfer_id).delete()


def forget_expired() -> None:
    """Remove all whose time is over."""
    Credentials.objects.filter(expires_at__lte=timezone.now()).delete()
