"""Service accounts: for programs, owned by a namespace."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Length
from django.utils.translation import gettext_lazy as _

from console.access.names import NAMESPACE_PATTERN

models.CharField.register_lookup(Length)


class ServiceAccount(models.Model):
    """An account of a namespace for programs. It never signs in, has access tokens alone, and outlives its creator.

    ``account`` is its row among the accounts (``Account.is_service``), so that roles and access tokens work as for
    people. Its user name at the registry is ``NAMESPACE+NAME``.
    """

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="service_account", primary_key=True
    )
    namespace = models.ForeignKey(
        "namespaces.Namespace", on_delete=models.CASCADE, related_name="service_accounts", verbose_name=_("namespace")
    )
    name = models.CharField(
        _("name"),
        max_length=30,
        validators=[
            RegexValidator(
                NAMESPACE_PATTERN,
                _(
                    "Use lowercase letters, digits and single separators “.”, “_” or “-”, beginning and ending with a "
                    "letter or digit."
                ),
            )
        ],
    )
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("created by"),
        null=True,
        editable=False,
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("service account")
        verbose_name_plural = _("service accounts")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["namespace", "name"], name="service_account_once"),
            models.CheckConstraint(condition=models.Q(name__regex=NAMESPACE_PATTERN), name="service_account_name"),
            models.CheckConstraint(condition=models.Q(name__length__gte=2), name="service_account_name_length"),
        ]

    def __str__(self) -> str:
        return self.name
