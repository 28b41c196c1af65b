"""Hand a namespace over: an owner offers it, the other account accepts, and the transfer begins."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from console.access.roles import least_role
from console.accounts.models import Account
from console.audit.services import record
from console.membership.models import Grant, HandOver
from console.namespaces.models import Namespace
from console.ownership.services import transfer_namespace
from console.repositories import quotas
from console.sharing.services import lock_namespace


def _standing() -> QuerySet[HandOver]:
    """The offers that can be accepted: who made them is still an owner, and no transfer is under way."""
    grants = Grant.objects.current().at_least(least_role("namespace.transfer")).filter(image=None)
    held = Q(account=OuterRef("offered_by")) | Q(team__members__account=OuterRef("offered_by"))
    still_owner = Q(namespace__owner=F("offered_by")) | Exists(
        grants.filter(held, namespace=OuterRef("namespace")).order_by()
    )
    active = Q(offered_by__is_active=True, namespace__new_owner=None)
    return HandOver.objects.filter(active).filter(still_owner).select_related("namespace", "to", "offered_by")


def offers_to(account: Account) -> QuerySet[HandOver]:
    """The namespaces that an account may take over, oldest offer first."""
    return _standing().filter(to=account, to__is_active=True).order_by("offered_at", "pk")


def offer_of(namespace: Namespace) -> HandOver | None:
    """The offer of a namespace that waits for an answer."""
    return _standing().filter(namespace=namespace).first()


def find_recipient(namespace: Namespace, account_id: str) -> Account:
    """The account that a namespace can be offered to.

    :raises ValidationError: keyed ``account_id``: there is no such account, or it cannot own a namespace.
    """
    found = Account.objects.filter(account_id=account_id, is_active=True, is_service=False).first()
    if found is None or not found.activated:
        raise ValidationError({"account_id": _("No active account has this Account ID.")})
    if found.pk == namespace.owner_id:
        raise ValidationError({"account_id": _("%s already owns this namespace.") % found.name})
    return found


def offer(actor: Account, namespace: Namespace, account_id: str) -> HandOver:
    """Offer a namespace to another account; an earlier offer is replaced.

    :raises ValidationError: when the actor may not, keyed ``account_id`` for the other account.
    """
    with transaction.atomic():
        locked = lock_namespace(namespace)
        if not actor.may("namespace.transfer", locked):
            raise ValidationError(_("Only an owner may hand over the namespace."), code="forbidden")
        if locked.in_transfer:
            raise ValidationError(_("The namespace is already being transferred to another account."))
        recipient = find_recipient(locked, account_id)
        HandOver.objects.filter(namespace=locked).delete()
        made = HandOver.objects.create(namespace=locked, to=recipient, offered_by=actor)
        record("namespace.offer", locked.name, to=recipient.account_id)
    return made


def take_back(actor: Account, namespace: Namespace) -> bool:
    """Take an offer back. Idempotent.

    :return: whether there was one.
    :raises ValidationError: when the actor may not.
    """
    with transaction.atomic():
        locked = lock_namespace(namespace)
        if not actor.may("namespace.transfer", locked):
            raise ValidationError(_("Only an owner may hand over the namespace."), code="forbidden")
        return _end(locked, "namespace.offer_withdraw")


def decline(account: Account, offered: HandOver) -> bool:
    """Decline an offer. Idempotent.

    :return: whether it still stood.
    """
    with transaction.atomic():
        locked = lock_namespace(offered.namespace)
        return _end(locked, "namespace.offer_decline", to=account)


def accept(account: Account, offered: HandOver) -> None:
    """Accept an offer: the transfer of the namespace to this account begins.

    :raises ValidationError: when the offer no longer stands, or the account's quota is reached.
    """
    with transaction.atomic():
        # Accounts before namespaces, as everywhere.
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        locked = lock_namespace(offered.namespace)
        if not offers_to(account).filter(namespace=locked).exists():
            raise ValidationError(_("This offer no longer stands."), code="gone")
        quota = quotas.quota(account)
        if quota.images_used + locked.image_count > quota.images_allowed:
            raise ValidationError(
                _("The namespace has %(images)d images, and your account may have %(left)d more.")
                % {"images": locked.image_count, "left": max(0, quota.images_allowed - quota.images_used)}
            )
        _end(locked, "namespace.offer_accept", to=account)
        transfer_namespace(locked, account)


def _end(namespace: Namespace, action: str, to: Account | None = None) -> bool:
    """Delete the offer of a locked namespace, and record why."""
    found = HandOver.objects.select_related("to").filter(namespace=namespace)
    offered = (found.filter(to=to) if to is not None else found).first()
    if offered is None:
        return False
    offered.delete()
    record(action, namespace.name, to=offered.to.account_id)
    return True
