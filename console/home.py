"""The first page, My Images: the list of images, or the activation form until the service is activated.

After the activation a checklist of first steps stands above the list. It ticks itself from what is in the database.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.db.models import Exists, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from console.access_tokens.expiry import Notice, notices
from console.accounts.models import AccessToken, Account
from console.accounts.requests import Request
from console.accounts.services import close_checklist
from console.activation.views import activation_page
from console.database.compiled import Compiled
from console.images import views
from console.membership.models import Invitation
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.token_server.models import Login
from console.web.activated import activated
from console.web.rendering import signed_in


@require_GET
@signed_in
def my_images(request: Request) -> HttpResponse:
    """The list of images; until the service is activated, the activation form."""
    if not request.user.activated:
        return activation_page(request)
    return views.listing(request, checklist(request), invitations(request), expiring(request))


def expiring(request: Request) -> list[Notice]:
    """Notices of access tokens that expire soon, with one query; none for the list alone, which htmx asks for."""
    whole = not request.htmx or request.htmx.history_restore_request
    return notices(request.user) if whole else []


def checklist(request: Request) -> dict[str, bool]:
    """The first steps, and whether each is done, with one query; empty without the checklist, and then without a query.

    The list alone, which htmx asks for, does not have it.
    """
    account, htmx = request.user, request.htmx
    if account.checklist_closed or (htmx and not htmx.history_restore_request):
        return {}
    ((named, used, logged_in, push, token),) = _steps(account.pk)
    return {"namespace": named, "login": used or logged_in, "push": push, "token": token}


def invitations(request: Request) -> int:
    """How many pending invitations by Account ID the account has, with one query; 0 for the list alone (htmx)."""
    if request.htmx and not request.htmx.history_restore_request:
        return 0
    return Invitation.objects.addressed_to(request.user).pending().count()


@Compiled
def _steps(account_id: int) -> QuerySet[Account, tuple[bool, ...]]:
    """Whether the account has an own namespace, used an access token, logged in, pushed, and has an access token."""
    account = Account(pk=account_id)
    tokens = AccessToken.objects.filter(account=account)
    logins = Login.objects.filter(account=account)
    pushed = Image.objects.owned_by(account).filter(tag_count__gt=0)
    return Account.objects.filter(pk=account.pk).values_list(
        Exists(Namespace.objects.owned_by(account)),
        Exists(tokens.filter(last_used_at__isnull=False)),
        Exists(logins),
        Exists(pushed),
        Exists(tokens.filter(revoked_at=None)),
    )


@require_POST
@activated
def close(request: Request) -> HttpResponse:
    """Close the checklist: by its button, or by a script when all is done."""
    close_checklist(request.user)
    if request.htmx:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    messages.success(request, _("Dismissed the first steps."))
    return HttpResponseRedirect(reverse("images"))
