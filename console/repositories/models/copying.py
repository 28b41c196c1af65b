"""Copies of tags in progress."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from console.repositories.models.image import Image


class Copy(models.Model):
    """A tag that is being copied to ``image:tag``, for the image's page.

    The row is deleted when the copy succeeds; of a failed copy it has the reason until a user dismisses it.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("Copying")
        FAILED = "failed", _("Failed")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="copies")
    tag = models.CharField(_("tag"), max_length=128)
    source = models.CharField(_("from"), max_length=260, help_text=_("Repository it is copied from"))
    digest = models.CharField(_("digest"), max_length=140)
    attached = models.BooleanField(
        default=False, db_default=False, help_text=_("Also untagged manifests that are attached to it")
    )
    requested_at = models.DateTimeField(_("requested"), auto_now_add=True)
    requested_by = models.CharField(_("requested by"), max_length=64)
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.RUNNING)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("copy")
        verbose_name_plural = _("copies")
        constraints = [
            models.UniqueConstraint(fields=["image", "tag"], name="copy_target_unique"),
            models.CheckConstraint(condition=models.Q(state__in=["running", "failed"]), name="copy_state"),
        ]

    def __str__(self) -> str:
        return f"{self.source}@{self.digest} → {self.image}:{self.tag}"
