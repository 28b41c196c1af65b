"""Stars: which images an account wants to find again."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from console.official_images.models import OfficialImage
from console.repositories.models import Image


class StarQuerySet(models.QuerySet["Star"]):
    """Finds stars."""

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The account's stars on what it may see."""
        public = Q(image__visibility=Image.Visibility.PUBLIC, image__state=Image.State.ACTIVE)
        return self.filter(Q(image=None) | Q(image__owner=account) | public, account=account)


class Star(models.Model):
    """An account's star on an image of its own, on somebody's public image, or on an official one.

    The database counts them on the row of what they are on (``star_count``), whoever gives or takes them, and takes all
    but the owner's away from an image that becomes private: others may no longer see it. A star is made and removed,
    never changed.
    """

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stars", db_index=False
    )
    image = models.ForeignKey(
        Image, on_delete=models.CASCADE, related_name="stars", null=True, blank=True, db_index=False
    )
    official_image = models.ForeignKey(
        OfficialImage, on_delete=models.CASCADE, related_name="given_stars", null=True, blank=True, db_index=False
    )
    created_at = models.DateTimeField(_("starred"), auto_now_add=True)

    objects = StarQuerySet.as_manager()

    class Meta:
        verbose_name = _("star")
        verbose_name_plural = _("stars")
        constraints = [
            models.CheckConstraint(
                condition=Q(image__isnull=False, official_image__isnull=True)
                | Q(image__isnull=True, official_image__isnull=False),
                name="star_on_one_thing",
            ),
            # An image's stars are found here as well: it comes first.
            models.UniqueConstraint(fields=["image", "account"], name="star_image_once"),
            models.UniqueConstraint(fields=["official_image", "account"], name="star_official_image_once"),
        ]
        indexes = [models.Index(fields=["account", "created_at", "id"], name="star_by_time")]

    def __str__(self) -> str:
        return f"{self.account} ★ {self.target}"

    @property
    def target(self) -> Image | OfficialImage:
        """What the star is on."""
        return self.image or self.official_image  # type: ignore[return-value]
