"""Check the place of an upload's chunk in its blob (OCI distribution specification, "Pushing a blob in chunks").

Distribution 2.8 ignores ``Content-Range`` and appends every chunk. How many bytes the upload has is in the upload's
address, signed by the registry (``_state``): a client that changes it is refused there.
"""

from __future__ import annotations

import base64
import json
import re
from http import HTTPStatus

from console.gate.errors import ProtocolError

# Some clients write it as RFC 9110, 14.4 has it.
_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?")
# Bytes of the signature before the state's JSON.
_SIGNATURE = 32


def check_chunk(content_range: str, length: int | None, state: str) -> None:
    """Check that a chunk begins where the upload ends.

    :param content_range: positions of the chunk's first and last byte in the blob, such as ``0-1023``.
    :param length: of the chunk in bytes; ``None`` when it is not stated.
    :param state: from the query of the upload's address.
    :raises ProtocolError: 400 for a range that is none, or not that of the chunk; 416 out of order.
    """
    if length == 0:
        return  # nothing is appended
    found = _RANGE.fullmatch(content_range)
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if last < first:
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST,
            "BLOB_UPLOAD_INVALID",
            "Content-Range must have the positions of the chunk’s first and last byte, such as 0-1023.",
        )
    if length is not None and last - first + 1 != length:
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST,
            "SIZE_INVALID",
            f"Content-Range is that of {last - first + 1} bytes, but the chunk has {length}.",
        )
    offset = _offset(state)
    if offset is not None and first != offset:
        raise ProtocolError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "BLOB_UPLOAD_INVALID",
            f"The upload has {offset} bytes so far: the next chunk begins at {offset}, not at {first}.",
            headers={"Range": f"0-{max(offset - 1, 0)}"},
        )


def _offset(state: str) -> int | None:
    """How many bytes an upload has; ``None`` for a state that only the registry can refuse."""
    try:
        document = json.loads(base64.urlsafe_b64decode(state)[_SIGNATURE:])
    except (ValueError, RecursionError):
        return None
    offset = document.get("Offset") if isinstance(document, dict) else None
    return offset if type(offset) is int and offset >= 0 else None
