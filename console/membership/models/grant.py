"""Grants: a role for an account or a team, on a namespace or on one image."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role
from console.accounts.models import Account
from console.membership.models.team import Team, TeamMember


class RoleName(models.IntegerChoices):
    """The roles by the names that pages show."""

    READER = Role.READER, _("Reader")
    WRITER = Role.WRITER, _("Writer")
    MAINTAINER = Role.MAINTAINER, _("Maintainer")
    OWNER = Role.OWNER, _("Owner")


class GrantQuerySet(models.QuerySet["Grant"]):
    """Query grants."""

    def current(self) -> Self:
        """Those that have not expired."""
        return self.filter(Q(until=None) | Q(until__gt=Now()))

    def held_by(self, account: int) -> Self:
        """Current grants to an account, and to the teams that it is in.

        :param account: the primary key.
        """
        teams = TeamMember.objects.filter(account_id=account).values("team")
        return self.current().filter(Q(account_id=account) | Q(team__in=teams))

    def at_least(self, role: Role) -> Self:
        """Those of this role or a higher one."""
        return self.filter(role__gte=int(role))


class Grant(models.Model):
    """A role for an account, a team or a service account, on a namespace or on one image, for good or until a moment.

    A namespace's account (``Namespace.owner``) is an owner without a grant. A role on an image adds to the one on the
    namespace.
    """

    namespace = models.ForeignKey(
        "namespaces.Namespace", on_delete=models.CASCADE, related_name="grants", verbose_name=_("namespace")
    )
    image = models.ForeignKey(
        "images.Image",
        on_delete=models.CASCADE,
        related_name="grants",
        verbose_name=_("image"),
        null=True,
        blank=True,
        help_text=_("Empty: the whole namespace"),
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="grants",
        verbose_name=_("account"),
        null=True,
        blank=True,
        db_index=False,
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        related_name="grants",
        verbose_name=_("team"),
        null=True,
        blank=True,
        db_index=False,
    )
    role = models.PositiveSmallIntegerField(_("role"), choices=RoleName.choices)
    until = models.DateTimeField(_("until"), null=True, blank=True, help_text=_("Empty: for good"))
    created_at = models.DateTimeField(_("since"), auto_now_add=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("given by"),
        null=True,
        editable=False,
    )

    objects = GrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        ordering = ["-role", "created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(account__isnull=False, team__isnull=True) | Q(account__isnull=True, team__isnull=False),
                name="grant_to_one_holder",
            ),
            models.CheckConstraint(condition=Q(role__gte=1, role__lte=4), name="grant_role"),
            # Also the index for the grants of an account: the token endpoint reads it for each repository.
            models.UniqueConstraint(
                fields=["account", "namespace", "image", "team"], nulls_distinct=False, name="grant_once"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "namespace"], name="grant_of_team", condition=Q(team__isnull=False)),
            models.Index(fields=["until"], name="grant_until", condition=Q(until__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.holder}: {self.get_role_display()}"

    @property
    def holder(self) -> Account | Team:
        """The account or team that has the role."""
        holder = self.account or self.team
        assert holder is not None, "held by the constraint grant_to_one_holder"  # noqa: S101  # nosec B101
        return holder

    @property
    def expired(self) -> bool:
        """Whether the grant has expired."""
        return self.until is not None and self.until <= timezone.now()
