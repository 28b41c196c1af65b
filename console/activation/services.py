"""Activation: credential, namespace, a test token, a call to the registry with it."""

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
    """How far the initialization is."""

    steps: list[Step]

    @property
    def done(self) -> bool:
        """Whether every step is done."""
        return all(step.state == "done" for step in self.steps)

    @property
    def problem(self) -> str:
        """What failed, as a sentence; empty when nothing did."""
        return next((step.message for step in self.steps if step.state == "failed"), "")


def find_problems(
    account: Account, username: str | None, password: str | None, namespace: str | None
) -> dict[str, list[str]]:
    """Everything that is wrong with what was entered, so that a person reads all of it at once.

    ``enable`` decides: a name may be taken meanwhile.

    :param username: ``None``, as for the others, when it is known to be wrong already.
    :return: sentences, keyed ``username``, ``password`` and ``namespace``; empty when nothing is wrong.
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
    """Write down under ``key`` what the block refuses."""
    try:
        yield
    except ValidationError as problem:
        found[key] = problem.messages


def enable(account: Account, username: str, password: str, namespace: str = "") -> RegistryCredential:
    """Begin the initialization: store the credential and the first namespace, both or neither.

    It may be repeated, with other values, until the initialization has ended.

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
    """Let what is wrong with a namespace's name stand at the field it was typed into."""
    try:
        yield
    except ValidationError as problem:
        messages = problem.message_dict.get("name") if hasattr(problem, "error_dict") else problem.messages
        raise ValidationError({"namespace": messages or problem.messages}) from None


def report(account: Account) -> Report:
    """What is known of the account's initialization, without asking anybody."""
    credential = account.registry_credential
    begun = "done" if credential else "waiting"
    ended = "done" if credential and credential.activated_at else "waiting"
    steps = [Step(_("Store the user name and password"), begun)]
    # The namespace is optional: no step says that one was created where none was.
    if credential is None or account.namespaces.exists():
        steps.append(Step(_("Create the namespace"), begun))
    return Report([*steps, Step(_("Issue a test token"), ended), Step(_("Call the registry with it"), ended)])


def finish(account: Account) -> Report:
    """Try the new credential at the registry and, when it opens it, mark the service activated.

    A registry that does not answer is a failed step in the report, never an exception: it can be tried again.
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
    """Call the registry with ``token``; what is wrong, as a sentence, or nothing."""
    try:
        with registry_with_token(token) as client:
            client.ping()
    except RegistryUnavailable as error:
        log.warning("activation of %s: %s", account.account_id, error)
        return _("Can’t reach the registry. Try again in a moment; your entries are saved.")
    except Unauthorized as error:
        log.error("activation of %s: the registry refuses the console's tokens: %s", account.account_id, error)
        return _(
            "The registry rejects the console's tokens. Ask an administrator to check its configuration, "
            "then try again."
        )
    except RegistryError as error:
        log.error("activation of %s: %s", account.account_id, error)
        return _("The registry sent an unexpected response. Ask an administrator to check it, then try again.")
    return ""


def reset_password(account: Account, password: str) -> RegistryCredential:
    """Give the account a new registry password; the old one stops at once, in every process.

    :raises ValidationError: keyed ``password``, or when the service is not activated.
    """
    return change_registry_password(account, password)
