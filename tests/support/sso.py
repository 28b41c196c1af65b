"""What tests of single sign-on share."""

from console.accounts.models import Account
from tests.support.responses import text_of
from tests.support.second_factor import is_in

USELESS = "Example sent an invalid response. Try again, or tell an administrator."


def refused(client, response, sentence, status=400):
    """Nobody was signed in, no account was created, and the page says why."""
    assert response.status_code == status
    assert sentence in text_of(response)
    assert not is_in(client)
    assert not Account.objects.exists()
