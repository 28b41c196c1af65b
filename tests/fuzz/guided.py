"""Coverage-guided fuzzing, in a process of its own: libFuzzer takes a process over, and ends it.

``python -m tests.fuzz.guided FOLDER TARGET...`` loads the product once, with its parsers prepared to tell where they
branch, and begins a process for each target from there. In ``FOLDER/TARGET`` it finds ``flags`` (libFuzzer's, one on
each line), and leaves what is said, ``said``, and how it ended, ``result``.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import atheris

# Our parsers and the library that does the work for one of them; the rest of the product is loaded as it is.
INSTRUMENTED = [
    "console.registry.index.parse",
    "console.registry.index.views",
    "console.web.markdown",
    "console.web.keyset",
    "console.web.paging",
    "console.access.grants",
    "console.access.names",
    "console.access.scopes",
    "console.token_server.token_request",
    "console.imports.references",
    "markdown_it",
    "registry_client",
]


def main(folder: Path, names: list[str]) -> None:
    """Set Django up, which asks no database, and fuzz one target after another."""
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=INSTRUMENTED):
        import django

        django.setup()
        from tests.fuzz.targets import TARGETS
    for name in names:
        child = os.fork()
        if not child:
            said = os.open(folder / name / "said", os.O_WRONLY | os.O_CREAT)
            os.dup2(said, 1)
            os.dup2(said, 2)
            atheris.Setup([name, *(folder / name / "flags").read_text().splitlines()], TARGETS[name].run)
            atheris.Fuzz()
        _pid, status = os.waitpid(child, 0)
        (folder / name / "result").write_text(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
