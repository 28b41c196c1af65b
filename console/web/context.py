"""Template context processor for all pages."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from console.installation.version import VERSION


def site(request: HttpRequest) -> dict[str, Any]:
    """The registry's address for ``docker login``, and the version of My Images."""
    return {"registry_address": settings.REGISTRY_ADDRESS, "console_version": VERSION}
