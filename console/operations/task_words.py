"""Names of jobs as administrators read them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# For the name under which each task is queued; a test compares them with the tasks that there are.
TASK_NAMES: dict[str, Promise] = {
    "access_tokens.send_warning": _("Send e-mail: access token expires"),
    "access_tokens.warn": _("Warn before access tokens expire"),
    "accounts.send_email_changed": _("Send e-mail: address changed"),
    "accounts.send_email_link": _("Send e-mail: confirm address"),
    "accounts.send_letters": _("Send e-mail: reset password"),
    "dockerhub.keep_up": _("Check the Docker Hub catalogue’s age"),
    "dockerhub.read_tags": _("Read tags of an official image"),
    "dockerhub.refresh": _("Refresh the Docker Hub catalogue"),
    "guessing.forget": _("Delete old counts of wrong passwords"),
    "images.copy": _("Copy a tag"),
    "images.delete_image": _("Delete an image"),
    "images.delete_leftovers": _("Delete what a deletion left"),
    "images.delete_tags": _("Delete tags"),
    "images.forget_documents": _("Delete unused manifests from the index"),
    "indexing.add_up": _("Add pushes and pulls to the totals"),
    "indexing.follow_all_hints": _("Sync pushed tags"),
    "indexing.follow_hints": _("Sync pushed tags of an image"),
    "indexing.reconcile": _("Index check"),
    "indexing.reread_image": _("Sync all tags of an image"),
    "indexing.reread_tag": _("Sync a tag"),
    "indexing.sync_left_hints": _("Sync pushes that were interrupted"),
    "members.end_expired": _("End expired roles"),
    "invitations.send_invitation": _("Send e-mail: invitation"),
    "invitations.send_sign_up": _("Send e-mail: create account"),
    "namespaces.settle": _("Release and transfer namespaces"),
    "operations.forget_old_jobs": _("Delete old failed jobs"),
    "operations.raise_waiting": _("Raise the priority of waiting jobs"),
    "operations.resume_stalled": _("Restart stalled jobs"),
    "signin.forget_sessions": _("Delete expired sessions"),
    "tokens.forget_old": _("Delete expired tokens and logins"),
    "transfers.fetch": _("Import an image: download"),
    "transfers.finish": _("Import an image: set the tag"),
    "transfers.forget_credentials": _("Delete credentials of imports"),
}


def task_name(name: str) -> str:
    """What a job does, in words; for one that no version here knows, the name that it was queued under."""
    return str(TASK_NAMES.get(name, name))
