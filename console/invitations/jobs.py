"""Background jobs that send invitations and sign-up links by e-mail."""

from __future__ import annotations

import secrets

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from console.access.token_secrets import hash_secret
from console.accounts import email as emails
from console.accounts.models import Account
from console.invitations import sign_up_links
from console.jobs.queue import WORK_QUEUE
from console.membership.models import Invitation

# Retries for half an hour while the mail server is down; after that people send another.
_TRIES = RetryStrategy(max_attempts=10, exponential_wait=2)


@app.task(name="invitations.send_invitation", queue=WORK_QUEUE, retry=_TRIES)
def send_invitation(invitation: int) -> None:
    """Send an invitation by e-mail, unless it was accepted or taken back, or has expired.

    The link's secret is created here and only its hash is stored, so a repeated job sends a new link.

    :param invitation: primary key.
    """
    pending = Invitation.objects.pending().select_related("namespace", "image", "invited_by").exclude(email="")
    for row in pending.filter(pk=invitation):
        secret = secrets.token_urlsafe(32)
        Invitation.objects.filter(pk=row.pk).update(secret_hash=hash_secret(secret))
        emails.send("invitation", row.email, {"user": row.invited_by, "invitation": row, "secret": secret})


@app.task(name="invitations.send_sign_up", queue=WORK_QUEUE, retry=_TRIES)
def send_sign_up(email: str, invitation: int | None = None) -> None:
    """Send the link that continues a sign-up, or a note to the owner of the address if an account has it already.

    :param invitation: primary key of the invitation whose link was opened, if any. The link is created here, so that
        it is not stored in the job's arguments.
    """
    account = Account.objects.filter(email__iexact=email).first()
    if account is None:
        token = sign_up_links.make_token(email, invitation)
        emails.send("sign_up", email, {"user": Account(), "token": token, "hours": sign_up_links.hours()})
    elif account.is_active:
        emails.send("sign_up_known", account.email or "", {"user": account})
