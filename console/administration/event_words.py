"""Audit events as sentences, for the front page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.audit.origin import ANONYMOUS, SYSTEM

# What somebody did, as it stands between their name and the target. A test compares them with the actions recorded.
WORDS: dict[str, Promise] = {
    "accesstoken.revoke": _("revoked access tokens"),
    "access_token.create": _("created the access token"),
    "access_token.forget": _("deleted the old access token"),
    "access_token.revoke": _("revoked the access token"),
    "account.activate": _("reactivated the account"),
    "account.change": _("changed the account"),
    "account.create": _("created the account"),
    "account.deactivate": _("deactivated the account"),
    "account.email_cancel": _("cancelled a change of e-mail address for"),
    "account.email_change": _("changed the e-mail address of"),
    "account.email_request": _("requested a new e-mail address for"),
    "account.password": _("changed the console password of"),
    "account.password_reset": _("requested a password reset for"),
    "account.sign_in": _("signed in"),
    "account.sign_in_link": _("created a sign-in link for"),
    "account.sign_out": _("signed out"),
    "audit.export": _("exported"),
    "backup.make": _("made a backup of"),
    "backup.restore": _("restored a backup of"),
    "failure.dismiss": _("dismissed the problem with"),
    "failure.retry": _("retried the work on"),
    "identity.connect": _("connected a single sign-on identity to"),
    "identity.disconnect": _("disconnected a single sign-on identity from"),
    "image.clear": _("removed leftovers of"),
    "image.create": _("created the image"),
    "image.delete": _("started to delete the image"),
    "image.delete-failed": _("could not delete the image"),
    "image.deleted": _("deleted the image"),
    "image.describe": _("changed the description of"),
    "image.visibility": _("changed the type of"),
    "index.mended": _("corrected the index of"),
    "job.abort": _("aborted"),
    "job.cancel": _("cancelled"),
    "job.retry": _("retried"),
    "login.create": _("logged in with Docker"),
    "login.forget": _("removed the expired Docker login of"),
    "login.revoke": _("ended a Docker login of"),
    "login.revoke_all": _("ended all Docker logins of"),
    "namespace.adopt": _("adopted the namespace"),
    "namespace.create": _("created the namespace"),
    "namespace.delete": _("deleted the namespace"),
    "namespace.release": _("released the namespace"),
    "namespace.transfer": _("started to transfer the namespace"),
    "namespace.transferred": _("transferred the namespace"),
    "password.held_back": _("blocked password guesses for"),
    "password.wrong": _("rejected a wrong password for"),
    "reconcile.run": _("checked the index of"),
    "second_factor.add": _("added a second factor to"),
    "second_factor.codes": _("created recovery codes for"),
    "second_factor.remove": _("removed a second factor from"),
    "second_factor.rename": _("renamed a second factor of"),
    "second_factor.wrong": _("rejected a wrong code for"),
    "service.activate": _("activated the service for"),
    "service.enable": _("enabled the service for"),
    "service.password": _("changed the registry password of"),
    "signing_key.retire": _("retired the signing key"),
    "signing_key.rotate": _("rotated the signing key"),
    "tag.copied": _("copied to"),
    "tag.copy": _("started to copy"),
    "tag.copy-dismiss": _("dismissed the failed copy to"),
    "tag.copy-failed": _("could not copy to"),
    "tag.delete": _("started to delete tags of"),
    "tag.delete-failed": _("could not delete tags of"),
    "tag.deleted": _("deleted the tag"),
    "tag.found": _("found the tag"),
    "tag.gone": _("found the tag missing:"),
    "tag.import": _("started the import to"),
    "tag.import-cancel": _("cancelled the import to"),
    "tag.import-dismiss": _("dismissed the failed import to"),
    "tag.import-failed": _("could not import to"),
    "tag.imported": _("imported"),
    "tag.kept": _("kept the tag pushed again:"),
    "tag.push": _("pushed"),
    "token.grant": _("got registry access to"),
    "token.refuse": _("was refused registry access to"),
}
# Of these the target is whoever did it.
_OF_ONESELF = {"account.sign_in", "account.sign_out", "login.create"}
_PARTS = {SYSTEM: _("My Images"), ANONYMOUS: _("Somebody not signed in")}


@dataclass(frozen=True)
class EventInWords:
    """An audit event: who did what to what.

    :ivar words: empty for an action without words, which the page then shows as it is recorded.
    :ivar target: empty where it is the actor.
    """

    pk: int
    at: datetime.datetime
    who: str
    words: str
    action: str
    target: str


def in_words(events: Iterable[AuditEvent]) -> list[EventInWords]:
    """The events as sentences; one query more for the names of all accounts in them."""
    found = list(events)
    ids = {event.actor for event in found} | {event.target for event in found}
    names = dict(Account.objects.filter(account_id__in=ids).values_list("account_id", "name"))
    return [
        EventInWords(
            event.pk,
            event.at,
            names.get(event.actor) or str(_PARTS.get(event.actor, event.actor)),
            str(WORDS.get(event.action, "")),
            event.action,
            _target(event, names),
        )
        for event in found
    ]


def _target(event: AuditEvent, names: dict[str, str]) -> str:
    if event.action in _OF_ONESELF and event.target in names:
        return "" if event.target == event.actor else f"({names[event.target]})"
    if event.target == event.actor:
        return gettext("their own account")
    return names.get(event.target, event.target)
