"""Authorization rules of pages: what an account may do with a namespace, an image or an official image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from console.access.roles import VERBS, Role, allows


@dataclass(frozen=True)
class Actor:
    """The account that acts. ``account`` is the primary key; ``activated`` whether its service is activated."""

    account: int
    active: bool
    activated: bool


@dataclass(frozen=True)
class NamespaceFacts:
    """Facts about a namespace. ``role`` is what the account that acts has on it."""

    role: Role | None
    in_transfer: bool


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image; ``active`` unless it is being deleted.

    ``role`` is the highest that the account that acts has on it, or on its namespace.
    """

    role: Role | None
    in_transfer: bool
    public: bool
    active: bool


@dataclass(frozen=True)
class OfficialImageFacts:
    """Facts about an official image: ``listed`` while Docker Hub lists it."""

    listed: bool


@dataclass(frozen=True)
class TeamFacts:
    """Facts about a team: whether the account that acts is in it, and whether it manages it."""

    is_member: bool
    is_manager: bool


Facts = NamespaceFacts | ImageFacts | OfficialImageFacts | TeamFacts


class Target(Protocol):
    """A model that provides its facts for the rules."""

    def facts_for(self, account: int) -> Facts:
        """The facts for the rules when the account with this primary key acts."""


_OF_NAMESPACES = {verb for verb in VERBS[Role.OWNER] if verb.startswith("namespace.")} | {"image.create"}
_OF_IMAGES = VERBS[Role.OWNER] - _OF_NAMESPACES
# Not while a namespace is transferred to another account.
_NOT_IN_TRANSFER = {"image.create", "image.push"}


def may(actor: Actor | None, verb: str, facts: Facts | None = None) -> bool:
    """Whether an account may do ``verb``.

    :param actor: ``None`` for anonymous requests.
    :param verb: ``access_token.create``, ``namespace.create``, ``team.create``, a verb of a role
        (``console.access.roles``; ``image.create`` is on the namespace), ``image.star`` (also on an official image),
        ``team.view`` or ``team.manage``.
    :raises ValueError: for an unknown verb, so that a misspelling never grants anything.
    """
    if actor is None or not actor.active or not actor.activated:
        return False
    if verb in {"namespace.create", "access_token.create", "team.create"}:
        return True
    if verb in _OF_NAMESPACES and isinstance(facts, NamespaceFacts):
        return allows(facts.role, verb) and not (verb in _NOT_IN_TRANSFER and facts.in_transfer)
    if verb in _OF_IMAGES and isinstance(facts, ImageFacts):
        return allows(facts.role, verb) and not (verb in _NOT_IN_TRANSFER and facts.in_transfer)
    if verb == "image.star" and isinstance(facts, ImageFacts):
        return facts.active and (facts.public or allows(facts.role, "image.view"))
    if verb == "image.star" and isinstance(facts, OfficialImageFacts):
        return facts.listed
    if verb == "team.view" and isinstance(facts, TeamFacts):
        return facts.is_member or facts.is_manager
    if verb == "team.manage" and isinstance(facts, TeamFacts):
        return facts.is_manager
    raise ValueError(f"no rule for {verb!r} on {type(facts).__name__}")


def verbs_on(actor: Actor | None, facts: NamespaceFacts | ImageFacts) -> frozenset[str]:
    """All verbs that an account may use on a namespace or an image, for pages that show many of them."""
    verbs = _OF_NAMESPACES if isinstance(facts, NamespaceFacts) else _OF_IMAGES | {"image.star"}
    return frozenset(verb for verb in verbs if may(actor, verb, facts))


def refuse_namespace_name(occupied: bool | None) -> str:
    """Error message if a free namespace's name cannot be taken because of the registry's content; empty if it can.

    The account that gets the name could read and delete all images under it.

    :param occupied: whether the registry has images under the name; ``None`` if the registry did not answer.
    """
    if occupied:
        return _("The registry already has images under this name. An administrator can assign them to an account.")
    # The bundled registry contains only what the console has authorized.
    if occupied is None and not settings.REGISTRY_IS_OURS:
        return _("Can’t check whether the registry already has images under this name. Try again in a moment.")
    return ""


def refuse_docker_hub() -> str:
    """Error message if the cache of Docker Hub's official images is not available; empty if it is."""
    if settings.DOCKERHUB_ENABLED:
        return ""
    if settings.DOCKERHUB_MISSING == "port":
        return _("The Docker Hub cache is off: another program uses port %(port)d.") % {"port": settings.DOCKERHUB_PORT}
    if settings.DOCKERHUB_MISSING == "program":
        return _("The Docker Hub cache is off: no registry program was found for it.")
    if settings.DOCKERHUB_MISSING:
        return _("The Docker Hub cache is off: its files could not be written.")
    return _("Docker Hub’s official images are turned off on this server.")
