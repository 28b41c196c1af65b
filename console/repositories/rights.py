"""What an account may do with an image or a namespace, and the error message when it may not."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from console.access.refusals import Place, refuse_public, refuse_verb
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.repositories.models import Image


def refusal(account: Account, verb: str, target: Image | Namespace) -> str:
    """Error message if the account may not do ``verb`` now; empty if it may."""
    return refuse_verb(account.actor, verb, target.facts_for(account.pk), place_of(target))


def require(account: Account, verb: str, target: Image | Namespace) -> None:
    """Check that the account may do ``verb`` now.

    :raises ValidationError: with the role that is needed, and whom to ask.
    """
    if sentence := refusal(account, verb, target):
        raise ValidationError(sentence)


def refuse_visibility(account: Account, namespace: Namespace, visibility: str) -> str:
    """Error message if the account may not create an image of this visibility; empty if it may."""
    if visibility != Image.Visibility.PUBLIC:
        return ""
    return refuse_public(namespace.role_of(account.pk), place_of(namespace))


def place_of(target: Image | Namespace) -> Place:
    """The namespace and its owner, for sentences."""
    namespace = target.namespace if isinstance(target, Image) else target
    return Place(namespace.name, namespace.owner.name)
