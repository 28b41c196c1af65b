"""Who may do what. Pages, the admin and the token endpoint ask here; nothing else decides."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.accounts.models import AccessToken, Account
from console.dockerhub.models import OfficialImage
from console.favorites.models import Star
from console.images.models import NAME_PATTERN as IMAGE_NAME_PATTERN
from console.images.models import PUBLIC, Image, ImagePieces
from console.namespaces.models import NAME_PATTERN as NAMESPACE_NAME_PATTERN
from console.namespaces.models import RESERVED, Namespace
from console.tokens.models import Login

_IMAGE_NAME = re.compile(IMAGE_NAME_PATTERN)
_NAMESPACE_NAME = re.compile(NAMESPACE_NAME_PATTERN)
# Docker Hub's official images are in one namespace, and none of their names is nested.
_OFFICIAL_IMAGE = re.compile(r"library/[^/]+")

# What the owner of an image may ask the registry for.
OWNER_ACTIONS = frozenset({"pull", "push", "delete"})
READER_ACTIONS = frozenset({"pull"})
CATALOG_ACTIONS = frozenset({"*"})
# Transfers of one account that are fetched at a time, so that those with slow sources leave others a place.
FETCHED_AT_ONCE = 2


@dataclass(frozen=True)
class Access:
    """Actions on one resource of the registry, asked for or granted.

    Distribution token specification, "scope": ``type:name:actions``.
    """

    type: str
    name: str
    actions: frozenset[str]


@dataclass(frozen=True)
class TokenLimits:
    """What an access token leaves of what its account may do."""

    can_push: bool
    all_namespaces: bool
    can_delete: bool = False

    @property
    def actions(self) -> frozenset[str]:
        """What may be done with it on the account's own repositories that it opens."""
        return frozenset({"pull"} | ({"push"} if self.can_push else set()) | ({"delete"} if self.can_delete else set()))


@dataclass(frozen=True)
class Caller:
    """Whoever asks for a registry token, as it was read for this one request.

    ``account`` is the primary key; ``version`` and ``password`` (its hash) are the credential's. ``images`` is how many
    images the account has, counted up to its quota, and only where it matters: when a push might make a new one.
    ``token`` is there when an access token was shown in place of the password.
    """

    account: int
    account_id: str
    username: str
    password: str
    version: int
    is_active: bool
    activated: bool
    is_superuser: bool
    image_quota: int | None
    tag_quota: int | None
    images: int = 0
    token: TokenLimits | None = None

    @property
    def usable(self) -> bool:
        """Whether the account may use the registry at all."""
        return self.is_active and self.activated


@dataclass(frozen=True)
class Repository:
    """What is known of a repository in somebody's namespace. ``owner`` is the primary key of the namespace's account.

    ``chosen`` says whether the namespace is among those that the caller's access token was made for. ``tags`` counts
    towards the quota of tags; it and what stands before it say nothing when no such image ``exists``.
    """

    owner: int
    in_transfer: bool
    chosen: bool = False
    exists: bool = False
    active: bool = False
    public: bool = False
    tags: int = 0


@dataclass(frozen=True)
class Quota:
    """What an account has and may have. What it has is counted when it is asked for, once."""

    account: Account
    namespaces_allowed: int
    images_allowed: int
    tags_allowed: int
    images_counted: int | None = None

    @functools.cached_property
    def namespaces_used(self) -> int:
        """How many namespaces the account has."""
        return visible_namespaces(self.account).count()

    @functools.cached_property
    def images_used(self) -> int:
        """How many images it has, as many as its list shows."""
        return visible_images(self.account).count() if self.images_counted is None else self.images_counted


# --- pages ----------------------------------------------------------------------------------------------------------


def visible_namespaces(account: Account) -> QuerySet[Namespace]:
    """The namespaces that the account's pages show: its own."""
    return Namespace.objects.filter(owner=account)


def visible_images(account: Account) -> QuerySet[Image]:
    """The images that the account's pages show: those in its own namespaces."""
    return Image.objects.filter(owner=account)


def visible_names(account: Account) -> QuerySet[ImagePieces]:
    """The names of the same images, with their pieces, as the search wants them."""
    return ImagePieces.objects.filter(owner=account)


def public_images() -> QuerySet[Image]:
    """Everybody's public images, which anybody activated may look at. What is being deleted is no longer shown."""
    return Image.objects.filter(PUBLIC)


def readable_images(account: Account) -> QuerySet[Image]:
    """All images that the account may look at: its own, and everybody's public ones."""
    return Image.objects.filter(Q(owner=account) | PUBLIC)


def visible_stars(account: Account) -> QuerySet[Star]:
    """The account's stars on what it may see."""
    public = Q(image__visibility=Image.Visibility.PUBLIC, image__state=Image.State.ACTIVE)
    return Star.objects.filter(Q(image=None) | Q(image__owner=account) | public, account=account)


def visible_access_tokens(account: Account) -> QuerySet[AccessToken]:
    """The access tokens that the account's page shows: its own, expired ones too, until they are revoked."""
    return AccessToken.objects.filter(account=account, revoked_at=None)


def visible_logins(account: Account) -> QuerySet[Login]:
    """The logins with Docker that the account's page shows: its own, those that can still be used."""
    begun = timezone.now() - datetime.timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    return Login.objects.filter(account=account, version=F("account__credential__version"), created_at__gt=begun)


def may(account: Account | AnonymousUser, verb: str, target: Namespace | Image | OfficialImage | None = None) -> bool:
    """Whether ``account`` may do ``verb``.

    :param verb: ``access_token.create``, ``namespace.create``, ``namespace.delete``, ``image.create`` (target: the
        namespace), ``image.view``, ``image.edit``, ``image.delete``, ``image.resolve_failure`` (retry or dismiss what
        was given up), ``image.push``, ``image.star`` (target: an official image, too).
    :raises ValueError: for a verb that is not known, so that a misspelling never grants anything.
    """
    if not isinstance(account, Account) or not account.is_active or not account.activated:
        return False
    if verb in {"namespace.create", "access_token.create"}:
        return True
    if verb == "namespace.delete" and isinstance(target, Namespace):
        return target.owner_id == account.pk
    if verb == "image.create" and isinstance(target, Namespace):
        return target.owner_id == account.pk and not target.in_transfer
    if verb == "image.push" and isinstance(target, Image):
        return target.namespace.owner_id == account.pk and not target.namespace.in_transfer
    if verb in {"image.view", "image.edit", "image.delete", "image.resolve_failure"} and isinstance(target, Image):
        return target.namespace.owner_id == account.pk
    if verb == "image.star" and isinstance(target, Image):
        public = target.visibility == Image.Visibility.PUBLIC
        return target.state == Image.State.ACTIVE and (public or target.namespace.owner_id == account.pk)
    if verb == "image.star" and isinstance(target, OfficialImage):
        return target.listed
    raise ValueError(f"no rule for {verb!r} on {type(target).__name__}")


# --- quotas ---------------------------------------------------------------------------------------------------------


def _allowed(own: int | None, default: int) -> int:
    return default if own is None else own


def quota(account: Account, images_used: int | None = None) -> Quota:
    """What the account has and may have.

    :param images_used: how many images it has, where they were counted just before.
    """
    return Quota(
        account,
        namespaces_allowed=_allowed(account.namespace_quota, settings.DEFAULT_NAMESPACE_QUOTA),
        images_allowed=_allowed(account.image_quota, settings.DEFAULT_IMAGE_QUOTA),
        tags_allowed=_allowed(account.tag_quota, settings.DEFAULT_TAG_QUOTA),
        images_counted=images_used,
    )


def refuse_namespace(account: Account, now: Quota | None = None) -> str:
    """Why the account may not have one more namespace, as a sentence; empty when it may.

    :param now: its quota, where it was asked for just before.
    """
    now = now or quota(account)
    if now.namespaces_used < now.namespaces_allowed:
        return ""
    return _("All %(allowed)d namespaces of this account are in use. Delete one first, or ask an administrator.") % {
        "allowed": now.namespaces_allowed
    }


def refuse_namespace_name(occupied: bool | None) -> str:
    """Why nobody may take a free namespace's name as the registry is now, as a sentence; empty when somebody may.

    Whoever had the name would own what lies under it, and could read and delete it.

    :param occupied: whether the registry has images under the name; ``None`` when it did not say.
    """
    if occupied:
        return _(
            "In the registry there are images under this name already. An administrator can give them to an account."
        )
    # A registry of the console's own has what the console let in, and nothing else.
    if occupied is None and not settings.REGISTRY_IS_OURS:
        return _("The registry does not say whether there are images under this name already. Try again in a moment.")
    return ""


def refuse_image(account: Account, now: Quota | None = None) -> str:
    """Why the account may not have one more image, as a sentence; empty when it may.

    :param now: its quota, where it was asked for just before.
    """
    now = now or quota(account)
    if now.images_used < now.images_allowed:
        return ""
    return _("All %(allowed)d images of this account are in use. Delete one first, or ask an administrator.") % {
        "allowed": now.images_allowed
    }


def tags_used(image: Image) -> int:
    """What counts towards the quota of tags: those too that stand under what they are about."""
    return image.tag_count + image.attachment_count


def refuse_tag(account: Account, image: Image, coming: int = 0) -> str:
    """Why the account may not add one more tag to the image, as a sentence; empty when it may.

    :param coming: tags that are on their way to it.
    """
    allowed = _allowed(account.tag_quota, settings.DEFAULT_TAG_QUOTA)
    if tags_used(image) + coming < allowed:
        return ""
    return _("All %(allowed)d tags of this image are in use. Delete one first, or ask an administrator.") % {
        "allowed": allowed
    }


def refuse_transfer(under_way: int) -> str:
    """Why an account may not begin one more copy from another registry, as a sentence; empty when it may.

    :param under_way: how many of its own are not finished.
    """
    if under_way < settings.MOST_TRANSFERS:
        return ""
    return ngettext(
        "%(allowed)d image is being copied already. Wait until that has ended, or cancel it.",
        "%(allowed)d images are being copied already. Wait until one of them has ended, or cancel it.",
        settings.MOST_TRANSFERS,
    ) % {"allowed": settings.MOST_TRANSFERS}


def refuse_access_token(account: Account) -> str:
    """Why the account may not have one more access token, as a sentence; empty when it may."""
    if visible_access_tokens(account).count() < settings.MOST_ACCESS_TOKENS:
        return ""
    return ngettext(
        "The %(allowed)d access token of this account is in use. Revoke it first.",
        "All %(allowed)d access tokens of this account are in use. Revoke one first.",
        settings.MOST_ACCESS_TOKENS,
    ) % {"allowed": settings.MOST_ACCESS_TOKENS}


def refuse_docker_hub() -> str:
    """Why nobody can use Docker Hub's official images here, as a sentence; empty when accounts can."""
    if settings.DOCKERHUB_ENABLED:
        return ""
    if settings.DOCKERHUB_MISSING == "port":
        return _("The cache of Docker Hub’s images is off, because port %(port)d is taken by another program.") % {
            "port": settings.DOCKERHUB_PORT
        }
    if settings.DOCKERHUB_MISSING == "program":
        return _("The cache of Docker Hub’s images is off, because no registry program was found for it.")
    if settings.DOCKERHUB_MISSING:
        return _("The cache of Docker Hub’s images is off, because its files could not be written.")
    return _("Docker Hub’s official images are switched off here.")


# --- guessing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GuessLimit:
    """So many wrong guesses ``at_once``, and one more each ``seconds``."""

    at_once: int
    seconds: float


def guess_limits(known: bool, secret: bool = False, door: str = "") -> dict[str, GuessLimit]:
    """What a wrong guess counts towards, and what holds back the next, by ``guessing.services.KINDS``.

    :param known: whether a right password came from that address for that account lately. Such an address has only
        itself to blame: neither an attack on the account nor a colleague's mistakes hold it back.
    :param secret: whether it is something random that was tried. That says nothing of any password.
    :param door: where, see ``settings.GUESSES_AT``.
    """
    if secret:
        kinds: tuple[str, ...] = () if known else ("address",)
    else:
        kinds = ("here",) if known else ("here", "network", "account", "address")
    numbers = {**settings.GUESSES, **settings.GUESSES_AT.get(door, {})}
    return {kind: GuessLimit(*numbers[kind]) for kind in kinds}


def guess_wait(
    limits: Mapping[str, GuessLimit], until: Mapping[str, datetime.datetime | None], now: datetime.datetime
) -> float:
    """For how many seconds nothing more may be tried; 0 or less: it may be.

    :param until: what was counted, as a time for each limit that each wrong guess has moved on by ``seconds``.
    """
    return max(
        (
            (moment - now).total_seconds() - (limit.at_once - 1) * limit.seconds
            for kind, limit in limits.items()
            if (moment := until.get(kind)) is not None
        ),
        default=0.0,
    )


# --- signing in ------------------------------------------------------------------------------------------------------


def signs_in_with_password(account: Account) -> bool:
    """Whether there is a password that the account signs in with."""
    return settings.LOCAL_ACCOUNTS and account.has_usable_password()


def provider_may_confirm(account: Account, *, enrolled: bool) -> bool:
    """Whether an answer of the identity provider shows once more that it is the account's owner who sits here.

    Not where something else is asked for: whoever finds a session open may find the provider's open as well.

    :param enrolled: whether the account has a second factor here.
    """
    return not enrolled and not signs_in_with_password(account)


def refuse_disconnect(account: Account) -> str:
    """Why the account's identity at the provider cannot be taken off it, as a sentence; empty when it can."""
    if signs_in_with_password(account):
        return ""
    return _("You sign in with this alone. Have an administrator set a password first.")


def refuse_administration(account: Account, ways: Iterable[str]) -> str:
    """Why somebody who is an administrator may not use the administration as signed in now; empty when they may.

    :param ways: how they have signed in, see ``console.signin.entering``. What single sign-on asks for is the
        provider's to decide.
    """
    if not settings.REQUIRE_SECOND_FACTOR or set(ways) & {"code", "recovery code", "passkey", "single sign-on"}:
        return ""
    return _("The administration needs a second factor. Set one up, or sign in with it.")


# --- the registry ---------------------------------------------------------------------------------------------------


def split_repository(name: str) -> tuple[str, str] | None:
    """Namespace and image name of a repository's name, or ``None`` when no image here can have that name."""
    namespace, slash, image = name.partition("/")
    valid = (
        slash
        and 2 <= len(namespace) <= 30
        and 2 <= len(image) <= 200
        and _NAMESPACE_NAME.fullmatch(namespace)
        and _IMAGE_NAME.fullmatch(image)
        and namespace not in RESERVED
    )
    return (namespace, image) if valid else None


def registry_grants(
    caller: Caller | None, asked: Iterable[Access], repositories: Mapping[str, Repository]
) -> list[Access]:
    """What of ``asked`` the caller may do at the registry: the asked that is also allowed.

    Nobody is granted ``push`` who asks for ``delete`` with it on the same repository and may not delete. Clients delete
    a tag by pushing an empty image to it and deleting that one's digest (regctl, because Distribution 2.8 deletes by
    digest only). Without this, the tag would be overwritten before the refusal. The client gets a token all the same,
    as Distribution's ``spec/auth/token`` wants it, for less than the intersection that is described there.

    :param caller: who asks, already authenticated; ``None`` for somebody anonymous, who may pull public images.
    :param repositories: what is known of those asked for; what is missing is in nobody's namespace.
    :return: grants in the order asked, without those that come to nothing. Asking changes nothing.
    """
    if caller is not None and not caller.usable:
        return []
    # Images that this one answer lets come into being: together they must fit into the quota.
    coming = 0
    grants = []
    for access in asked:
        allowed: frozenset[str] = frozenset()
        if access.type == "repository":
            repository = repositories.get(access.name)
            if repository is not None:
                allowed = _allowed_on(caller, repository, coming)
                coming += not repository.exists and "push" in allowed
        elif access.type == "registry" and access.name == "catalog":
            # The catalogue names everybody's repositories.
            superuser = caller is not None and caller.is_superuser and caller.token is None
            allowed = CATALOG_ACTIONS if superuser else allowed
        actions = access.actions & allowed
        if "delete" in access.actions - allowed:
            actions -= {"push"}
        if actions:
            grants.append(Access(access.type, access.name, actions))
    return grants


def _allowed_on(caller: Caller | None, repository: Repository, coming: int) -> frozenset[str]:
    """The actions that the caller may do on a repository, when so many images are about to come into being."""
    if repository.in_transfer or (repository.exists and not repository.active):
        return frozenset()
    token = caller.token if caller is not None else None
    opened = token is None or token.all_namespaces or repository.chosen
    if caller is not None and repository.owner == caller.account and opened:
        room = (
            repository.tags < _allowed(caller.tag_quota, settings.DEFAULT_TAG_QUOTA)
            if repository.exists
            else caller.images + coming < _allowed(caller.image_quota, settings.DEFAULT_IMAGE_QUOTA)
        )
        actions = OWNER_ACTIONS if token is None else token.actions
        return actions if room else actions - {"push"}
    return READER_ACTIONS if repository.public else frozenset()


def dockerhub_grants(caller: Caller | None, asked: Iterable[Access]) -> list[Access]:
    """What of ``asked`` the caller may do at the cache of Docker Hub: pull official images, where it is activated.

    :param caller: who asks, already authenticated; ``None`` for somebody anonymous, who may do nothing there.
    :return: grants in the order asked, without those that come to nothing.
    """
    if caller is None or not caller.usable:
        return []
    return [
        Access(access.type, access.name, actions)
        for access in asked
        if access.type == "repository"
        and _OFFICIAL_IMAGE.fullmatch(access.name)
        and (actions := access.actions & READER_ACTIONS)
    ]


def console_grants(asked: Iterable[Access]) -> list[Access]:
    """What the console itself may do at the registries it runs: whatever its own code asks for."""
    return list(asked)
