"""Error messages for what a role does not include: which role is needed, and whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.access.roles import Role, allows, least_role
from console.access.rules import Actor, ImageFacts, NamespaceFacts, may

_NAMES: dict[Role, Promise] = {
    Role.READER: gettext_lazy("Reader"),
    Role.WRITER: gettext_lazy("Writer"),
    Role.MAINTAINER: gettext_lazy("Maintainer"),
    Role.OWNER: gettext_lazy("Owner"),
}
# Who has a role, or a higher one.
_AT_LEAST: dict[Role, Promise] = {
    Role.READER: gettext_lazy("a member"),
    Role.WRITER: gettext_lazy("a Writer, a Maintainer or an Owner"),
    Role.MAINTAINER: gettext_lazy("a Maintainer or an Owner"),
    Role.OWNER: gettext_lazy("an Owner"),
}
_SENTENCES: dict[str, Promise] = {
    "namespace.view": gettext_lazy("Only %(roles)s can see all of %(place)s."),
    "namespace.manage_members": gettext_lazy("Only %(roles)s can manage the members of %(place)s."),
    "namespace.view_activity": gettext_lazy("Only %(roles)s can see the activity of %(place)s."),
    "namespace.transfer": gettext_lazy("Only %(roles)s can hand over %(place)s."),
    "namespace.delete": gettext_lazy("Only %(roles)s can delete %(place)s."),
    "image.view": gettext_lazy("Only %(roles)s can see images of %(place)s."),
    "image.create": gettext_lazy("Only %(roles)s can create images in %(place)s."),
    "image.push": gettext_lazy("Only %(roles)s can push to images of %(place)s."),
    "image.edit": gettext_lazy("Only %(roles)s can change the description and the type of images of %(place)s."),
    "image.delete": gettext_lazy("Only %(roles)s can delete images of %(place)s."),
    "image.resolve_failure": gettext_lazy("Only %(roles)s can retry or dismiss failed work on images of %(place)s."),
    "image.manage_members": gettext_lazy("Only %(roles)s can change who has access to images of %(place)s."),
}


@dataclass(frozen=True)
class Place:
    """What a refusal is about.

    :ivar namespace: its name.
    :ivar owner: the name of the person who owns it, whom to ask.
    """

    namespace: str
    owner: str


def refuse_verb(actor: Actor | None, verb: str, facts: NamespaceFacts | ImageFacts, place: Place) -> str:
    """Error message if an account may not do ``verb``; empty if it may.

    :raises ValueError: for an unknown verb, or one that is not of this kind of object.
    """
    if may(actor, verb, facts):
        return ""
    if actor is None or not actor.active or not actor.activated:
        return _("Your account is not active, or the service is not enabled for it.")
    if facts.role is None:
        return _("You no longer have access to %(place)s.") % _words(place)
    if allows(facts.role, verb):
        return _("The namespace %(place)s is being transferred. Try again when the transfer has finished.") % _words(
            place
        )
    return _refuse_role(_SENTENCES[verb], least_role(verb), facts.role, place)


def refuse_public(role: Role | None, place: Place) -> str:
    """Error message if the role does not allow to create public images; empty if it does.

    The visibility is changed with ``image.edit``: who may not change it may not choose it either.
    """
    if allows(role, "image.edit"):
        return ""
    sentence = gettext_lazy("Only %(roles)s can make images of %(place)s public.")
    return _refuse_role(sentence, least_role("image.edit"), role, place)


def _refuse_role(sentence: Promise, needed: Role, role: Role | None, place: Place) -> str:
    words = {**_words(place), "roles": _AT_LEAST[needed]}
    if role is None:
        return str(sentence) % words
    words["role"] = _NAMES[role]
    return " ".join(
        [str(sentence) % words, _("Your role is %(role)s.") % words, _("Ask the owner, %(owner)s.") % words]
    )


def _words(place: Place) -> dict[str, object]:
    return {"place": place.namespace, "owner": place.owner}
