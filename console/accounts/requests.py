"""Type of requests with a signed-in account."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from console.accounts.models import Account


class Request(HttpRequest):
    """A request whose ``user`` is an account."""

    user: Account
    htmx: HtmxDetails
