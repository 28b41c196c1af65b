"""The edge's logs: its own errors, and the access log in ``DATA_DIR/log`` (Caddy, "logging")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.installation.logs import SECRET_PATHS

NAME = "access.log"
# How many files share the total. Two more than are there usually: the newest is full before another begins, and the
# oldest is removed after it.
FILES = 10
_SPARE = 3
# Days after which a file is removed, however small the log is: it has people's addresses.
DAYS = 90
_LOGGER = "http.log.access"

# Only errors, and nothing that a request says: it may be a secret.
_ERRORS = {
    "level": "ERROR",
    "exclude": [_LOGGER],
    "writer": {"output": "stderr"},
    "encoder": {
        "format": "filter",
        "wrap": {"format": "console", "time_key": "", "level_key": "", "stacktrace_key": ""},
        "fields": {"request": {"filter": "delete"}, "err_trace": {"filter": "delete"}},
    },
}
# Headers have passwords, tokens and cookies; the others say nothing that is needed.
_LEFT_OUT = (
    "request>headers", "request>tls", "request>remote_ip", "request>remote_port", "resp_headers", "user_id",
)  # fmt: skip
_PATHS = [
    *({"regexp": rf"({path})[^/?\s]+", "value": "${1}…"} for path in SECRET_PATHS),
    # Search texts, states of uploads and tokens are in queries.
    {"regexp": r"\?.*", "value": ""},
]


def logs(folder: Path, megabytes: int) -> dict[str, Any]:
    """The logs of the configuration.

    :param folder: where the access log is.
    :param megabytes: of all its files together; 0 for none.
    """
    found: dict[str, Any] = {"default": _ERRORS}
    if megabytes:
        found["access"] = _access(folder, megabytes)
    return {"logs": found}


def _access(folder: Path, megabytes: int) -> dict[str, Any]:
    """One line of JSON for each request, when its answer has been sent."""
    largest = max(1, megabytes // FILES)
    return {
        "include": [_LOGGER],
        "level": "INFO",
        "writer": {
            "output": "file",
            "filename": str(folder / NAME),
            "mode": "0600",
            "roll": True,
            "roll_size_mb": largest,
            "roll_gzip": False,
            "roll_keep": max(1, megabytes // largest - _SPARE),
            "roll_keep_days": DAYS,
        },
        "encoder": {
            "format": "filter",
            "wrap": {
                "format": "json",
                "time_key": "time",
                "time_format": "rfc3339_nano",
                "level_key": "",
                "name_key": "",
                "message_key": "",
            },
            "fields": {
                **{field: {"filter": "delete"} for field in _LEFT_OUT},
                "request>uri": {"filter": "multi_regexp", "operations": _PATHS},
            },
        },
    }
