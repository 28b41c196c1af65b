"""Pages for activation, and for changing the registry password."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from console.accounts.models import Account
from console.accounts.requests import Request
from console.activation import services
from console.activation.forms import ActivationForm, RegistryPasswordForm
from console.namespaces.models import Namespace
from console.web.rendering import add_errors, dialog, go, page, signed_in


def activation_page(request: Request, form: ActivationForm | None = None) -> HttpResponse:
    """The activation form, which My Images shows until the service is activated."""
    account = request.user
    if form is None:
        begun = account.registry_credential
        if begun is not None and "edit" not in request.GET:
            return redirect("activation-steps")
        form = ActivationForm(account, initial={"username": begun.username if begun else account.account_id})
    context = {"form": form, "section": "images"}
    status = 422 if form.errors else 200
    return page(request, "activation/activate.html", context, part="activation", status=status)


@require_http_methods(["GET", "POST"])
@signed_in
def activate(request: Request) -> HttpResponse:
    """Enable: store the input, then show the steps."""
    if request.method != "POST" or request.user.activated:
        return go(request, reverse("images"))
    form = ActivationForm(request.user, request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            services.enable(request.user, data["username"], data["password"], data["namespace"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            return go(request, reverse("activation-steps"))
    return activation_page(request, form)


@require_http_methods(["GET", "POST"])
@signed_in
def steps(request: Request) -> HttpResponse:
    """The steps of the initialization; ``POST`` runs the remaining ones."""
    if request.user.registry_credential is None:
        return redirect("images")
    report = services.finish(request.user) if request.method == "POST" else services.report(request.user)
    if report.done:
        if request.method == "POST":
            messages.success(request, _activated(request.user))
        return go(request, reverse("images"))
    return page(
        request,
        "activation/steps.html",
        {"report": report, "section": "images"},
        part="steps",
        partial="activation/_steps.html",
    )


def _activated(account: Account) -> str:
    """Message that the service is activated, with the next step for the user."""
    if Namespace.objects.owned_by(account).exists():
        return _("The service is activated. Next, create an image or push one.")
    return _("The service is activated. Next, create a namespace, then an image.")


@require_http_methods(["GET", "POST"])
@signed_in
def registry_password(request: Request) -> HttpResponse:
    """Reset the registry password; the old one becomes invalid immediately."""
    credential = request.user.registry_credential
    if credential is None or credential.activated_at is None:
        return go(request, reverse("images"))
    form = RegistryPasswordForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.reset_password(request.user, form.cleaned_data["password"])
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(request, _("The registry password was reset. The old one no longer works: log in again."))
            return go(request, reverse("images"))
    context = {"form": form, "credential": credential, "section": "images"}
    return dialog(request, "activation/registry_password.html", _("Reset password"), context, invalid=bool(form.errors))
