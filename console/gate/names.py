"""Names in the addresses of the registry's API."""

from __future__ import annotations

from http import HTTPStatus

from console.gate.errors import ProtocolError
from registry_client import Digest, InvalidName, Repository, check_digest, check_reference, check_repository


def repository_name(text: str) -> Repository:
    """Validate a repository's name.

    :raises ProtocolError: 400 ``NAME_INVALID``.
    """
    try:
        return check_repository(text)
    except InvalidName as error:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "NAME_INVALID", _sentence(error)) from None


def reference_name(text: str) -> str:
    """Validate a tag or a digest.

    :raises ProtocolError: 400 ``DIGEST_INVALID``, or ``MANIFEST_INVALID`` for a tag.
    """
    try:
        return check_reference(text)
    except InvalidName as error:
        code = "DIGEST_INVALID" if ":" in text else "MANIFEST_INVALID"
        raise ProtocolError(HTTPStatus.BAD_REQUEST, code, _sentence(error)) from None


def digest_name(text: str) -> Digest:
    """Validate a digest.

    :raises ProtocolError: 400 ``DIGEST_INVALID``.
    """
    try:
        return check_digest(text)
    except InvalidName as error:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", _sentence(error)) from None


def _sentence(error: InvalidName) -> str:
    return f"{error.message}."
