"""What an account may do with a namespace, an image or an official image: every question of a page is answered here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Actor:
    """Who asks. ``account`` is the primary key; ``activated`` whether the service is activated for it."""

    account: int
    active: bool
    activated: bool


@dataclass(frozen=True)
class NamespaceFacts:
    """What a namespace is, for the rules. ``owner`` is the primary key of its account."""

    owner: int
    in_transfer: bool


@dataclass(frozen=True)
class ImageFacts:
    """What an image is, for the rules; ``active`` unless it is being deleted."""

    owner: int
    in_transfer: bool
    public: bool
    active: bool


@dataclass(frozen=True)
class OfficialImageFacts:
    """What an official image is, for the rules: ``listed`` while Docker Hub lists it."""

    listed: bool


Facts = NamespaceFacts | ImageFacts | OfficialImageFacts


class Target(Protocol):
    """A model that says the facts about itself."""

    @property
    def facts(self) -> Facts:
        """What the rules know of it."""


def may(actor: Actor | None, verb: str, facts: Facts | None = None) -> bool:
    """Whether somebody may do ``verb``.

    :param actor: ``None`` for somebody anonymous.
    :param verb: ``access_token.create``, ``namespace.create``, ``namespace.delete``, ``image.create`` (on the
        namespace), ``image.view``, ``image.edit``, ``image.delete``, ``image.resolve_failure`` (retry or dismiss what
        was given up), ``image.push``, ``image.star`` (on an official image, too).
    :raises ValueError: for a verb that is not known, so that a misspelling never grants anything.
    """
    if actor is None or not actor.active or not actor.activated:
        return False
    if verb in {"namespace.create", "access_token.create"}:
        return True
    if verb == "namespace.delete" and isinstance(facts, NamespaceFacts):
        return facts.owner == actor.account
    if verb == "image.create" and isinstance(facts, NamespaceFacts):
        return facts.owner == actor.account and not facts.in_transfer
    if verb == "image.push" and isinstance(facts, ImageFacts):
        return facts.owner == actor.account and not facts.in_transfer
    if verb in {"image.view", "image.edit", "image.delete", "image.resolve_failure"} and isinstance(facts, ImageFacts):
        return facts.owner == actor.account
    if verb == "image.star" and isinstance(facts, ImageFacts):
        return facts.active and (facts.public or facts.owner == actor.account)
    if verb == "image.star" and isinstance(facts, OfficialImageFacts):
        return facts.listed
    raise ValueError(f"no rule for {verb!r} on {type(facts).__name__}")


def refuse_namespace_name(occupied: bool | None) -> str:
    """Why nobody may take a free namespace's name as the registry is now, as a sentence; empty when somebody may.

    The account that gets the name owns what lies under it, and can read and delete it.

    :param occupied: whether the registry has images under the name; ``None`` when it did not say.
    """
    if occupied:
        return _("The registry already has images under this name. An administrator can assign them to an account.")
    # A registry of the console's own has what the console let in, and nothing else.
    if occupied is None and not settings.REGISTRY_IS_OURS:
        return _("Can’t check whether the registry already has images under this name. Try again in a moment.")
    return ""


def refuse_docker_hub() -> str:
    """Why nobody can use Docker Hub's official images here, as a sentence; empty when accounts can."""
    if settings.DOCKERHUB_ENABLED:
        return ""
    if settings.DOCKERHUB_MISSING == "port":
        return _("The Docker Hub cache is off: another program uses port %(port)d.") % {"port": settings.DOCKERHUB_PORT}
    if settings.DOCKERHUB_MISSING == "program":
        return _("The Docker Hub cache is off: no registry program was found for it.")
    if settings.DOCKERHUB_MISSING:
        return _("The Docker Hub cache is off: its files could not be written.")
    return _("Docker Hub’s official images are turned off on this server.")
