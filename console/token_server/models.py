"""The table of refresh tokens."""

from __future__ import annotations

import datetime
import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class LoginQuerySet(models.QuerySet["Login"]):
    """Queries for Docker logins."""

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The logins on the account's page: its own, still valid."""
        begun = timezone.now() - datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
        return self.filter(account=account, version=models.F("account__credential__version"), created_at__gt=begun)


class Login(models.Model):
    """A ``docker login``: a refresh token was issued, which names this row and is valid as long as the row exists.

    It also ends when the credential's ``version`` changes. The primary key is random: after an older database has been
    restored, a refresh token that is not in it must not name another login.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="logins", verbose_name=_("account")
    )
    version = models.PositiveIntegerField(_("version of the credential"), editable=False)
    client = models.CharField(_("client"), max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(_("logged in"), default=timezone.now, editable=False)
    created_from = models.GenericIPAddressField(_("logged in from"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True, editable=False)

    objects = LoginQuerySet.as_manager()

    class Meta:
        verbose_name = _("login with Docker")
        verbose_name_plural = _("logins with Docker")
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return self.client or str(_("Unnamed client"))

    @property
    def expires_at(self) -> datetime.datetime:
        """When its refresh token expires."""
        return self.created_at + datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
