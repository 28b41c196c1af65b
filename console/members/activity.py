"""What happened in a namespace, for its owners: events of it, its images, members, service accounts and invitations."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from console.access.roles import Role
from console.accounts.event_words import EventInWords, in_words_for
from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.membership.models import RoleName
from console.namespaces.models import Namespace

# Kinds of events, and the first words of their actions.
KINDS: dict[str, tuple[Promise, tuple[str, ...]]] = {
    "members": (gettext_lazy("Members and invitations"), ("invitation", "member")),
    "programs": (gettext_lazy("Service accounts"), ("access_token", "service_account")),
    "images": (gettext_lazy("Images and tags"), ("failure", "image", "index", "tag")),
    "namespace": (gettext_lazy("Namespace"), ("namespace",)),
}


@dataclass(frozen=True)
class NamespaceEvent:
    """An event in words, and for roles and invitations who got which role, until when."""

    event: EventInWords
    detail: str


def events_of(namespace: Namespace, kind: str = "") -> QuerySet[AuditEvent]:
    """The events of a namespace, the newest first. What happened before a transfer is the former owner's business.

    Without grants of registry access: there are very many of them.

    :param kind: a key of ``KINDS``; otherwise all kinds.
    """
    name = namespace.name
    kinds = [KINDS[kind]] if kind in KINDS else KINDS.values()
    asked = {first for _label, firsts in kinds for first in firsts}
    # An account or a team may have the namespace's name: what its own events are called is in none of the kinds, or is
    # of a service account only behind a plus.
    of_namespace = (Q(target=name) | Q(target__startswith=f"{name}/")) & _of(asked - set(KINDS["programs"][1]))
    of_programs = Q(target__startswith=f"{name}+") & _of(asked & set(KINDS["programs"][1]))
    return AuditEvent.objects.filter(of_namespace | of_programs, at__gte=_since(namespace)).order_by("-at", "-pk")


def _of(firsts: Collection[str]) -> Q:
    """Condition: the action is ``WORD.…`` with one of these words."""
    return Q(action__regex=rf"^({'|'.join(sorted(firsts))})\.") if firsts else Q(pk__in=[])


def _since(namespace: Namespace) -> datetime.datetime:
    came = AuditEvent.objects.filter(action="namespace.transferred", target=namespace.name).aggregate(last=Max("at"))
    return max(namespace.created_at, came["last"] or namespace.created_at)


def in_words(reader: Account, events: Iterable[AuditEvent]) -> list[NamespaceEvent]:
    """The events as sentences for a reader, with the names of people and never their Account IDs. Two queries."""
    found = list(events)
    named = {_holder(event.detail) for event in found}
    names = dict(Account.objects.filter(account_id__in=named).values_list("account_id", "name"))
    said = in_words_for(reader, found)
    return [
        NamespaceEvent(
            words, _detail(event.detail, names) if event.action.startswith(("member.", "invitation.")) else ""
        )
        for words, event in zip(said, found, strict=True)
    ]


def _holder(detail: Mapping[str, Any]) -> str:
    return str(detail.get("member") or detail.get("to") or "")


def _detail(detail: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Who, which role, and until when: ``Bob: Reader → Writer, until 2027-01-31``."""
    holder = _holder(detail)
    changes = detail.get("changes") or {}
    roles = changes.get("role") or [detail.get("role")]
    until = changes["until"][1] if "until" in changes else detail.get("until")
    text = " → ".join(_role(role) for role in roles if role)
    if "role" in changes and changes["role"][1] is None:
        text = _("%s, no role any more") % text
    if until:
        text = ", ".join(filter(None, (text, _("until %s") % str(until)[:10])))
    who = names.get(holder, holder if holder.startswith("team ") or "@" in holder else "")
    if holder == "link":
        who = _("by link")
    return f"{who}: {text}" if who and text else who or text


def _role(name: str) -> str:
    return str(RoleName(Role[name.upper()]).label) if name.upper() in Role.__members__ else name
