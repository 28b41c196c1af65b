"""Access to the administration: requires a session, and a second factor if that is configured."""

from __future__ import annotations

from django.http import HttpRequest

from console.access.sign_in import refuse_administration
from console.login import sign_in
from console.web import administration


class Administration(administration.Administration):
    """The ``AdminSite`` that also checks the sign-in methods of the session."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the user may open pages of the administration."""
        return super().has_permission(request) and not refuse_administration(sign_in.ways(request))
