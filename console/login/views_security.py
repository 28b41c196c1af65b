"""*Sign-in and security*: the account's second factors and identities."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.access.sign_in import provider_may_confirm, refuse_disconnect
from console.accounts.requests import Request
from console.login import factors, sign_in, single_sign_on, views
from console.login.forms import AppForm, CodeForm, PasskeyNameForm, PasswordForm
from console.login.views_account import with_status
from console.web.rendering import dialog, go, page, signed_in

_SECRET = "signin.new_app"  # noqa: S105 # session key
_SECTION = {"section": "security"}


_View = Callable[..., HttpResponse]


def confirmed_before(back: str) -> Callable[[_View], _View]:
    """View decorator: require recent reauthentication, because an attacker may use an open session.

    :param back: name of the URL after reauthentication if the request was for a form or a dialog.
    """

    def decorate(view: _View) -> _View:
        @signed_in
        @functools.wraps(view)
        def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
            if sign_in.is_confirmed(request):
                return view(request, *args, **kwargs)
            # Forms and dialogs cannot be repeated, so the user has to open them again.
            plain = request.method == "GET" and not request.htmx
            place = request.get_full_path() if plain else reverse(back)
            return go(request, f"{reverse('confirm')}?{urlencode({'next': place})}")

        return never_cache(guarded)

    return decorate


confirmed = confirmed_before("security")


@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def confirm(request: Request) -> HttpResponse:
    """Reauthentication: with the second factor if there is one, else the password, else the provider."""
    place = sign_in.inside(request, request.GET.get("next", "")) or reverse("security")
    enrolled = factors.is_enrolled(request.user)
    form: CodeForm | PasswordForm | None = None
    problem = ""
    kind = CodeForm if enrolled else PasswordForm if request.user.signs_in_with_password else None
    data = request.POST if request.method == "POST" and "credential" not in request.POST else None
    if kind is not None:
        form = kind(data, account=request.user, request=request)
    if enrolled and "credential" in request.POST:
        if factors.check_passkey(request, request.user, request.POST["credential"]):
            return _go_on(request, sign_in.PASSKEY, place)
        problem = _("This passkey was not accepted. Try again.")
    elif data is not None and form is not None and form.is_valid():
        return _go_on(request, sign_in.CODE if enrolled else sign_in.PASSWORD, place)
    context = {
        "form": form,
        "problem": problem,
        "place": place,
        "provider": settings.OIDC_NAME if kind is None and settings.OIDC_ISSUER else "",
        **(views.asked_for(request, request.user) if enrolled else {"passkey_options": ""}),
        **_SECTION,
    }
    return with_status(request, page(request, "signin/confirm.html", context))


def _go_on(request: Request, way: str, place: str) -> HttpResponse:
    sign_in.confirm(request)
    sign_in.add_ways(request, [way])
    return HttpResponseRedirect(place)


@require_GET
@signed_in
def security(request: Request) -> HttpResponse:
    """List the account's sign-in methods."""
    mine = Authenticator.objects.filter(user=request.user).order_by("created_at", "pk")
    shown = [{"factor": one, "name": factors.name_of(one)} for one in mine if one.type != factors.RECOVERY_CODES]
    context = {
        "shown": shown,
        "has_app": any(one["factor"].type == factors.TOTP for one in shown),
        "with_password": request.user.signs_in_with_password,
        "passkeys_work": views.passkeys_work(request),
        "codes_left": len(factors.recovery_codes(request.user)),
        "identities": SocialAccount.objects.filter(user=request.user, provider=settings.OIDC_ISSUER),
        "provider": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "refusal": refuse_disconnect(with_password=request.user.signs_in_with_password),
        **_SECTION,
    }
    return page(request, "signin/security.html", context)


@require_http_methods(["GET", "POST"])
@confirmed
def app(request: Request) -> HttpResponse:
    """Set up an authenticator app."""
    # A new secret each time, because another person may have seen the former. A wrong code keeps the scanned one.
    if request.method == "GET" or _SECRET not in request.session:
        request.session[_SECRET] = factors.new_secret()
    form = AppForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            factors.add_app(request.user, request.session[_SECRET], form.cleaned_data["code"])
        except ValidationError as problem:
            form.add_error("code", problem)
        else:
            del request.session[_SECRET]
            return _added(request, sign_in.CODE)
    secret = factors.shown_secret(request.session[_SECRET])
    # In groups of four, for typing.
    spelled = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return page(request, "signin/app.html", {"form": form, "secret": spelled, **_SECTION})


@require_GET
@confirmed
def app_picture(request: Request) -> HttpResponse:
    """The secret of the app that is being set up, as a QR code."""
    if _SECRET not in request.session:
        raise Http404
    adapter = get_adapter()
    address = adapter.build_totp_url(request.user, factors.shown_secret(request.session[_SECRET]))
    return HttpResponse(adapter.build_totp_svg(address), content_type="image/svg+xml")


def _added(request: Request, way: str) -> HttpResponse:
    sign_in.add_ways(request, [way])
    messages.success(
        request, _("Second factor set up. You need it from your next sign-in on. Save these recovery codes.")
    )
    return go(request, reverse("recovery-codes"))


@require_http_methods(["GET", "POST"])
@confirmed
def recovery_codes(request: Request) -> HttpResponse:
    """Show unused recovery codes, or create new ones."""
    if request.method == "POST":
        try:
            factors.new_recovery_codes(request.user)
        except ValidationError as problem:
            messages.error(request, problem.messages[0])
            return redirect("security")
        messages.success(request, _("These are your new recovery codes. The old ones no longer work."))
        return redirect("recovery-codes")
    context = {"codes": factors.recovery_codes(request.user), "enrolled": factors.is_enrolled(request.user), **_SECTION}
    return page(request, "signin/recovery_codes.html", context)


@require_GET
@confirmed
def recovery_codes_file(request: Request) -> HttpResponse:
    """Download the recovery codes as a file."""
    lines = [_("My Images, recovery codes of %s. Each works once.") % request.user.account_id, ""]
    text = "\n".join([*lines, *factors.recovery_codes(request.user), ""])
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="my-images-recovery-codes.txt"'
    return response


@require_http_methods(["GET", "POST"])
@confirmed
def passkey_add(request: Request) -> HttpResponse:
    """Add a passkey."""
    if not views.passkeys_work(request):
        raise Http404
    form = PasskeyNameForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            answer = request.POST.get("credential", "")
            factors.add_passkey(request, request.user, form.cleaned_data["name"], answer)
        except ValidationError as problem:
            form.add_error(None, problem)
        else:
            return _added(request, sign_in.PASSKEY)
    context = {"form": form, "options": factors.new_passkey_options(request.user), **_SECTION}
    return page(request, "signin/passkey_add.html", context)


@require_http_methods(["GET", "POST"])
@confirmed
def passkey_rename(request: Request, pk: int) -> HttpResponse:
    """Rename a passkey."""
    factor = get_object_or_404(Authenticator, pk=pk, user=request.user, type=factors.PASSKEY)
    form = PasskeyNameForm(request.POST or None, initial={"name": factors.name_of(factor)})
    if request.method == "POST" and form.is_valid():
        factors.rename_passkey(factor, form.cleaned_data["name"])
        return go(request, reverse("security"))
    context = {"form": form, "factor": factor, **_SECTION}
    return dialog(request, "signin/passkey_rename.html", _("Rename passkey"), context, invalid=bool(form.errors))


@require_http_methods(["GET", "POST"])
@confirmed
def factor_remove(request: Request, pk: int) -> HttpResponse:
    """Remove the authenticator app or a passkey."""
    mine = Authenticator.objects.filter(user=request.user).exclude(type=factors.RECOVERY_CODES)
    factor = get_object_or_404(mine, pk=pk)
    if request.method == "POST":
        name = factors.name_of(factor)
        factors.remove(factor)
        messages.success(request, _("Removed “%s”.") % name)
        return go(request, reverse("security"))
    context = {"factor": factor, "name": factors.name_of(factor), "last": mine.count() == 1, **_SECTION}
    return dialog(request, "signin/factor_remove.html", _("Remove second factor"), context)


@require_POST
@confirmed
def identity_connect(request: Request) -> HttpResponse:
    """Start single sign-on to connect an identity."""
    return views.sso(request, purpose="connect")


@require_POST
@signed_in
def identity_confirm(request: Request) -> HttpResponse:
    """Start single sign-on for reauthentication, if there is no other method."""
    enrolled = factors.is_enrolled(request.user)
    if settings.OIDC_ISSUER and not provider_may_confirm(
        enrolled=enrolled, with_password=request.user.signs_in_with_password
    ):
        return go(request, reverse("confirm"))
    return views.sso(request, purpose="confirm")


@require_http_methods(["GET", "POST"])
@confirmed
def identity_disconnect(request: Request, pk: int) -> HttpResponse:
    """Disconnect an identity from the account."""
    identity = get_object_or_404(SocialAccount, pk=pk, user=request.user)
    refusal = refuse_disconnect(with_password=request.user.signs_in_with_password)
    if request.method == "POST" and not refusal:
        single_sign_on.disconnect(identity)
        messages.success(request, _("Disconnected the identity."))
        return go(request, reverse("security"))
    context = {"identity": identity, "refusal": refusal, "provider": settings.OIDC_NAME, **_SECTION}
    title = _("Disconnect identity")
    return dialog(request, "signin/identity_disconnect.html", title, context, invalid=request.method == "POST")
