#!/usr/bin/env python
"""Django's command line for My Images."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run a management command, with the checkout's own virtual environment when Django is not importable."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        own_python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
        if not own_python.exists() or Path(sys.prefix) == own_python.parent.parent:
            raise
        os.execv(own_python, [str(own_python), *sys.argv])  # noqa: S606
    from console.audit.origin import command, set_origin

    set_origin(command())
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
