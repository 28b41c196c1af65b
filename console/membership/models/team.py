"""Teams: named groups of accounts that namespaces give roles to."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Length
from django.utils.translation import gettext_lazy as _

from console.access.names import NAMESPACE_PATTERN
from console.access.rules import TeamFacts

models.CharField.register_lookup(Length)

validate_team_name = RegexValidator(
    NAMESPACE_PATTERN,
    _(
        "Use lowercase letters, digits and single separators “.”, “_” or “-”, beginning and ending with a letter or "
        "digit."
    ),
)


class TeamQuerySet(models.QuerySet["Team"]):
    """Query teams."""

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The teams that the account is a member of, or manages."""
        return self.filter(pk__in=TeamMember.objects.filter(account_id=account.pk).values("team"))

    def managed_by(self, account: AbstractBaseUser) -> Self:
        """The teams whose members the account may change."""
        return self.filter(pk__in=TeamMember.objects.filter(account_id=account.pk, is_manager=True).values("team"))


class Team(models.Model):
    """A named group of accounts. Any namespace may give it a role; its managers decide who is in it."""

    name = models.CharField(_("name"), max_length=30, unique=True, validators=[validate_team_name])
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(name__regex=NAMESPACE_PATTERN), name="team_name_pattern"),
            models.CheckConstraint(condition=models.Q(name__length__gte=2), name="team_name_length"),
        ]

    def __str__(self) -> str:
        return self.name

    def facts_for(self, account: int) -> TeamFacts:
        """The facts for the rules when the account with this primary key acts; one query."""
        managing = list(self.members.filter(account_id=account).values_list("is_manager", flat=True))
        return TeamFacts(is_member=bool(managing), is_manager=any(managing))


class TeamMember(models.Model):
    """An account in a team: added by a person, or by a group of the identity provider; managers by a person only.

    An account may have one row of each source: leaving the provider's group does not end a membership by hand.
    """

    class Source(models.TextChoices):
        HAND = "hand", _("Added by a person")
        GROUP = "group", _("Group of the identity provider")

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members", verbose_name=_("team"))
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="team_memberships",
        verbose_name=_("account"),
        db_index=False,
    )
    source = models.CharField(_("source"), max_length=5, choices=Source.choices, default=Source.HAND)
    is_manager = models.BooleanField(_("manager"), default=False)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        verbose_name = _("member of a team")
        verbose_name_plural = _("members of teams")
        ordering = ["created_at", "id"]
        constraints = [
            # Also the index for the teams of an account.
            models.UniqueConstraint(fields=["account", "team", "source"], name="team_member_once"),
            models.CheckConstraint(condition=models.Q(source__in=["hand", "group"]), name="team_member_source"),
            models.CheckConstraint(
                condition=models.Q(is_manager=False) | models.Q(source="hand"), name="team_manager_by_hand"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} in {self.team}"


class TeamGroup(models.Model):
    """A value of the identity provider's ``groups`` claim whose holders are members of a team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="groups", verbose_name=_("team"))
    group = models.CharField(_("group"), max_length=255)

    class Meta:
        verbose_name = _("group of the identity provider")
        verbose_name_plural = _("groups of the identity provider")
        ordering = ["group"]
        constraints = [
            models.UniqueConstraint(fields=["group", "team"], name="team_group_once"),
            models.CheckConstraint(condition=~models.Q(group=""), name="team_group_named"),
        ]

    def __str__(self) -> str:
        return f"{self.group} → {self.team}"
