#!/usr/bin/env python
"""Django's command line for My Images."""

import os
import sys
from importlib import import_module
from pathlib import Path

from console.installation.version import VERSION


def main() -> None:
    """Run a management command, with the checkout's own virtual environment when Django is not importable.

    ``version`` is answered here: Django takes that word for a question about itself, before it looks for a command.
    """
    if sys.argv[1:] in (["version"], ["--version"]):
        print(VERSION)  # noqa: T201
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    # Keys, e-mails and backups that a command writes are for the user who runs it alone.
    os.umask(0o077)
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        own_python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
        if not own_python.exists() or Path(sys.prefix) == own_python.parent.parent:
            raise
        os.execv(own_python, [str(own_python), *sys.argv])  # noqa: S606
    from console.audit.origin import command, set_origin

    _load_settings()
    set_origin(command())
    execute_from_command_line(sys.argv)


def _load_settings() -> None:
    """Read the environment and the keys; what is wrong with them is one sentence on standard error, and exit code 1."""
    from console.installation.environment import EnvironmentProblem

    try:
        import_module(os.environ["DJANGO_SETTINGS_MODULE"])
    except EnvironmentProblem as problem:
        sys.exit(f"{problem}")
    except OSError as problem:
        sys.exit(
            f"DATA_DIR cannot be used ({problem.filename}: {problem.strerror}). Run this command as the user "
            "who runs make run, with the same DATA_DIR and other variables."
        )


if __name__ == "__main__":
    main()
