"""Search and filters of audit events, for the administration's list and its CSV. Each filter has an index."""

from __future__ import annotations

import datetime
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import BooleanField, F, Func, QuerySet, TextField, Value
from django.utils.translation import gettext_lazy as _

from console.audit.models import AuditEvent

# The same words as in the index (``audit_event_words`` in the migration): split at ASCII characters that are no letters
# or digits.
_WORD = re.compile(r"[^\x00-/:-@\[-`{-\x7f]+")
_ACTIONS = """
WITH RECURSIVE found (action) AS (
    (SELECT action FROM audit_auditevent ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT action FROM audit_auditevent WHERE action > found.action ORDER BY action LIMIT 1)
    FROM found WHERE found.action IS NOT NULL
)
SELECT action FROM found WHERE action IS NOT NULL
"""


def actions() -> list[str]:
    """The actions that occur in the table: one index lookup for each (loose index scan), however large it is."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTIONS)
        return [action for (action,) in cursor.fetchall()]


class FilterForm(forms.Form):
    """The filter of the audit log. Every field is optional. Times are UTC."""

    words = forms.CharField(
        label=_("Words"),
        required=False,
        max_length=200,
        help_text=_("Matches the beginnings of words, also in the changes"),
    )
    actor = forms.CharField(label=_("Who"), required=False, max_length=64)
    action = forms.ChoiceField(label=_("Action"), required=False)
    target = forms.CharField(label=_("Target begins with"), required=False, max_length=400)
    address = forms.GenericIPAddressField(label=_("From address"), required=False, unpack_ipv4=True)
    since = forms.DateTimeField(label=_("Since (UTC)"), required=False)
    until = forms.DateTimeField(label=_("Before (UTC)"), required=False)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Offer the existing actions as choices."""
        super().__init__(*arguments, **options)
        self.fields["action"].choices = [("", _("All")), *((one, one) for one in actions())]  # type: ignore[attr-defined]
        for field in self.fields.values():
            # A browser would cut a longer text silently; validation reports it.
            field.widget.attrs.pop("maxlength", None)
            field.widget.attrs["autocomplete"] = "off"
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def clean(self) -> dict[str, Any]:
        """Validate the time span.

        :raises ValidationError: when it ends before it begins.
        """
        data = super().clean() or {}
        since, until = data.get("since"), data.get("until")
        if since and until and until <= since:
            raise ValidationError(_("“Before” must be later than “Since”."))
        return data

    def shown(self) -> dict[str, Any]:
        """The filter's values without the empty ones, for the audit event of an export."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return {name: utc(one) if isinstance(one, datetime.datetime) else one for name, one in given.items()}

    def find(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """Filter ``events``; none if the form is invalid."""
        if not self.is_valid():
            return events.none()
        data = self.cleaned_data
        exact = {name: data[name] for name in ("actor", "action", "address") if data[name]}
        if data["target"]:
            exact["target__startswith"] = data["target"]
        if data["since"]:
            exact["at__gte"] = data["since"]
        if data["until"]:
            exact["at__lt"] = data["until"]
        words = _WORD.findall(data["words"].lower())
        return having(events, words).filter(**exact)


def having(events: QuerySet[AuditEvent], words: list[str]) -> QuerySet[AuditEvent]:
    """Filter ``events`` by word prefixes in lower case; each of ``words`` must match."""
    if not words:
        return events
    asked = Value(" & ".join(f"'{word}':*" for word in words))
    indexed_words = Func(F("target"), F("actor"), F("detail"), function="audit_event_words", output_field=TextField())
    return events.filter(_Matches(indexed_words, asked))


class _Matches(Func):
    arg_joiner = " @@ "
    template = "(%(expressions)s::tsquery)"
    output_field = BooleanField()


def utc(moment: datetime.datetime) -> str:
    """A time in ISO 8601 with milliseconds, in UTC."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
