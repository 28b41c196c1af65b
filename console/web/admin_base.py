"""Base classes of the administration that write audit events with the old and new value of each field."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise, cached_property
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.audit.services import MOST_NAMED, record
from console.web import admin_columns
from console.web.admin_related import Related

# Of these fields only the fact of a change is recorded, not the value.
_SECRET = ("password", "secret", "hash", "token")
_NO_ACTION = [("", _("Choose an action"))]
# A form is saved with one button.
_ONE_BUTTON = {"show_save_and_add_another": False, "show_save_and_continue": False}


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ``ModelAdmin`` that records each change as an audit event, in the same transaction.

    ``recorded_as`` is the noun of the actions; the model's name when empty. Set ``form_is_recorded`` and
    ``actions_are_recorded`` if the form or the actions call services that write the audit events.
    """

    recorded_as = ""
    # Counting what each filter would find takes a query for each.
    show_facets = admin.ShowFacets.NEVER
    # Fields with bytes, which are shown in binary units.
    sizes: tuple[str, ...] = ()
    # Fields whose yes is good news, which has a tick.
    good_news: tuple[str, ...] = ()
    form_is_recorded = False
    actions_are_recorded = False
    # Lists with rows that point at a row, on whose page they are counted.
    related: tuple[Related, ...] = ()

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns; times, sizes, numbers and rows of other lists are shown as ``admin_columns`` has them."""
        first, *others = super().get_list_display(request)
        # The first one leads to the row, and cannot lead elsewhere too.
        return [self._column(first, links=False), *(self._column(name) for name in others)]

    def _column(self, name: Any, *, links: bool = True) -> Any:
        field = self._fields.get(name) if isinstance(name, str) else None
        if field is None or (field.is_relation and not links):
            return name
        return self._columns.setdefault(name, admin_columns.of_field(self, field))

    @cached_property
    def _fields(self) -> dict[str, models.Field[Any, Any]]:
        return {field.name: field for field in self.opts.concrete_fields}

    @cached_property
    def _columns(self) -> dict[str, Any]:
        """The columns made so far: Django compares them with those that can be sorted by."""
        return {}

    def action_checkbox(self, obj: models.Model) -> SafeString:
        """The box that selects a row, named by the row's heading."""
        attrs = {"class": "action-select", "aria-label": gettext("Select %s") % self.heading(obj)}
        box = forms.CheckboxInput(attrs, lambda _value: False)
        return box.render(helpers.ACTION_CHECKBOX_NAME, str(obj.pk))

    def get_action_choices(self, request: HttpRequest, default_choices: Any = _NO_ACTION) -> list[tuple[str, str]]:
        """The actions, and before them what asks to choose one."""
        return super().get_action_choices(request, default_choices)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, under the plural of what is listed."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def heading(self, obj: Any) -> str:
        """What the page of a row is headed by."""
        return str(obj)

    def audited_as(self, obj: Any) -> str:
        """What the targets of a row's audit events begin with; empty where it has no events of its own."""
        return ""

    def acts_as(self, obj: Any) -> str:
        """The actor of the audit events of what a row did itself; empty where it does nothing."""
        return ""

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *rest: Any, **options: Any) -> Any:
        """The page of a row, under its heading; what cannot be edited there is shown as lists show it."""
        self._show_as_columns(context["adminform"])
        # As the forms of the other pages have them.
        context["adminform"].form.label_suffix = ""
        row, name = context.get("original"), str(self.opts.verbose_name)
        heading = self.heading(row) if row else ""
        own = {
            "title": capfirst(name) if row else gettext("Create %s") % name,
            "subtitle": heading,
            "heading": heading,
            "show_save": bool(context["adminform"].form.fields),
            "row_actions": self._row_actions(request, row) if row else [],
            **_ONE_BUTTON,
        }
        return super().render_change_form(request, {**context, **own}, *rest, **options)

    def actions_of(self, request: HttpRequest, obj: Any) -> Collection[str]:
        """Which of the list's actions a row's own page offers: all, to those who may change the row."""
        return self.get_actions(request) if self.has_change_permission(request, obj) else ()

    def _row_actions(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Names and labels; a label is what stands before the brackets in the list."""
        offered = set(self.actions_of(request, row)) - {"delete_selected"}
        found = [action for action in self.get_actions(request).values() if action and action[1] in offered]
        return [(name, str(label).partition(" (")[0]) for _act, name, label in found]

    def _show_as_columns(self, form: helpers.AdminForm) -> None:
        columns = {name: self._column(name) for name in form.readonly_fields if isinstance(name, str)}
        form.readonly_fields = [*form.readonly_fields, *columns.values()]
        form.fieldsets = [
            (title, {**options, "fields": [columns.get(name, name) for name in options["fields"]]})
            for title, options in form.fieldsets
        ]

    def consequence(self, obj: Any) -> str:
        """The consequence of deleting the row, for the confirmation page; empty for the default text."""
        return ""

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """The question before a deletion, about a row under its heading."""
        row = context["object"]
        own = {"heading": self.heading(row), "consequence": self.consequence(row)}
        return super().render_delete_form(request, {**context, **own})

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What administrators changed in a row, under its heading."""
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            heading = self.heading(response.context_data["object"])
            response.context_data |= {"title": gettext("History"), "subtitle": heading, "heading": heading}
        return response

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Say what was created, and show it where its own page says more than the list."""
        messages.success(request, self._said(_("Created the %(name)s “%(row)s”."), obj))
        return redirect(post_url_continue) if post_url_continue else self.response_post_save_add(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Say what was saved, and show the list."""
        messages.success(request, self._said(_("Saved the %(name)s “%(row)s”."), obj))
        return self.response_post_save_change(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Say what was deleted, and show the list."""
        messages.success(request, self._said(_("Deleted the %(name)s “%(row)s”."), obj_display))
        return self.response_post_save_change(request, None)

    def _said(self, text: Promise, row: Any) -> str:
        return str(text) % {"name": self.opts.verbose_name, "row": row}

    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: HttpRequest, **options: Any) -> Any:
        """Django's form field without links to other rows' forms, and without ``maxlength``.

        Validation reports a long value; the browser would cut it.
        """
        field = super().formfield_for_dbfield(db_field, request, **options)
        if field is not None:
            field.widget.attrs.pop("maxlength", None)
            if isinstance(field.widget, RelatedFieldWidgetWrapper):
                field.widget.can_add_related = field.widget.can_change_related = False
                field.widget.can_delete_related = field.widget.can_view_related = False
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
