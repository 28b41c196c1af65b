"""What is done for accounts while nobody waits for it."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from console.accounts import letters
from console.accounts.models import Account
from console.queue import WORK_QUEUE

# A mail server that is away is tried for half an hour: whoever waits for a letter asks for another then.
_TRIES = RetryStrategy(max_attempts=10, exponential_wait=2)


@app.task(name="accounts.send_letters", queue=WORK_QUEUE, retry=_TRIES)
def send_letters(accounts: list[int]) -> None:
    """Send each of these accounts the letter for choosing another password.

    :param accounts: primary keys. What is in the letter is made here, and in no job's arguments.
    """
    for account in Account.objects.filter(pk__in=accounts, is_active=True):
        letters.send(account)
