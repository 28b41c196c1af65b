"""Background jobs for accounts: sending e-mails."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from console.accounts import email, email_links, password_reset_email
from console.accounts.models import Account, EmailChange
from console.jobs.queue import WORK_QUEUE

# Retries for half an hour while the mail server is down; after that people request another e-mail.
_TRIES = RetryStrategy(max_attempts=10, exponential_wait=2)


@app.task(name="accounts.send_letters", queue=WORK_QUEUE, retry=_TRIES)
def send_password_resets(accounts: list[int]) -> None:
    """Send a password-reset e-mail to each of these accounts.

    :param accounts: primary keys. The link is created here, so that it is not stored in the job's arguments.
    """
    for account in Account.objects.filter(pk__in=accounts, is_active=True):
        password_reset_email.send(account)


@app.task(name="accounts.send_email_link", queue=WORK_QUEUE, retry=_TRIES)
def send_email_link(change: int) -> None:
    """Send the confirmation link to a new e-mail address, unless the change was cancelled or replaced.

    :param change: primary key of the ``EmailChange``. The link is created here, so that it is not stored in the job's
        arguments.
    """
    for row in EmailChange.objects.select_related("account").filter(pk=change, account__is_active=True):
        if email_links.is_good(row):
            context = {"user": row.account, "token": email_links.make_token(row), "hours": email_links.hours()}
            email.send("email_change", row.email, {**context, "own": row.email == row.account.email})


@app.task(name="accounts.send_email_changed", queue=WORK_QUEUE, retry=_TRIES)
def send_email_changed(account: int, former: str) -> None:
    """Notify the former address that the account's e-mail address was changed or removed.

    :param account: primary key.
    :param former: the former address.
    """
    for row in Account.objects.filter(pk=account):
        email.send("email_changed", former, {"user": row})
