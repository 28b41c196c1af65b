"""Manifest, tag, document and daily activity: the index of what the registry holds."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Func, GeneratedField, Q
from django.utils.translation import gettext_lazy as _

from console.repositories.media_types import BUILD_CACHE, HELM_CHART
from console.repositories.models.image import Image
from console.repositories.tag_order_field import TagOrderField

# Artifacts with a name of their own.
_ARTIFACT_NAMES = {BUILD_CACHE: _("Build cache"), HELM_CHART: _("Helm chart")}

# So many of what an index names are kept apart for lists, which read no index of thousands.
FIRST_CHILDREN = 20
_SHOWN = "$[*] ? (!exists(@.about))"
_ATTESTATIONS = "$[*] ? (exists(@.about))"


def _entries(path: str) -> Func:
    """The entries of ``children`` that the path (SQL/JSON) picks."""
    return Func(F("children"), template=f"jsonb_path_query_array(%(expressions)s, '{path}')")


def _first(path: str) -> GeneratedField:
    entries = Func(
        _entries(path),
        template=f"jsonb_path_query_array(%(expressions)s, '$[0 to {FIRST_CHILDREN - 1}]')",
        output_field=models.JSONField(),
    )
    return GeneratedField(expression=entries, output_field=models.JSONField(), db_persist=True)


def _number(entries: Func | F) -> GeneratedField:
    count = Func(entries, function="jsonb_array_length", output_field=models.IntegerField())
    return GeneratedField(expression=count, output_field=models.IntegerField(), db_persist=True)


class Document(models.Model):
    """The content of a manifest, stored once for each digest, whichever images have it.

    ``content`` are the bytes as pushed. ``config`` is what pages show of an image's configuration (OCI image
    specification, "Image Configuration"): of environment variables the names alone, for their values may be secrets.
    """

    digest = models.CharField(_("digest"), max_length=140, primary_key=True)
    media_type = models.CharField(_("media type"), max_length=200)
    content = models.BinaryField(_("content"))
    config = models.JSONField(_("config"), default=dict)

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")

    def __str__(self) -> str:
        return self.digest


class Manifest(models.Model):
    """That an image has a manifest, and what lists say of it. Its content is the ``Document`` of the same digest.

    ``size`` is what a pull transfers from here: the config and the layers, without foreign ones; for an index, those of
    all its platforms.
    ``blobs`` are the digests of config and layers, ``children`` the manifests that an index names, each with
    ``digest``, ``platform`` and, for what is not an image but says something about one, ``about``; ``skipped`` marks
    those that are not read because there are so many. Each digest is there once. An index may name
    blobs, as BuildKit's cache does: they are in ``blobs``, and ``own_size`` is their part of ``size``.

    An index may name tens of thousands. Lists read its beginning alone: ``first_children`` without what says something
    about another, ``first_attestations`` the others, each at most ``FIRST_CHILDREN``; ``child_count`` counts all, and
    ``shown_count`` those without ``about``.
    """

    class Kind(models.TextChoices):
        UNREAD = "", _("Not read yet")
        IMAGE = "image", _("Image")
        INDEX = "index", _("Multi-platform image")
        ARTIFACT = "artifact", _("Artifact")
        OTHER = "other", _("Unknown kind")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="manifests")
    digest = models.CharField(_("digest"), max_length=140)
    media_type = models.CharField(_("media type"), max_length=200)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices, default=Kind.UNREAD, blank=True)
    size = models.PositiveBigIntegerField(_("size"))
    own_size = models.PositiveBigIntegerField(default=0, db_default=0, help_text=_("Bytes of an index’s own blobs"))
    platforms = models.JSONField(_("platforms"), default=list)
    blobs = models.JSONField(default=list)
    children = models.JSONField(default=list)
    first_children = _first(_SHOWN)
    first_attestations = _first(_ATTESTATIONS)
    child_count = _number(F("children"))
    shown_count = _number(_entries(_SHOWN))
    is_child = models.BooleanField(default=False, help_text=_("An index of the image names it."))
    doomed = models.BooleanField(default=False, help_text=_("Being deleted, because its last tag was."))
    doomed_at = models.DateTimeField(
        _("deletion requested"), null=True, editable=False, help_text=_("What is pushed later stays")
    )
    artifact_type = models.CharField(_("artifact type"), max_length=200, blank=True, default="")
    subject = models.CharField(
        _("subject"), max_length=140, blank=True, default="", help_text=_("Where it is attached")
    )
    created_at = models.DateTimeField(_("built"), null=True)
    pull_count = models.PositiveBigIntegerField(_("pulls by digest"), default=0)
    last_pull_at = models.DateTimeField(_("last pull by digest"), null=True)

    class Meta:
        verbose_name = _("manifest")
        verbose_name_plural = _("manifests")
        constraints = [
            models.UniqueConstraint(fields=["image", "digest"], name="manifest_digest_unique"),
            models.CheckConstraint(
                condition=Q(kind__in=["", "image", "index", "artifact", "other"]), name="manifest_kind"
            ),
        ]
        indexes = [
            models.Index(fields=["digest"]),
            models.Index(fields=["image", "subject"], condition=~Q(subject=""), name="manifest_about"),
            models.Index(fields=["image"], condition=Q(doomed=True), name="manifest_doomed"),
        ]

    def __str__(self) -> str:
        return self.digest

    @property
    def child_digests(self) -> list[str]:
        """The digests of the manifests that an index names."""
        return [child["digest"] for child in self.children]

    @property
    def kind_name(self) -> str:
        """Name of the kind on pages; some types of artifacts have their own."""
        name = _ARTIFACT_NAMES.get(self.artifact_type) if self.kind == self.Kind.ARTIFACT else None
        return str(name or self.Kind(self.kind).label)


class Tag(models.Model):
    """A tag as the registry had it when it was last looked at.

    ``subject`` is the digest that the tag says something about: a signature, an SBOM, the list of such things (OCI
    distribution specification, "Referrers Tag Schema"). Pages show it under its subject.
    ``deleting_since`` is when somebody last asked to delete it: what is pushed after that stays.
    ``missing_at`` is set while a reconcile has found the tag gone and has not decided yet.
    ``sort_key`` is what lists are sorted by where they are sorted by name (``console.repositories.tag_order``).
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DELETING = "deleting", _("Deleting")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="tags")
    manifest = models.ForeignKey(Manifest, on_delete=models.RESTRICT, related_name="tags")
    name = models.CharField(_("name"), max_length=128)
    sort_key = TagOrderField(_("sort key"))
    subject = models.CharField(_("subject"), max_length=140, blank=True, default="")
    pushed_at = models.DateTimeField(_("pushed"))
    pushed_by = models.CharField(_("pushed by"), max_length=64, blank=True, default="")
    pull_count = models.PositiveBigIntegerField(_("pulls"), default=0)
    last_pull_at = models.DateTimeField(_("last pull"), null=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE, editable=False)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="", editable=False)
    deleting_since = models.DateTimeField(_("deleting since"), null=True, editable=False)
    missing_at = models.DateTimeField(_("missing since"), null=True, editable=False)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["-pushed_at", "name"]
        constraints = [
            models.UniqueConstraint(fields=["image", "name"], name="tag_name_unique"),
            models.CheckConstraint(condition=Q(state__in=["active", "deleting"]), name="tag_state"),
            models.CheckConstraint(condition=~Q(sort_key=""), name="tag_sort_key"),
        ]
        indexes = [
            models.Index(fields=["image", "pushed_at", "id"], name="tag_by_push"),
            models.Index(fields=["image", "sort_key", "id"], name="tag_by_version"),
            models.Index(fields=["image", "subject"], condition=~Q(subject=""), name="tag_about"),
            models.Index(fields=["image"], condition=Q(missing_at__isnull=False), name="tag_missing"),
            models.Index(fields=["image"], condition=Q(state="deleting"), name="tag_deleting"),
        ]

    def __str__(self) -> str:
        return f"{self.image}:{self.name}"


class PushedDigest(models.Model):
    """That a manifest was pushed, under a tag or by its digest alone (``console.repositories.pushed_digests``).

    By the repository's name: a first push tells of platforms before there is an image.
    ``removed`` says that the clearing that is under way has deleted it (``console.registry.clearing``).
    """

    repository = models.CharField(_("repository"), max_length=255)
    digest = models.CharField(_("digest"), max_length=140)
    told_at = models.DateTimeField(_("told"), help_text=_("When it was last told of"))
    removed = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = _("pushed digest")
        verbose_name_plural = _("pushed digests")
        constraints = [models.UniqueConstraint(fields=["repository", "digest"], name="pushed_digest_once")]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class KeptManifest(models.Model):
    """A manifest that the index does not have, and that stays while its image is cleared of later pushes.

    ``blobs`` are the digests of the blobs that hang on it, null until it is read (``console.registry.clearing``).
    """

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(_("digest"), max_length=140)
    blobs = models.JSONField(null=True)

    class Meta:
        verbose_name = _("kept manifest")
        verbose_name_plural = _("kept manifests")
        constraints = [models.UniqueConstraint(fields=["image", "digest"], name="kept_manifest_once")]

    def __str__(self) -> str:
        return self.digest


class DailyActivity(models.Model):
    """Pushes and pulls of an image on one day (UTC)."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="activity")
    day = models.DateField(_("day"))
    pushes = models.PositiveIntegerField(_("pushes"), default=0)
    pulls = models.PositiveIntegerField(_("pulls"), default=0)

    class Meta:
        verbose_name = _("activity of a day")
        verbose_name_plural = _("activity by day")
        constraints = [models.UniqueConstraint(fields=["image", "day"], name="activity_day_unique")]

    def __str__(self) -> str:
        return f"{self.image} {self.day}"
