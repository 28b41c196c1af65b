"""The page that shows the screenshots, and the report beside it."""

from __future__ import annotations

import json
from pathlib import Path

PAGE = Path(__file__).with_name("gallery.html")


def write(folder: Path, state: str, findings: list[str]) -> None:
    """Write ``index.html`` and ``report.txt``.

    :param findings: sentences about a state, in place of the earlier ones about it.
    """
    report = folder / "report.txt"
    earlier = report.read_text().splitlines() if report.exists() else []
    lines = [line for line in earlier if not line.startswith(f"{state} ")] + findings
    report.write_text("".join(f"{line}\n" for line in lines))
    pictures = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.png"))
    data = json.dumps({"pictures": pictures, "findings": lines}).replace("</", "<\\/")
    (folder / "index.html").write_text(PAGE.read_text().replace("{{ data }}", data))
