"""Authentication backends: sign-in with Account ID or e-mail."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db.models import QuerySet
from django.http import HttpRequest

from console.accounts.models import ACCOUNT_ID_PATTERN, Account
from console.audit.middleware import client_address
from console.database.compiled import Compiled
from console.throttling import guesses
from console.throttling.guesses import CONSOLE, REGISTRY, Attempt
from console.throttling.hashing import TryAgainLater


def check_console_password(
    account: Account | None, name: str, request: HttpRequest | None, compare: Callable[[], bool]
) -> bool:
    """Verify an account's console password with ``compare``, under the rate limits for password guesses.

    :param name: the sign-in name that was entered, if there is no such account.
    :raises TryAgainLater: when rate limited.
    """
    address = client_address(request) if request is not None else None
    if account is None:
        return guesses.check(Attempt(CONSOLE, f"name:{name.lower()}", address), compare)
    credential = account.registry_credential
    also = [Attempt(REGISTRY, credential.username, address)] if credential is not None else []
    return guesses.check(Attempt(CONSOLE, f"account:{account.pk}", address, account.account_id), compare, also)


class AccountBackend(ModelBackend):
    """Accepts an Account ID or an e-mail address, in any case, with the console password."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Account | None:
        """The account, or ``None``. An unknown name takes as long as a wrong password, against timing attacks.

        :raises console.throttling.hashing.TryAgainLater: when rate limited; Django handles it as rejected credentials,
            and the view finds it in ``request.later``.
        """
        if username is None or password is None or not settings.LOCAL_ACCOUNTS:
            return None
        name = username.strip()
        found = (
            Account.objects.filter(account_id=name)
            if re.match(ACCOUNT_ID_PATTERN, name)
            else Account.objects.filter(email__iexact=name)
            if "@" in name and "\x00" not in name
            else Account.objects.none()
        )
        account = found.select_related("credential").first()

        def compare() -> bool:
            if account is None:
                Account().set_password(password)
                return False
            return account.check_password(password) and self.user_can_authenticate(account)

        try:
            correct = check_console_password(account, name, request, compare)
        except TryAgainLater as later:
            if request is not None:
                request.later = later  # type: ignore[attr-defined]
            raise
        return account if correct else None

    def user_can_authenticate(self, user: Any) -> bool:
        """Whether the account may sign in to the console: active, and no service account."""
        return bool(user.is_active) and not user.is_service

    def get_user(self, user_id: int) -> Account | None:
        """The account of a session, with its registry credential, which nearly every page needs.

        ``None`` if passwords and passkeys have been disabled since the sign-in.
        """
        return self.find(user_id) if settings.LOCAL_ACCOUNTS else None

    def find(self, user_id: int) -> Account | None:
        """The account with this primary key, if it may sign in."""
        for found in _with_credential(user_id):
            return found if self.user_can_authenticate(found) else None
        return None


class VouchedBackend(AccountBackend):
    """For sessions that began with single sign-on or a sign-in link."""

    def authenticate(self, request: HttpRequest | None, *_arguments: Any, **_options: Any) -> None:
        """Never authenticates: such sessions do not begin with a password."""

    def get_user(self, user_id: int) -> Account | None:
        """The account of a session, also when passwords are disabled."""
        return self.find(user_id)


@Compiled
def _with_credential(pk: int) -> QuerySet[Account]:
    return Account.objects.select_related("credential").filter(pk=pk).order_by()
