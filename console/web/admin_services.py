"""Rows of the administration that services create, change and delete, and record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from console.web.admin_base import AuditedAdmin


class ByServiceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose ``serve`` calls a service, so that its validation errors are shown in the form.

    ``names`` says which field shows the errors that the service gives another key.
    """

    names: ClassVar[Mapping[str, str]] = {"account_id": "account", "holder": "account"}

    def serve(self, data: dict[str, Any]) -> Any:
        """Call the service; returns the row."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Call the service, if the fields are valid."""
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        try:
            self.instance = self.serve(data)
        except ValidationError as problem:
            if not hasattr(problem, "error_dict"):
                raise
            for name, errors in problem.error_dict.items():
                own = self.names.get(name, name)
                self.add_error(own if own in self.fields else None, errors)
        return data

    def _post_clean(self) -> None:
        """Do nothing: the service has written the row."""


class ByServiceAdmin(AuditedAdmin):
    """Rows that services create, change and delete, and record."""

    form_is_recorded = actions_are_recorded = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do nothing: the form's service has saved it."""

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete each row by its service, and say why one stays."""
        for row in queryset:
            self.delete_model(request, row)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row by its service, and say why it stays."""
        try:
            self.remove(obj)
        except ValidationError as problem:
            messages.error(request, " ".join(problem.messages))

    def remove(self, row: Any) -> None:
        """Delete a row by its service."""
        raise NotImplementedError
