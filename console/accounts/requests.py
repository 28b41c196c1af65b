"""The request of somebody who is signed in."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from console.accounts.models import Account


class Request(HttpRequest):
    """A request of somebody signed in, as the pages see it."""

    user: Account
    htmx: HtmxDetails
