"""What every template may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """The registry's address, as people type it."""
    return {"registry_address": settings.REGISTRY_ADDRESS}
