"""Authorization rules of the token endpoint: which requested scopes are granted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from console.access.quotas import allowed, has_room, refuse_image, refuse_tag
from console.access.roles import ACTIONS, Role, least_role_for_action

# Docker Hub's official images are in one namespace, and none of their names is nested.
_OFFICIAL_IMAGE = re.compile(r"library/[^/]+")

# What everybody may do with a public image.
READER_ACTIONS = ACTIONS[Role.READER]
CATALOG_ACTIONS = frozenset({"*"})
# The gate's own action on the catalogue: the repositories that the caller may read. The registry does not know it, so
# such a token does not open the registry's own catalogue, which lists all repositories.
READABLE_CATALOG_ACTIONS = frozenset({"list"})


@dataclass(frozen=True)
class Access:
    """Actions on one resource of the registry, requested or granted.

    Distribution token specification, "scope": ``type:name:actions``.
    """

    type: str
    name: str
    actions: frozenset[str]


@dataclass(frozen=True)
class TokenLimits:
    """The restrictions of an access token on its account's permissions.

    ``all_namespaces`` is false for a token that is narrowed to selected namespaces and images.
    """

    can_push: bool
    all_namespaces: bool
    can_delete: bool = False

    @property
    def actions(self) -> frozenset[str]:
        """The actions that the token allows on the repositories that it is for."""
        return frozenset({"pull"} | ({"push"} if self.can_push else set()) | ({"delete"} if self.can_delete else set()))


@dataclass(frozen=True)
class Caller:
    """The account that requests a registry token, as read from the database for this request.

    ``account`` is the primary key; ``version`` and ``password`` (its hash) are the credential's. ``token`` is set when
    an access token was presented in place of the password.
    """

    account: int
    account_id: str
    username: str
    password: str
    version: int
    is_active: bool
    activated: bool
    is_superuser: bool
    token: TokenLimits | None = None

    @property
    def usable(self) -> bool:
        """Whether the account may use the registry at all."""
        return self.is_active and self.activated


@dataclass(frozen=True)
class Repository:
    """Facts about a repository in an existing namespace.

    ``owner`` is the primary key of the namespace's account: its quotas count for every push. ``role`` is the highest
    that the caller has now on the image or its namespace. ``chosen`` says whether the caller's access token is for this
    namespace or image. ``active`` and ``public`` have no meaning unless the image ``exists``. ``images`` is how many
    images the owner has, read only when a push might create a new one. ``tags`` counts towards the quota of tags; only
    the gate counts them.
    """

    owner: int
    in_transfer: bool
    role: Role | None = None
    chosen: bool = False
    exists: bool = False
    active: bool = False
    public: bool = False
    images: int = 0
    image_quota: int | None = None
    tags: int = 0
    tag_quota: int | None = None


def registry_grants(
    caller: Caller | None, asked: Iterable[Access], repositories: Mapping[str, Repository]
) -> list[Access]:
    """The scopes granted at the registry: the intersection of the requested and the allowed actions. No side effects.

    ``push`` is not granted if ``delete`` is requested with it on the same repository but not allowed. Clients delete a
    tag by pushing an empty image to it and deleting that digest (regctl, because Distribution 2.8 deletes by digest
    only): with ``push`` alone the tag would be overwritten before the delete fails. The client gets a token anyway, as
    Distribution's ``spec/auth/token`` requires, for less than the intersection described there.

    :param caller: the authenticated account; ``None`` for anonymous requests, which may pull public images.
    :param repositories: facts about the requested repositories; a missing one is in no existing namespace.
    :return: grants in the requested order, without empty ones.
    """
    if caller is not None and not caller.usable:
        return []
    # New images of each owner that this response allows to create: together they must fit into the quota.
    new_images: Counter[int] = Counter()
    grants = []
    for access in asked:
        granted: frozenset[str] = frozenset()
        if access.type == "repository":
            repository = repositories.get(access.name)
            if repository is not None:
                granted = _allowed_on(caller, repository, new_images[repository.owner])
                new_images[repository.owner] += not repository.exists and "push" in granted & access.actions
        elif access.type == "registry" and access.name == "catalog" and access.actions >= CATALOG_ACTIONS:
            grants += _catalog_grants(caller)
            continue
        actions = access.actions & granted
        if "delete" in access.actions - granted:
            actions -= {"push"}
        if actions:
            grants.append(Access(access.type, access.name, actions))
    return grants


def _catalog_grants(caller: Caller | None) -> list[Access]:
    """What is granted of ``registry:catalog:*``: to superusers all of it, to others the repositories they may read.

    Nothing to anonymous callers, and to access tokens that are restricted to some namespaces: the token names the
    account alone, and the catalogue would list the other namespaces as well.
    """
    if caller is None or (caller.token is not None and not caller.token.all_namespaces):
        return []
    whole = caller.is_superuser and caller.token is None
    return [Access("registry", "catalog", CATALOG_ACTIONS if whole else READABLE_CATALOG_ACTIONS)]


def _allowed_on(caller: Caller | None, repository: Repository, new_images: int) -> frozenset[str]:
    """The actions that the caller may do on a repository, given ``new_images`` that this response already allows."""
    if repository.in_transfer or (repository.exists and not repository.active):
        return frozenset()
    public = READER_ACTIONS if repository.public else frozenset[str]()
    if caller is None or repository.role is None:
        return public
    token = caller.token
    if token is not None and not token.all_namespaces and not repository.chosen:
        return public
    actions = ACTIONS[repository.role] if token is None else ACTIONS[repository.role] & token.actions
    # Refused here, so that no layers are uploaded in vain. The gate alone checks the quota of tags: a push may move
    # a tag (``refuse_push``).
    images = repository.images + new_images
    if not repository.exists and not has_room(images, allowed(repository.image_quota, settings.DEFAULT_IMAGE_QUOTA)):
        actions -= {"push"}
    return actions | public


def refuse_write(caller: Caller | None, repository: Repository | None, action: str) -> str:
    """Error message if manifests of a repository may not be pushed or deleted now; empty if they may.

    A token may be minutes old: account, role and state of the image are checked again at each manifest. That an
    access token was revoked meanwhile is not known here.

    :param caller: the account that the token names.
    :param repository: its facts now; ``None`` when its namespace does not exist.
    :param action: ``push`` or ``delete``.
    """
    if caller is None or not caller.usable or repository is None or repository.role is None:
        return _("You no longer have access to this repository.")
    if repository.role < least_role_for_action(action):
        if action == "delete":
            return _("Your role in this namespace no longer allows you to delete. Ask an owner of the namespace.")
        return _("Your role in this namespace no longer allows you to push. Ask an owner of the namespace.")
    if repository.in_transfer:
        return _("The namespace is being transferred to another account. Try again when the transfer has finished.")
    if repository.exists and not repository.active:
        return _("The image is being deleted. Try again when the deletion has finished.")
    return ""


def refuse_push(caller: Caller | None, repository: Repository | None, *, is_indexed: bool, adds_tag: bool) -> str:
    """Error message if a manifest may not be pushed now; empty if it may. The quotas are exact here, unlike a token's.

    :param repository: ``images`` and ``tags`` count what is being pushed at this moment, too.
    :param is_indexed: whether the push creates the image if there is none. A manifest without a tag and without a
        subject does not.
    :param adds_tag: whether the push creates a tag. Moving a tag, or pushing by digest, needs no room.
    """
    if refusal := refuse_write(caller, repository, "push"):
        return refusal
    if repository is None:
        return ""
    if is_indexed and not repository.exists:
        quota = allowed(repository.image_quota, settings.DEFAULT_IMAGE_QUOTA)
        own = caller is not None and caller.account == repository.owner
        refusal = refuse_image(repository.images, quota, own=own)
    if adds_tag and not refusal:
        refusal = refuse_tag(repository.tags, allowed(repository.tag_quota, settings.DEFAULT_TAG_QUOTA))
    return refusal


def dockerhub_grants(caller: Caller | None, asked: Iterable[Access]) -> list[Access]:
    """The scopes granted at the cache of Docker Hub: activated accounts may pull official images.

    :param caller: the authenticated account; ``None`` for anonymous requests, which get nothing.
    :return: grants in the requested order, without empty ones.
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
    """The scopes granted to the console itself at its registries: everything that it requests."""
    return list(asked)
