"""Stored data about Docker Hub's official images, so that pages do not wait for Docker Hub."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from console.access.rules import OfficialImageFacts
from console.repositories.tag_order_field import TagOrderField

# An image's name, of one component, and a tag, as in the OCI distribution specification, "Pulling manifests".
NAME_PATTERN = r"^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$"
TAG_PATTERN = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"


class Problem(models.TextChoices):
    """Why Docker Hub could not be read, as a message for pages."""

    UNREACHABLE = "unreachable", _("Can’t reach Docker Hub. Retrying automatically.")
    BUSY = "busy", _("Docker Hub’s rate limit is reached. Retrying automatically.")
    BROKEN = "broken", _("Docker Hub returned an error. Retrying automatically.")
    REFUSED = "refused", _("Docker Hub refused the request. Ask an administrator to check the log.")
    UNKNOWN = "unknown", _("Docker Hub no longer has this image.")
    UNEXPECTED = "unexpected", _("Docker Hub sent an unexpected response. Ask an administrator to check the log.")


class Catalogue(models.Model):
    """State of the last refresh of the catalogue. There is one row.

    ``retry_at`` is the end of the backoff after a failure; ``failures`` counts failures since the last success.
    ``pages`` has the pages of the list, each with ``etag`` and ``modified`` for the next conditional request (RFC 9110,
    "Conditional Requests"), the ``names`` on it and the URL of the ``following`` page.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    refreshed_at = models.DateTimeField(_("refreshed"), null=True)
    tried_at = models.DateTimeField(_("last try"), null=True)
    asked_at = models.DateTimeField(_("requested"), null=True)
    problem = models.CharField(_("problem"), max_length=11, choices=Problem.choices, blank=True, default="")
    retry_at = models.DateTimeField(_("next try"), null=True)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    pages = models.JSONField(default=list, editable=False)

    class Meta:
        verbose_name = _("catalogue")
        verbose_name_plural = _("catalogues")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="catalogue_one_row")]

    def __str__(self) -> str:
        return str(settings.DOCKERHUB_API)


class OfficialImageQuerySet(models.QuerySet["OfficialImage"]):
    """Query official images."""

    def matching(self, text: str) -> Self:
        """Images whose name or description contains each word of ``text``, case-insensitively."""
        images = self
        for word in text.split():
            images = images.filter(Q(name__icontains=word) | Q(description__icontains=word))
        return images


class OfficialImage(models.Model):
    """An official image of Docker Hub, ``library/<name>`` there.

    ``stars`` and ``pulls`` are Docker Hub's; ``star_count`` is the number of stars by accounts here. ``listed`` is
    false for an image that Docker Hub no longer lists, whose row stays for its stars. ``tags_total`` is the number of
    tags according to Docker Hub, of which only the newest are stored.
    """

    name = models.CharField(_("name"), max_length=200, unique=True)
    description = models.CharField(_("description"), max_length=500, blank=True, default="")
    stars = models.PositiveBigIntegerField(_("stars"), default=0)
    pulls = models.PositiveBigIntegerField(_("pulls"), default=0)
    updated_at = models.DateTimeField(_("last update"), null=True)
    listed = models.BooleanField(_("listed"), default=True)
    star_count = models.PositiveIntegerField(_("local stars"), default=0, editable=False)
    tags_total = models.PositiveIntegerField(_("tags"), default=0)
    tags_known_at = models.DateTimeField(_("tags loaded"), null=True)
    tags_tried_at = models.DateTimeField(_("tags last try"), null=True)
    tags_problem = models.CharField(
        _("problem with the tags"), max_length=11, choices=Problem.choices, blank=True, default=""
    )
    tags_etag = models.CharField(max_length=200, blank=True, default="", editable=False)
    tags_modified = models.CharField(max_length=200, blank=True, default="", editable=False)

    objects = OfficialImageQuerySet.as_manager()

    class Meta:
        verbose_name = _("official image")
        verbose_name_plural = _("official images")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="official_image_name_pattern")
        ]

    def __str__(self) -> str:
        return self.name

    def facts_for(self, account: int) -> OfficialImageFacts:
        """The facts for the authorization rules."""
        return OfficialImageFacts(self.listed)

    @property
    def repository(self) -> str:
        """The repository's name, in Docker Hub and in the cache."""
        return f"library/{self.name}"

    @property
    def address(self) -> str:
        """The image reference in the cache without the tag, as used with ``docker pull``."""
        return f"{settings.DOCKERHUB_ADDRESS}/{self.repository}"


class OfficialTag(models.Model):
    """A tag of an official image, according to Docker Hub.

    ``platforms`` has for each platform its ``name`` (``linux/arm64/v8``), ``digest`` and ``size`` (bytes that a pull
    transfers); ``size`` is that of the platform that Docker Hub names for the tag. ``sort_key`` is the sort key of the
    list sorted by name (``console.repositories.tag_order``).
    """

    image = models.ForeignKey(OfficialImage, on_delete=models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(_("tag"), max_length=128)
    sort_key = TagOrderField(_("sort key"))
    digest = models.CharField(_("digest"), max_length=140, blank=True, default="")
    size = models.PositiveBigIntegerField(_("size"), default=0)
    pushed_at = models.DateTimeField(_("pushed"), null=True)
    platforms = models.JSONField(_("platforms"), default=list)

    class Meta:
        verbose_name = _("official tag")
        verbose_name_plural = _("official tags")
        constraints = [
            models.UniqueConstraint(fields=["image", "name"], name="official_tag_unique"),
            models.CheckConstraint(condition=Q(name__regex=TAG_PATTERN), name="official_tag_name_pattern"),
            models.CheckConstraint(condition=~Q(sort_key=""), name="official_tag_sort_key"),
        ]
        indexes = [
            # One index for each sort order of the list; tags without a push time are the oldest.
            models.Index("image", F("pushed_at").asc(nulls_first=True), "id", name="official_tag_by_push"),
            models.Index(fields=["image", "size", "id"], name="official_tag_by_size"),
            models.Index(fields=["image", "sort_key", "id"], name="official_tag_by_version"),
        ]

    def __str__(self) -> str:
        return f"{self.image.name}:{self.name}"
