"""Sign-in pages: password, second factor, passkey, link, single sign-on, administration."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from console.access.sign_in import provider_may_confirm, refuse_administration
from console.accounts.forms import SignInForm
from console.accounts.models import Account
from console.login import factors, sign_in_links, single_sign_on
from console.login import sign_in as sign_in_steps
from console.login.adapters import host
from console.login.forms import CodeForm
from console.login.views_account import with_status


def passkeys_work(request: HttpRequest) -> bool:
    """Whether browsers support passkeys for this URL: they need a host name and TLS (WebAuthn, 5.1)."""
    name = host(request)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return request.is_secure() or name == "localhost"
    return False


class SignIn(auth.LoginView):
    """The sign-in page: password form, and links to the other sign-in methods."""

    template_name = "signin/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """The URL to redirect to in the end, if given and on this site."""
        name = self.redirect_field_name
        return sign_in_steps.inside(self.request, self.request.POST.get(name, self.request.GET.get(name)))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Verify the password; 404 if passwords are disabled."""
        if not settings.LOCAL_ACCOUNTS:
            raise Http404
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the available sign-in methods."""
        ways = {
            "with_passwords": settings.LOCAL_ACCOUNTS,
            "with_passkeys": settings.LOCAL_ACCOUNTS and passkeys_work(self.request),
            "with_sign_up": settings.LOCAL_ACCOUNTS and settings.SIGN_UP == "open",
            "provider": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        }
        return super().get_context_data(**kwargs, **ways)

    def form_valid(self, form: Any) -> HttpResponse:
        """Continue with the second factor, or start the session."""
        return sign_in_steps.begin(self.request, form.get_user(), sign_in_steps.PASSWORD, self.get_redirect_url())

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show what is wrong."""
        return with_status(self.request, super().form_invalid(form))


@never_cache
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """The second step of a sign-in: a code or a passkey."""
    found = sign_in_steps.pending(request)
    if found is None:
        return redirect("sign-in")
    account, way, place = found
    form = CodeForm(account=account, request=request)
    problem = ""
    if "credential" in request.POST:
        if factors.check_passkey(request, account, request.POST["credential"]):
            return sign_in_steps.finish(request, account, [way, sign_in_steps.PASSKEY], place)
        problem = _("This passkey was not accepted. Try again.")
    elif request.method == "POST":
        form = CodeForm(request.POST, account=account, request=request)
        if form.is_valid():
            recovery = form.factor.type == factors.RECOVERY_CODES
            if recovery:
                messages.warning(request, _("You used a recovery code. Check that you have enough left."))
            return sign_in_steps.finish(
                request, account, [way, sign_in_steps.RECOVERY_CODE if recovery else sign_in_steps.CODE], place
            )
    context = {"form": form, "problem": problem, **asked_for(request, account)}
    return with_status(request, render(request, "signin/second_factor.html", context))


def asked_for(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Context of a page that asks for one of the account's passkeys."""
    possible = passkeys_work(request) and factors.has_passkey(account)
    return {"passkey_options": factors.passkey_options(account) if possible else ""}


@never_cache
@require_POST
def passkey(request: HttpRequest) -> HttpResponse:
    """Sign in with a passkey only: first the request options for the browser, then its response."""
    if not settings.LOCAL_ACCOUNTS:
        raise Http404
    if not request.POST.get("credential"):
        sign_in_steps.for_a_while(request)
        return HttpResponse(factors.passkey_options(None), content_type="application/json")
    factor = factors.check_passkey(request, None, request.POST["credential"])
    if factor is None:
        messages.error(request, _("This passkey was not accepted. Try again, or sign in another way."))
        return redirect("sign-in")
    return sign_in_steps.begin(request, factor.user, sign_in_steps.PASSKEY, request.POST.get("next", ""))


@never_cache
@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """A link of ``manage.py signinlink``: GET changes nothing (link previews), the button signs in."""
    with transaction.atomic():
        account = sign_in_links.read(token, lock=request.method == "POST")
        if account is None:
            message = _("This link was already used or has expired. Ask an administrator for a new one.")
            return failed(request, message, status=410, title=_("This link no longer works"))
        if request.method == "POST":
            return sign_in_steps.begin(request, account, sign_in_steps.LINK)
    return render(request, "signin/link.html", {"account": account})


@never_cache
@require_POST
def sso(request: HttpRequest, purpose: str = "login") -> HttpResponse:
    """Send the browser to the identity provider.

    With a page instead of a redirect: the content security policy forbids forms that lead to another site
    (``form-action``).
    """
    if not settings.OIDC_ISSUER:
        raise Http404
    try:
        address = single_sign_on.ask(request, purpose, sign_in_steps.inside(request, request.POST.get("next", "")))
    except single_sign_on.SignedOut as problem:
        return failed(request, str(problem))
    except single_sign_on.Problem as problem:
        return failed(request, str(problem), status=503)
    return render(request, "signin/leave.html", {"address": address, "provider": settings.OIDC_NAME})


@never_cache
@require_GET
def sso_callback(request: HttpRequest) -> HttpResponse:
    """The callback of the identity provider."""
    if not settings.OIDC_ISSUER:
        raise Http404
    try:
        identity, asked = single_sign_on.receive(request)
        return _come_back(request, identity, asked)
    except single_sign_on.Problem as problem:
        return failed(request, str(problem), problem.status)


def _come_back(request: HttpRequest, identity: single_sign_on.Identity, asked: dict[str, Any]) -> HttpResponse:
    if asked["process"] == "login":
        account = single_sign_on.account_for(identity)
        if not account.is_active:
            raise single_sign_on.Problem(_("Your account is deactivated. Ask an administrator."))
        with transaction.atomic():
            single_sign_on.sync_groups(account, identity)
            return sign_in_steps.begin(request, account, sign_in_steps.SINGLE_SIGN_ON, asked.get("next", ""))
    user: Any = request.user
    # The account must be the same as when it was started.
    if not user.is_authenticated or user.pk != asked["account"]:
        raise single_sign_on.SignedOut
    if asked["process"] == "connect":
        single_sign_on.connect(user, identity)
        single_sign_on.sync_groups(user, identity)
        messages.success(request, _("Identity connected. You can now sign in with it."))
    elif single_sign_on.account_of(identity) != user:
        raise single_sign_on.Problem(
            _("This identity belongs to someone else. Use the one that is connected to your account.")
        )
    elif not provider_may_confirm(enrolled=factors.is_enrolled(user), with_password=user.signs_in_with_password):
        raise single_sign_on.Problem(_("The sign-in requirements of your account have changed. Start again."))
    else:
        single_sign_on.sync_groups(user, identity)
        sign_in_steps.confirm(request)
    return HttpResponseRedirect(sign_in_steps.inside(request, asked.get("next", "")) or reverse("security"))


def failed(
    request: HttpRequest, problem: str, status: int = 400, *, title: str = "", of_email: bool = False
) -> HttpResponse:
    """An error page that says what happened and what to do, with a link back.

    :param problem: why, and what to do.
    :param title: what happened; by default that the person is not signed in, or that nothing was changed.
    :param of_email: whether an e-mail address was to be confirmed: the link then leads back to the account.
    """
    title = title or (_("Nothing was changed") if request.user.is_authenticated else _("You are not signed in"))
    context = {"problem": problem, "title": title, "of_email": of_email}
    return render(request, "signin/failed.html", context, status=status)


@never_cache
@require_safe
def administration(request: HttpRequest) -> HttpResponse:
    """The administration's sign-in: redirects to the common sign-in page, so that no factor can be skipped."""
    place = sign_in_steps.inside(request, request.GET.get("next", "")) or resolve_url("admin:index")
    user: Any = request.user
    if not user.is_authenticated:
        return redirect_to_login(place, resolve_url(settings.LOGIN_URL))
    if not user.is_staff:
        raise PermissionDenied
    if refusal := refuse_administration(sign_in_steps.ways(request)):
        messages.warning(request, refusal)
        return redirect("security")
    return HttpResponseRedirect(place)
