"""Storage of static files: hashed names, compression, one style sheet."""

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


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names files by their hash, compresses them, and joins all style sheets into one.

    A browser paints nothing before it has every style sheet, and one file loads sooner than many.
    """

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Any:
        """See Django's ``ManifestFilesMixin``."""
        if not dry_run:
            parts = [_read(*paths[f"css/{name}.css"]) for name in STYLES]
            Path(self.path(STYLE_SHEET)).write_text("\n".join(parts), encoding="utf-8")
            paths[STYLE_SHEET] = (self, STYLE_SHEET)
        return super().post_process(paths, dry_run=dry_run, **options)


def _read(storage: Any, path: str) -> str:
    """Read a source style sheet: the collected copy may be from another version."""
    with storage.open(path) as file:
        return str(file.read().decode())
