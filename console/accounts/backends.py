"""Signing in with Account ID or e-mail."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import QuerySet
from django.http import HttpRequest

from console.accounts.models import ACCOUNT_ID_PATTERN, Account
from console.database.compiled import Compiled


class AccountBackend(ModelBackend):
    """Accepts an Account ID or an e-mail address, in any case, with the console password."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Account | None:
        """The account, or ``None``. An unknown name costs the time of a wrong password."""
        if username is None or password is None:
            return None
        name = username.strip()
        found = (
            Account.objects.filter(account_id=name)
            if re.match(ACCOUNT_ID_PATTERN, name)
            else Account.objects.filter(email__iexact=name)
            if "@" in name and "\x00" not in name
            else Account.objects.none()
        ).first()
        if found is None:
            Account().set_password(password)
            return None
        return found if found.check_password(password) and self.user_can_authenticate(found) else None

    def get_user(self, user_id: int) -> Account | None:
        """The account of a session with its registry credential, which nearly every page asks for."""
        for found in _with_credential(user_id):
            return found if self.user_can_authenticate(found) else None
        return None


@Compiled
def _with_credential(pk: int) -> QuerySet[Account]:
    return Account.objects.select_related("credential").filter(pk=pk).order_by()
