"""Actions of the administration that cannot be undone ask first."""

import re

import pytest
from django.db import connection

from console.access_tokens import services as access_tokens
from console.accounts.models import Account
from console.repositories.models import Image
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


def deleting():
    return Image.objects.filter(state=Image.State.DELETING).count()


def test_an_images_deletion_says_what_goes(client, boss):
    image = ImageFactory(name="app")
    Image.objects.filter(pk=image.pk).update(tag_count=1200, attachment_count=34, size=3 * 2**29)
    form = {"action": "delete_with_all_tags", "_selected_action": [image.pk]}
    page = text_of(client.post("/admin/images/image/", form)).replace("\N{NO-BREAK SPACE}", " ")
    assert "<h1>Delete images with all tags</h1>" in page
    assert "1 image with 1,234 tags, 1.5 GiB, is deleted. It cannot be recovered." in page
    assert f"<li>{image.repository}</li>" in page and 'name="typed"' not in page
    assert deleting() == 0
    page = text_of(client.post("/admin/images/image/", {**form, "post": "yes"}, follow=True))
    assert deleting() == 1 and "Deleting 1 image with all tags." in page


def test_a_tags_deletion_says_how_much_it_frees(client, boss):
    tag = TagFactory(manifest__size=3 * 2**29)
    same = TagFactory(image=tag.image, manifest=tag.manifest)
    form = {"action": "delete_tags", "_selected_action": [tag.pk, same.pk]}
    page = text_of(client.post("/admin/images/tag/", form)).replace("\N{NO-BREAK SPACE}", " ")
    assert "2 tags are deleted, with up to 1.5 GiB. They cannot be recovered." in page


def test_more_than_ten_are_confirmed_by_their_number(client, boss):
    namespace = NamespaceFactory()
    images = [ImageFactory(namespace=namespace) for _ in range(12)]
    form = {"action": "delete_with_all_tags", "_selected_action": [image.pk for image in images[:11]]}
    page = text_of(client.post("/admin/images/image/", form))
    assert "Type the number of selected rows, “11”, to confirm" in page and "and 1 more" in page
    for typed in ({}, {"typed": "12"}):
        page = text_of(client.post("/admin/images/image/", {**form, "post": "yes", **typed}))
        assert "Type “11” to confirm." in page
    assert deleting() == 0
    client.post("/admin/images/image/", {**form, "post": "yes", "typed": "11"})
    assert deleting() == 11


def test_all_that_a_filter_finds(client, boss):
    for number in range(11):
        ImageFactory(visibility="public" if number else "private")
    form = {"action": "delete_with_all_tags", "_selected_action": [Image.objects.first().pk], "select_across": "1"}
    page = client.post("/admin/images/image/?visibility__exact=public", form)
    assert "10 images with" in text_of(page) and '<input type="hidden" name="select_across" value="1">' in text_of(page)
    client.post("/admin/images/image/?visibility__exact=public", {**form, "post": "yes"})
    assert deleting() == 10


@pytest.mark.parametrize("action", ["deactivate", "reset_registry_password"])
def test_accounts(client, boss, action):
    ann = ActivatedAccountFactory(name="Ann")
    version = ann.credential.version
    page = text_of(client.post("/admin/accounts/account/", {"action": action, "_selected_action": [ann.pk]}))
    assert f"<li>{ann}</li>" in page and "at once." in page
    ann = Account.objects.get(pk=ann.pk)
    assert ann.is_active and ann.credential.version == version


def buttons(client, path):
    """The actions that a row's page offers."""
    return re.findall(r'name="action" value="(\w+)"', client.get(path).content.decode())


def test_a_rows_page_offers_its_lists_actions(client, boss):
    ann, tag = ActivatedAccountFactory(name="Ann"), TagFactory()
    token, _secret = access_tokens.create(ann, "ci", can_push=False)
    start = "/admin/accounts/account/"
    assert buttons(client, f"{start}{ann.pk}/change/") == ["deactivate", "reset_registry_password", "sync_groups"]
    assert buttons(client, f"{start}{AccountFactory(is_active=False).pk}/change/") == ["reactivate", "sync_groups"]
    assert buttons(client, f"{start}{boss.pk}/change/") == ["sync_groups"]
    assert buttons(client, f"/admin/images/image/{tag.image.pk}/change/") == ["delete_with_all_tags"]
    assert buttons(client, f"/admin/images/tag/{tag.pk}/change/") == ["delete_tags"]
    path = f"/admin/accounts/accesstoken/{token.pk}/change/"
    assert buttons(client, path) == ["revoke"]
    form = {"action": "revoke", "_selected_action": token.pk, "post": "yes", "name": "ci"}
    client.post("/admin/accounts/accesstoken/", form)
    assert buttons(client, path) == []


@pytest.mark.parametrize(("status", "offered"), [("failed", ["retry"]), ("todo", ["cancel"]), ("succeeded", [])])
def test_a_jobs_page_offers_what_its_state_allows(client, boss, status, offered):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('x', 'y', %s) RETURNING id",
            [status],
        )
        (key,) = cursor.fetchone()
    assert buttons(client, f"/admin/procrastinate/procrastinatejob/{key}/change/") == offered


def test_a_deletion_says_whose_it_is_and_what_follows(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    factor = ann.authenticator_set.create(type="webauthn", data={"name": "Laptop"})
    page = text_of(client.get(f"/admin/mfa/authenticator/{factor.pk}/delete/"))
    assert f"Passkey “Laptop” of {ann}" in page and "no longer confirm a sign-in with it" in page
    identity = ann.socialaccount_set.create(provider="https://sso.example.com", uid="ann@corp")
    page = text_of(client.get(f"/admin/socialaccount/socialaccount/{identity.pk}/delete/"))
    assert f"ann@corp at https://sso.example.com, of {ann}" in page
    assert "no longer sign in with https://sso.example.com" in page


def test_what_was_done_is_said(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    form = {"_selected_action": [ann.pk], "post": "yes"}
    for action, said in (("deactivate", "Deactivated 1 account."), ("reactivate", "Reactivated 1 account.")):
        page = client.post("/admin/accounts/account/", {"action": action, **form}, follow=True)
        assert said in text_of(page)
    tag = TagFactory()
    form = {"action": "delete_tags", "_selected_action": [tag.pk], "post": "yes"}
    assert f"Deleting 1 tag of {tag.image}." in text_of(client.post("/admin/images/tag/", form, follow=True))
