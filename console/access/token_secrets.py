"""Secrets of access tokens: how they are made, recognised and hashed."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "myimg_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH, _CHECKSUM_LENGTH = 43, 6  # 62 ** 43 > 2 ** 256, 62 ** 6 > 2 ** 32
_SECRET = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")


def _checksum(text: str) -> str:
    """The CRC-32 of ``text`` in base 62, padded to a fixed length."""
    rest, digits = zlib.crc32(text.encode()), ""
    for _place in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def new_secret() -> str:
    """A secret with 256 random bits, beginning with ``PREFIX`` and ending in a checksum."""
    text = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_LENGTH))
    return text + _checksum(text)


def looks_like_secret(text: str) -> bool:
    """Whether ``text`` has the form and checksum of an access token's secret; the database is not queried."""
    return bool(_SECRET.fullmatch(text)) and text.endswith(_checksum(text[:-_CHECKSUM_LENGTH]))


def hash_secret(secret: str) -> str:
    """What is stored of a secret: its SHA-256 in hexadecimal digits.

    A slow, salted hash is for passwords, which can be guessed. This has 256 random bits, and is looked up by its hash.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
