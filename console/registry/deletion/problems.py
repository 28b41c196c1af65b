"""What pages say of a deletion that fails, and how long it is retried."""

from __future__ import annotations

import datetime

from console.registry.contents import NotThereYet
from console.registry.deletion.steps import StillBusy
from console.repositories import failures
from console.repositories.failures import DeletesAreOff
from registry_client import NameUnknown, RegistryError, RegistryUnavailable, Unsupported


def problem_sentence(error: Exception) -> str:
    """What the row says while the deletion waits to be retried."""
    if isinstance(error, (StillBusy, NotThereYet)):
        return "Tags are still being pushed to this image. Retrying automatically."
    if isinstance(error, RegistryUnavailable):
        if error.status is not None:
            return "The registry answers with a server error; its log says more. Retrying automatically."
        return "Can’t reach the registry. Retrying automatically."
    if isinstance(error, NameUnknown):
        return "The registry no longer knows this image, so nothing is deleted. Check the registry’s storage."
    if isinstance(error, DeletesAreOff):
        return "The registry does not allow deletions: they are switched off. Ask an administrator to switch them on."
    if isinstance(error, Unsupported):
        return (
            "The registry is read-only, for example because its disk is full. Ask an administrator. "
            "Retrying automatically."
        )
    if not isinstance(error, RegistryError):
        return "Something went wrong inside My Images. Retrying automatically."
    return "The registry refused a step of the deletion. Retrying automatically."


def final_sentence(error: Exception) -> str:
    """What the pages say of a deletion that was given up."""
    if isinstance(error, StillBusy):
        return (
            "Tags were pushed to this image faster than they could be deleted. Stop the pushes, then delete it again."
        )
    if isinstance(error, NameUnknown):
        return "The registry does not know this image, so nothing was deleted. Ask an administrator."
    if isinstance(error, Unsupported):
        return "The registry does not allow deletions. Ask an administrator, then delete it again."
    if isinstance(error, RegistryUnavailable):
        return "The registry answered with a server error each time. Ask an administrator, then delete it again."
    if not isinstance(error, RegistryError):
        return failures.BROKEN
    return "The registry refused a step of the deletion each time. Ask an administrator, then delete it again."


def patience(error: Exception) -> datetime.timedelta:
    """How long the deletion is retried at least before it is given up."""
    return failures.PATIENCE if isinstance(error, StillBusy) else failures.patience_with(error)


def is_unforeseen(error: Exception) -> bool:
    """Whether the log needs a traceback."""
    return not isinstance(error, (RegistryError, StillBusy))
