"""The index of the registry's content: manifests, tags, documents, daily activity."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, GeneratedField, Q
from django.utils.translation import gettext_lazy as _

from console.repositories.media_types import BUILD_CACHE, HELM_CHART
from console.repositories.models.image import Image
from console.repositories.tag_order_field import TagOrderField
from console.repositories.words import TAG_WORDS

# Names of known artifact types.
_ARTIFACT_NAMES = {BUILD_CACHE: _("Build cache"), HELM_CHART: _("Helm chart")}

# So many children of an index are stored separately for lists, which must not read an index of thousands.
FIRST_CHILDREN = 20
_SHOWN = "$[*] ? (!exists(@.about))"
_ATTESTATIONS = "$[*] ? (exists(@.about))"


def _entries(path: str) -> Func:
    """The entries of ``children`` that the SQL/JSON path selects."""
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
    """The content of a manifest, stored once for each digest and shared by all images that have it.

    ``content`` has the bytes as pushed. ``config`` has the part of an image's configuration that pages show (OCI image
    specification, "Image Configuration"); of environment variables only the names, because values may be secrets.
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
    """A manifest of an image, with what lists show of it. Its content is the ``Document`` with the same digest.

    ``size`` is what a pull transfers from this registry: config and layers, without foreign layers; for an index, of
    all its platforms.

    ``blobs`` has the digests of config and layers; ``children`` the manifests that an index names, each with
    ``digest``, ``platform``, for an attestation ``about`` (the manifest it describes), and ``skipped`` if it is not
    read because there are too many. Each digest occurs once. An index may name blobs, as BuildKit's cache does: they
    are in ``blobs``, and ``own_size`` is their part of ``size``.

    An index may have tens of thousands of children. Lists read only its beginning: ``first_children`` has children
    without ``about``, ``first_attestations`` the others, each at most ``FIRST_CHILDREN``; ``child_count`` counts all
    children, ``shown_count`` those without ``about``.

    ``doomed`` means that it is being deleted because its last tag was, ``doomed_at`` when that was requested: a later
    push prevents it.
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
        """The name of the kind on pages; known artifact types have their own."""
        name = _ARTIFACT_NAMES.get(self.artifact_type) if self.kind == self.Kind.ARTIFACT else None
        return str(name or self.Kind(self.kind).label)


class Tag(models.Model):
    """A tag as of its last sync with the registry.

    ``subject`` is the digest that the tag describes: of a signature, an SBOM, a list of referrers (OCI distribution
    specification, "Referrers Tag Schema"). Pages show the tag under its subject.
    ``deleting_since`` is when its deletion was last requested: later pushes are not deleted.
    ``missing_at`` is set by a reconcile that found the tag missing, until the reconcile removes or restores it.
    ``sort_key`` is the sort key of lists sorted by name (``console.repositories.tag_order``).
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
            # For the search over all images. A push adds to a list of at most 256 kB, which is sorted in at once.
            GinIndex(TAG_WORDS, name="tag_words", fastupdate=True, gin_pending_list_limit=256),
        ]

    def __str__(self) -> str:
        return f"{self.image}:{self.name}"


class PushedDigest(models.Model):
    """A push event of a manifest, with or without a tag (``console.repositories.pushed_digests``).

    By repository name, because the events of a first push arrive before the image exists.
    ``removed`` is set when the current clearing has deleted the manifest (``console.registry.deletion.names``).
    """

    repository = models.CharField(_("repository"), max_length=255)
    digest = models.CharField(_("digest"), max_length=140)
    notified_at = models.DateTimeField(_("notified"), help_text=_("When the registry last sent an event of it"))
    removed = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = _("pushed digest")
        verbose_name_plural = _("pushed digests")
        constraints = [models.UniqueConstraint(fields=["repository", "digest"], name="pushed_digest_once")]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class KeptManifest(models.Model):
    """A manifest that is not in the index, and that the clearing of its image must not delete.

    ``blobs`` has the digests of its blobs; null until it is read (``console.registry.deletion.names``).
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
    """Number of pushes and pulls of an image on one day (UTC)."""

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
