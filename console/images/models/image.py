"""Images, as their owners see them."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxLengthValidator, MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.namespaces.models import Namespace

models.TextField.register_lookup(Length)

# Components as in the reference grammar of Distribution ("path-component"), joined by "/".
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME_PATTERN = rf"^{_COMPONENT}(?:/{_COMPONENT})*$"

validate_image_name = RegexValidator(
    NAME_PATTERN,
    _("Use lowercase letters, digits, the separators “.”, “_” or “-” between them, and “/” between components."),
)


class Image(models.Model):
    """A repository of the registry, as its owner sees it.

    The totals are kept by ``indexing``; ``tag_count`` leaves out the tags that are shown under another one.
    ``changed_at`` moves with everything that a list shows, so that an open page can ask whether there is news.
    """

    class Visibility(models.TextChoices):
        PRIVATE = "private", _("Private")
        PUBLIC = "public", _("Public")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DELETING = "deleting", _("Deleting")

    namespace = models.ForeignKey(
        Namespace, on_delete=models.PROTECT, related_name="images", verbose_name=_("namespace")
    )
    name = models.CharField(
        _("name"),
        max_length=200,
        validators=[
            MinLengthValidator(2, _("The name must have 2 to 200 characters.")),
            MaxLengthValidator(200, _("The name must have 2 to 200 characters.")),
            validate_image_name,
        ],
    )
    visibility = models.CharField(_("type"), max_length=7, choices=Visibility.choices, default=Visibility.PRIVATE)
    description = models.TextField(
        _("description"),
        blank=True,
        default="",
        validators=[MaxLengthValidator(1000, _("The description may have 1,000 characters."))],
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    tag_count = models.PositiveIntegerField(_("tags"), default=0, editable=False)
    attachment_count = models.PositiveIntegerField(
        _("attached"), default=0, editable=False, help_text=_("Tags shown under what they are about")
    )
    size = models.PositiveBigIntegerField(_("size"), default=0, editable=False, help_text=_("Bytes"))
    last_push_at = models.DateTimeField(_("last push"), null=True, editable=False)
    pull_count = models.PositiveBigIntegerField(_("pulls"), default=0, editable=False)
    last_pull_at = models.DateTimeField(_("last pull"), null=True, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["namespace__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["namespace", "name"], name="image_name_unique"),
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="image_name_pattern"),
            models.CheckConstraint(condition=Q(name__length__gte=2), name="image_name_length"),
            models.CheckConstraint(condition=Q(visibility__in=["private", "public"]), name="image_visibility"),
            models.CheckConstraint(condition=Q(state__in=["active", "deleting"]), name="image_state"),
            models.CheckConstraint(condition=Q(description__length__lte=1000), name="image_description_length"),
        ]
        indexes = [
            # All that a list of images sorts, filters and counts by, so that no row is read that is not shown.
            models.Index(
                fields=["namespace"],
                name="image_list",
                include=["id", "name", "visibility", "tag_count", "size", "last_push_at", "created_at"],
            ),
            models.Index(fields=["namespace", "changed_at"], name="image_changed"),
        ]

    def __str__(self) -> str:
        return self.repository

    @property
    def repository(self) -> str:
        """The repository's name in the registry: ``namespace/name``."""
        return f"{self.namespace.name}/{self.name}"

    @property
    def address(self) -> str:
        """What people type after ``docker pull``, less the tag."""
        return f"{settings.REGISTRY_ADDRESS}/{self.repository}"


class ImageName(models.Model):
    """An image's whole name and its pieces, for the search (``console.images.search``).

    The database writes it with the image (a trigger), whoever makes the image; nothing else does.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, primary_key=True, related_name="whole_name")
    name = models.CharField(_("name"), max_length=231)
    pieces = ArrayField(models.CharField(max_length=3))

    class Meta:
        verbose_name = _("name of an image")
        verbose_name_plural = _("names of images")
        indexes = [GinIndex(fields=["pieces"], name="image_pieces", fastupdate=False)]

    def __str__(self) -> str:
        return self.name
