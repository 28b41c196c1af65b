"""What the index still has to look at."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Hint(models.Model):
    """*Look at this tag again.* One row for a tag, however often something was said of it.

    ``version`` grows with each further notification, so that one that arrives while the tag is being looked at is not
    taken for dealt with.
    """

    repository = models.CharField(_("repository"), max_length=255)
    tag = models.CharField(_("tag"), max_length=128)
    pushed_at = models.DateTimeField(_("pushed"), null=True)
    pushed_by = models.CharField(_("pushed by"), max_length=64, blank=True, default="")
    version = models.PositiveIntegerField(default=1)

    class Meta:
        verbose_name = _("hint")
        verbose_name_plural = _("hints")
        constraints = [models.UniqueConstraint(fields=["repository", "tag"], name="hint_unique")]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"
