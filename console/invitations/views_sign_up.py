"""Sign-up pages: the address, the link sent to it, and then the name and password of the new account."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from console.audit.middleware import client_address
from console.invitations import jobs, opened, services, sign_up, sign_up_links
from console.invitations.forms import NewAccountForm, SignUpForm
from console.login import sign_in
from console.login.views import failed
from console.login.views_account import with_status
from console.membership.models import Invitation
from console.throttling import guesses
from console.throttling.guesses import PASSWORD_RESET, Attempt
from console.throttling.hashing import TryAgainLater
from console.web.rendering import add_errors

# In the session: the address whose link was opened, and the invitation that the sign-up began with.
_CONFIRMED = "sign_up.confirmed"


def _invitation(request: HttpRequest, raw: Any) -> Invitation | None:
    """The invitation with this primary key, if its link was opened in this session."""
    text = str(raw or "")
    return opened.readable(request, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _check_open(invitation: Invitation | None) -> None:
    """Answer 404 unless somebody may create an account, with this invitation if there is one."""
    if not sign_up.is_open(invitation):
        raise Http404


@never_cache
@require_http_methods(["GET", "POST"])
def begin(request: HttpRequest) -> HttpResponse:
    """Ask for the address of a new account. The answer is the same whether an account has it (user enumeration)."""
    if request.user.is_authenticated:
        return redirect("images")
    invitation = _invitation(request, request.GET.get("invitation"))
    _check_open(invitation)
    if invitation is not None and invitation.email:
        # The address is confirmed: the link was sent to it.
        request.session[_CONFIRMED] = [invitation.email, invitation.pk]
        return redirect("sign-up-finish")
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        try:
            guesses.count_request(Attempt(PASSWORD_RESET, email.casefold(), client_address(request)))
        except TryAgainLater as later:
            request.later = later  # type: ignore[attr-defined]
            form.add_error(None, _("Too many e-mails were requested. Try again in a few minutes."))
        else:
            jobs.send_sign_up.defer(email=email, invitation=invitation.pk if invitation else None)
            return redirect("sign-up-sent")
    context = {"form": form, "invitation": invitation}
    return with_status(request, render(request, "invitations/sign_up.html", context))


@require_GET
def sent(request: HttpRequest) -> HttpResponse:
    """The same page whether an account has the address or not."""
    return render(request, "invitations/sign_up_sent.html", {"hours": sign_up_links.hours()})


@never_cache
@require_GET
def link(request: HttpRequest, token: str) -> HttpResponse:
    """The link in the e-mail: the session keeps the confirmed address, and the page has no secret in its address."""
    found = sign_up_links.read_token(token)
    invitation = None
    if found is not None and found[1] is not None:
        invitation = Invitation.objects.select_related("namespace", "image", "invited_by").filter(pk=found[1]).first()
    lost = found is not None and found[1] is not None and invitation is None
    if found is None or lost or not sign_up.is_open(invitation) or sign_up.address_is_taken(found[0]):
        message = _("This link was already used or has expired. Sign in, or start again.")
        response = failed(request, message, status=410, title=_("This link no longer works"))
    else:
        sign_in.for_a_while(request)
        if invitation is not None:
            opened.remember(request, invitation)
        request.session[_CONFIRMED] = [found[0], invitation.pk if invitation else None]
        response = redirect("sign-up-finish")
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_http_methods(["GET", "POST"])
def finish(request: HttpRequest) -> HttpResponse:
    """Ask for name and password, create the account, accept its invitation, and sign in."""
    if request.user.is_authenticated:
        return redirect("images")
    email, number = request.session.get(_CONFIRMED, ["", None])
    invitation = _invitation(request, number)
    if not email or (number and invitation is None):
        return redirect("sign-in")
    _check_open(invitation)
    form = NewAccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            account = sign_up.create(data["name"], email, data["password"], invitation)
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            del request.session[_CONFIRMED]
            return sign_in.begin(request, account, sign_in.PASSWORD)
    target = services.target_of(invitation) if invitation else ""
    context = {"form": form, "email": email, "invitation": invitation, "target": target}
    return render(request, "invitations/sign_up_finish.html", context)
