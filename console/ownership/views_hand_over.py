"""Pages to offer a namespace to another account, and to accept it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts.requests import Request
from console.membership.models import Grant, HandOver
from console.ownership import hand_over
from console.ownership.forms import HandOverForm
from console.repositories.models import Image
from console.sharing.guards import namespace_allowing
from console.web.activated import activated
from console.web.rendering import add_errors, dialog, go, page


def _settings(name: str) -> str:
    return reverse("namespace-settings", args=[name])


@require_http_methods(["GET", "POST"])
@activated
def offer(request: Request, name: str) -> HttpResponse:
    """Offer a namespace to another account."""
    namespace = namespace_allowing(request.user, name, "namespace.transfer")
    form = HandOverForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = hand_over.offer(request.user, namespace, form.cleaned_data["account_id"].strip())
        except ValidationError as problem:
            add_errors(form, problem)
        else:
            messages.success(
                request, _("Offered the namespace “%(name)s” to %(to)s.") % {"name": name, "to": made.to.name}
            )
            return go(request, _settings(name))
    refusal = _("The namespace is already being transferred to another account.") if namespace.in_transfer else ""
    context = {
        "form": form,
        "namespace": namespace,
        "refusal": refusal,
        "owns": namespace.owner_id == request.user.pk,
        "cancel": _settings(name),
        "section": "images",
    }
    return dialog(request, "namespaces/hand_over_offer.html", _("Hand over"), context, invalid=bool(form.errors))


@require_POST
@activated
def take_back(request: Request, name: str) -> HttpResponse:
    """Take an offer back."""
    namespace = namespace_allowing(request.user, name, "namespace.transfer")
    try:
        done = hand_over.take_back(request.user, namespace)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    else:
        if done:
            messages.success(request, _("Took back the offer of the namespace “%s”.") % name)
        else:
            messages.info(request, _("This offer no longer stands."))
    return go(request, _settings(name))


@require_GET
@activated
def show(request: Request, name: str) -> HttpResponse:
    """What is offered, to the account that may accept it; the others are not found."""
    offered = get_object_or_404(hand_over.offers_to(request.user), namespace__name=name)
    return _shown(request, offered)


def _shown(request: Request, offered: HandOver, problem: str = "") -> HttpResponse:
    namespace = offered.namespace
    context = {
        "offer": offered,
        "namespace": namespace,
        "storage": Image.objects.filter(namespace=namespace).aggregate(size=Sum("size"))["size"] or 0,
        "members": Grant.objects.current().filter(namespace=namespace).count(),
        "problem": problem,
        "section": "images",
    }
    return page(request, "namespaces/hand_over.html", context, status=422 if problem else 200)


@require_POST
@activated
def accept(request: Request, name: str) -> HttpResponse:
    """Accept an offer: the transfer begins."""
    offered = get_object_or_404(hand_over.offers_to(request.user), namespace__name=name)
    try:
        hand_over.accept(request.user, offered)
    except ValidationError as problem:
        return _shown(request, offered, " ".join(problem.messages))
    messages.success(
        request,
        _("Accepted the namespace “%s”. It is yours in a few minutes, when all earlier access has ended.") % name,
    )
    return go(request, reverse("namespaces"))


@require_POST
@activated
def decline(request: Request, name: str) -> HttpResponse:
    """Decline an offer."""
    offered = get_object_or_404(hand_over.offers_to(request.user), namespace__name=name)
    hand_over.decline(request.user, offered)
    messages.success(request, _("Declined the namespace “%s”.") % name)
    return go(request, reverse("images"))
