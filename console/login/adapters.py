"""Adapters of django-allauth: encryption of secrets, passkeys, the identity provider."""

from __future__ import annotations

import base64
import functools
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, request


@functools.lru_cache(maxsize=4)
def _fernet(secret: str) -> Fernet:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"my-images: second factors")
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret.encode())))


def host(asked: HttpRequest) -> str:
    """The host name of a request, without the port."""
    return request.split_domain_port(asked.get_host())[0].strip("[]")


class SecondFactors(DefaultMFAAdapter):  # type: ignore[misc]
    """``MFA_ADAPTER``: secrets are stored encrypted, with a key derived from ``SECRET_KEY``."""

    def encrypt(self, text: str) -> str:
        """Encrypt a secret for the database."""
        return _fernet(settings.SECRET_KEY).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a secret.

        :raises cryptography.fernet.InvalidToken: when it was encrypted with another ``SECRET_KEY``, or is invalid.
        """
        return _fernet(settings.SECRET_KEY).decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        """The label in an authenticator app: the Account ID, which never changes."""
        return user.get_username()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The relying party of passkeys: the host name (Web Authentication, 5.4.2)."""
        return {"id": host(context.request), "name": "My Images"}


class SingleSignOn(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """``SOCIALACCOUNT_ADAPTER``: one identity provider, configured in the settings, not in the database.

    An identity is an issuer's ``sub`` (OpenID Connect Core 1.0, 5.7), so the provider's key is the issuer.
    """

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> SocialApp:
        """The provider's configuration.

        :raises SocialApp.DoesNotExist: when no such provider is configured.
        """
        if not settings.OIDC_ISSUER:
            raise SocialApp.DoesNotExist
        return SocialApp(
            provider="openid_connect",
            provider_id=settings.OIDC_ISSUER,
            name=settings.OIDC_NAME,
            client_id=settings.OIDC_CLIENT_ID,
            secret=settings.OIDC_CLIENT_SECRET,
            settings={
                "server_url": settings.OIDC_ISSUER,
                "oauth_pkce_enabled": True,
                "scope": list(settings.OIDC_SCOPES),
            },
        )

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """All configured providers."""
        return [self.get_app(request, "")] if settings.OIDC_ISSUER else []

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the audit log has it."""
