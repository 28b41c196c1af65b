"""Change the account's e-mail address, which is used for sign-in and password resets."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from console.accounts import email_changes
from console.accounts.requests import Request
from console.audit.middleware import client_address
from console.login.forms_email import EmailForm
from console.login.views import failed
from console.login.views_account import with_status
from console.login.views_security import confirmed_before
from console.throttling import guesses
from console.throttling.guesses import EMAIL_CHANGE, PASSWORD_RESET, Attempt
from console.throttling.hashing import TryAgainLater
from console.web.rendering import add_errors, dialog, go, page, signed_in

_SECTION = {"section": "account"}


@require_http_methods(["GET", "POST"])
@confirmed_before("email-change")
def change(request: Request) -> HttpResponse:
    """Request another address, which gets a confirmation link; with an empty one the address is removed."""
    form = EmailForm(request.POST or None, initial={"email": request.user.email})
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        try:
            _change(request, email)
        except ValidationError as problem:
            add_errors(form, ValidationError({"email": problem.messages}))
        except TryAgainLater as later:
            request.later = later  # type: ignore[attr-defined]
            form.add_error("email", _("Too many attempts. Try again in a few minutes."))
        else:
            return go(request, reverse("account"))
    context = {"form": form, **_SECTION}
    response = dialog(request, "signin/email_change.html", _("Change e-mail"), context, invalid=bool(form.errors))
    # htmx swaps in a dialog only with the status of a form with errors (422).
    return response if request.htmx else with_status(request, response)


def _change(request: Request, email: str) -> None:
    """Request or remove the address.

    :raises ValidationError: when the account cannot have the address.
    :raises TryAgainLater: when rate limited: too many addresses of the account, or too many e-mails to the mailbox.
    """
    if not email:
        if request.user.email:
            email_changes.remove(request.user)
            messages.success(request, _("Removed the e-mail address from your account."))
        return
    address = client_address(request)
    # Counted first: the response reveals which addresses have an account.
    guesses.count_request(Attempt(EMAIL_CHANGE, f"account:{request.user.pk}", address))
    email_changes.check_address(request.user, email)
    # Rate limit of e-mails to one mailbox.
    guesses.count_request(Attempt(PASSWORD_RESET, email.casefold(), address))
    email_changes.request(request.user, email)
    messages.success(request, _("A link was sent to %s. Open it to confirm the address.") % email)


@require_POST
@signed_in
def send(request: Request) -> HttpResponse:
    """E-mail the link again: to the requested address, or to the account's own if it is not confirmed."""
    email = email_changes.unconfirmed(request.user)
    if email:
        try:
            address = client_address(request)
            guesses.count_request(Attempt(EMAIL_CHANGE, f"account:{request.user.pk}", address))
            guesses.count_request(Attempt(PASSWORD_RESET, email.casefold(), address))
            email_changes.send_again(request.user, email)
        except TryAgainLater:
            messages.error(request, _("Too many e-mails were requested. Try again in a few minutes."))
        except ValidationError as problem:
            messages.error(request, problem.messages[0])
        except email_changes.Outdated:
            pass  # confirmed or changed in another window meanwhile
        else:
            messages.success(request, _("A link was sent to %s. Open it to confirm the address.") % email)
    return go(request, reverse("account"))


@require_POST
@signed_in
def cancel(request: Request) -> HttpResponse:
    """Cancel the unconfirmed change of address."""
    if email_changes.cancel(request.user):
        messages.success(request, _("Cancelled. Your e-mail address does not change."))
    return go(request, reverse("account"))


@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def confirm(request: Request, token: str) -> HttpResponse:
    """The confirmation link: GET changes nothing (link previews), the button confirms."""
    try:
        if request.method == "POST":
            former = request.user.email
            email = email_changes.confirm(request.user, token)
            sentence = _("Confirmed the e-mail address %s.") if email == former else _("Your e-mail address is now %s.")
            messages.success(request, sentence % email)
            return redirect("account")
        found = email_changes.read(request.user, token)
    except email_changes.Outdated:
        message = _(
            "This link was already used, has expired, or is for another account. Sign in to the account it was sent "
            "for, or request a new link on its Account page."
        )
        return failed(request, message, status=410, title=_("This link no longer works"), of_email=True)
    except ValidationError as problem:
        title = _("Your e-mail address was not changed")
        return failed(request, problem.messages[0], status=409, title=title, of_email=True)
    return page(request, "signin/email_confirm.html", {"change": found, **_SECTION})
