"""Who is asking, and the tokens they get."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core import signing

from console import policy
from console.accounts.models import Account, RegistryCredential
from console.tokens import scopes
from console.tokens.signing import SignedToken, sign

# No user name can have a colon, so the console cannot be mistaken for somebody.
CONSOLE_SUBJECT = ":console"
_REFRESH_SALT = "console.tokens.refresh"


class Refused(Exception):
    """Wrong user name or password, or an account that may not use the registry. Always the same sentence."""

    message = "The user name or password is not right, or the service is not activated for this account."


def _usable(credential: RegistryCredential | None) -> bool:
    return credential is not None and credential.activated_at is not None and credential.account.is_active


def authenticate(username: str, password: str) -> Account:
    """The account that ``username`` and the registry password belong to.

    :raises Refused: also, at the same cost in time, for a user name that does not exist.
    """
    credential = (
        None
        if "\x00" in username
        else RegistryCredential.objects.select_related("account").filter(username=username).first()
    )
    if credential is None:
        make_password(password, hasher="argon2")
        raise Refused
    if not credential.check_password(password) or not _usable(credential):
        raise Refused
    return _with_credential(credential)


def _with_credential(credential: RegistryCredential) -> Account:
    account = credential.account
    account.credential = credential
    return account


def make_refresh_token(account: Account) -> str:
    """A token that stands for the password until the password changes, or for ``REFRESH_TOKEN_SECONDS``.

    It is signed and not stored: asking for one creates no row.
    """
    return signing.dumps({"account": account.pk, "version": account.credential.version}, salt=_REFRESH_SALT)


def authenticate_refresh_token(token: str) -> Account:
    """The account that a refresh token stands for.

    :raises Refused: for a token that is forged, too old, or made under an earlier password.
    """
    try:
        content = signing.loads(token, salt=_REFRESH_SALT, max_age=settings.REFRESH_TOKEN_SECONDS)
        credential = (
            RegistryCredential.objects.select_related("account")
            .filter(account_id=content["account"], version=content["version"])
            .first()
        )
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        raise Refused from None
    if credential is None or not _usable(credential):
        raise Refused
    return _with_credential(credential)


def known_services() -> frozenset[str]:
    """The names of the registries that tokens are given out for."""
    return frozenset(
        {settings.REGISTRY_SERVICE} | ({settings.DOCKERHUB_SERVICE} if settings.DOCKERHUB_ENABLED else set())
    )


def issue(
    account: Account | None, asked: Iterable[policy.Access], service: str
) -> tuple[SignedToken, list[policy.Access]]:
    """A token for what the policy grants of ``asked``, and those grants.

    :param service: the one of ``known_services()`` that the token is for; at the others it opens nothing.
    """
    decide = policy.dockerhub_grants if service == settings.DOCKERHUB_SERVICE else policy.registry_grants
    grants = decide(account, asked)
    return sign(account.credential.username if account else "", grants, service), grants


def console_token(asked: tuple[str, ...], service: str = "") -> tuple[str, float]:
    """A token for the console's own calls, and its life in seconds: the seam that ``registry_client`` asks.

    :param service: which registry the token is for: the installation's own when not given.
    """
    grants = policy.console_grants(scopes.parse_scopes(asked))
    token = sign(CONSOLE_SUBJECT, grants, service)
    return token.text, float(token.expires_in)
