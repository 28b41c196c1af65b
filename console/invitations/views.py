"""Pages of invitations: invite, take back, see, accept and decline."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from console.access.roles import Role
from console.accounts.requests import Request
from console.audit.middleware import client_address
from console.invitations import opened, services, sign_up
from console.invitations.forms import InvitationForm
from console.invitations.role_words import ROLE_SENTENCES
from console.login.views import failed
from console.login.views_account import with_status
from console.membership.models import Grant, Invitation
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.throttling import guesses
from console.throttling.guesses import EMAIL_CHANGE, PASSWORD_RESET, Attempt
from console.throttling.hashing import TryAgainLater
from console.web.activated import activated
from console.web.rendering import add_errors, came_from, dialog, go, page, signed_in


@never_cache
@require_http_methods(["GET", "POST"])
@activated
def create(request: Request, namespace: str) -> HttpResponse:
    """Invite to a namespace, or with ``?image=`` to an image of it. Only this response contains a link's secret."""
    place, image = _target(request, namespace)
    form = InvitationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            invitation, secret = _invite(request, place, image, form.cleaned_data)
        except TryAgainLater as later:
            request.later = later  # type: ignore[attr-defined]
            form.add_error("email", _("Too many e-mails were sent. Try again in a few minutes."))
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            if not secret or invitation.account_id:
                to = invitation.account.name if invitation.account else invitation.email
                messages.success(request, _("Invited %s.") % to)
                return go(request, came_from(request, reverse("namespace", args=[place.name]), *_pages(place, image)))
            link = settings.CONSOLE_URL + reverse("invitation-link", args=[secret])
            context: dict[str, Any] = {"invitation": invitation, "link": link, "namespace": place, "image": image}
            response = dialog(request, "invitations/created.html", _("Invitation link"), {**context, **_SECTION})
            return trigger_client_event(response, "list-changed", after="settle")
    context = {"form": form, "namespace": place, "image": image, **_SECTION}
    response = dialog(request, "invitations/create.html", _("Invite"), context, invalid=bool(form.errors))
    return response if request.htmx else with_status(request, response)


_SECTION = {"section": "images"}


def _target(request: Request, namespace: str) -> tuple[Namespace, Image | None]:
    """What is invited to, if the account may invite."""
    if "image" not in request.GET:
        return get_object_or_404(
            Namespace.objects.allowing(request.user, "namespace.manage_members"), name=namespace
        ), None
    name = request.GET["image"].replace("\x00", "")
    images = Image.objects.allowing(request.user, "image.manage_members").select_related("namespace")
    image = get_object_or_404(images, namespace__name=namespace, name=name)
    return image.namespace, image


def _pages(namespace: Namespace, image: Image | None) -> list[str]:
    """The pages that the dialog may have been opened on."""
    places = [reverse("namespace-members", args=[namespace.name])]
    if image is not None:
        found = reverse("image", args=[image.repository])
        places += [found, reverse("image-access", args=[image.repository]), f"{found}-/settings/"]
    return places


def _invite(
    request: Request, namespace: Namespace, image: Image | None, data: dict[str, Any]
) -> tuple[Invitation, str]:
    """Invite, and count what is e-mailed.

    :raises TryAgainLater: when rate limited: too many addresses of the account, or too many e-mails to the mailbox.
    :raises ValidationError: when the account may not invite.
    """
    if data["email"]:
        address = client_address(request)
        guesses.count_request(Attempt(EMAIL_CHANGE, f"invitations:{request.user.pk}", address))
        guesses.count_request(Attempt(PASSWORD_RESET, data["email"].casefold(), address))
    return services.invite(
        request.user,
        namespace,
        image=image,
        role=data["role"],
        grant_until=data["grant_until"],
        account=data["account"],
        email=data["email"],
        days=data["days"],
    )


@require_http_methods(["GET", "POST"])
@activated
def revoke(request: Request, pk: int) -> HttpResponse:
    """Take back an invitation."""
    invitation = get_object_or_404(
        Invitation.objects.filter(_managed_by(request)).select_related("namespace", "image", "account"), pk=pk
    )
    if request.method == "POST":
        try:
            services.revoke(request.user, invitation)
        except ValidationError as problem:
            messages.error(request, problem.messages[0])
        else:
            messages.success(request, _("Took back the invitation."))
        place = reverse("namespace", args=[invitation.namespace.name])
        return go(request, came_from(request, place, *_pages(invitation.namespace, invitation.image)))
    context = {"invitation": invitation, **_SECTION}
    return dialog(request, "invitations/revoke.html", _("Take back invitation"), context)


def _managed_by(request: Request) -> Q:
    """Condition: the invitations that the account may take back."""
    namespaces = Namespace.objects.allowing(request.user, "namespace.manage_members").values("pk")
    images = Image.objects.allowing(request.user, "image.manage_members").values("pk")
    return Q(namespace__in=namespaces) | Q(image__in=images)


@require_GET
@signed_in
def listing(request: Request) -> HttpResponse:
    """The account's pending invitations by Account ID."""
    rows = Invitation.objects.addressed_to(request.user).pending().select_related("namespace", "image", "invited_by")
    return page(request, "invitations/list.html", {"rows": rows[:100], "section": "images"})


@never_cache
@require_GET
def link(request: HttpRequest, secret: str) -> HttpResponse:
    """The link of an invitation: the session keeps that it was opened, and the address no longer has the secret."""
    invitation = opened.find(secret)
    refusal = services.refuse(invitation) if invitation else _("This invitation does not exist.")
    if invitation is None or refusal:
        response = failed(request, refusal, status=410, title=_("This link no longer works"))
    else:
        opened.remember(request, invitation)
        response = redirect("invitation", pk=invitation.pk)
    response["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_GET
def invitation(request: HttpRequest, pk: int) -> HttpResponse:
    """Who invites to what, with which role and until when, before it is accepted."""
    found = opened.readable(request, pk)
    if found is None:
        if not request.user.is_authenticated:
            return redirect_to_login(request.path, resolve_url(settings.LOGIN_URL))
        raise Http404
    return _shown(request, found)


def _shown(request: HttpRequest, found: Invitation, status: int = 200) -> HttpResponse:
    user: Any = request.user
    ended = services.refuse(found)
    refusal = ended or (services.refuse_account(found, user) if user.is_authenticated else "")
    if refusal:
        status = 410 if ended else 403
    held = None
    if user.is_authenticated and not refusal:
        held = Grant.objects.current().filter(namespace=found.namespace, image=found.image, account=user).first()
    context = {
        "invitation": found,
        "may": ROLE_SENTENCES[Role(found.role)],
        "held": held,
        "refusal": refusal,
        "can_sign_up": not user.is_authenticated and not refusal and sign_up.is_open(found),
        "section": "images",
    }
    frame = "base.html" if user.is_authenticated else "signed_out.html"
    return page(request, "invitations/invitation.html", context, frame=frame, status=status)


@require_POST
@signed_in
def accept(request: Request, pk: int) -> HttpResponse:
    """Accept an invitation."""
    found = _readable(request, pk)
    try:
        services.accept(request.user, found)
    except ValidationError:
        return _shown(request, _readable(request, pk), status=409)
    role, target = found.get_role_display(), services.target_of(found)
    messages.success(request, _("You are now %(role)s of %(target)s.") % {"role": role, "target": target})
    return HttpResponseRedirect(reverse("images"))


@require_POST
@signed_in
def decline(request: Request, pk: int) -> HttpResponse:
    """Decline an invitation."""
    found = _readable(request, pk)
    try:
        services.decline(request.user, found)
    except ValidationError as problem:
        messages.error(request, problem.messages[0])
    else:
        messages.success(request, _("Declined the invitation to %s.") % services.target_of(found))
    return HttpResponseRedirect(reverse("invitations"))


def _readable(request: Request, pk: int) -> Invitation:
    found = opened.readable(request, pk)
    if found is None:
        raise Http404
    return found
