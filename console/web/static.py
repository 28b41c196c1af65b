"""Storage of static files: hashed names, compression, one style sheet for the pages and one for the administration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage

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


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names files by their hash, compresses them, and joins the style sheets of ``SHEETS``.

    A browser paints nothing before it has every style sheet, and one file loads sooner than many.
    """

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Any:
        """See Django's ``ManifestFilesMixin``."""
        if not dry_run:
            for sheet, sources in SHEETS.items():
                parts = [_read(*paths[source]) for source in sources]
                Path(self.path(sheet)).write_text("\n".join(parts), encoding="utf-8")
                paths[sheet] = (self, sheet)
        return super().post_process(paths, dry_run=dry_run, **options)


def _read(storage: Any, path: str) -> str:
    """Read a source style sheet: the collected copy may be from another version."""
    with storage.open(path) as file:
        return str(file.read().decode())
