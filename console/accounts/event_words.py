"""Audit events as sentences, for the administration's front page and for the account's own activity."""

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
    "account.email_request": _("requested a link to confirm an e-mail address of"),
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
    "image.clear": _("cleaned up after"),
    "image.create": _("created the image"),
    "image.delete": _("started to delete the image"),
    "image.delete-failed": _("could not delete the image"),
    "image.deleted": _("deleted the image"),
    "image.describe": _("changed the description of"),
    "image.visibility": _("changed the type of"),
    "index.mended": _("corrected the index of"),
    "invitation.accept": _("accepted an invitation to"),
    "invitation.create": _("invited somebody to"),
    "invitation.decline": _("declined an invitation to"),
    "invitation.revoke": _("took back an invitation to"),
    "job.abort": _("aborted"),
    "job.cancel": _("cancelled"),
    "job.retry": _("retried"),
    "login.create": _("logged in with Docker"),
    "login.forget": _("removed the expired Docker login of"),
    "login.revoke": _("ended a Docker login of"),
    "login.revoke_all": _("ended all Docker logins of"),
    "member.change": _("changed a role on"),
    "member.expire": _("ended an expired role on"),
    "member.grant": _("gave a role on"),
    "member.leave": _("left"),
    "member.remove": _("removed a member of"),
    "namespace.adopt": _("took over the namespace"),
    "namespace.create": _("created the namespace"),
    "namespace.delete": _("deleted the namespace"),
    "namespace.offer": _("offered to hand over the namespace"),
    "namespace.offer_accept": _("accepted the namespace"),
    "namespace.offer_decline": _("declined the namespace"),
    "namespace.offer_withdraw": _("took back the offer of the namespace"),
    "namespace.owner": _("passed on the ownership of"),
    "namespace.release": _("released the namespace"),
    "namespace.transfer": _("started to transfer the namespace"),
    "namespace.transferred": _("transferred the namespace"),
    "password.held_back": _("blocked password guesses for"),
    "password.wrong": _("entered a wrong password for"),
    "reconcile.run": _("checked the index of"),
    "second_factor.add": _("added a second factor to"),
    "second_factor.codes": _("created recovery codes for"),
    "second_factor.remove": _("removed a second factor from"),
    "second_factor.rename": _("renamed a second factor of"),
    "second_factor.wrong": _("rejected a wrong code for"),
    "service.activate": _("activated the service for"),
    "service.enable": _("enabled the service for"),
    "service.password": _("changed the registry password of"),
    "service_account.change": _("changed the description of the service account"),
    "service_account.create": _("created the service account"),
    "service_account.delete": _("deleted the service account"),
    "signing_key.retire": _("retired the signing key"),
    "signing_key.rotate": _("rotated the signing key"),
    "tag.copied": _("copied to"),
    "tag.copy": _("started to copy"),
    "tag.copy-dismiss": _("dismissed the failed copy to"),
    "tag.copy-failed": _("could not copy to"),
    "tag.delete": _("started to delete tags of"),
    "tag.delete-failed": _("could not delete tags of"),
    "tag.deleted": _("deleted the tag"),
    "tag.found": _("found in the registry:"),
    "tag.gone": _("found the tag missing:"),
    "tag.import": _("started the import to"),
    "tag.import-cancel": _("cancelled the import to"),
    "tag.import-dismiss": _("dismissed the failed import to"),
    "tag.import-failed": _("could not import to"),
    "tag.imported": _("imported"),
    "tag.kept": _("did not delete the tag pushed again:"),
    "tag.push": _("pushed"),
    "team.add": _("added a member to the team"),
    "team.change": _("changed the team"),
    "team.create": _("created the team"),
    "team.delete": _("deleted the team"),
    "team.leave": _("left the team"),
    "team.manager": _("changed a manager of the team"),
    "team.map": _("added a group of the identity provider to the team"),
    "team.remove": _("removed a member of the team"),
    "team.sync": _("updated the teams by the identity provider’s groups of"),
    "team.unmap": _("removed a group of the identity provider from the team"),
    "token.grant": _("got registry access to"),
    "token.refuse": _("didn’t get registry access to"),
}
# The same where the target is the reader's own account.
_OF_YOURS: dict[str, Promise] = {
    "account.activate": _("reactivated your account"),
    "account.change": _("changed your account"),
    "account.create": _("created your account"),
    "account.deactivate": _("deactivated your account"),
}
# Of these the target is the actor.
_OF_ONESELF = {"account.sign_in", "account.sign_out", "login.create"}
_PARTS = {SYSTEM: _("My Images"), ANONYMOUS: _("Somebody not signed in"), "reconcile": _("My Images")}
# Of these actions the target is an account, or something of it: ``111111111111/NAME``.
_OF_ACCOUNTS = (
    "account.",
    "access_token.",
    "login.",
    "second_factor.",
    "identity.",
    "password.",
    "service.",
    "team.sync",
)


@dataclass(frozen=True)
class EventInWords:
    """An audit event: who did what to what.

    :ivar words: empty for an action without words, which the page then shows as it is recorded.
    :ivar target: empty where it is the actor.
    :ivar address: from where the reader did it; of others it is never said.
    """

    pk: int
    at: datetime.datetime
    who: str
    words: str
    action: str
    target: str
    address: str = ""


def in_words(events: Iterable[AuditEvent]) -> list[EventInWords]:
    """The events as sentences for administrators; one query more for the names of all accounts in them."""
    found = list(events)
    names = _names(found)
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


def in_words_for(reader: Account, events: Iterable[AuditEvent]) -> list[EventInWords]:
    """The events as sentences for the person whose activity they are; one query more for the names of others.

    Of others only the name is said: not their Account ID, not their address, nothing of the event's detail.
    """
    found = list(events)
    names = _names([event for event in found if not event.actor == event.target == reader.account_id])
    return [
        EventInWords(
            event.pk,
            event.at,
            _who(event, names, reader.account_id),
            *_own_words(event, names, reader.account_id),
            (event.address or "") if event.actor == reader.account_id else "",
        )
        for event in found
    ]


def _names(events: Iterable[AuditEvent]) -> dict[str, str]:
    """The names of the accounts in these events, by Account ID."""
    ids = {event.actor for event in events} | {event.target for event in events if _is_of_an_account(event)}
    found = Account.objects.filter(account_id__in=ids) if ids else Account.objects.none()
    return dict(found.values_list("account_id", "name"))


def _is_of_an_account(event: AuditEvent) -> bool:
    return event.action.startswith(_OF_ACCOUNTS)


def _target(event: AuditEvent, names: dict[str, str]) -> str:
    if not _is_of_an_account(event):
        return event.target  # a namespace may be named like an Account ID
    if event.action in _OF_ONESELF and event.target in names:
        return "" if event.target == event.actor else f"({names[event.target]})"
    if event.target == event.actor:
        return gettext("their own account")
    return names.get(event.target, event.target)


def _who(event: AuditEvent, names: dict[str, str], reader: str) -> str:
    if event.actor == reader:
        return gettext("You")
    # A command's actor is the operator's user name on the server.
    return names.get(event.actor) or str(_PARTS.get(event.actor) or _("An administrator"))


def _own_words(event: AuditEvent, names: dict[str, str], reader: str) -> tuple[str, str, str]:
    """The words, the action and the target."""
    if event.target == reader and event.action in _OF_YOURS:
        return str(_OF_YOURS[event.action]), event.action, ""
    return str(WORDS.get(event.action, "")), event.action, _own_target(event, names, reader)


def _own_target(event: AuditEvent, names: dict[str, str], reader: str) -> str:
    if not _is_of_an_account(event):
        return event.target
    account, _slash, name = event.target.partition("/")
    if account != reader:
        return names.get(event.target, event.target)
    if event.action in _OF_ONESELF:
        return f"({name})" if name else ""
    return name or gettext("your account")
