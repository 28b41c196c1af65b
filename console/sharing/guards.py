"""What the pages of namespaces ask before anything else: whether somebody may see it, and whether they may do this."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _

from console.access.roles import Role, least_role
from console.accounts.models import Account
from console.membership.models import RoleName
from console.namespaces.models import Namespace
from console.repositories.models import Image


def namespace_allowing(account: Account, name: str, verb: str) -> Namespace:
    """The namespace with this name, when the account may use a verb on it.

    :raises Http404: when the account has no role in it, as when there is none.
    :raises PermissionDenied: when its role does not include the verb, with a sentence for the page.
    """
    namespace = Namespace.objects.visible_to(account).select_related("owner", "new_owner").filter(name=name).first()
    if namespace is None:
        raise Http404
    require(account, verb, namespace)
    return namespace


def require(account: Account, verb: str, target: Namespace | Image) -> None:
    """Check that an account may use a verb on a namespace or an image that it may see.

    :raises PermissionDenied: when it may not, with a sentence for the page.
    """
    if not account.may(verb, target):
        place = target.name if isinstance(target, Namespace) else target.repository
        raise PermissionDenied(_refusal(verb, target.role_of(account.pk), place))


def _refusal(verb: str, role: Role | None, place: str) -> str:
    if role is None:
        return _("You have a role on single images of %s only.") % place
    return _("This needs the role %(needed)s on %(place)s. Your role is %(role)s.") % {
        "needed": RoleName(least_role(verb)).label,
        "place": place,
        "role": RoleName(role).label,
    }
