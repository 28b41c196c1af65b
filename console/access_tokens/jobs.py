"""Background jobs that warn by e-mail before access tokens expire."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from console.access_tokens import expiry
from console.accounts import email
from console.accounts.models import AccessToken, Account
from console.jobs.queue import WORK_QUEUE

# Retries for some hours while the mail server is down.
_TRIES = RetryStrategy(max_attempts=14, exponential_wait=2)


@app.periodic(cron="29 * * * *")
@app.task(name="access_tokens.warn", queue=WORK_QUEUE, queueing_lock="access_tokens.warn")
def warn(timestamp: int = 0) -> None:
    """Queue the e-mails of all warnings that are due: 14, 7 and 1 day before a token expires, each once.

    A token is marked in the transaction that queues its e-mails. Killed before the commit, nothing has happened; after
    it, the e-mails have jobs of their own. Without a mail server nothing is marked.
    """
    if not settings.EMAIL_HOST:
        return
    now, more = timezone.now(), True
    while more:
        with transaction.atomic():
            due = expiry.take_due(now)
            for token, days in due:
                expiry.mark(token, days)
                for recipient in expiry.recipients(token):
                    send_warning.defer(token=token.pk, recipient=recipient.pk)
        more = bool(due)


@app.task(name="access_tokens.send_warning", queue=WORK_QUEUE, retry=_TRIES)
def send_warning(token: int, recipient: int) -> None:
    """Send one warning, unless the token was revoked or has expired meanwhile, or the recipient is no longer one.

    :param token: primary key of the access token.
    :param recipient: primary key of the account.
    """
    now = timezone.now()
    tokens = AccessToken.objects.select_related("account__service_account__namespace")
    row = tokens.filter(pk=token, revoked_at=None, expires_at__gt=now, account__is_active=True).first()
    if row is None or row.expires_at is None:
        return
    account: Account | None = next((one for one in expiry.recipients(row) if one.pk == recipient), None)
    if account is None or account.email is None:
        return
    service = row.account.service_account if row.account.is_service else None
    context = {"user": account, "token": row, "service": service, "days": expiry.days_left(row.expires_at, now)}
    email.send("access_token_expires", account.email, context)
