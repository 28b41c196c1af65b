"""Verbs about namespaces."""

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
from console.namespaces.models import Namespace, NamespaceAccess, NamespaceHold
from console.registry import clearing
from console.registry.connection import has_images_under, registry
from console.repositories import failures, pushed_digests, quotas
from console.repositories.models import Image, WorkFailure
from registry_client import RegistryError

log = logging.getLogger(__name__)


def _hold_end() -> datetime.datetime:
    """The moment from which no token that was given out until now can be valid any more."""
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
    """The refusal of a name that is held for its former owner."""
    if not _is_given_up("release", name):
        return _taken(name)
    sentence = _(
        "The name “%s” can’t be used: old content under it can’t be removed from the registry. Try another name, or "
        "ask an administrator."
    )
    return ValidationError({"name": ValidationError(sentence % name, code="taken")})


def require_unoccupied(account: Account, name: str) -> None:
    """Make sure that no images lie under the name that no account has, before ``account`` is given it.

    The registry is asked: call it while nothing is locked.

    :raises ValidationError: keyed ``name`` (``code="occupied"``, or a broken rule of names).
    """
    name = _new(account, name).name
    # Of a name that somebody has, or had until a moment ago, the console knows what lies there.
    if Namespace.objects.filter(name=name).exists() or NamespaceHold.objects.filter(name=name).exists():
        return
    occupied: bool | None
    try:
        occupied = has_images_under(name)
    except RegistryError as error:
        log.warning("the registry does not say whether there are images under %s: %s", name, error)
        occupied = None
    if refusal := rules.refuse_namespace_name(occupied):
        raise ValidationError({"name": ValidationError(refusal, code="occupied")})


def _new(account: Account, name: str) -> Namespace:
    """A namespace that is not stored yet, its name held against the rules of names."""
    namespace = Namespace(owner=account, name=name.strip())
    if namespace.name in RESERVED_NAMESPACES:
        raise ValidationError(
            {"name": ValidationError(_("The name “%s” is reserved. Try another name.") % namespace.name)}
        )
    namespace.clean_fields(exclude=["owner"])
    return namespace


def require_available(account: Account, name: str) -> None:
    """See whether ``account`` could be given the namespace ``name`` now, so that a form can say so with all else.

    Only ``create_namespace`` decides: another person may be quicker. The registry is asked: call it while nothing is
    locked.

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
    """Give ``account`` the namespace ``name``.

    Uniqueness is the database's: of two people who submit the same name at the same instant one gets it.

    :param unoccupied: whether the caller has just made sure of it (``require_unoccupied``), because it holds locks now.
    :raises ValidationError: keyed ``name`` (``code="taken"``, ``"quota"``, ``"occupied"`` or a broken rule of names).
    """
    if not unoccupied:
        require_unoccupied(account, name)
    namespace = _new(account, name)
    name = namespace.name
    with transaction.atomic():
        # One creator at a time for one account, or two at once could pass its quota together.
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if refusal := quotas.refuse_namespace(account):
            raise ValidationError({"name": ValidationError(refusal, code="quota")})
        if not insert(namespace):
            is_own = Namespace.objects.filter(name=name, owner=account).exists()
            raise _already_yours(name) if is_own else _taken(name)
        # Read after the insert: it waits for a delete under way, whose hold is visible from then on.
        hold = NamespaceHold.objects.select_for_update().filter(name=name).first()
        if hold is not None:
            if hold.last_owner_id != account.pk:
                raise _held(name)
            hold.delete()
        _forget_failures(name)
        record("namespace.create", name, owner=account.account_id)
    return namespace


def delete_namespace(account: Account, namespace: Namespace) -> None:
    """Free the name. Others can take it when the last token given out for it has run out.

    :raises ValidationError: when the namespace still holds an image, or is not the account's.
    """
    if not account.may("namespace.delete", namespace):
        raise ValidationError(_("You can’t delete this namespace."))
    try:
        with transaction.atomic():
            NamespaceHold.objects.update_or_create(
                name=namespace.name, defaults={"last_owner_id": namespace.owner_id, "until": _hold_end()}
            )
            # Waits for an access token that is just being made for it, and goes with its row.
            Namespace.objects.select_for_update().filter(pk=namespace.pk).first()
            namespace.delete()
            _forget_failures(namespace.name)
            record("namespace.delete", namespace.name, owner=account.account_id)
    except ProtectedError:
        raise ValidationError(
            _("The namespace “%s” still contains images. Delete them first.") % namespace.name
        ) from None


def transfer_namespace(namespace: Namespace, new_owner: Account) -> None:
    """Begin to hand a namespace with all its images to another account.

    From here on the registry serves it to nobody; it becomes the new owner's when every token that the former owner
    may hold has run out (``finish_transfers``), so that an old token never opens a new owner's image.

    :raises ValidationError: when the new owner is inactive or has no room for one more namespace.
    """
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
        # No access token opens it again, should it ever come back.
        NamespaceAccess.objects.filter(namespace=locked).delete()
        _forget_failures(locked.name)
        record("namespace.transfer", locked.name, old=locked.owner.account_id, new=new_owner.account_id)
    namespace.refresh_from_db()


def finish_transfers() -> int:
    """Give the namespaces whose time has come to their new owners; how many there were.

    What a former owner's token has pushed since the transfer began is taken back first, as for a freed name: the new
    owner must not find it among the images.

    :raises registry_client.RegistryError: when the registry cannot be asked; the namespaces wait.
    """
    due = list(Namespace.objects.filter(available_at__lte=timezone.now()).order_by("name"))
    due = [namespace for namespace in due if not _is_given_up("transfer", namespace.name)]
    repositories = _repositories() if due else []
    return sum(
        _try_work("transfer", namespace.name, functools.partial(_take_back, namespace, repositories))
        and _hand_over(namespace)
        for namespace in due
    )


def _hand_over(due: Namespace) -> bool:
    with transaction.atomic():
        rows = Namespace.objects.select_for_update(of=("self",))
        namespace = rows.filter(pk=due.pk, available_at__lte=timezone.now()).first()
        if namespace is None:
            return False  # somebody transferred it once more
        assert namespace.new_owner is not None, "held by the constraint namespace_transfer_whole"  # noqa: S101  # nosec B101
        old = namespace.owner.account_id
        namespace.owner, namespace.new_owner, namespace.available_at = namespace.new_owner, None, None
        namespace.save(update_fields=["owner", "new_owner", "available_at"])
        record("namespace.transferred", namespace.name, old=old, new=namespace.owner.account_id)
    return True


def _take_back(namespace: Namespace, repositories: list[str]) -> None:
    """Remove what was pushed to the namespace since its transfer began.

    A repository that has no image yet is removed only when a push of that time is known: it may have been pushed
    before, and its notification be late or lost.
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
        if image is None and clearing.has_push_since(repository, began):
            clearing.clear(repository)
        elif image is None:
            log.warning("%s has no image, and no push since the transfer began is known: it stays", repository)
        elif image.state == Image.State.ACTIVE:  # a deletion takes everything along
            clearing.undo_pushes(image, began)


def release_names() -> int:
    """End the holds whose time has come; how many there were.

    A token from before may have pushed to the name since it was freed. What lies there belongs to nobody, and the
    next owner must not find it: it is removed first. A name of which it cannot be removed stays held, and keeps no
    other name waiting.

    :raises registry_client.RegistryError: when the registry cannot be asked; the names stay held.
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
    # Unless its former owner took it back.
    if Namespace.objects.filter(name=name).exists():
        return
    for repository in repositories:
        if repository.partition("/")[0] == name:
            clearing.clear(repository)


def _repositories() -> list[str]:
    """Every repository that the registry has, or was pushed to."""
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
    """For a query of namespaces: why the transfer was given up, as a sentence; ``None`` where it was not."""
    return Subquery(_given_up("transfer", OuterRef("name")).values("sentence")[:1])


def _forget_failures(name: str) -> None:
    """Forget earlier failures of a name that is created, freed or transferred now: they do not block what begins."""
    for kind in _STAYS:
        failures.forget(kind, name)


def _try_work(kind: str, name: str, work: Callable[[], None]) -> bool:
    """Do what a name waits for; whether that succeeded. A failure is counted, and one name keeps no other waiting.

    :raises registry_client.RegistryError: when the registry is away.
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
