"""Send e-mails to accounts, from templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import translation

from console.accounts.models import Account
from console.accounts.preferences import language_of, zone_of
from console.web.time_zones import written_in


def send(name: str, address: str, context: Mapping[str, Any]) -> None:
    """Send an e-mail in the account's language, from ``accounts/NAME_subject.txt`` and ``accounts/NAME_email.txt``.

    :param context: for the templates: ``user``, the account, and more. They also get ``protocol`` and ``domain`` of
        ``CONSOLE_URL``, whatever the ``Host`` of the request.
    :raises OSError: when the mail server cannot be reached, or rejects the e-mail (``smtplib.SMTPException``).
    """
    protocol, _, domain = settings.CONSOLE_URL.partition("://")
    account: Account = context["user"]
    values = {**context, "protocol": protocol, "domain": domain}
    with translation.override(language_of(account) or settings.LANGUAGE_CODE), written_in(lambda: zone_of(account)):
        subject = " ".join(render_to_string(f"accounts/{name}_subject.txt", values).split())
        text = render_to_string(f"accounts/{name}_email.txt", values)
    send_mail(subject, text, None, [address])
