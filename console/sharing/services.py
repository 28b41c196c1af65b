"""Give, change and take roles. The last owner of a namespace stays.

Every change locks the namespace first, and checks the right to do it after that: two owners who remove each other at
once are served one after the other, and the second is no owner any more.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access.roles import Role
from console.accounts.models import Account
from console.audit.services import record
from console.database.conflicts import insert
from console.membership.models import Grant, GrantQuerySet, Team
from console.namespaces.models import Namespace
from console.repositories import quotas
from console.repositories.models import Image

Holder = Account | Team


def give_role(
    actor: Account | None,
    namespace: Namespace,
    holder: Holder,
    role: Role,
    *,
    image: Image | None = None,
    until: datetime.datetime | None = None,
    **detail: Any,
) -> Grant:
    """Give an account or a team a role on a namespace, or on one image of it; an existing grant is changed.

    :param actor: who gives it; ``None`` for an administrator or a command, whose right the caller has checked.
    :param until: when the role ends; ``None`` for good.
    :param detail: further facts for the audit event.
    :raises ValidationError: when the actor may not, or keyed ``holder``, ``until`` or ``role``.
    :raises ValueError: for an image of another namespace.
    """
    if image is not None and image.namespace_id != namespace.pk:
        raise ValueError("the image is of another namespace")
    with transaction.atomic():
        locked = lock_namespace(namespace)
        require_manager(actor, locked, image)
        _check(locked, holder, role, until)
        grant = Grant(
            namespace=locked,
            image=image,
            account=holder if isinstance(holder, Account) else None,
            team=holder if isinstance(holder, Team) else None,
            role=int(role),
            until=until,
            granted_by=actor,
        )
        if insert(grant):
            facts = {"role": role.name.lower(), "until": _moment(until), **detail}
            record("member.grant", _target(grant), member=name_of(holder), **facts)
            return grant
        existing = Grant.objects.get(namespace=locked, image=image, account=grant.account, team=grant.team)
        _change(existing, role, until)
        return existing


def change_role(actor: Account | None, grant: Grant, role: Role, until: datetime.datetime | None) -> None:
    """Change the role of a grant, and when it ends.

    :raises ValidationError: when the actor may not, or the grant was taken meanwhile; keyed ``until``.
    """
    with transaction.atomic():
        locked = lock_namespace(grant.namespace)
        require_manager(actor, locked, grant.image)
        current = Grant.objects.select_related("account", "team", "image").filter(pk=grant.pk).first()
        if current is None:
            raise ValidationError(_("This member has already been removed."))
        _check(locked, current.holder, role, until)
        _change(current, role, until)


def take_role(actor: Account | None, grant: Grant) -> bool:
    """Take a role: it ends at the next token request. Idempotent.

    :return: whether this call took it.
    :raises ValidationError: when the actor may not.
    """
    with transaction.atomic():
        locked = lock_namespace(grant.namespace)
        # An account may always give up its own role.
        if actor is None or grant.account_id != actor.pk:
            require_manager(actor, locked, grant.image)
        deleted, _rows = Grant.objects.filter(pk=grant.pk).delete()
        if deleted:
            action = "member.leave" if actor is not None and grant.account_id == actor.pk else "member.remove"
            role = Role(grant.role).name.lower()
            record(action, _target(grant), member=name_of(grant.holder), role=role)
    return bool(deleted)


def heirs(namespace: Namespace) -> list[Account]:
    """The people who are owners beside the namespace's own account, for good and by a grant of their own; oldest first.

    One of them takes over the namespace when its own account leaves.
    """
    grants = Grant.objects.filter(
        namespace=namespace,
        image=None,
        role=int(Role.OWNER),
        until=None,
        account__is_active=True,
        account__is_service=False,
        account__credential__activated_at__isnull=False,
    )
    return [grant.account for grant in grants.select_related("account").order_by("created_at", "pk") if grant.account]


def refuse_release(namespace: Namespace) -> str:
    """Error message if the namespace's own account cannot be removed, because nobody else owns it; empty if it can."""
    if heirs(namespace):
        return ""
    return _("The last owner stays. Make somebody else an owner first, or hand the namespace over.")


def release_owner(actor: Account | None, namespace: Namespace, role: Role | None = None) -> Account:
    """Remove the namespace's own account, or give it a lower role; the oldest other owner takes over.

    The namespace and its images count towards the quotas of who takes over from now on.

    :param actor: another owner, or the account itself when it leaves; ``None`` for an administrator.
    :param role: what the account keeps; ``None`` for nothing.
    :return: who owns the namespace now.
    :raises ValidationError: when the actor may not, nobody else owns it, or the quota of who takes over is reached.
    """
    former = Account.objects.get(pk=namespace.owner_id)
    candidates = heirs(namespace)
    if not candidates:
        raise ValidationError(refuse_release(namespace), code="last-owner")
    # Who removes an owner takes over, if they can: they know of it.
    heir = next((one for one in candidates if actor is not None and one.pk == actor.pk), candidates[0])
    with transaction.atomic():
        # Accounts before namespaces, as everywhere.
        heir = Account.objects.select_for_update(no_key=True).get(pk=heir.pk)
        locked = lock_namespace(namespace)
        if locked.owner_id != former.pk or heir not in heirs(locked):
            raise ValidationError(_("The owners have changed in the meantime. Reload the page and try again."))
        require_manager(actor, locked, None)
        if locked.in_transfer:
            raise ValidationError(
                _("The namespace is being transferred to another account. Try again when the transfer has finished.")
            )
        quota = quotas.quota(heir)
        if quota.namespaces_used >= quota.namespaces_allowed or (
            quota.images_used + locked.image_count > quota.images_allowed
        ):
            raise ValidationError(
                _("%s cannot take over the namespace: the account’s quota is reached. Ask an administrator.")
                % heir.name
            )
        Grant.objects.filter(namespace=locked, account=heir, image=None).delete()
        Grant.objects.filter(namespace=locked, account=former).delete()
        locked.owner = heir
        locked.save(update_fields=["owner"])
        record("namespace.owner", locked.name, old=former.account_id, new=heir.account_id)
        if role is not None:
            Grant.objects.create(namespace=locked, account=former, role=int(role), granted_by=actor)
        kept = role.name.lower() if role is not None else None
        leaves = actor is not None and actor.pk == former.pk and role is None
        action = "member.leave" if leaves else "member.change"
        record(action, locked.name, member=former.account_id, changes={"role": ["owner", kept]})
    namespace.refresh_from_db()
    return heir


def end_expired(now: datetime.datetime) -> int:
    """Delete grants that have expired, which no rule counts any more, and record it; returns how many."""
    with transaction.atomic():
        expired = list(
            Grant.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("namespace", "image", "account", "team")
            .filter(until__lte=now)[:1000]
        )
        for grant in expired:
            record(
                "member.expire",
                _target(grant),
                actor="system",
                member=name_of(grant.holder),
                role=Role(grant.role).name.lower(),
                until=_moment(grant.until),
            )
        Grant.objects.filter(pk__in=[grant.pk for grant in expired]).delete()
    return len(expired)


def grants_on(namespace: Namespace, image: Image | None = None) -> GrantQuerySet:
    """The current grants on a namespace alone, or, for an image, on it and on its namespace."""
    wanted = Q(image=None) if image is None else Q(image=None) | Q(image=image)
    grants = Grant.objects.current().filter(wanted, namespace=namespace)
    return grants.select_related("account__service_account", "team", "image", "namespace", "granted_by")


def lock_namespace(namespace: Namespace) -> Namespace:
    """Lock the namespace's row, so that roles on it change one after the other. Call it in a transaction.

    :return: the namespace as it is now.
    :raises ValidationError: when it no longer exists.
    """
    locked = Namespace.objects.select_for_update(no_key=True).filter(pk=namespace.pk).first()
    if locked is None:
        raise ValidationError(_("The namespace no longer exists."))
    return locked


def require_manager(actor: Account | None, namespace: Namespace, image: Image | None) -> None:
    """Check that an account may change who has access.

    :param actor: ``None`` for an administrator or a command.
    :param image: the image, or ``None`` for the whole namespace.
    :raises ValidationError: when it may not.
    """
    if actor is None:
        return
    if image is None:
        allowed = actor.may("namespace.manage_members", namespace)
    else:
        allowed = actor.may("image.manage_members", Image.objects.select_related("namespace").get(pk=image.pk))
    if not allowed:
        raise ValidationError(_("Only an owner may change who has access."), code="forbidden")


def name_of(holder: Holder) -> str:
    """How the audit log names who has a role: an Account ID, or ``team NAME``."""
    return holder.account_id if isinstance(holder, Account) else f"team {holder.name}"


def _check(namespace: Namespace, holder: Holder, role: Role, until: datetime.datetime | None) -> None:
    if until is not None and until <= timezone.now():
        raise ValidationError({"until": _("This time is in the past.")})
    if not isinstance(holder, Account):
        # Locked, against a race with deleting the team.
        if Team.objects.select_for_update(no_key=True).filter(pk=holder.pk).first() is None:
            raise ValidationError({"holder": _("The team no longer exists.")})
        return
    if holder.pk == namespace.owner_id:
        raise ValidationError({"holder": _("%s already owns this namespace.") % holder.name})
    if not holder.is_active:
        raise ValidationError({"holder": _("This account is deactivated.")})
    if holder.is_service and not namespace.service_accounts.filter(account=holder).exists():
        raise ValidationError({"holder": _("A service account can have roles in its own namespace only.")})
    if holder.is_service and role == Role.OWNER:
        raise ValidationError({"role": _("A service account cannot be an owner. Choose a lower role.")})


def _change(grant: Grant, role: Role, until: datetime.datetime | None) -> None:
    before = {"role": Role(grant.role).name.lower(), "until": _moment(grant.until)}
    after = {"role": role.name.lower(), "until": _moment(until)}
    if before == after:
        return
    grant.role, grant.until = int(role), until
    grant.save(update_fields=["role", "until"])
    changes = {field: [before[field], after[field]] for field in before if before[field] != after[field]}
    record("member.change", _target(grant), member=name_of(grant.holder), changes=changes)


def _target(grant: Grant) -> str:
    return grant.image.full_name or grant.image.repository if grant.image is not None else grant.namespace.name


def _moment(moment: datetime.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
