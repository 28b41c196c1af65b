"""View decorator: the service must be activated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from console.web.rendering import go, signed_in


def activated(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Redirect anonymous users to the sign-in page, and accounts without activation to the activation form."""

    @functools.wraps(view)
    def wrapper(request: Any, *arguments: Any, **options: Any) -> HttpResponse:
        if not request.user.activated:
            return go(request, reverse("images"))
        return view(request, *arguments, **options)

    return signed_in(wrapper)
