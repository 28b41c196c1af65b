"""Questions before actions of the administration's lists: what they do to how many rows, before they do it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise

from console.web.rendering import refuse_typed

# For more rows their number has to be typed.
MOST_WITHOUT_TYPING = 10
_LISTED = 10


def asks(
    title: Promise, button: Promise, sentence: Callable[[QuerySet[Any]], str]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate an admin action to ask for confirmation; for more than ten rows their number has to be typed.

    The action's service has to record it: an action that ``AuditedAdmin`` records would be recorded when it asks.

    :param title: heads the question's page.
    :param button: carries the action out.
    :param sentence: what it does to the selected rows.
    """

    def decorate(act: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(act)
        def asking(options: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
            count = queryset.count()
            to_type = str(count) if count > MOST_WITHOUT_TYPING else ""
            problem = ""
            if request.POST.get("post"):
                problem = refuse_typed(request, to_type)
                if not problem:
                    return act(options, request, queryset)
            request.current_app = options.admin_site.name
            context = {
                **options.admin_site.each_context(request),
                "opts": options.opts,
                "title": title,
                "subtitle": "",
                "button": button,
                "sentence": sentence(queryset),
                "rows": [options.heading(row) for row in queryset[:_LISTED]],
                "others": max(count - _LISTED, 0),
                "to_type": to_type,
                "problem": problem,
                "action": request.POST["action"],
                "across": request.POST.get("select_across", "0"),
                "box": helpers.ACTION_CHECKBOX_NAME,
                "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            }
            return TemplateResponse(request, "admin/action_question.html", context)

        return asking

    return decorate
