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
    """The CRC-32 of ``text`` in base 62, as long for all."""
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
    """Whether ``text`` is the secret of an access token by its looks; nobody is asked whether there is such a token."""
    return bool(_SECRET.fullmatch(text)) and text.endswith(_checksum(text[:-_CHECKSUM_LENGTH]))


def hash_secret(secret: str) -> str:
    """What is stored of a secret: its SHA-256 in hexadecimal digits.

    Slow hashes with salt are for what people think up. This has 256 random bits, so there is nothing to try through,
    and a token is found by its hash in one step.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
