"""Checks which settings make the PostgreSQL server write values of our statements to its log."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

# With these levels a failed statement is not logged: our statements contain password hashes.
_STATEMENT_LEVELS = {"log", "fatal", "panic"}


def settings_that_log_values() -> dict[str, str]:
    """The server's settings that write our values to its log, each with the value that it should have; may be empty.

    Only a superuser of the database can change them, so the operator has to.
    """
    wanted: dict[str, tuple[str, Callable[[str], bool]]] = {
        "log_min_error_statement": ("fatal", lambda value: value in _STATEMENT_LEVELS),
        "log_error_verbosity": ("terse", lambda value: value == "terse"),
        "log_statement": ("none", lambda value: value in {"none", "ddl"}),
        "log_min_duration_statement": ("-1", lambda value: value == "-1"),
        "log_parameter_max_length_on_error": ("0", lambda value: value in {"0", "0B"}),
    }
    with connection.cursor() as cursor:
        # Older servers do not have all of these settings.
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", [list(wanted)])
        present = dict(cursor.fetchall())
    return {name: value for name, (value, good) in wanted.items() if name in present and not good(present[name])}
