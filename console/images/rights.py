"""What the account that reads a page may do with the image on it, and why it has its role."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from console.access.refusals import refuse_verb
from console.access.roles import Role
from console.access.rules import ImageFacts, verbs_on
from console.accounts.models import Account
from console.repositories.models import Image
from console.repositories.rights import place_of
from console.sharing.reasons import Reason, Source, reasons_of
from console.sharing.words import role_in_words

# Verbs for which pages say why they are not offered, by the name in templates.
_EXPLAINED = {
    "push": "image.push",
    "edit": "image.edit",
    "delete": "image.delete",
    "resolve_failure": "image.resolve_failure",
}


@dataclass(frozen=True)
class Right:
    """An account's right to an image.

    :ivar reasons: why it has a role, the highest role first; empty without a role.
    """

    account: Account
    image: Image
    reasons: tuple[Reason, ...]

    @property
    def role(self) -> Role | None:
        """The highest role on the image or its namespace."""
        return self.reasons[0].role if self.reasons else None

    @functools.cached_property
    def facts(self) -> ImageFacts:
        """The facts for the rules."""
        image = self.image
        public, active = image.visibility == image.Visibility.PUBLIC, image.state == image.State.ACTIVE
        return ImageFacts(self.role, image.namespace.in_transfer, public=public, active=active)

    def refusal(self, verb: str) -> str:
        """Error message if the account may not do ``verb``; empty if it may."""
        return refuse_verb(self.account.actor, verb, self.facts, place_of(self.image))

    def context(self) -> dict[str, Any]:
        """For templates: ``verbs``, ``refusals`` of what is not offered, ``is_mine`` and ``role_words``."""
        is_mine = self.image.namespace.owner_id == self.account.pk
        return {
            "verbs": verbs_on(self.account.actor, self.facts),
            "refusals": {name: self.refusal(verb) for name, verb in _EXPLAINED.items()},
            "is_mine": is_mine,
            "role_words": "" if is_mine else role_in_words(self.reasons),
        }


def right_on(account: Account, image: Image) -> Right:
    """The right of an account to an image; no query for the namespace's own account, one for others."""
    namespace = image.namespace
    if namespace.owner_id == account.pk:
        return Right(account, image, (Reason(account, Role.OWNER, Source.OWNER, namespace.name),))
    reasons = sorted(reasons_of(account, namespace, image), key=lambda reason: -reason.role)
    return Right(account, image, tuple(reasons))
