"""Deletions of images in progress, and the manifests that they delete."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from console.repositories.models.image import Image


class ImageDeletion(models.Model):
    """*Delete all tags* in progress: what the row shows, and the phase in which the job resumes."""

    class Phase(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        LISTING = "listing", _("Listing tags")
        TAGS = "tags", _("Deleting tags")
        MANIFESTS = "manifests", _("Deleting manifests")

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="deletion")
    requested_at = models.DateTimeField(_("requested"), auto_now_add=True)
    requested_by = models.CharField(_("requested by"), max_length=64)
    phase = models.CharField(_("phase"), max_length=9, choices=Phase.choices, default=Phase.WAITING)
    total = models.PositiveIntegerField(_("steps"), default=0)
    done = models.PositiveIntegerField(_("steps done"), default=0)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("image deletion")
        verbose_name_plural = _("image deletions")
        constraints = [models.CheckConstraint(condition=Q(done__lte=F("total")), name="deletion_progress")]

    def __str__(self) -> str:
        return f"{self.image} {self.done}/{self.total}"

    @property
    def percent(self) -> int:
        """Progress in whole percent; 0 while the number of manifests is not known yet."""
        return self.done * 100 // self.total if self.total else 0


class DoomedManifest(models.Model):
    """A digest that a deletion will remove, stored before its tags are untagged.

    ``tag`` is the tag that named it; empty for a child of an index, or an untagged manifest.
    """

    deletion = models.ForeignKey(ImageDeletion, on_delete=models.CASCADE, related_name="doomed")
    tag = models.CharField(max_length=128, blank=True, default="")
    digest = models.CharField(max_length=140)
    untagged = models.BooleanField(default=False, help_text=_("The tag points at the tombstone, or is deleted."))
    removed = models.BooleanField(default=False, help_text=_("The registry no longer has the digest."))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deletion", "tag", "digest"], name="doomed_once"),
        ]
        indexes = [models.Index(fields=["deletion", "digest"])]

    def __str__(self) -> str:
        return f"{self.tag}@{self.digest}"
