"""The site object of the administration."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.views.decorators.http import require_http_methods


class Administration(AdminSite):
    """Django's, but that it says of a method that nothing there takes that it is not allowed.

    Django's would take a ``PUT`` or a ``DELETE`` for a ``GET``.
    """

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """``view`` for administrators."""
        return require_http_methods(["GET", "HEAD", "POST"])(super().admin_view(view, cacheable))
