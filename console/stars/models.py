"""Stars: the favorite images of an account."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from console.official_images.models import OfficialImage
from console.repositories.models import Image, allowing


class StarQuerySet(models.QuerySet["Star"]):
    """Query stars."""

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The account's stars on images that it may see."""
        public = Q(image__visibility=Image.Visibility.PUBLIC, image__state=Image.State.ACTIVE)
        return self.filter(Q(image=None) | allowing(account, "image.view", "image__") | public, account=account)


class Star(models.Model):
    """An account's star on one of its own images, a public image, or an official image.

    Database triggers count the stars (``star_count`` of the image), and delete those of other accounts when an image
    becomes private. Rows are inserted and deleted, never updated.
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
            # Also the index for the stars of an image.
            models.UniqueConstraint(fields=["image", "account"], name="star_image_once"),
            models.UniqueConstraint(fields=["official_image", "account"], name="star_official_image_once"),
        ]
        indexes = [models.Index(fields=["account", "created_at", "id"], name="star_by_time")]

    def __str__(self) -> str:
        return f"{self.account} ★ {self.target}"

    @property
    def target(self) -> Image | OfficialImage:
        """The image with the star."""
        return self.image or self.official_image  # type: ignore[return-value]
