"""A user of the registry, with its credentials."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

PASSWORD = "p%ss: wörd with spaces"
MAKE = """
import json
from django.db import transaction
from console.access_tokens import services as access_tokens
from console.accounts.models import Account
from console.accounts.services import create_account, mark_activated, store_credential
from console.ownership.services import create_namespace
account = create_account("Somebody", None, "the console password 1")
with transaction.atomic():
    store_credential(account, {username!r}, {password!r})
mark_activated(account)
account = Account.objects.get(pk=account.pk)
create_namespace(account, {username!r})
rights = {{"pull": {{}}, "push": {{"can_push": True}}, "delete": {{"can_push": True, "can_delete": True}}}}
print(json.dumps({{
    name: access_tokens.create(account, name, **{{"can_push": False, **more}})[1] for name, more in rights.items()
}}))
"""


@dataclass(frozen=True)
class RegistryUser:
    """An activated account with a namespace named like its user name.

    ``tokens``: the secrets of access tokens by permission: ``pull``, ``push``, ``delete``.
    """

    username: str
    password: str
    tokens: dict[str, str]

    @property
    def namespace(self) -> str:
        """The namespace of its images."""
        return self.username


def make_user(stack, password: str = PASSWORD) -> RegistryUser:
    """Create an account in a running product."""
    username = f"user-{uuid.uuid4().hex[:8]}"
    out = stack.manage("shell", "-v0", "-c", MAKE.format(username=username, password=password))
    return RegistryUser(username, password, json.loads(out.splitlines()[-1]))
