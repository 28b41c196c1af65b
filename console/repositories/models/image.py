"""Image: a repository of the registry with its owner, state and totals."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.core.validators import MaxLengthValidator, MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.access.names import IMAGE_PATTERN
from console.access.roles import Role, least_role
from console.access.rules import ImageFacts
from console.membership.models import Grant
from console.membership.roles import granted_role
from console.namespaces.models import Namespace
from console.repositories.summary_field import SummaryField

models.TextField.register_lookup(Length)

validate_image_name = RegexValidator(
    IMAGE_PATTERN,
    _("Use lowercase letters, digits, the separators “.”, “_” or “-” between them, and “/” between components."),
)

# Sort key of the namespace: "a" comes before "a-b" (as whole names "a-b/…" would come before "a/…").
NAMESPACE_PART = Func(
    F("full_name"), Value("/"), Value(1), function="split_part", output_field=models.CharField(max_length=30)
)

LONGEST_DESCRIPTION = 25_000  # characters

# Images that everybody may see; one that is being deleted cannot be pulled any more.
PUBLIC = Q(visibility="public", state="active")


def allowing(account: AbstractBaseUser, verb: str, image: str = "") -> Q:
    """Condition: whether the account's role on an image includes a verb.

    :param image: the path to the image, for a model that refers to one, as in ``image__``.
    """
    grants = Grant.objects.held_by(account.pk).at_least(least_role(verb))
    return (
        Q(**{f"{image}owner": account})
        | Q(**{f"{image}namespace__in": grants.filter(image=None).values("namespace")})
        | Q(**{f"{image}pk__in": grants.exclude(image=None).values("image")})
    )


class ImageQuerySet(models.QuerySet["Image"]):
    """Query images by who may see them."""

    def owned_by(self, account: AbstractBaseUser) -> Self:
        """The images in the account's own namespaces, which count towards its quota."""
        return self.filter(owner=account)

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The images that the account has a role on: its own, and those shared with it. Not all public ones."""
        return self.allowing(account, "image.view")

    def shared_with(self, account: AbstractBaseUser) -> Self:
        """The images of others that the account has a role on."""
        return self.visible_to(account).exclude(owner=account)

    def allowing(self, account: AbstractBaseUser, verb: str) -> Self:
        """The images on which the account's role includes a verb."""
        return self.filter(allowing(account, verb))

    def public(self) -> Self:
        """All public images, which every activated account may see; without those being deleted."""
        return self.filter(PUBLIC)

    def readable_by(self, account: AbstractBaseUser) -> Self:
        """All images that the account may see: its own, those shared with it, and all public ones."""
        return self.filter(allowing(account, "image.view") | PUBLIC)


class ImagePiecesQuerySet(models.QuerySet["ImagePieces"]):
    """Query names of images with their n-grams, for the search."""

    def owned_by(self, account: AbstractBaseUser) -> Self:
        """The names of the images in the account's own namespaces."""
        return self.filter(owner=account)

    def visible_to(self, account: AbstractBaseUser) -> Self:
        """The names of the images that the account has a role on."""
        return self.filter(allowing(account, "image.view", "image__"))


class Image(models.Model):
    """A repository of the registry with its owner, state and totals.

    The totals are written by ``console.repositories.totals``; ``tag_count`` does not count tags that are shown under
    another one. ``star_count`` is written by a database trigger (``console.stars``). ``summary`` is the first line of
    the description (``SummaryField``): lists show it, and read no descriptions. ``changed_at`` is updated with
    everything that a list shows, so that open pages can poll it.

    ``owner`` and ``full_name`` (``namespace/name``) are denormalised from the namespace, so that an account's images
    can be sorted, counted and searched by an index. Database triggers on both tables write them; a newly created object
    does not have them.
    """

    class Visibility(models.TextChoices):
        PRIVATE = "private", _("Private")
        PUBLIC = "public", _("Public")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        DELETING = "deleting", _("Deleting")

    namespace = models.ForeignKey(
        Namespace, on_delete=models.PROTECT, related_name="images", verbose_name=_("namespace"), db_index=False
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False, blank=True, editable=False
    )
    full_name = models.CharField(max_length=231, blank=True, editable=False)
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
        validators=[MaxLengthValidator(LONGEST_DESCRIPTION, _("The description can have up to 25,000 characters."))],
    )
    summary = SummaryField(_("summary"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    tag_count = models.PositiveIntegerField(_("tags"), default=0, editable=False)
    attachment_count = models.PositiveIntegerField(
        _("attached"), default=0, editable=False, help_text=_("Tags shown under the tag they are attached to")
    )
    size = models.PositiveBigIntegerField(_("size"), default=0, editable=False, help_text=_("Bytes"))
    last_push_at = models.DateTimeField(_("last push"), null=True, editable=False)
    pull_count = models.PositiveBigIntegerField(_("pulls"), default=0, editable=False)
    last_pull_at = models.DateTimeField(_("last pull"), null=True, editable=False)
    star_count = models.PositiveIntegerField(_("stars"), default=0, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    access_tokens = models.ManyToManyField(
        "accounts.AccessToken", through="ImageAccess", related_name="images", editable=False
    )

    objects = ImageQuerySet.as_manager()

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["namespace__name", "name"]
        constraints = [
            models.UniqueConstraint(fields=["namespace", "name"], name="image_name_unique"),
            models.UniqueConstraint(fields=["full_name"], name="image_full_name_unique"),
            models.CheckConstraint(condition=Q(name__regex=IMAGE_PATTERN), name="image_name_pattern"),
            models.CheckConstraint(condition=Q(name__length__gte=2), name="image_name_length"),
            models.CheckConstraint(condition=Q(visibility__in=["private", "public"]), name="image_visibility"),
            models.CheckConstraint(condition=Q(state__in=["active", "deleting"]), name="image_state"),
            models.CheckConstraint(
                condition=Q(description__length__lte=LONGEST_DESCRIPTION), name="image_description_length"
            ),
        ]
        indexes = [
            # One index for each sort order of the list: every page is read in index order, without a sort.
            models.Index(fields=["owner", "name", "id"], name="image_by_name"),
            models.Index(fields=["owner", "visibility", "id"], name="image_by_type"),
            models.Index(fields=["owner", "tag_count", "id"], name="image_by_tags"),
            models.Index(fields=["owner", "size", "id"], name="image_by_size"),
            models.Index(fields=["owner", "created_at", "id"], name="image_by_creation"),
            # Images without a push are the oldest.
            models.Index("owner", F("last_push_at").asc(nulls_first=True), "id", name="image_by_push"),
            # The search also reads the names of an account's images from this index.
            models.Index("owner", NAMESPACE_PART, "id", name="image_by_namespace", include=["full_name"]),
            models.Index(fields=["owner", "changed_at"], name="image_changed"),
            models.Index(fields=["namespace", "size", "id"], name="image_storage"),
            # The same for the list of all public images.
            models.Index(fields=["name", "id"], name="image_public_by_name", include=["full_name"], condition=PUBLIC),
            models.Index(fields=["pull_count", "id"], name="image_public_by_pulls", condition=PUBLIC),
            models.Index(fields=["star_count", "id"], name="image_public_by_stars", condition=PUBLIC),
            models.Index(F("last_push_at").asc(nulls_first=True), "id", name="image_public_by_push", condition=PUBLIC),
        ]

    def __str__(self) -> str:
        return self.repository

    def role_of(self, account: int) -> Role | None:
        """The highest role of an account on the image or its namespace; one query, unless it is its own account.

        :param account: the primary key.
        """
        return Role.OWNER if self.namespace.owner_id == account else granted_role(account, self.namespace_id, self.pk)

    def facts_for(self, account: int) -> ImageFacts:
        """The facts for the authorization rules when this account acts."""
        return ImageFacts(
            self.role_of(account),
            self.namespace.in_transfer,
            public=self.visibility == self.Visibility.PUBLIC,
            active=self.state == self.State.ACTIVE,
        )

    @property
    def repository(self) -> str:
        """The repository's name in the registry: ``namespace/name``."""
        return f"{self.namespace.name}/{self.name}"

    @property
    def address(self) -> str:
        """The image reference without the tag, as used with ``docker pull``."""
        return address_in_registry(self.repository)


def address_in_registry(repository: str) -> str:
    """The image reference of a repository without the tag, as used with ``docker pull``."""
    return f"{settings.REGISTRY_ADDRESS}/{repository}"


class ImageAccess(models.Model):
    """An image that an access token is narrowed to; deleted with the image, and on the transfer of its namespace."""

    token = models.ForeignKey(
        "accounts.AccessToken", on_delete=models.CASCADE, related_name="+", verbose_name=_("access token")
    )
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+", verbose_name=_("image"))

    class Meta:
        verbose_name = _("image of an access token")
        verbose_name_plural = _("images of access tokens")
        constraints = [models.UniqueConstraint(fields=["token", "image"], name="image_access_once")]

    def __str__(self) -> str:
        return f"{self.token}: {self.image}"


class ImagePieces(models.Model):
    """The n-grams of an image's full name, for the search (``console.repositories.search``).

    ``owner`` and ``full_name`` are copied from the image, so that names are counted without reading the images. Only a
    database trigger writes these rows.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, primary_key=True, related_name="name_pieces")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    full_name = models.CharField(max_length=231)
    pieces = ArrayField(models.CharField(max_length=3))

    objects = ImagePiecesQuerySet.as_manager()

    class Meta:
        verbose_name = _("pieces of a name")
        verbose_name_plural = _("pieces of names")
        indexes = [GinIndex(fields=["pieces"], name="image_pieces", fastupdate=False)]

    def __str__(self) -> str:
        return " ".join(self.pieces)


class ImageWords(models.Model):
    """The words of an image's description, for the search (``console.repositories.words``).

    ``words`` has the owner and whether it is public, too, each behind a slash. An image without a description has no
    row. Only database triggers write these rows.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, primary_key=True, related_name="description_words")
    words = SearchVectorField()

    class Meta:
        verbose_name = _("words of a description")
        verbose_name_plural = _("words of descriptions")
        indexes = [GinIndex(fields=["words"], name="image_words", fastupdate=False)]

    def __str__(self) -> str:
        return str(self.words)
