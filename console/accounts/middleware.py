"""Middleware: pages in the language and time zone that the account chose."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from console.accounts.preferences import language_of, zone_of
from console.web.time_zones import written_in


class PreferencesMiddleware:
    """Sets the language, and the time zone of times. The account is read only when a page writes a time.

    After Django's ``LocaleMiddleware``, whose choice stands for accounts that have made none.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer ``request``."""

        def zone() -> datetime.tzinfo | None:
            return zone_of(request.user) if request.user.is_authenticated else None

        # With one language there is nothing to choose, and the account need not be read.
        if settings.USE_I18N and request.user.is_authenticated and (language := language_of(request.user)):
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        with written_in(zone):
            return self._get_response(request)
