"""Invite to a namespace or an image; accept, decline and take back invitations.

Every change locks the namespace first and the invitation after it, so that one of many who accept a link at once wins,
and an owner who is removed meanwhile gives nothing.
"""

from __future__ import annotations

import datetime
import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from console.access.roles import Role
from console.access.token_secrets import hash_secret
from console.accounts.models import Account
from console.audit.services import record
from console.invitations import jobs
from console.membership.models import Grant, Invitation
from console.namespaces.models import Namespace
from console.repositories.models import Image
from console.sharing.services import give_role, lock_namespace, require_manager

# Pending invitations of one namespace.
MOST_PENDING = 100
# How long an invitation can be good, in days.
MOST_DAYS = 30


def invite(
    actor: Account,
    namespace: Namespace,
    *,
    image: Image | None = None,
    role: Role,
    grant_until: datetime.datetime | None = None,
    account: Account | None = None,
    email: str = "",
    days: int = 7,
) -> tuple[Invitation, str]:
    """Invite an account, an e-mail address, or, without either, who has the link. A pending invitation is replaced.

    :param image: one image of the namespace; ``None`` for the whole namespace.
    :param grant_until: when the role ends; ``None`` for good.
    :param days: how long the invitation is good, but not longer than the role.
    :return: the invitation, and the secret of its link, which is stored nowhere; empty unless it is by link. A job
        e-mails the link of an invitation by e-mail.
    :raises ValidationError: when the actor may not invite, or there are too many invitations; keyed ``account_id`` or
        ``grant_until``.
    """
    if not 1 <= days <= MOST_DAYS or (account is not None and email):
        raise ValueError("one way, for 1 to 30 days")
    now = timezone.now()
    if grant_until is not None and grant_until <= now:
        raise ValidationError({"grant_until": _("This time is in the past.")})
    secret = "" if account else secrets.token_urlsafe(32)
    expires_at = now + datetime.timedelta(days=days)
    with transaction.atomic():
        locked = lock_namespace(namespace)
        require_manager(actor, locked, image)
        if account is not None:
            _check_account(account, locked, image, role, grant_until)
        _replace(locked, image, account, email)
        if Invitation.objects.pending().filter(namespace=locked).count() >= MOST_PENDING:
            raise ValidationError(
                _("This namespace has %(count)d pending invitations. Take some back before you send more.")
                % {"count": MOST_PENDING}
            )
        invitation = Invitation.objects.create(
            namespace=locked,
            image=image,
            role=int(role),
            grant_until=grant_until,
            account=account,
            email=email,
            secret_hash=hash_secret(secret) if secret else None,
            expires_at=min(expires_at, grant_until) if grant_until else expires_at,
            invited_by=actor,
        )
        record("invitation.create", target_of(invitation), **_facts(invitation))
        if email:
            # The job makes the secret: it is not stored in the job's arguments.
            jobs.send_invitation.defer(invitation=invitation.pk)
    return invitation, "" if email else secret


def accept(account: Account, invitation: Invitation) -> Invitation:
    """Accept an invitation: the account gets its role, unless it has a higher one already.

    :return: the invitation as it is now.
    :raises ValidationError: with one sentence: the invitation is used, taken back or expired, is for somebody else, or
        who sent it may no longer give the role.
    """
    with transaction.atomic():
        locked, current = _lock(invitation)
        if refusal := refuse_account(current, account):
            raise ValidationError(refusal)
        role = Role(current.role)
        held = Grant.objects.current().filter(namespace=locked, image=current.image, account=account).first()
        if held is None or _gains(held, role, current.grant_until):
            grant = give_role(
                None, locked, account, role, image=current.image, until=current.grant_until, invitation=current.pk
            )
            Grant.objects.filter(pk=grant.pk).update(granted_by=current.invited_by)
        _end(current, Invitation.State.ACCEPTED, account)
        record("invitation.accept", target_of(current), actor=account.account_id, **_facts(current))
    return current


def decline(account: Account, invitation: Invitation) -> None:
    """Decline an invitation.

    :raises ValidationError: with one sentence, when it is used or taken back, or is for somebody else.
    """
    with transaction.atomic():
        _locked, current = _lock(invitation)
        if refusal := _refuse_ended(current) or _refuse_person(current, account):
            raise ValidationError(refusal)
        _end(current, Invitation.State.DECLINED)
        record("invitation.decline", target_of(current), **_facts(current))


def revoke(actor: Account | None, invitation: Invitation) -> bool:
    """Take back a pending invitation. Idempotent.

    :param actor: who takes it back; ``None`` for an administrator, whose right the caller has checked.
    :return: whether this call took it back.
    :raises ValidationError: when the actor may not, or somebody has accepted the invitation already.
    """
    with transaction.atomic():
        locked, current = _lock(invitation)
        require_manager(actor, locked, current.image)
        if current.state == Invitation.State.ACCEPTED:
            raise ValidationError(_("This invitation was already used. Remove the member instead."))
        if current.state != Invitation.State.PENDING:
            return False
        _end(current, Invitation.State.REVOKED)
        record("invitation.revoke", target_of(current), **_facts(current))
    return True


def refuse(invitation: Invitation) -> str:
    """Error message if nobody can accept the invitation any more, one sentence; empty if somebody can."""
    if refusal := _refuse_ended(invitation):
        return refusal
    if invitation.expires_at <= timezone.now():
        return _("This invitation has expired.")
    try:
        require_manager(invitation.invited_by, invitation.namespace, invitation.image)
    except ValidationError:
        return _("This invitation is no longer valid: %(name)s no longer owns %(target)s.") % {
            "name": invitation.invited_by.name,
            "target": target_of(invitation),
        }
    return ""


def refuse_account(invitation: Invitation, account: Account) -> str:
    """Error message if the account cannot accept the invitation, one sentence; empty if it can."""
    if refusal := refuse(invitation) or _refuse_person(invitation, account):
        return refusal
    if account.pk == invitation.namespace.owner_id:
        return _("You already own this namespace.")
    return ""


def _refuse_ended(invitation: Invitation) -> str:
    return {
        Invitation.State.ACCEPTED: _("This invitation was already used."),
        Invitation.State.DECLINED: _("This invitation was declined."),
        Invitation.State.REVOKED: _("This invitation was taken back."),
    }.get(Invitation.State(invitation.state), "")


def _refuse_person(invitation: Invitation, account: Account) -> str:
    """Error message if the invitation is for another account or e-mail address; empty if it is not."""
    if invitation.account_id not in (None, account.pk):
        return _("This invitation is for another account.")
    confirmed = (account.email or "").lower() if account.email_confirmed else ""
    if invitation.email and confirmed != invitation.email.lower():
        return _("This invitation is for an e-mail address that is not the confirmed address of your account.")
    return ""


def target_of(invitation: Invitation) -> str:
    """What an invitation is for: a namespace's name, or ``namespace/image``."""
    if invitation.image is None:
        return invitation.namespace.name
    return f"{invitation.namespace.name}/{invitation.image.name}"


def _lock(invitation: Invitation) -> tuple[Namespace, Invitation]:
    locked = lock_namespace(invitation.namespace)
    current = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("namespace", "image", "invited_by", "account")
        .filter(pk=invitation.pk)
        .first()
    )
    if current is None:
        raise ValidationError(_("This invitation no longer exists."))
    return locked, current


def _end(invitation: Invitation, state: Invitation.State, accepted_by: Account | None = None) -> None:
    invitation.state, invitation.ended_at, invitation.accepted_by = state, timezone.now(), accepted_by
    invitation.save(update_fields=["state", "ended_at", "accepted_by"])


def _replace(namespace: Namespace, image: Image | None, account: Account | None, email: str) -> None:
    """Take back the pending invitation of the same account or address to the same thing."""
    if account is None and not email:
        return
    to = Q(account=account) if account is not None else Q(email__iexact=email)
    same = Invitation.objects.filter(to, namespace=namespace, image=image, state=Invitation.State.PENDING)
    for invitation in same.select_related("namespace", "image", "account").select_for_update(of=("self",)):
        _end(invitation, Invitation.State.REVOKED)
        record("invitation.revoke", target_of(invitation), replaced=True, **_facts(invitation))


def _check_account(
    account: Account, namespace: Namespace, image: Image | None, role: Role, until: datetime.datetime | None
) -> None:
    """Check that an account can be invited.

    :raises ValidationError: keyed ``account_id``.
    """
    if account.is_service:
        raise ValidationError({"account_id": _("A service account cannot be invited.")})
    if not account.is_active:
        raise ValidationError({"account_id": _("This account is deactivated.")})
    held = Grant.objects.held_by(account.pk).at_least(role).filter(Q(image=None) | Q(image=image), namespace=namespace)
    lasting = Q(until=None) if until is None else Q(until=None) | Q(until__gte=until)
    if account.pk == namespace.owner_id or held.filter(lasting).exists():
        raise ValidationError({"account_id": _("%s already has this role or a higher one.") % account.name})


def _gains(held: Grant, role: Role, until: datetime.datetime | None) -> bool:
    """Whether an account gains by a role: it is higher than what it has, or the same for longer."""
    if int(role) != held.role:
        return int(role) > held.role
    return held.until is not None and (until is None or until > held.until)


def _facts(invitation: Invitation) -> dict[str, Any]:
    """What the audit log says of an invitation: never its secret, nor the hash of it."""
    to = invitation.account.account_id if invitation.account is not None else invitation.email or "link"
    until = invitation.grant_until.isoformat() if invitation.grant_until else None
    return {"invitation": invitation.pk, "to": to, "role": Role(invitation.role).name.lower(), "until": until}
