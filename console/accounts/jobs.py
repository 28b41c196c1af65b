"""Background jobs for accounts: sending e-mails."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from console.accounts import email, email_links, password_reset_email
from console.accounts.models import Account, EmailChange
from console.jobs.queue import WORK_QUEUE

# A mail server that is away is tried for half an hour: whoever waits for a letter asks for another then.
_TRIES = RetryStrategy(max_attempts=10, exponential_wait=2)


@app.task(name="accounts.send_letters", queue=WORK_QUEUE, retry=_TRIES)
def send_password_resets(accounts: list[int]) -> None:
    """Send each of these accounts the letter for choosing another password.

    :param accounts: primary keys. What is in the letter is made here, and in no job's arguments.
    """
    for account in Account.objects.filter(pk__in=accounts, is_active=True):
        password_reset_email.send(account)


@app.task(name="accounts.send_email_link", queue=WORK_QUEUE, retry=_TRIES)
def send_email_link(change: int) -> None:
    """Send the link that confirms a new e-mail address to that address, unless the change is over by now.

    :param change: primary key of the ``EmailChange``. The link is made here, and is in no job's arguments.
    """
    for row in EmailChange.objects.select_related("account").filter(pk=change, account__is_active=True):
        if email_links.is_good(row):
            context = {"user": row.account, "token": email_links.make_token(row), "hours": email_links.hours()}
            email.send("email_change", row.email, context)


@app.task(name="accounts.send_email_changed", queue=WORK_QUEUE, retry=_TRIES)
def send_email_changed(account: int, former: str) -> None:
    """Say to the address that an account had that it has another one now, or none.

    :param account: primary key.
    :param former: the address that it had.
    """
    for row in Account.objects.filter(pk=account):
        email.send("email_changed", former, {"user": row})
