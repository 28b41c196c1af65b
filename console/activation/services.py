"""Activation: create credential and namespace, issue a test token, and call the registry with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from console.accounts.models import Account, RegistryCredential
from console.accounts.services import (
    change_registry_password,
    check_registry_password,
    check_username,
    mark_activated,
    store_credential,
)
from console.audit.services import record
from console.ownership.services import create_namespace, require_available, require_unoccupied
from console.registry.connection import registry_with_token
from console.registry.signing import sign
from registry_client import RegistryError, RegistryUnavailable, Unauthorized

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One step of the initialization. ``state`` is ``done``, ``failed`` or ``waiting``."""

    label: str
    state: str
    message: str = ""


@dataclass(frozen=True)
class Report:
    """Progress of the initialization."""

    steps: list[Step]

    @property
    def done(self) -> bool:
        """Whether every step is done."""
        return all(step.state == "done" for step in self.steps)

    @property
    def problem(self) -> str:
        """The error message of the failed step; empty if none failed."""
        return next((step.message for step in self.steps if step.state == "failed"), "")


def find_problems(
    account: Account, username: str | None, password: str | None, namespace: str | None
) -> dict[str, list[str]]:
    """Validate all fields, so that all errors are reported at once.

    ``enable`` decides: in a race a name may be taken meanwhile.

    :param username: ``None``, as for the others, if it is known to be invalid already.
    :return: error messages, keyed ``username``, ``password`` and ``namespace``; empty if all are valid.
    """
    found: dict[str, list[str]] = {}
    if username is not None:
        with _noted(found, "username"):
            check_username(account, username)
    if password is not None:
        with _noted(found, "password"):
            check_registry_password(password, account, username or "")
    name = (namespace or "").strip()
    if name and not account.namespaces.filter(name=name).exists():
        with _noted(found, "namespace"):
            require_available(account, name)
    return found


@contextmanager
def _noted(found: dict[str, list[str]], key: str) -> Iterator[None]:
    """Collect the validation errors of the block under ``key``."""
    try:
        yield
    except ValidationError as problem:
        found[key] = problem.messages


def enable(account: Account, username: str, password: str, namespace: str = "") -> RegistryCredential:
    """Start the initialization: store the credential and the first namespace in one transaction.

    It may be repeated, also with other values, until the initialization has finished.

    :raises ValidationError: keyed ``username``, ``password`` or ``namespace``.
    """
    name = namespace.strip()
    if name and not account.namespaces.filter(name=name).exists():
        with _about_the_namespace():
            require_unoccupied(account, name)
    with transaction.atomic():
        credential = store_credential(account, username, password)
        if name and not account.namespaces.filter(name=name).exists():
            with _about_the_namespace():
                create_namespace(account, name, unoccupied=True)
        record("service.enable", account.account_id, username=username, namespace=name)
    account.credential = credential
    return credential


@contextmanager
def _about_the_namespace() -> Iterator[None]:
    """Assign validation errors of the namespace's name to the field ``namespace``."""
    try:
        yield
    except ValidationError as problem:
        messages = problem.message_dict.get("name") if hasattr(problem, "error_dict") else problem.messages
        raise ValidationError({"namespace": messages or problem.messages}) from None


def report(account: Account) -> Report:
    """The account's initialization according to the database, without calling the registry."""
    credential = account.registry_credential
    begun = "done" if credential else "waiting"
    ended = "done" if credential and credential.activated_at else "waiting"
    steps = [Step(_("Store the user name and password"), begun)]
    # The namespace is optional: its step is shown only if one was created.
    if credential is None or account.namespaces.exists():
        steps.append(Step(_("Create the namespace"), begun))
    return Report([*steps, Step(_("Issue a test token"), ended), Step(_("Call the registry with it"), ended)])


def finish(account: Account) -> Report:
    """Try the new credential at the registry and, if it works, mark the service as activated.

    A registry that does not answer is a failed step in the report, not an exception: users can retry.
    """
    now = report(account)
    credential = account.registry_credential
    if credential is None or now.done:
        return now
    *stored, issue, call = now.steps
    try:
        token = sign(credential.username, []).text
    except (OSError, ValueError) as error:
        log.error("activation of %s: no token can be signed: %s", account.account_id, error)
        sentence = _("Could not issue a test token. Ask an administrator to check the signing key, then try again.")
        return Report([*stored, replace(issue, state="failed", message=sentence), call])
    issue = replace(issue, state="done")
    problem = _try_token(account, token)
    if problem:
        return Report([*stored, issue, replace(call, state="failed", message=problem)])
    mark_activated(account)
    account.refresh_from_db()
    return report(account)


def _try_token(account: Account, token: str) -> str:
    """Call the registry with ``token``; returns an error message, empty on success."""
    try:
        with registry_with_token(token) as client:
            client.ping()
    except RegistryUnavailable as error:
        log.warning("activation of %s: %s", account.account_id, error)
        return _("Can’t reach the registry. Try again in a moment; your entries are saved.")
    except Unauthorized as error:
        log.error("activation of %s: the registry rejects the console's tokens: %s", account.account_id, error)
        return _(
            "The registry rejects the console's tokens. Ask an administrator to check its configuration, "
            "then try again."
        )
    except RegistryError as error:
        log.error("activation of %s: %s", account.account_id, error)
        return _("The registry sent an unexpected response. Ask an administrator to check it, then try again.")
    return ""


def reset_password(account: Account, password: str) -> RegistryCredential:
    """Change the registry password; the old one becomes invalid immediately, in every process.

    :raises ValidationError: keyed ``password``, or when the service is not activated.
    """
    return change_registry_password(account, password)
