"""Images and the index of what the registry holds of them: manifests and tags."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxLengthValidator, MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length
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
    """A repository of the registry, as its owner sees it. The totals are kept by ``indexing``."""

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
    size = models.PositiveBigIntegerField(_("size"), default=0, editable=False, help_text=_("Bytes"))
    last_push_at = models.DateTimeField(_("last push"), null=True, editable=False)

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
        indexes = [models.Index(fields=["created_at"]), models.Index(fields=["last_push_at"])]

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


class Manifest(models.Model):
    """A manifest of an image, stored once for each digest.

    ``size`` is what a pull transfers: the config and the layers; for an index, those of all its platforms.
    ``blobs`` are the digests that it names, ``children`` the manifests that an index names.
    """

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="manifests")
    digest = models.CharField(_("digest"), max_length=140)
    media_type = models.CharField(_("media type"), max_length=200)
    size = models.PositiveBigIntegerField(_("size"))
    platforms = models.JSONField(_("platforms"), default=list)
    blobs = models.JSONField(default=list)
    children = models.JSONField(default=list)

    class Meta:
        verbose_name = _("manifest")
        verbose_name_plural = _("manifests")
        constraints = [models.UniqueConstraint(fields=["image", "digest"], name="manifest_digest_unique")]

    def __str__(self) -> str:
        return self.digest


class Tag(models.Model):
    """A tag as the registry had it when it was last looked at."""

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DELETING = "deleting", _("Deleting")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="tags")
    manifest = models.ForeignKey(Manifest, on_delete=models.RESTRICT, related_name="tags")
    name = models.CharField(_("name"), max_length=128)
    pushed_at = models.DateTimeField(_("pushed"))
    pushed_by = models.CharField(_("pushed by"), max_length=64, blank=True, default="")
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE, editable=False)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["-pushed_at", "name"]
        constraints = [
            models.UniqueConstraint(fields=["image", "name"], name="tag_name_unique"),
            models.CheckConstraint(condition=Q(state__in=["active", "deleting"]), name="tag_state"),
        ]
        indexes = [models.Index(fields=["image", "-pushed_at"])]

    def __str__(self) -> str:
        return f"{self.image}:{self.name}"


class ImageDeletion(models.Model):
    """*Delete all tags* under way: what the row shows, and where the job goes on after a failure."""

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
        """Progress in whole percent; 0 while the work is not counted yet."""
        return self.done * 100 // self.total if self.total else 0


class DoomedManifest(models.Model):
    """A digest that a deletion will remove, written down before its tags are pointed elsewhere.

    ``tag`` is the tag that pointed at it, empty for one that no tag named (a child of an index, or untagged).
    """

    deletion = models.ForeignKey(ImageDeletion, on_delete=models.CASCADE, related_name="doomed")
    tag = models.CharField(max_length=128, blank=True, default="")
    digest = models.CharField(max_length=140)
    buried = models.BooleanField(default=False, help_text=_("The tag points at the tombstone, or is gone."))
    removed = models.BooleanField(default=False, help_text=_("The registry no longer has the digest."))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deletion", "tag", "digest"], name="doomed_once"),
        ]
        indexes = [models.Index(fields=["deletion", "digest"])]

    def __str__(self) -> str:
        return f"{self.tag}@{self.digest}"
