"""Background work that failed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

_KINDS = ["index", "delete-image", "delete-tags", "copy", "import", "release", "transfer", "left"]


class WorkFailure(models.Model):
    """Background work that failed: how often in a row, and whether it was given up.

    ``repository`` is a name, because there may be no image; for a namespace it is the namespace's name. ``reference``
    is the tag or digest of the work, if any. ``sentence`` is for users, ``detail`` (the error message) for
    administrators.
    """

    class Kind(models.TextChoices):
        INDEX = "index", _("Show a tag")
        DELETE_IMAGE = "delete-image", _("Delete an image")
        DELETE_TAGS = "delete-tags", _("Delete tags")
        COPY = "copy", _("Copy a tag")
        IMPORT = "import", _("Import an image")
        RELEASE = "release", _("Release a name")
        TRANSFER = "transfer", _("Transfer a namespace")
        LEFT = "left", _("Remove from the storage")

    kind = models.CharField(_("work"), max_length=12, choices=Kind.choices)
    repository = models.CharField(_("repository"), max_length=255)
    reference = models.CharField(_("tag or digest"), max_length=140, blank=True, default="")
    sentence = models.CharField(_("problem"), max_length=300)
    detail = models.CharField(_("error"), max_length=500, blank=True, default="")
    tries = models.PositiveIntegerField(_("attempts"), default=1)
    first_at = models.DateTimeField(_("first failed"))
    last_at = models.DateTimeField(_("last failed"))
    given_up_at = models.DateTimeField(_("given up"), null=True)

    class Meta:
        verbose_name = _("problem")
        verbose_name_plural = _("problems")
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "repository", "reference"], name="work_failure_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=_KINDS),
                name="work_failure_kind",
            ),
        ]
        indexes = [models.Index(fields=["repository"], name="work_failure_repository")]

    def __str__(self) -> str:
        target = f"{self.repository}@{self.reference}" if ":" in self.reference else self.repository
        return f"{target}:{self.reference}" if self.reference and target == self.repository else target
