"""Pages of a namespace's service accounts, and of their access tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import F
from django.db.models.expressions import OrderBy
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from console.access import quotas
from console.access_tokens.choices import add_choices, with_choices
from console.access_tokens.expiry import notice_for
from console.access_tokens.forms import AccessTokenForm
from console.access_tokens.views import COLUMNS as TOKEN_COLUMNS
from console.accounts.models import AccessToken
from console.accounts.requests import Request
from console.membership.models import ServiceAccount
from console.namespaces.models import Namespace
from console.service_accounts import services
from console.service_accounts.forms import DescriptionForm, ServiceAccountForm
from console.service_accounts.rows import with_use
from console.web.activated import activated
from console.web.paging import paged
from console.web.rendering import add_errors, came_from, dialog, go, page
from console.web.sorting import sorting

COLUMNS = {
    "name": "name",
    "role": OrderBy(F("role"), nulls_first=True),
    "tokens": "tokens",
    "used": OrderBy(F("last_used_at"), nulls_first=True),
    "created": "created_at",
}


@require_GET
@activated
def listing(request: Request, namespace: str) -> HttpResponse:
    """List the service accounts of a namespace, for its members."""
    own = get_object_or_404(Namespace.objects.allowing(request.user, "namespace.view"), name=namespace)
    sort, order = sorting(request.GET, COLUMNS, "name")
    rows = paged(with_use(own.service_accounts.all(), timezone.now()).order_by(*order), request.GET)
    count = rows.paginator.count
    context = {
        "namespace": own,
        "verbs": request.user.verbs_on(own),
        "rows": rows,
        "sort": sort,
        "used": count,
        "allowed": settings.MOST_SERVICE_ACCOUNTS,
        "refusal": quotas.refuse_service_account(count),
        "tab": "members",
        "section": "images",
    }
    return page(request, "service_accounts/list.html", context, part="list", frame="images/base_namespace.html")


@require_GET
@activated
def service_account(request: Request, namespace: str, service: str) -> HttpResponse:
    """A service account with its access tokens, for the owners of the namespace."""
    own = _manageable(request, namespace)
    row = get_object_or_404(with_use(own.service_accounts.all(), timezone.now()), name=service)
    sort, order = sorting(request.GET, TOKEN_COLUMNS, "-created")
    rows = paged(with_choices(AccessToken.objects.visible_to(row.account)).order_by(*order), request.GET)
    add_choices(rows, row.account)
    context = {
        "namespace": own,
        "verbs": request.user.verbs_on(own),
        "service": row,
        "rows": rows,
        "sort": sort,
        "used": rows.paginator.count,
        "allowed": settings.MOST_ACCESS_TOKENS,
        "refusal": quotas.refuse_access_token(rows.paginator.count),
        "expiring": notice_for(AccessToken.objects.visible_to(row.account), timezone.now(), request.path),
        "tab": "members",
        "section": "images",
    }
    return page(request, "service_accounts/one.html", context, part="list", frame="images/base_namespace.html")


@require_http_methods(["GET", "POST"])
@activated
def create(request: Request, namespace: str) -> HttpResponse:
    """Create a service account."""
    own = _manageable(request, namespace)
    form = ServiceAccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = services.create(request.user, own, data["name"], data["description"], data["role"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("Created the service account “%s”. Create an access token for it.") % made)
            return go(request, reverse("service-account", args=[own.name, made.name]))
    context = {
        "namespace": own,
        "form": form,
        "refusal": quotas.refuse_service_account(own.service_accounts.count()),
        "cancel": reverse("service-accounts", args=[own.name]),
        "section": "images",
    }
    template = "service_accounts/create.html"
    return dialog(request, template, _("Create Service Account"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@activated
def describe(request: Request, namespace: str, service: str) -> HttpResponse:
    """Change the description of a service account."""
    row = _service(request, namespace, service)
    place = reverse("service-account", args=[namespace, row.name])
    form = DescriptionForm(request.POST if request.method == "POST" else None, initial={"description": row.description})
    if request.method == "POST" and form.is_valid():
        try:
            services.describe(request.user, row, form.cleaned_data["description"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("Changed the description of “%s”.") % row)
            return go(request, place)
    context = {"namespace": row.namespace, "service": row, "form": form, "cancel": place, "section": "images"}
    return dialog(request, "service_accounts/describe.html", _("Edit Description"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@activated
def delete(request: Request, namespace: str, service: str) -> HttpResponse:
    """Delete a service account, with its access tokens and roles."""
    row = _service(request, namespace, service)
    place = reverse("service-accounts", args=[namespace])
    problem = ""
    if request.method == "POST":
        try:
            services.delete(request.user, row)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(request, _("Deleted the service account “%s”.") % row)
            return go(request, place)
    context = {
        "namespace": row.namespace,
        "service": row,
        "tokens": AccessToken.objects.visible_to(row.account).count(),
        "problem": problem,
        "cancel": reverse("service-account", args=[namespace, row.name]),
        "section": "images",
    }
    title = _("Delete Service Account")
    return dialog(request, "service_accounts/delete.html", title, context, invalid=bool(problem))


@never_cache
@require_http_methods(["GET", "POST"])
@activated
def create_token(request: Request, namespace: str, service: str) -> HttpResponse:
    """Create an access token of a service account. Only this response contains the secret."""
    row = _service(request, namespace, service)
    context: dict[str, Any] = {
        "namespace": row.namespace,
        "service": row,
        "cancel": reverse("service-account", args=[namespace, row.name]),
        "section": "images",
    }
    form = AccessTokenForm(row.account, request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        wanted = {name: data[name] for name in ("can_push", "can_delete", "namespaces", "images", "expires_at")}
        try:
            token, secret = services.create_token(request.user, row, data["name"], **wanted)
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            context |= {"token": token, "secret": secret, "credential": row.account.registry_credential}
            template = "service_accounts/token_created.html"
            response = dialog(request, template, _("Access token created"), context)
            return trigger_client_event(response, "list-changed", after="settle")
    context |= {
        "form": form,
        "refusal": quotas.refuse_access_token(AccessToken.objects.visible_to(row.account).count()),
    }
    template = "service_accounts/token_create.html"
    return dialog(request, template, _("Create access token"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@activated
def revoke_token(request: Request, namespace: str, service: str, pk: int) -> HttpResponse:
    """Revoke an access token of a service account, or remove one that is expired."""
    row = _service(request, namespace, service)
    token = get_object_or_404(AccessToken.objects.visible_to(row.account), pk=pk)
    place = reverse("service-account", args=[namespace, row.name])
    expired = token.expired
    if request.method == "POST":
        try:
            services.revoke_token(request.user, row, token)
        except ValidationError as problem:
            messages.error(request, " ".join(problem.messages))
        else:
            text = _("Removed the access token “%s”.") if expired else _("Revoked the access token “%s”.")
            messages.success(request, text % token)
        return go(request, came_from(request, place))
    context = {
        "namespace": row.namespace,
        "service": row,
        "token": token,
        "minutes": -(-(settings.TOKEN_SECONDS + settings.REGISTRY_CLOCK_SKEW_SECONDS) // 60),
        "cancel": place,
        "section": "images",
    }
    title = _("Remove access token") if expired else _("Revoke access token")
    return dialog(request, "service_accounts/token_revoke.html", title, context)


def _manageable(request: Request, namespace: str) -> Namespace:
    """The namespace, if the account may manage its members; 404 otherwise."""
    return get_object_or_404(Namespace.objects.allowing(request.user, "namespace.manage_members"), name=namespace)


def _service(request: Request, namespace: str, service: str) -> ServiceAccount:
    """The service account, if the account may manage the members of its namespace; 404 otherwise."""
    own = _manageable(request, namespace)
    rows = ServiceAccount.objects.select_related("account__credential", "namespace")
    return get_object_or_404(rows, namespace=own, name=service)
