"""Validated types for names in a registry's URLs: repository, tag, digest.

The grammar is that of Distribution's ``reference`` package; for digests only algorithms that this client can verify.
Each type is a subclass of ``str``.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, Self

from registry_client.errors import InvalidName

if TYPE_CHECKING:
    from hashlib import _Hash

COMPONENT_PATTERN: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY_PATTERN: Final = rf"{COMPONENT_PATTERN}(?:/{COMPONENT_PATTERN})*"
REPOSITORY_MAX_LENGTH: Final = 255
TAG_PATTERN: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
DIGEST_PATTERN: Final = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"

_REPOSITORY = re.compile(REPOSITORY_PATTERN)
_TAG = re.compile(TAG_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Repository(str):
    """A repository's name: lower-case components between slashes, at most 255 characters, without host."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Validate ``value``.

        :raises InvalidName: when it is invalid.
        """
        if not isinstance(value, str) or len(value) > REPOSITORY_MAX_LENGTH or not _REPOSITORY.fullmatch(value):
            raise InvalidName(f"{_shown(value)} is not a repository's name")
        return super().__new__(cls, value)


class Tag(str):
    """A tag: 1 to 128 letters, digits, ``_``, ``.`` and ``-``, not beginning with ``.`` or ``-``."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Validate ``value``.

        :raises InvalidName: when it is invalid.
        """
        if not isinstance(value, str) or not _TAG.fullmatch(value):
            raise InvalidName(f"{_shown(value)} is not a tag")
        return super().__new__(cls, value)


class Digest(str):
    """A digest, ``algorithm:hex``, of an algorithm that can be verified (SHA-256 or SHA-512)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Validate ``value``.

        :raises InvalidName: when it is invalid.
        """
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise InvalidName(f"{_shown(value)} is not a digest")
        return super().__new__(cls, value)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of ``content``."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hash, in lower-case hexadecimal digits."""
        return self.partition(":")[2]

    def hasher(self) -> _Hash:
        """A new hash object of this digest's algorithm; compare it with :meth:`is_of`."""
        return hashlib.new(self.algorithm)

    def is_of(self, content: bytes | _Hash) -> bool:
        """Whether this is the digest of ``content``, given as bytes or as a hash object."""
        hasher = hashlib.new(self.algorithm, content) if isinstance(content, bytes) else content
        return hasher.hexdigest() == self.hex


def check_repository(value: str) -> Repository:
    """Validate a repository's name.

    :raises InvalidName: when it is not one.
    """
    return Repository(value)


def check_tag(value: str) -> Tag:
    """Validate a tag.

    :raises InvalidName: when it is not one.
    """
    return Tag(value)


def check_digest(value: str) -> Digest:
    """Validate a digest.

    :raises InvalidName: when it is not one, or one of an algorithm that cannot be verified.
    """
    return Digest(value)


def is_digest(value: str) -> bool:
    """Whether ``value`` is a digest that can be verified."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def check_reference(value: str) -> Tag | Digest:
    """Validate a reference (after ``/manifests/``): a digest or a tag. Tags have no colon, so this is unambiguous.

    :raises InvalidName: when it is neither.
    """
    if isinstance(value, str) and ":" in value:
        return Digest(value)
    return Tag(value)
