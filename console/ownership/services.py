"""Create, delete and transfer namespaces; release held names."""

from __future__ import annotations

import datetime
import functools
import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import OuterRef, ProtectedError, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.access import rules
from console.access.names import RESERVED_NAMESPACES
from console.accounts.models import Account
from console.audit.services import record
from console.database.conflicts import insert
from console.membership.models import Grant, HandOver
from console.namespaces.models import Namespace, NamespaceAccess, NamespaceHold
from console.registry.connection import has_images_under, registry
from console.registry.deletion import names
from console.repositories import failures, pushed_digests, quotas
from console.repositories.models import Image, ImageAccess, WorkFailure
from console.sharing import service_accounts
from registry_client import RegistryError

log = logging.getLogger(__name__)


def _hold_end() -> datetime.datetime:
    """When all tokens that were issued until now have expired."""
    return timezone.now() + datetime.timedelta(seconds=settings.NAME_HOLD_SECONDS)


def _taken(name: str) -> ValidationError:
    return ValidationError(
        {
            "name": ValidationError(
                _("The name “%s” is already in use by another user. Try another name.") % name, code="taken"
            )
        }
    )


def _held(name: str) -> ValidationError:
    """The error for a name that is held for its former owner."""
    if not _is_given_up("release", name):
        return _taken(name)
    sentence = _(
        "The name “%s” can’t be used: old content under it can’t be removed from the registry. Try another name, or "
        "ask an administrator."
    )
    return ValidationError({"name": ValidationError(sentence % name, code="taken")})


def require_unoccupied(account: Account, name: str) -> None:
    """Check that the registry has no images under a free name, before ``account`` gets it.

    This calls the registry: no locks may be held.

    :raises ValidationError: keyed ``name`` (``code="occupied"``, or a broken rule of names).
    """
    name = _new(account, name).name
    # Of an existing or held name the console knows the images.
    if Namespace.objects.filter(name=name).exists() or NamespaceHold.objects.filter(name=name).exists():
        return
    occupied: bool | None
    try:
        occupied = has_images_under(name)
    except RegistryError as error:
        log.warning("cannot check whether the registry has images under %s: %s", name, error)
        occupied = None
    if refusal := rules.refuse_namespace_name(occupied):
        raise ValidationError({"name": ValidationError(refusal, code="occupied")})


def _new(account: Account, name: str) -> Namespace:
    """A namespace with a validated name, not saved."""
    namespace = Namespace(owner=account, name=name.strip())
    if namespace.name in RESERVED_NAMESPACES:
        raise ValidationError(
            {"name": ValidationError(_("The name “%s” is reserved. Try another name.") % namespace.name)}
        )
    namespace.clean_fields(exclude=["owner"])
    return namespace


def require_available(account: Account, name: str) -> None:
    """Check whether ``account`` could create the namespace ``name``, so that a form can report all errors together.

    Only ``create_namespace`` decides: in a race another account may be faster. This calls the registry: no locks may be
    held.

    :raises ValidationError: keyed ``name``, with the codes of ``create_namespace``.
    """
    name = _new(account, name).name
    owner = Namespace.objects.filter(name=name).values_list("owner_id", flat=True).first()
    if owner == account.pk:
        raise _already_yours(name)
    if owner is not None:
        raise _taken(name)
    if NamespaceHold.objects.filter(name=name).exclude(last_owner=account).exists():
        raise _held(name)
    if refusal := quotas.refuse_namespace(account):
        raise ValidationError({"name": ValidationError(refusal, code="quota")})
    require_unoccupied(account, name)


def _already_yours(name: str) -> ValidationError:
    return ValidationError({"name": ValidationError(_("You already have the namespace “%s”.") % name, code="taken")})


def create_namespace(account: Account, name: str, *, unoccupied: bool = False) -> Namespace:
    """Create the namespace ``name`` for ``account``.

    The database ensures uniqueness: in a race for the same name one account gets it.

    :param unoccupied: whether the caller has already called ``require_unoccupied``, because it holds locks now.
    :raises ValidationError: keyed ``name`` (``code="taken"``, ``"quota"``, ``"occupied"`` or a broken rule of names).
    """
    if not unoccupied:
        require_unoccupied(account, name)
    namespace = _new(account, name)
    name = namespace.name
    with transaction.atomic():
        # Lock the account: otherwise two concurrent requests could exceed its quota (race).
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if refusal := quotas.refuse_namespace(account):
            raise ValidationError({"name": ValidationError(refusal, code="quota")})
        if not insert(namespace):
            is_own = Namespace.objects.filter(name=name, owner=account).exists()
            raise _already_yours(name) if is_own else _taken(name)
        # Read after the insert, which waits for a concurrent delete; its hold is visible then.
        hold = NamespaceHold.objects.select_for_update().filter(name=name).first()
        if hold is not None:
            if hold.last_owner_id != account.pk:
                raise _held(name)
            hold.delete()
        _forget_failures(name)
        record("namespace.create", name, owner=account.account_id)
    return namespace


def delete_namespace(account: Account, namespace: Namespace) -> None:
    """Delete a namespace and hold its name. Other accounts can take it when all tokens for it have expired.

    :raises ValidationError: when the namespace still has images, or is not the account's.
    """
    if not account.may("namespace.delete", namespace):
        raise ValidationError(_("You can’t delete this namespace."))
    try:
        with transaction.atomic():
            NamespaceHold.objects.update_or_create(
                name=namespace.name, defaults={"last_owner_id": namespace.owner_id, "until": _hold_end()}
            )
            # Lock the row, against a race with creating an access token for it.
            Namespace.objects.select_for_update().filter(pk=namespace.pk).first()
            service_accounts.end_all(namespace)
            namespace.delete()
            _forget_failures(namespace.name)
            record("namespace.delete", namespace.name, owner=account.account_id)
    except ProtectedError:
        raise ValidationError(
            _("The namespace “%s” still contains images. Delete them first.") % namespace.name
        ) from None


def transfer_namespace(namespace: Namespace, new_owner: Account) -> None:
    """Start the transfer of a namespace with all its images to another account.

    From now on no tokens are issued for it; the new owner gets it when all tokens of the former owner have expired
    (``finish_transfers``), so that an old token never gives access to images of the new owner.

    :raises ValidationError: when the new owner is inactive or a service account, or has reached the quota.
    """
    if new_owner.is_service:
        raise ValidationError(_("A service account cannot own a namespace; choose the account of a person."))
    if not new_owner.is_active:
        raise ValidationError(_("The account %s is deactivated; choose an active one.") % new_owner.account_id)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=new_owner.pk)
        locked = Namespace.objects.select_for_update(of=("self",)).select_related("owner").get(pk=namespace.pk)
        if locked.owner_id == new_owner.pk:
            raise ValidationError(_("The namespace is already owned by %s.") % new_owner.account_id)
        if refusal := quotas.refuse_namespace(new_owner):
            raise ValidationError(refusal)
        locked.new_owner = new_owner
        locked.available_at = _hold_end()
        locked.save(update_fields=["new_owner", "available_at"])
        HandOver.objects.filter(namespace=locked).delete()
        # Removes access of the former owner's access tokens for good, even if the namespace is transferred back. Those
        # of its service accounts, and of members who keep their roles, work on for the new owner.
        NamespaceAccess.objects.filter(namespace=locked, token__account=locked.owner).delete()
        ImageAccess.objects.filter(image__namespace=locked, token__account=locked.owner).delete()
        _forget_failures(locked.name)
        record("namespace.transfer", locked.name, old=locked.owner.account_id, new=new_owner.account_id)
    namespace.refresh_from_db()


def finish_transfers() -> int:
    """Finish the transfers that are due; returns how many.

    What a former owner's token has pushed since the transfer began is deleted first, as for a freed name.

    :raises registry_client.RegistryError: when the registry does not answer; the transfers are retried.
    """
    due = list(Namespace.objects.filter(available_at__lte=timezone.now()).order_by("name"))
    due = [namespace for namespace in due if not _is_given_up("transfer", namespace.name)]
    repositories = _repositories() if due else []
    return sum(
        _try_work("transfer", namespace.name, functools.partial(_clear_pushes, namespace, repositories))
        and _hand_over(namespace)
        for namespace in due
    )


def _hand_over(due: Namespace) -> bool:
    with transaction.atomic():
        rows = Namespace.objects.select_for_update(of=("self",))
        namespace = rows.filter(pk=due.pk, available_at__lte=timezone.now()).first()
        if namespace is None:
            return False  # transferred again meanwhile
        assert namespace.new_owner is not None, "held by the constraint namespace_transfer_whole"  # noqa: S101  # nosec B101
        old = namespace.owner.account_id
        namespace.owner, namespace.new_owner, namespace.available_at = namespace.new_owner, None, None
        namespace.save(update_fields=["owner", "new_owner", "available_at"])
        # An owner needs no grants; left ones would give a role back when somebody else owns it again.
        Grant.objects.filter(namespace=namespace, account=namespace.owner).delete()
        record("namespace.transferred", namespace.name, old=old, new=namespace.owner.account_id)
    return True


def _clear_pushes(namespace: Namespace, repositories: list[str]) -> None:
    """Delete what was pushed to the namespace since its transfer began.

    A repository without an image is deleted only if a push during the transfer is known: otherwise it may have been
    pushed before, with its notification late or lost.
    """
    began = namespace.transfer_began
    if began is None:
        return
    images = {
        image.repository: image for image in Image.objects.select_related("namespace").filter(namespace=namespace)
    }
    for repository in repositories:
        if repository.partition("/")[0] != namespace.name:
            continue
        image = images.get(repository)
        if image is None and names.has_push_since(repository, began):
            names.clear_repository(repository)
        elif image is None:
            log.warning("%s has no image and no known push since the transfer began: not deleted", repository)
        elif image.state == Image.State.ACTIVE:  # otherwise its deletion removes everything
            names.undo_pushes(image, began)


def release_names() -> int:
    """End the holds that are due; returns how many.

    Old tokens may have pushed to the name since it was freed. Those images have no owner, and are deleted first, so
    that the next owner does not get them. If that fails, the name stays held; other names are not blocked.

    :raises registry_client.RegistryError: when the registry does not answer; the names stay held.
    """
    due = list(NamespaceHold.objects.filter(until__lte=timezone.now()).order_by("name").values_list("name", flat=True))
    due = [name for name in due if not _is_given_up("release", name)]
    repositories = _repositories() if due else []
    cleared = [name for name in due if _try_work("release", name, functools.partial(_clear, name, repositories))]
    if not cleared:
        return 0
    with transaction.atomic():
        released, _rows = NamespaceHold.objects.filter(name__in=cleared, until__lte=timezone.now()).delete()
        for name in cleared:
            record("namespace.release", name)
    return released


def _clear(name: str, repositories: list[str]) -> None:
    # Not if the former owner has created it again.
    if Namespace.objects.filter(name=name).exists():
        return
    for repository in repositories:
        if repository.partition("/")[0] == name:
            names.clear_repository(repository)


def _repositories() -> list[str]:
    """All repositories in the registry's catalogue or with stored push events."""
    return sorted({*registry().catalog(), *pushed_digests.repositories()})


_STAYS = {
    "release": gettext_lazy("Old content under this name can’t be removed from the registry, so the name stays held."),
    "transfer": gettext_lazy(
        "Content pushed during the transfer can’t be removed, so the new owner does not get the namespace yet."
    ),
}


def _given_up(kind: str, name: str | OuterRef) -> QuerySet[WorkFailure]:
    return WorkFailure.objects.filter(kind=kind, repository=name, given_up_at__isnull=False)


def _is_given_up(kind: str, name: str) -> bool:
    return _given_up(kind, name).exists()


def transfer_problem() -> Subquery:
    """Subquery for namespaces: why the transfer was given up, as a sentence; ``None`` if it was not."""
    return Subquery(_given_up("transfer", OuterRef("name")).values("sentence")[:1])


def _forget_failures(name: str) -> None:
    """Delete earlier failures of a name that is created, deleted or transferred now, so that they do not block it."""
    for kind in _STAYS:
        failures.forget(kind, name)


def _try_work(kind: str, name: str, work: Callable[[], None]) -> bool:
    """Run ``work`` for a name; returns whether it succeeded. A failure is counted, and does not block other names.

    :raises registry_client.RegistryError: during an outage of the registry.
    """
    try:
        work()
    except Exception as error:
        patience = failures.patience_with(error)
        failures.record_failure(kind, name, sentence=str(_STAYS[kind]), error=error, patience=patience)
        log.warning("%s of %s failed: %s", kind, name, error, exc_info=not isinstance(error, RegistryError))
        return False
    failures.forget(kind, name)
    return True
