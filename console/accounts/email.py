"""Send e-mails to accounts, from templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string


def send(name: str, address: str, context: Mapping[str, Any]) -> None:
    """Send the e-mail whose templates are ``accounts/NAME_subject.txt`` and ``accounts/NAME_email.txt``.

    :param context: for the templates, which also get ``protocol`` and ``domain`` of ``CONSOLE_URL``, whatever the
        ``Host`` of the request.
    :raises OSError: when the mail server cannot be reached, or rejects the e-mail (``smtplib.SMTPException``).
    """
    protocol, _, domain = settings.CONSOLE_URL.partition("://")
    values = {**context, "protocol": protocol, "domain": domain}
    subject = " ".join(render_to_string(f"accounts/{name}_subject.txt", values).split())
    send_mail(subject, render_to_string(f"accounts/{name}_email.txt", values), None, [address])
