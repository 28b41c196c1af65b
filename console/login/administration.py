"""Access to the administration: signed in as everywhere, and with a second factor where it is required."""

from __future__ import annotations

from django.http import HttpRequest

from console.access.sign_in import refuse_administration
from console.login import sign_in
from console.web import administration


class Administration(administration.Administration):
    """The site, which asks how somebody has signed in as well."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may look at any of its pages."""
        return super().has_permission(request) and not refuse_administration(sign_in.ways(request))
