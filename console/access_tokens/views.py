"""Pages for listing, creating and revoking access tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import F, IntegerField
from django.db.models.expressions import OrderBy
from django.db.models.functions import Cast
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from console.access import quotas
from console.access_tokens import services as access_tokens
from console.access_tokens.choices import add_choices, with_choices
from console.access_tokens.expiry import notice_for
from console.access_tokens.forms import AccessTokenForm
from console.accounts.models import AccessToken
from console.accounts.requests import Request
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, came_from, dialog, go, page
from console.web.sorting import sorting

COLUMNS = {
    "name": "name",
    # Fewest permissions first.
    "access": (
        Cast("can_push", IntegerField()) + Cast("can_delete", IntegerField()) + Cast("can_manage", IntegerField())
    ),
    "expires": OrderBy(F("expires_at"), nulls_last=True),
    "used": OrderBy(F("last_used_at"), nulls_first=True),
    "created": "created_at",
}


@require_GET
@activated
def listing(request: Request) -> HttpResponse:
    """List the account's access tokens."""
    sort, order = sorting(request.GET, COLUMNS, "-created")
    rows = paged(with_choices(AccessToken.objects.visible_to(request.user)).order_by(*order), request.GET)
    add_choices(rows, request.user)
    context = {
        "rows": rows,
        "sort": sort,
        "used": rows.paginator.count,
        "allowed": settings.MOST_ACCESS_TOKENS,
        "refusal": quotas.refuse_access_token(rows.paginator.count),
        "expiring": notice_for(AccessToken.objects.visible_to(request.user), timezone.now(), request.path),
        "credential": request.user.registry_credential,
        "section": "access-tokens",
    }
    return page(request, "accounts/access_tokens.html", context, part="list")


@never_cache
@require_http_methods(["GET", "POST"])
@activated
def create(request: Request) -> HttpResponse:
    """Create an access token. Only this response contains the secret: no URL, session or other response does."""
    form = AccessTokenForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            token, secret = access_tokens.create(
                request.user,
                data["name"],
                can_push=data["can_push"],
                can_delete=data["can_delete"],
                namespaces=data["namespaces"],
                images=data["images"],
                expires_at=data["expires_at"],
            )
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            context: dict[str, Any] = {
                "token": token,
                "secret": secret,
                "credential": request.user.registry_credential,
                "cancel": reverse("access-tokens"),
                "section": "access-tokens",
            }
            response = dialog(request, "accounts/access_token_created.html", _("Access token created"), context)
            return trigger_client_event(response, "list-changed", after="settle")
    context = {
        "form": form,
        "refusal": quotas.refuse_access_token(AccessToken.objects.visible_to(request.user).count()),
        "cancel": reverse("access-tokens"),
        "section": "access-tokens",
    }
    return dialog(
        request, "accounts/access_token_create.html", _("Create access token"), context, invalid=bool(form.errors)
    )


@require_http_methods(["GET", "POST"])
@activated
def revoke(request: Request, pk: int) -> HttpResponse:
    """Revoke an access token, or remove one that is expired."""
    token = get_object_or_404(AccessToken.objects.visible_to(request.user), pk=pk)
    expired = token.expired
    if request.method == "POST":
        access_tokens.revoke(token)
        text = _("Removed the access token “%s”.") if expired else _("Revoked the access token “%s”.")
        messages.success(request, text % token)
        return go(request, came_from(request, reverse("access-tokens")))
    context = {
        "token": token,
        "minutes": -(-(settings.TOKEN_SECONDS + settings.REGISTRY_CLOCK_SKEW_SECONDS) // 60),
        "cancel": reverse("access-tokens"),
        "section": "access-tokens",
    }
    title = _("Remove access token") if expired else _("Revoke access token")
    return dialog(request, "accounts/access_token_revoke.html", title, context)
