"""Base classes of the administration that write audit events with the old and new value of each field."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import helpers
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse

from console.audit.services import MOST_NAMED, record

# Of these fields only the fact of a change is recorded, not the value.
_SECRET = ("password", "secret", "hash", "token")


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ``ModelAdmin`` that records each change as an audit event, in the same transaction.

    ``recorded_as`` is the noun of the actions; the model's name when empty. Set ``form_is_recorded`` and
    ``actions_are_recorded`` if the form or the actions call services that write the audit events.
    """

    recorded_as = ""
    form_is_recorded = False
    actions_are_recorded = False

    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: HttpRequest, **options: Any) -> Any:
        """Django's form field without ``maxlength``: validation reports a long value, the browser would cut it."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if field is not None:
            field.widget.attrs.pop("maxlength", None)
        return field

    def _action(self, verb: str) -> str:
        return f"{self.recorded_as or self.model._meta.model_name}.{verb}"

    def _target(self, obj: models.Model) -> str:
        return str(getattr(obj, "account_id", None) or obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save related rows, and record the changed fields, if any."""
        super().save_related(request, form, formsets, change)
        if self.form_is_recorded or (change and not form.changed_data):
            return
        verb = "change" if change else "create"
        record(self._action(verb), self._target(form.instance), by="admin", changes=_changes(form, change))

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Delete a row and record it."""
        with transaction.atomic():
            record(self._action("delete"), self._target(obj), by="admin")
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete rows and record each."""
        with transaction.atomic():
            for obj in queryset:
                record(self._action("delete"), self._target(obj), by="admin")
            super().delete_queryset(request, queryset)

    def response_action(self, request: HttpRequest, queryset: Any, *rest: Any) -> HttpResponse | None:
        """Run an action on the selected rows, and record it, in one transaction, unless a service records it."""
        action = request.POST.get("action", "")
        if self.actions_are_recorded or action not in self.get_actions(request) or action == "delete_selected":
            return super().response_action(request, queryset, *rest)
        with transaction.atomic():
            response = super().response_action(request, queryset, *rest)
            ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
            if ticked:
                number = "all" if request.POST.get("select_across") == "1" else len(ticked)
                name = self.model._meta.verbose_name_plural
                record(self._action(action), name, rows=ticked[:MOST_NAMED], number=number)
        return response


def _changes(form: forms.ModelForm[Any], change: bool) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for name in form.changed_data:
        if any(word in name for word in _SECRET):
            found[name] = ["…" if change else None, "…"]
        else:
            old = form.initial.get(name) if change else None
            found[name] = [_text(old), _text(form.cleaned_data.get(name))]
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple | models.QuerySet):
        return ", ".join(str(one) for one in value)
    return str(value)


class ReadOnlyAdmin(AuditedAdmin):
    """Rows that the administration shows but cannot change."""

    actions_are_recorded = True

    # Counting a million rows would make the page slow.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Always false."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Always false."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Always false."""
        return False
