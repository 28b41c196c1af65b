"""Signing in, and one's own account."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from console import policy
from console.accounts.forms import ChangePasswordForm, SignInForm
from console.guessing.hashing import Later
from console.pages.rendering import Request, page, signed_in


def _with_status(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """429 for a page that says that a password cannot be tried now (RFC 6585, 4)."""
    later: Later | None = getattr(request, "later", None)
    if later is not None:
        response.status_code = 429
        response["Retry-After"] = str(later.seconds)
    return response


class SignIn(auth.LoginView):
    """Signing in."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show what is wrong."""
        return _with_status(self.request, super().form_invalid(form))


class ChangePassword(auth.PasswordChangeView):
    """Changing one's console password."""

    template_name = "accounts/password_change.html"
    form_class = ChangePasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the request, for its address."""
        return {**super().get_form_kwargs(), "request": self.request}

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show what is wrong."""
        return _with_status(self.request, super().form_invalid(form))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The administration's own door."""
    return _with_status(request, admin.site.login(request))


@require_GET
@signed_in
def account(request: Request) -> HttpResponse:
    """Who one is here: Account ID, user name for the registry, quotas."""
    context = {"quota": policy.quota(request.user), "credential": request.user.registry_credential}
    return page(request, "accounts/account.html", context)
