"""Signing in, and one's own account."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console import policy
from console.pages.rendering import Request, page, signed_in


@require_GET
@signed_in
def account(request: Request) -> HttpResponse:
    """Who one is here: Account ID, user name for the registry, quotas."""
    context = {"quota": policy.quota(request.user), "credential": request.user.registry_credential}
    return page(request, "accounts/account.html", context)
