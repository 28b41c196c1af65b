"""What may stand in the addresses of the Docker Hub pages."""

from __future__ import annotations

from console.official_images.models import NAME_PATTERN


class OfficialImageConverter:
    """An official image's name: one component, so that it is in ``library/`` and nowhere else."""

    regex = NAME_PATTERN.strip("^$")

    def to_python(self, value: str) -> str:
        """The name as it is."""
        return value

    def to_url(self, value: str) -> str:
        """The name as it is."""
        return value
