"""Taking over repositories that a registry had before there was a console."""

from __future__ import annotations

from django.db import transaction

from console.access.names import RESERVED_NAMESPACES, split_repository
from console.accounts.models import Account
from console.audit.services import record
from console.database.conflicts import insert
from console.namespaces.models import Namespace, NamespaceHold


def why_unusable(repository: str) -> str:
    """Why no image here can have this name, as the end of a sentence; empty when one can."""
    if split_repository(repository) is not None:
        return ""
    namespace, slash, _image = repository.partition("/")
    if not slash:
        return "it lies in no namespace"
    if namespace in RESERVED_NAMESPACES:
        return f"the namespace {namespace} is reserved"
    return "its name cannot be used here"


def adopt(repository: str, owner: Account) -> str:
    """Give the namespace of a repository, which nobody has, to ``owner``.

    The images then appear with the first look at the repository, as private ones. An administrator decides on this, so
    no quota stands in the way.

    :return: why nobody was given it, as the end of a sentence; empty when ``owner`` has it.
    """
    parts = split_repository(repository)
    if parts is None:
        return why_unusable(repository)
    if NamespaceHold.objects.filter(name=parts[0]).exists():
        # What lies there was pushed by its former owner, and is removed when the hold ends.
        return f"the namespace {parts[0]} was freed a moment ago and is held for its former owner"
    with transaction.atomic():
        if not insert(Namespace(name=parts[0], owner=owner)):
            return f"somebody else took the namespace {parts[0]} a moment ago"
        record("namespace.adopt", parts[0], owner=owner.account_id)
    return ""
