"""URL path converter for official images."""

from __future__ import annotations

from console.official_images.models import NAME_PATTERN


class OfficialImageConverter:
    """An official image's name: one component, because all are in ``library/``."""

    regex = NAME_PATTERN.strip("^$")

    def to_python(self, value: str) -> str:
        """The name, unchanged."""
        return value

    def to_url(self, value: str) -> str:
        """The name, unchanged."""
        return value
