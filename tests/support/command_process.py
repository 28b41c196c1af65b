"""A process that runs management commands of many installations: starting Django takes longer than most commands.

Each command loads the settings from the variables that it is given, as ``manage.py`` does.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence

from console.installation.environment import BASE_DIR


class CommandProcess:
    """Runs one command after another in a process that starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
        """Run a management command; returns the exit code and the output."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.support.command_process"],
                cwd=BASE_DIR,
                env={**os.environ, **variables, "DJANGO_SETTINGS_MODULE": "console.settings"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([arguments, dict(variables)]) + "\n")
        self._process.stdin.flush()
        code, output = json.loads(self._process.stdout.readline())
        return code, output

    def stop(self) -> None:
        """End the process, if it was started."""
        if self._process is not None:
            self._process.communicate(timeout=30)
            self._process = None


def _serve() -> None:
    # Replies alone go to standard output: what programs of a command print goes to standard error.
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)
        for line in sys.stdin:
            arguments, variables = json.loads(line)
            os.environ.update(variables)
            print(json.dumps(_run(arguments)), file=replies, flush=True)


def _run(arguments: list[str]) -> tuple[int, str]:
    from django.core.management import execute_from_command_line

    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            _load_settings()
            execute_from_command_line(["manage.py", *arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except Exception:
            traceback.print_exc()
            code = 1
    return code, output.getvalue().strip()


def _load_settings() -> None:
    """Load the settings from the environment once more, and forget the database of the last command."""
    import django
    from django.conf import settings
    from django.db import connections

    module = importlib.reload(importlib.import_module("console.settings"))
    for name in filter(str.isupper, dir(module)):
        setattr(settings, name, getattr(module, name))
    django.setup()
    from django.contrib.contenttypes.models import ContentType

    ContentType.objects.clear_cache()
    connections["default"].close()
    connections["default"].settings_dict.update(settings.DATABASES["default"])


if __name__ == "__main__":
    from console.audit.origin import command, set_origin

    # As manage.py does.
    os.umask(0o077)
    set_origin(command())
    _serve()
