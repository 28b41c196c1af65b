"""What of a registry token's scopes is granted: the rules that the token endpoint asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings

from console.access.quotas import allowed, has_room

# Docker Hub's official images are in one namespace, and none of their names is nested.
_OFFICIAL_IMAGE = re.compile(r"library/[^/]+")

# What the owner of an image may ask the registry for.
OWNER_ACTIONS = frozenset({"pull", "push", "delete"})
READER_ACTIONS = frozenset({"pull"})
CATALOG_ACTIONS = frozenset({"*"})


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
    """The account that asks for a registry token, as it was read for this one request.

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
        granted: frozenset[str] = frozenset()
        if access.type == "repository":
            repository = repositories.get(access.name)
            if repository is not None:
                granted = _allowed_on(caller, repository, coming)
                coming += not repository.exists and "push" in granted
        elif access.type == "registry" and access.name == "catalog":
            # The catalogue names everybody's repositories.
            superuser = caller is not None and caller.is_superuser and caller.token is None
            granted = CATALOG_ACTIONS if superuser else granted
        actions = access.actions & granted
        if "delete" in access.actions - granted:
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
            has_room(repository.tags, allowed(caller.tag_quota, settings.DEFAULT_TAG_QUOTA))
            if repository.exists
            else has_room(caller.images + coming, allowed(caller.image_quota, settings.DEFAULT_IMAGE_QUOTA))
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
