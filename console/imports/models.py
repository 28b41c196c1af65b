"""Imports in progress, and their credentials."""

from __future__ import annotations

from urllib.parse import urlencode

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.repositories.models import Image


class Transfer(models.Model):
    """An image that is being copied from another registry to ``image:tag``, for the image's page.

    The row is deleted when the import succeeds; if it failed or was cancelled, it stays until a user retries or
    dismisses it. ``attempt`` counts the user's requests: jobs of an earlier attempt do nothing. ``digest`` is the
    digest of ``reference`` at the first read, so that later turns copy the same image; ``result`` is the digest that
    the tag will name, a different one if not all platforms are copied. While ``finishing``, the tag is being written,
    and it is too late to cancel.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("Copying")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="transfers")
    tag = models.CharField(_("tag"), max_length=128)
    source = models.CharField(
        _("registry"), max_length=280, blank=True, default="", help_text=_("Its address; empty for Docker Hub’s cache")
    )
    repository = models.CharField(_("repository"), max_length=255)
    reference = models.CharField(_("tag or digest"), max_length=140)
    platforms = models.JSONField(_("platforms"), default=list, blank=True, help_text=_("Empty: all"))
    digest = models.CharField(_("digest"), max_length=140, blank=True, default="")
    result = models.CharField(_("digest of the copy"), max_length=140, blank=True, default="")
    bytes_total = models.PositiveBigIntegerField(_("bytes"), default=0)
    bytes_done = models.PositiveBigIntegerField(_("bytes done"), default=0)
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.RUNNING)
    finishing = models.BooleanField(default=False)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="")
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    with_credentials = models.BooleanField(_("with credentials"), default=False)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now)
    requested_by = models.CharField(_("requested by"), max_length=64)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.UniqueConstraint(fields=["image", "tag"], name="transfer_target_unique"),
            models.CheckConstraint(condition=Q(state__in=["running", "failed", "cancelled"]), name="transfer_state"),
            models.CheckConstraint(condition=Q(bytes_done__lte=F("bytes_total")), name="transfer_progress"),
        ]
        indexes = [models.Index(fields=["requested_by"], condition=Q(state="running"), name="transfer_running")]

    def __str__(self) -> str:
        return f"{self.origin} → {self.image}:{self.tag}"

    @property
    def origin(self) -> str:
        """The image reference of the source, as used with ``docker pull``."""
        between = "@" if ":" in self.reference else ":"
        host = self.source.partition("://")[2]
        # Docker Hub's official images have only a name.
        name = f"{host}/{self.repository}" if host else self.repository.removeprefix("library/")
        return f"{name}{between}{self.reference}"

    @property
    def progress(self) -> str:
        """The state; while running ``starting``, ``copying`` or ``blocked``."""
        if self.state != self.State.RUNNING:
            return self.state
        if self.problem:
            return "blocked"
        return "copying" if self.bytes_total else "starting"

    @property
    def percent(self) -> int:
        """Progress in whole percent; 0 while the total is not known yet."""
        return self.bytes_done * 100 // self.bytes_total if self.bytes_total else 0

    @property
    def again(self) -> str:
        """The URL of the form for the same import."""
        scheme = self.source.partition("://")[0]
        namespace, _slash, name = self.image.repository.partition("/")
        given = {
            "reference": f"{scheme}://{self.origin}",
            "namespace": namespace,
            "name": name,
            "tag": self.tag,
            "platforms": " ".join(self.platforms),
        }
        return f"{reverse('import')}?{urlencode(given)}"

    @property
    def can_be_retried(self) -> bool:
        """Whether it can be retried unchanged: not with credentials, which are not stored for that."""
        return self.state != self.State.RUNNING and not self.with_credentials


class Credentials(models.Model):
    """User name and password of a transfer, encrypted (``console.imports.credentials``).

    Deleted when the transfer ends, and at ``expires_at`` at the latest.
    """

    transfer = models.OneToOneField(Transfer, on_delete=models.CASCADE, primary_key=True, related_name="credentials")
    sealed = models.BinaryField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("credentials")
        verbose_name_plural = _("credentials")

    def __str__(self) -> str:
        return str(self.transfer_id)
