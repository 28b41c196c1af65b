"""Namespaces: the first component of every image's name, unique over all users."""

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
from console.access.rules import NamespaceFacts

models.CharField.register_lookup(Length)

validate_namespace_name = RegexValidator(
    NAMESPACE_PATTERN,
    _(
        "Use lowercase letters, digits and single separators “.”, “_” or “-”, beginning and ending with a letter or "
        "digit."
    ),
)


class NamespaceQuerySet(models.QuerySet["Namespace"]):
    """Finds namespaces."""

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """Those that the account's pages show: its own."""
        return self.filter(owner=account)


class Namespace(models.Model):
    """A namespace and the account that owns it.

    ``new_owner`` is set while the namespace changes hands: from then on nobody gets a registry token for it, and at
    ``available_at``, when every token that the former owner may hold has run out, it becomes the new owner's.
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

    @property
    def facts(self) -> NamespaceFacts:
        """What the rules know of it."""
        return NamespaceFacts(self.owner_id, self.in_transfer)

    @property
    def in_transfer(self) -> bool:
        """Whether the namespace is between two owners just now."""
        return self.new_owner_id is not None

    @property
    def transfer_began(self) -> datetime.datetime | None:
        """When the namespace began to change hands; what is pushed after that, a former owner's token pushes."""
        if self.available_at is None:
            return None
        return self.available_at - datetime.timedelta(seconds=settings.NAME_HOLD_SECONDS)


class NamespaceAccess(models.Model):
    """A namespace that was chosen for an access token.

    The row goes with the namespace, and when the namespace is given away: whoever makes one of this name later, were
    it the same account, has not chosen it for the token.
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
    """A freed name, which only its former owner may take again as long as this row is there.

    After ``until`` no token given out for the name is valid any more; a job then removes what such tokens may have
    pushed meanwhile, and the hold with it.
    """

    name = models.CharField(_("name"), max_length=30, primary_key=True)
    last_owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField(_("until"), db_index=True)

    class Meta:
        verbose_name = _("held name")
        verbose_name_plural = _("held names")

    def __str__(self) -> str:
        return self.name
