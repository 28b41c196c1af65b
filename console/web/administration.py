"""The ``AdminSite`` of the administration."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.views.decorators.http import require_http_methods


class Administration(AdminSite):
    """Django's ``AdminSite``, with 405 for other methods: Django handles a ``PUT`` or a ``DELETE`` like a ``GET``."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap a view: administrators only, and only GET, HEAD and POST."""
        return require_http_methods(["GET", "HEAD", "POST"])(super().admin_view(view, cacheable))
