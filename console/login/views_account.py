"""Pages of the account, its name and its console password."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts import email_changes, preferences, services
from console.accounts.forms import ChangePasswordForm, NameForm, PreferencesForm, ResetPasswordForm
from console.accounts.models import Theme
from console.accounts.requests import Request
from console.audit.middleware import client_address
from console.login.sign_in import inside
from console.repositories import quotas
from console.throttling import guesses
from console.throttling.guesses import PASSWORD_RESET, Attempt
from console.throttling.hashing import TryAgainLater
from console.web.rendering import dialog, go, page, signed_in


def with_status(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Set status 429 (RFC 6585, 4) if the request was rate limited."""
    later: TryAgainLater | None = getattr(request, "later", None)
    if later is not None:
        response.status_code = 429
        response["Retry-After"] = str(later.seconds)
    return response


def with_passwords(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """View decorator: 404 if passwords are disabled, or the account has none."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        account = request.user
        if not (settings.LOCAL_ACCOUNTS if account.is_anonymous else account.signs_in_with_password):
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


class ChangePassword(auth.PasswordChangeView):
    """Change the console password."""

    template_name = "accounts/password_change.html"
    form_class = ChangePasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """Add the request, for the client's address."""
        return {**super().get_form_kwargs(), "request": self.request}

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show what is wrong."""
        return with_status(self.request, super().form_invalid(form))


class ResetPassword(auth.PasswordResetView):
    """Request a password-reset e-mail.

    Behaves the same whether an account has the address or not (user enumeration): a job sends the e-mail, if any.
    """

    template_name = "accounts/password_reset.html"
    form_class = ResetPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Queue the e-mail, unless rate limited."""
        try:
            guesses.count_request(
                Attempt(PASSWORD_RESET, form.cleaned_data["email"].casefold(), client_address(self.request))
            )
        except TryAgainLater as later:
            self.request.later = later  # type: ignore[attr-defined]
            form.add_error(None, _("Too many password-reset e-mails were requested. Try again in a few minutes."))
            return with_status(self.request, self.form_invalid(form))
        form.queue_password_reset()
        return HttpResponseRedirect(self.get_success_url())


@require_GET
@signed_in
def account(request: Request) -> HttpResponse:
    """The account's profile: name, e-mail, preferences, registry user name, quotas."""
    return _profile(request, PreferencesForm(request.user))


def _profile(request: Request, form: PreferencesForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "change": email_changes.pending(request.user),
        "quota": quotas.quota(request.user),
        "credential": request.user.registry_credential,
        "section": "account",
    }
    return page(request, "accounts/account.html", context, status=status)


@require_POST
@signed_in
def change_preferences(request: Request) -> HttpResponse:
    """Change the theme, the time zone and the language."""
    form = PreferencesForm(request.user, request.POST)
    if not form.is_valid():
        return _profile(request, form, status=422)
    preferences.change(request.user, **form.cleaned_data)
    messages.success(request, _("Saved your preferences."))
    return go(request, reverse("account"))


@require_POST
@signed_in
def theme(request: Request) -> HttpResponse:
    """Change the theme, by the switch in the account's menu; back to the page that it was pressed on.

    :raises BadRequest: for a theme that does not exist.
    """
    chosen = request.POST.get("theme", "")
    if chosen not in Theme.values:
        raise BadRequest
    preferences.change(request.user, theme=chosen)
    if request.htmx:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return HttpResponseRedirect(inside(request, request.headers.get("Referer")) or reverse("account"))


@require_http_methods(["GET", "POST"])
@signed_in
def rename(request: Request) -> HttpResponse:
    """Change the account's name."""
    form = NameForm(request.POST or None, initial={"name": request.user.name})
    if request.method == "POST" and form.is_valid():
        services.rename(request.user, form.cleaned_data["name"])
        messages.success(request, _("Changed the name."))
        return go(request, reverse("account"))
    context = {"form": form, "section": "account"}
    return dialog(request, "accounts/rename.html", _("Change name"), context, invalid=bool(form.errors))
