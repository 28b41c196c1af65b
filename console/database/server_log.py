"""What the PostgreSQL server writes of our statements into its own log."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

# A statement that fails is logged as text from this level down, and our statements hold hashes of passwords.
_STATEMENT_LEVELS = {"log", "fatal", "panic"}


def settings_that_log_values() -> dict[str, str]:
    """The server's settings by which values of ours get into its log, each with what it should be.

    Empty where nothing does. Only a superuser of the database may change them, so they are the operator's to set.
    """
    wanted: dict[str, tuple[str, Callable[[str], bool]]] = {
        "log_min_error_statement": ("fatal", lambda value: value in _STATEMENT_LEVELS),
        "log_error_verbosity": ("terse", lambda value: value == "terse"),
        "log_statement": ("none", lambda value: value in {"none", "ddl"}),
        "log_min_duration_statement": ("-1", lambda value: value == "-1"),
        "log_parameter_max_length_on_error": ("0", lambda value: value in {"0", "0B"}),
    }
    with connection.cursor() as cursor:
        # A server that does not have a setting does not log by it.
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", [list(wanted)])
        present = dict(cursor.fetchall())
    return {name: value for name, (value, good) in wanted.items() if name in present and not good(present[name])}
