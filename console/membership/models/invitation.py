"""Invitations to a namespace or an image, and offers to hand over a namespace."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from console.membership.models.grant import RoleName


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Query invitations."""

    def pending(self) -> Self:
        """Those that can be accepted: not accepted, declined or taken back, and not expired."""
        return self.filter(state=Invitation.State.PENDING, expires_at__gt=Now())

    def addressed_to(self, account: AbstractBaseUser) -> Self:
        """Those by the account's Account ID. An invitation by e-mail or link is opened by its link."""
        return self.filter(account=account)


class Invitation(models.Model):
    """An offer of a role on a namespace or one image: to an account, to an e-mail address, or to who has the link.

    It is good once, until ``expires_at``. ``secret_hash`` is the SHA-256 of the link's secret; an invitation by Account
    ID has none. ``grant_until`` is when the role ends that it gives; empty for good.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        REVOKED = "revoked", _("Taken back")

    namespace = models.ForeignKey(
        "namespaces.Namespace", on_delete=models.CASCADE, related_name="invitations", verbose_name=_("namespace")
    )
    image = models.ForeignKey(
        "images.Image",
        on_delete=models.CASCADE,
        related_name="invitations",
        verbose_name=_("image"),
        null=True,
        blank=True,
    )
    role = models.PositiveSmallIntegerField(_("role"), choices=RoleName.choices)
    grant_until = models.DateTimeField(_("role until"), null=True, blank=True)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="invitations",
        verbose_name=_("account"),
        null=True,
        blank=True,
    )
    email = models.EmailField(_("e-mail"), blank=True, default="")
    secret_hash = models.CharField(_("hash of the secret"), max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("invited by")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True, editable=False)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("accepted by"),
        null=True,
        blank=True,
        editable=False,
    )

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(role__gte=1, role__lte=4), name="invitation_role"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "accepted", "declined", "revoked"]), name="invitation_state"
            ),
            models.CheckConstraint(
                condition=Q(account__isnull=False, email="", secret_hash__isnull=True)
                | Q(account__isnull=True, secret_hash__regex=r"^[0-9a-f]{64}$"),  # noqa: S106
                name="invitation_way",
            ),
            models.CheckConstraint(
                condition=Q(state="accepted", accepted_by__isnull=False) | (~Q(state="accepted") & Q(accepted_by=None)),
                name="invitation_accepted_by",
            ),
        ]
        indexes = [models.Index(fields=["namespace", "state", "expires_at"], name="invitation_of_namespace")]

    def __str__(self) -> str:
        return f"{self.namespace}: {self.get_role_display()}"


class HandOver(models.Model):
    """An offer to hand a namespace over to another account, which has to accept it."""

    namespace = models.OneToOneField(
        "namespaces.Namespace", on_delete=models.CASCADE, related_name="hand_over", verbose_name=_("namespace")
    )
    to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="hand_overs", verbose_name=_("to")
    )
    offered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("offered by")
    )
    offered_at = models.DateTimeField(_("offered"), auto_now_add=True)

    class Meta:
        verbose_name = _("offer to hand over a namespace")
        verbose_name_plural = _("offers to hand over namespaces")

    def __str__(self) -> str:
        return f"{self.namespace} → {self.to}"
