"""Leave a namespace: an account gives up its own roles."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from console.accounts.models import Account
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.sharing.services import lock_namespace, refuse_release, release_owner, take_role


def refuse_leave(account: Account, namespace: Namespace) -> str:
    """Error message if an account cannot leave a namespace; empty if it can.

    The last owner stays, and a role through a team ends by leaving the team.
    """
    if namespace.owner_id == account.pk:
        return refuse_release(namespace)
    if Grant.objects.current().filter(namespace=namespace, account=account).exists():
        return ""
    return _("You have your role through a team. To give it up, leave the team or ask its managers.")


def leave(account: Account, namespace: Namespace) -> None:
    """Give up all roles that an account has on a namespace and its images by grants of its own.

    The namespace's own account passes it on to another owner.

    :raises ValidationError: when the account cannot leave.
    """
    if Namespace.objects.filter(pk=namespace.pk, owner=account).exists():
        release_owner(account, namespace)
        return
    with transaction.atomic():
        locked = lock_namespace(namespace)
        if locked.owner_id == account.pk:
            raise ValidationError(_("The owners have changed in the meantime. Reload the page and try again."))
        if refusal := refuse_leave(account, locked):
            raise ValidationError(refusal)
        grants = Grant.objects.filter(namespace=locked, account=account)
        for grant in grants.select_related("namespace", "image__namespace", "account"):
            take_role(account, grant)
