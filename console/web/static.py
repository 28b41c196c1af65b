"""Static files: hashed names, compression, one style sheet for the pages and one for the administration.

The edge serves them, not Django.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import brotli
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

# In cascade order: later rules win.
STYLES = (
    "tokens", "base", "layout", "components", "menus", "dialogs", "forms", "tables", "tags", "details", "overview",
    "cards", "help", "search",
)  # fmt: skip
STYLE_SHEET = "css/site.css"
# The administration's, beside Django's and the pages' own.
ADMIN_STYLES = ("frame", "controls", "front", "filters", "lists", "audit", "forms")
ADMIN_STYLE_SHEET = "admin/css/site.css"
# The sources of each sheet.
SHEETS = {
    STYLE_SHEET: [f"css/{name}.css" for name in STYLES],
    ADMIN_STYLE_SHEET: [f"admin/css/site/{name}.css" for name in ADMIN_STYLES],
}
# Files that are compressed already, by the ends of their names.
_COMPRESSED = {".avif", ".br", ".gif", ".gz", ".jpeg", ".jpg", ".png", ".webp", ".woff", ".woff2", ".zip"}
# A compressed form that is not shorter than this share of the file is not worth it.
_WORTH = 0.95


class Storage(ManifestStaticFilesStorage):
    """Names files by their hash, compresses those, and joins the style sheets of ``SHEETS``.

    A browser paints nothing before it has every style sheet, and one file loads sooner than many.
    """

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        """See Django's ``ManifestFilesMixin``."""
        if not dry_run:
            for sheet, sources in SHEETS.items():
                parts = [_read(*paths[source]) for source in sources]
                Path(self.path(sheet)).write_text("\n".join(parts), encoding="utf-8")
                paths[sheet] = (self, sheet)
        hashed = set()
        for name, hashed_name, processed in super().post_process(paths, dry_run=dry_run, **options):
            if hashed_name and not isinstance(processed, Exception):
                hashed.add(Path(self.path(hashed_name)))
            yield name, hashed_name, processed
        # The compressors release the interpreter's lock.
        with ThreadPoolExecutor() as threads:
            list(threads.map(_compress, sorted(hashed)))


def _compress(file: Path) -> None:
    """Write the file's compressed forms beside it, where they are shorter."""
    if file.suffix.lower() in _COMPRESSED:
        return
    content = file.read_bytes()
    for end, packed in ((".br", brotli.compress(content)), (".gz", gzip.compress(content, 9, mtime=0))):
        if len(packed) <= _WORTH * len(content):
            file.with_name(f"{file.name}{end}").write_bytes(packed)


def _read(storage: Any, path: str) -> str:
    """Read a source style sheet: the collected copy may be from another version."""
    with storage.open(path) as file:
        return str(file.read().decode())
