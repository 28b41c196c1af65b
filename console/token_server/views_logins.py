"""The page of Docker logins."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib import messages
from django.db.models import F
from django.db.models.expressions import OrderBy
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.requests import Request
from console.token_server import logins
from console.token_server.models import Login
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import came_from, dialog, go, page
from console.web.sorting import sorting

COLUMNS = {
    "client": "client",
    "created": "created_at",
    "used": OrderBy(F("last_used_at"), nulls_first=True),
}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """The list of the account's logins."""
    sort, order = sorting(request.GET, COLUMNS, "-created")
    context = {
        "rows": paged(Login.objects.visible_to(request.user).order_by(*order), request.GET),
        "sort": sort,
        "credential": request.user.registry_credential,
        "section": "logins",
    }
    return page(request, "tokens/logins.html", context, part="list")


@require_http_methods(["GET", "POST"])
@activated
def revoke(request: Request, pk: uuid.UUID) -> HttpResponse:
    """Revoke one login."""
    login = get_object_or_404(Login.objects.visible_to(request.user).select_related("account"), pk=pk)
    if request.method == "POST":
        logins.revoke(login)
        messages.success(request, _("Revoked the login “%s”.") % login)
        return go(request, came_from(request, reverse("logins")))
    context = {"login": login, "minutes": _minutes(), "section": "logins"}
    return dialog(request, "tokens/login_revoke.html", _("Revoke login"), context)


@require_http_methods(["GET", "POST"])
@activated
def revoke_all(request: Request) -> HttpResponse:
    """Revoke all logins."""
    if request.method == "POST":
        revoked = logins.revoke_all(request.user)
        notice = ngettext("Revoked %(count)d login.", "Revoked %(count)d logins.", revoked) % {"count": revoked}
        messages.success(request, notice)
        return go(request, came_from(request, reverse("logins")))
    context = {"minutes": _minutes(), "section": "logins"}
    return dialog(request, "tokens/logins_revoke.html", _("Revoke all logins"), context)


def _minutes() -> int:
    """For how many minutes a registry token that was issued before stays valid."""
    return -(-(settings.TOKEN_SECONDS + settings.REGISTRY_CLOCK_SKEW_SECONDS) // 60)
