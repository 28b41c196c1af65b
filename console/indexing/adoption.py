"""Taking over repositories that a registry had before there was a console."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from console.accounts.models import Account
from console.audit.services import record
from console.namespaces.models import Namespace, NamespaceHold
from console.policy import split_repository


def adopt(repository: str, owner: Account) -> bool:
    """Give the namespace of a repository to ``owner`` when nobody has it; whether it was given now.

    The images then appear with the first look at the repository, as private ones. An administrator decides on this, so
    no quota stands in the way.
    """
    parts = split_repository(repository)
    if parts is None or Namespace.objects.filter(name=parts[0]).exists():
        return False
    if NamespaceHold.objects.filter(name=parts[0]).exists():
        return False  # freed a moment ago: what lies there is removed, not adopted
    namespace = Namespace(name=parts[0], owner=owner)
    try:
        namespace.clean_fields(exclude=["owner"])
        with transaction.atomic():
            namespace.save(force_insert=True)
            record("namespace.adopt", namespace.name, owner=owner.account_id)
    except (ValidationError, IntegrityError):
        return False
    return True
