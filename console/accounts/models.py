"""Account, registry credential, access token, pending e-mail change."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator
from typing import Any, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.access.rules import Actor, ImageFacts, NamespaceFacts, Target, may, verbs_on
from console.access.sign_in import signs_in_with_password
from console.audit.services import record

ACCOUNT_ID_PATTERN = r"^[1-9][0-9]{11}$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$"
TIME_ZONE_PATTERN = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"
USERNAME_PATTERN = r"^[a-z0-9._-]{4,30}$"
# Of a service account: its namespace and its name.
SERVICE_USERNAME_PATTERN = r"^[a-z0-9._-]{2,30}\+[a-z0-9._-]{2,30}$"
ACCESS_TOKEN_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"  # noqa: S105


def new_account_id() -> str:
    """Twelve random digits that do not begin with 0. The database ensures uniqueness."""
    return str(10**11 + secrets.randbelow(9 * 10**11))


class AccountManager(BaseUserManager["Account"]):
    """Manager for Django's authentication framework."""

    def get_by_natural_key(self, username: str | None) -> Account:
        """The account with this Account ID."""
        return self.get(account_id=username)


class Theme(models.TextChoices):
    """Colours of the pages; ``SYSTEM``: as the browser prefers."""

    SYSTEM = "system", _("System")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class Account(AbstractBaseUser, PermissionsMixin):
    """A person or team who signs in. Never deleted, only deactivated, so that no Account ID is reused."""

    account_id = models.CharField(
        _("Account ID"),
        max_length=12,
        unique=True,
        default=new_account_id,
        editable=False,
        help_text=_("Twelve digits, given at creation and never reused."),
    )
    name = models.CharField(_("name"), max_length=100)
    # NULL, not "": the column is unique, and many accounts may have no address.
    email = models.EmailField(_("e-mail"), null=True, blank=True)  # noqa: DJ001
    # The address whose owner opened the link sent to it. It is not the account's any more when another was set since.
    confirmed_email = models.EmailField(_("confirmed e-mail"), null=True, blank=True, editable=False)  # noqa: DJ001
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Deactivating ends the account's sessions and its access to the registry at once."),
    )
    is_service = models.BooleanField(
        _("service account"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("For programs: owned by a namespace, never signs in, uses access tokens only."),
    )
    is_staff = models.BooleanField(_("administrator"), default=False, help_text=_("May use this administration."))
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # Preferences (``console.accounts.preferences``). Empty: the browser's language and time zone.
    language = models.CharField(_("language"), max_length=16, default="", db_default="", editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, default="", db_default="", editable=False)
    theme = models.CharField(
        _("theme"),
        max_length=6,
        choices=Theme.choices,
        default=Theme.SYSTEM,
        db_default=Theme.SYSTEM,
        editable=False,
    )
    # Whether My Images no longer shows the checklist of first steps (``console.home``).
    checklist_closed = models.BooleanField(_("checklist closed"), default=False, db_default=False, editable=False)
    # Counter of how often all sessions were ended; part of the session hash.
    sessions_ended = models.PositiveIntegerField(_("sessions ended"), default=0, db_default=0, editable=False)
    namespace_quota = models.PositiveIntegerField(_("namespaces allowed"), null=True, blank=True)
    image_quota = models.PositiveIntegerField(_("images allowed"), null=True, blank=True)
    tag_quota = models.PositiveIntegerField(_("tags allowed in one image"), null=True, blank=True)

    USERNAME_FIELD = "account_id"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    # Whether the password was removed since the last save.
    _password_disabled = False

    objects = AccountManager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(account_id__regex=ACCOUNT_ID_PATTERN), name="account_id_digits"),
            models.UniqueConstraint(
                Lower("email"),
                name="account_email_unique",
                violation_error_message=_("Another account already uses this e-mail address."),
            ),
            models.CheckConstraint(condition=models.Q(theme__in=Theme.values), name="account_theme"),
            models.CheckConstraint(
                condition=models.Q(language="") | models.Q(language__regex=LANGUAGE_PATTERN), name="account_language"
            ),
            models.CheckConstraint(
                condition=models.Q(time_zone="") | models.Q(time_zone__regex=TIME_ZONE_PATTERN),
                name="account_time_zone",
            ),
            models.CheckConstraint(
                condition=models.Q(is_service=False) | models.Q(is_staff=False, is_superuser=False, email=None),
                name="account_service_cannot_sign_in",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.account_id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the account; an empty e-mail is stored as NULL.

        Changes of the password are recorded in the audit log here, because every way of changing it calls ``save``.
        """
        self.email = self.email or None
        disabled = self._password_disabled and not self.has_usable_password()
        new_password = getattr(self, "_password", None) is not None and not disabled
        recorded = not self._state.adding
        with transaction.atomic():
            super().save(*args, **kwargs)
            if recorded and disabled:
                record("account.password", self.account_id, changes={"usable": [True, False]})
            elif recorded and new_password:
                record("account.password", self.account_id)
        self._password_disabled = False

    def set_unusable_password(self) -> None:
        """Disable sign-in with a password; ``save`` records it."""
        self._password_disabled = self._password_disabled or self.has_usable_password()
        super().set_unusable_password()

    def clean(self) -> None:
        """Normalise the name and e-mail."""
        self.email = (self.email or "").strip() or None

    def get_full_name(self) -> str:
        """The account's name."""
        return self.name

    def get_short_name(self) -> str:
        """The account's name."""
        return self.name

    def get_session_auth_hash(self) -> str:
        """Hash that each session stores: it changes with the password, and when all sessions are ended."""
        return self._of_now(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """The session hashes with earlier secret keys (``SECRET_KEY_FALLBACKS``)."""
        return map(self._of_now, super().get_session_auth_fallback_hash())

    def _of_now(self, known: str) -> str:
        return f"{known}.{self.sessions_ended}" if self.sessions_ended else known

    @property
    def email_confirmed(self) -> bool:
        """Whether the e-mail address is known to be the account's: by a link, or by the identity provider."""
        return self.email is not None and self.email == self.confirmed_email

    @property
    def registry_credential(self) -> RegistryCredential | None:
        """The registry credential, or ``None`` before the first activation."""
        try:
            return self.credential
        except RegistryCredential.DoesNotExist:
            return None

    @property
    def activated(self) -> bool:
        """Whether the service is activated: *Enable* was pressed, and the initialization succeeded."""
        credential = self.registry_credential
        return credential is not None and credential.activated_at is not None

    @property
    def actor(self) -> Actor:
        """The account for the authorization rules."""
        return Actor(self.pk, self.is_active, self.is_active and self.activated)

    def may(self, verb: str, target: Target | None = None) -> bool:
        """Whether the account may do ``verb`` on ``target`` (``console.access.rules.may``)."""
        return may(self.actor, verb, target.facts_for(self.pk) if target is not None else None)

    def verbs_on(self, target: Target) -> frozenset[str]:
        """All verbs that the account may use on a namespace or an image; one query (``console.access.rules``)."""
        facts = target.facts_for(self.pk)
        return verbs_on(self.actor, facts) if isinstance(facts, NamespaceFacts | ImageFacts) else frozenset()

    @property
    def signs_in_with_password(self) -> bool:
        """Whether the account can sign in with a password."""
        return signs_in_with_password(self.has_usable_password())


class EmailChange(models.Model):
    """An unconfirmed new e-mail address of an account. An account has at most one.

    ``state`` is a hash of the account at the time of the request (``email_links.state_of``): a later change of address,
    password or sessions makes the link invalid. ``nonce`` identifies the only valid link.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="email_change")
    email = models.EmailField(_("new e-mail"))
    nonce = models.CharField(max_length=32, editable=False)
    state = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("change of an e-mail address")
        verbose_name_plural = _("changes of e-mail addresses")

    def __str__(self) -> str:
        return f"{self.account.account_id}: {self.email}"


class RegistryCredential(models.Model):
    """User name and password for ``docker login``, created by activation. The password is not the console password.

    ``version`` increases with each change of the password. Refresh tokens contain the version, so that a new password
    invalidates them immediately in every process.
    """

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="credential")
    username = models.CharField(
        _("user name"),
        max_length=61,
        unique=True,
        validators=[RegexValidator(USERNAME_PATTERN, _("Use 4 to 30 lowercase letters, digits, “.”, “_” or “-”."))],
    )
    password = models.CharField(_("password"), max_length=256, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("registry credential")
        verbose_name_plural = _("registry credentials")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(username__regex=USERNAME_PATTERN)
                | models.Q(username__regex=SERVICE_USERNAME_PATTERN),
                name="credential_username",
            ),
            # A service account has no password.
            models.CheckConstraint(
                condition=models.Q(password__startswith="argon2")  # noqa: S106
                | models.Q(password="", username__regex=SERVICE_USERNAME_PATTERN),
                name="credential_hashed",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def set_password(self, raw: str) -> None:
        """Set the hash of ``raw``, and invalidate all refresh tokens of the old password."""
        self.password = make_password(raw, hasher="argon2")
        self.version = models.F("version") + 1 if self.pk else 1

    def check_password(self, raw: str) -> bool:
        """Whether ``raw`` is the registry password."""
        return check_password(raw, self.password)


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    """Query access tokens."""

    def visible_to(self, account: Account) -> Self:
        """The tokens on the account's page: its own, including expired ones, until they are revoked."""
        return self.filter(account=account, revoked_at=None)


class AccessToken(models.Model):
    """A secret for a program that uses the registry for the account, in place of the registry password.

    Its permissions are those of the account as it is now, narrowed by ``can_push``, ``can_delete`` (which includes
    pushing), ``can_manage`` (which includes deleting) and the selected namespaces and images
    (``Namespace.access_tokens`` and ``Image.access_tokens``, from here ``namespaces`` and ``images``); if all selected
    ones are gone it has no access. ``warned_days`` is the last warning that was sent before it expires, in days. A
    revoked token (soft delete) stays visible to administrators; its name can be reused.
    """

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="access_tokens", verbose_name=_("account")
    )
    name = models.CharField(
        _("name"),
        max_length=40,
        validators=[
            RegexValidator(
                ACCESS_TOKEN_NAME_PATTERN,
                _("Use 1 to 40 letters, digits, “-”, “_” or “.”, beginning with a letter or digit."),
            )
        ],
    )
    # A fast hash is enough: the secret has 256 random bits, so it cannot be guessed.
    secret_hash = models.CharField(_("hash of the secret"), max_length=64, unique=True, editable=False)
    hint = models.CharField(_("last characters"), max_length=4, editable=False)
    can_push = models.BooleanField(_("may push"), default=False)
    can_delete = models.BooleanField(_("may delete"), default=False, db_default=False)
    can_manage = models.BooleanField(_("may manage"), default=False, db_default=False)
    all_namespaces = models.BooleanField(_("all namespaces"), default=True)
    warned_days = models.PositiveSmallIntegerField(_("warned, days before"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"], condition=models.Q(revoked_at=None), name="access_token_name_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=ACCESS_TOKEN_NAME_PATTERN), name="access_token_name_pattern"
            ),
            # No plain secret can be stored in place of its hash.
            models.CheckConstraint(
                condition=models.Q(secret_hash__regex=r"^[0-9a-f]{64}$"),  # noqa: S106
                name="access_token_hashed",
            ),
            # Clients delete a tag by first pushing another manifest to it, so deleting requires pushing.
            models.CheckConstraint(
                condition=models.Q(can_delete=False) | models.Q(can_push=True), name="access_token_delete_needs_push"
            ),
            models.CheckConstraint(
                condition=models.Q(can_manage=False) | models.Q(can_delete=True),
                name="access_token_manage_needs_delete",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def access(self) -> str:
        """The permissions as text."""
        if self.can_manage:
            return gettext("Pull, push, delete and manage")
        if self.can_delete:
            return gettext("Pull, push and delete")
        return gettext("Pull and push") if self.can_push else gettext("Pull")

    @property
    def expired(self) -> bool:
        """Whether the token has expired."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def expires_soon(self) -> bool:
        """Whether the token expires within a week."""
        return self.expires_at is not None and self.expires_at <= timezone.now() + datetime.timedelta(days=7)
