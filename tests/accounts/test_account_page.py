"""One's name, on the Account page."""

import pytest

from console.audit.models import AuditEvent
from tests.support.factories import AccountFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
PAGE = "/account/name/"


@pytest.fixture
def ann(client):
    account = AccountFactory(name="Ann")
    client.force_login(account)
    return account


def test_another_name(client, ann):
    assert "<dialog" in text_of(client.get(PAGE, headers=HTMX))
    assert 'value="Ann"' in text_of(client.get(PAGE))
    assert client.post(PAGE, {"name": "  Anne Müller "})["Location"] == "/account/"
    assert "Anne Müller" in text_of(client.get("/account/"))
    assert client.post(PAGE, {"name": "آن\u200cها"}, headers=HTMX)["HX-Redirect"] == "/account/"
    assert client.post(PAGE, {"name": "آن\u200cها"}).status_code == 302
    changes = AuditEvent.objects.filter(action="account.change", actor=ann.account_id).order_by("pk")
    assert [event.detail["changes"]["name"] for event in changes] == [
        ["Ann", "Anne Müller"],
        ["Anne Müller", "آن\u200cها"],
    ]


@pytest.mark.parametrize(("name", "sentence"), [
    ("  ", "Please enter a name"),
    ("x" * 101, "The name can have up to 100 characters."),
    ("Ann\u202enimdA", "a character that can’t be displayed"),
    ("Ann\x07", "a character that can’t be displayed"),
    ("Ann\x00", "Null characters"),
])  # fmt: skip
def test_refused(client, ann, name, sentence):
    response = client.post(PAGE, {"name": name})
    assert response.status_code == 422
    assert sentence in text_of(response)
    ann.refresh_from_db()
    assert ann.name == "Ann"
