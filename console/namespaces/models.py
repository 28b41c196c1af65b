"""Namespaces: the first component of every image's name, globally unique."""

from __future__ import annotations

import datetime
from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.validators import MaxLengthValidator, MinLengthValidator, RegexValidator
from django.db import models
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access.names import NAMESPACE_PATTERN, RESERVED_NAMESPACES
from console.access.roles import Role, least_role
from console.access.rules import NamespaceFacts
from console.membership.models import Grant
from console.membership.roles import granted_role

models.CharField.register_lookup(Length)

validate_namespace_name = RegexValidator(
    NAMESPACE_PATTERN,
    _(
        "Use lowercase letters, digits and single separators “.”, “_” or “-”, beginning and ending with a letter or "
        "digit."
    ),
)


class NamespaceQuerySet(models.QuerySet["Namespace"]):
    """Query namespaces."""

    def owned_by(self, account: AbstractBaseUser) -> Self:
        """The account's own namespaces, which count towards its quotas."""
        return self.filter(owner=account)

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The account's own namespaces, and those in which it has a role, if only on an image."""
        return self.filter(
            models.Q(owner=account) | models.Q(pk__in=Grant.objects.held_by(account.pk).values("namespace"))
        )

    def allowing(self, account: AbstractBaseUser, verb: str) -> Self:
        """The namespaces on which the account's role includes a verb."""
        grants = Grant.objects.held_by(account.pk).at_least(least_role(verb)).filter(image=None)
        return self.filter(models.Q(owner=account) | models.Q(pk__in=grants.values("namespace")))

    def matching(self, text: str) -> Self:
        """Namespaces whose name contains ``text``, case-insensitively."""
        return self.filter(name__icontains=text)


class Namespace(models.Model):
    """A namespace and the account that owns it.

    ``new_owner`` is set during a transfer: no registry tokens are issued for the namespace, and at ``available_at``,
    when all tokens of the former owner have expired, it gets the new owner. ``image_count`` is written by a database
    trigger (``console.repositories``).
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="namespaces", verbose_name=_("owner")
    )
    name = models.CharField(
        _("name"),
        max_length=30,
        unique=True,
        validators=[
            MinLengthValidator(2, _("The name must have 2 to 30 characters.")),
            MaxLengthValidator(30, _("The name must have 2 to 30 characters.")),
            validate_namespace_name,
        ],
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(
        _("changed"), default=timezone.now, editable=False, help_text=_("When an image of it was last removed")
    )
    image_count = models.PositiveIntegerField(_("images"), default=0, db_default=0, editable=False)
    new_owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("new owner"),
        null=True,
        blank=True,
        editable=False,
    )
    available_at = models.DateTimeField(_("available from"), null=True, blank=True, editable=False)
    access_tokens = models.ManyToManyField(
        "accounts.AccessToken", through="NamespaceAccess", related_name="namespaces", editable=False
    )

    objects = NamespaceQuerySet.as_manager()

    class Meta:
        verbose_name = _("namespace")
        verbose_name_plural = _("namespaces")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(name__regex=NAMESPACE_PATTERN), name="namespace_name_pattern"),
            models.CheckConstraint(condition=models.Q(name__length__gte=2), name="namespace_name_length"),
            models.CheckConstraint(condition=~models.Q(name__in=RESERVED_NAMESPACES), name="namespace_name_reserved"),
            models.CheckConstraint(
                condition=models.Q(new_owner=None, available_at=None)
                | models.Q(new_owner__isnull=False, available_at__isnull=False),
                name="namespace_transfer_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def role_of(self, account: int) -> Role | None:
        """The role of an account on the whole namespace; one query, unless it is the namespace's own account.

        :param account: the primary key.
        """
        return Role.OWNER if self.owner_id == account else granted_role(account, self.pk)

    def facts_for(self, account: int) -> NamespaceFacts:
        """The facts for the authorization rules when this account acts."""
        return NamespaceFacts(self.role_of(account), self.in_transfer)

    @property
    def in_transfer(self) -> bool:
        """Whether the namespace is being transferred."""
        return self.new_owner_id is not None

    @property
    def transfer_began(self) -> datetime.datetime | None:
        """When the transfer began; later pushes can only come from a former owner's token."""
        if self.available_at is None:
            return None
        return self.available_at - datetime.timedelta(seconds=settings.NAME_HOLD_SECONDS)


class NamespaceAccess(models.Model):
    """A namespace that an access token is restricted to.

    Deleted with the namespace, and on its transfer: the token has no access to a later namespace of the same name, not
    even of the same account.
    """

    token = models.ForeignKey(
        "accounts.AccessToken", on_delete=models.CASCADE, related_name="+", verbose_name=_("access token")
    )
    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="+", verbose_name=_("namespace"))

    class Meta:
        verbose_name = _("namespace of an access token")
        verbose_name_plural = _("namespaces of access tokens")
        constraints = [models.UniqueConstraint(fields=["token", "namespace"], name="namespace_access_once")]

    def __str__(self) -> str:
        return f"{self.token}: {self.namespace}"


class NamespaceHold(models.Model):
    """A freed namespace name that is reserved for its former owner.

    After ``until`` all tokens for the name have expired; a job then deletes what they may have pushed meanwhile, and
    the hold.
    """

    name = models.CharField(_("name"), max_length=30, primary_key=True)
    last_owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField(_("until"), db_index=True)

    class Meta:
        verbose_name = _("held name")
        verbose_name_plural = _("held names")

    def __str__(self) -> str:
        return self.name
