"""Pages of rows in the administration say in words what is stored as data."""

import re

import pytest

from console.audit.services import record
from console.imports.models import Transfer
from console.registry.index.models import Reconcile
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


def heading(page):
    return re.search(r"<h1>(.*?)</h1>", page)[1].replace("<wbr>", "")


def test_an_audit_event_in_words(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    target = f"{ann.account_id}/ci"
    detail = {"can_push": True, "can_delete": False, "expires_at": None, "filter": {"since_then": True}}
    event = record("access_token.create", target, actor=ann.account_id, **detail)
    page = text_of(client.get(f"/admin/audit/auditevent/{event.pk}/change/"))
    assert heading(page) == f"Ann created the access token {target}"
    for name, value in (("Can push", "Yes"), ("Can delete", "No"), ("Expires at", "–"), ("Filter", "Since then: Yes")):
        assert f"<tr><th>{name}</th><td>{value}</td></tr>" in page
    event = record("account.change", ann.account_id, actor="boss", changes={"image_quota": [None, "7"]})
    page = text_of(client.get(f"/admin/audit/auditevent/{event.pk}/change/"))
    assert heading(page) == "boss changed the account Ann"
    assert "<tr><th>Image quota</th><td>–</td><td>7</td></tr>" in page
    event = record("x.y", "z", actor="part")
    assert heading(text_of(client.get(f"/admin/audit/auditevent/{event.pk}/change/"))) == "part x.y z"


@pytest.mark.parametrize(
    ("platforms", "shown"), [([], "All"), (["linux/amd64", "linux/arm64"], "linux/amd64, linux/arm64")]
)
def test_the_platforms_of_an_import(client, boss, platforms, shown):
    transfer = Transfer.objects.create(
        image=ImageFactory(), tag="1", repository="library/alpine", reference="3", platforms=platforms
    )
    shown = ", ".join(platforms) or "All"
    page = text_of(client.get(f"/admin/transfers/transfer/{transfer.pk}/change/"))
    assert re.search(rf'Platforms:?</label> <div class="readonly">{shown}</div>', page)
    assert "Empty: all" not in page


def test_who_takes_over_what_an_index_check_finds(client, boss):
    def page(adopt_for):
        check = Reconcile.objects.create(adopt_for=adopt_for, whole=False, state="done")
        return text_of(client.get(f"/admin/indexing/reconcile/{check.pk}/change/"))

    ann = AccountFactory(name="Ann")
    assert f'<a href="/admin/accounts/account/{ann.pk}/change/">{ann}</a>' in page(ann.account_id)
    assert '<div class="readonly">111111111111</div>' in page("111111111111")
    assert "Adopt for" in page("")


def test_an_images_description_is_unfolded(client, boss):
    for description, shown in (
        ("Tools.\n\n# Use\n\nlong <text>", "Tools.<details><summary>Show all</summary><pre>Tools."),
        ("Tools.", '<div class="readonly">Tools.</div>'),
        ("", '<div class="readonly">–</div>'),
    ):
        image = ImageFactory(description=description)
        page = text_of(client.get(f"/admin/images/image/{image.pk}/change/"))
        assert shown in page and "<text>" not in page
