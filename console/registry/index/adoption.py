"""Adoption: give existing repositories of a registry, whose namespaces do not exist here, to an account."""

from __future__ import annotations

from django.db import transaction

from console.access.names import RESERVED_NAMESPACES, split_repository
from console.accounts.models import Account
from console.audit.services import record
from console.database.conflicts import insert
from console.namespaces.models import Namespace, NamespaceHold


def why_unusable(repository: str) -> str:
    """Why a repository's name is invalid here, as the end of a sentence; empty if it is valid."""
    if split_repository(repository) is not None:
        return ""
    namespace, slash, _image = repository.partition("/")
    if not slash:
        return "it is not in a namespace"
    if namespace in RESERVED_NAMESPACES:
        return f"the namespace {namespace} is reserved"
    return "its name cannot be used here"


def adopt(repository: str, owner: Account) -> str:
    """Create the namespace of a repository for ``owner``.

    Its images are then created by the sync of the repository, as private ones. Only administrators do this, so quotas
    are not checked.

    :return: the reason if it was not possible, as the end of a sentence; empty on success.
    """
    parts = split_repository(repository)
    if parts is None:
        return why_unusable(repository)
    if NamespaceHold.objects.filter(name=parts[0]).exists():
        # Its content was pushed by the former owner, and is deleted when the hold ends.
        return f"the namespace {parts[0]} was freed a moment ago and is held for its former owner"
    with transaction.atomic():
        if not insert(Namespace(name=parts[0], owner=owner)):
            return f"another account took the namespace {parts[0]} a moment ago"
        record("namespace.adopt", parts[0], owner=owner.account_id)
    return ""
