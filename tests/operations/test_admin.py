"""The administration."""

import re

import pytest
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts.models import Account
from console.audit.models import AuditEvent
from console.audit.services import record
from console.namespaces.models import Namespace
from console.repositories.models import Image, Tag
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    account = AccountFactory(is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def messages(response):
    return [str(message) for message in response.context["messages"]]


PAGES = [
    "", "accounts/account/", "accounts/account/add/", "namespaces/namespace/", "namespaces/namespace/add/",
    "namespaces/namespacehold/", "images/image/", "images/tag/", "images/imagedeletion/", "images/copy/",
    "images/workfailure/",
    "indexing/reconcile/", "indexing/unusableevents/", "audit/auditevent/", "procrastinate/procrastinatejob/",
    "dockerhub/catalogue/", "dockerhub/officialimage/",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_pages_open_for_administrators_only(client, page):
    TagFactory()
    record("x.y", "z")
    assert client.get(f"/admin/{page}").status_code == 302
    client.force_login(ActivatedAccountFactory())
    assert client.get(f"/admin/{page}").status_code == 302
    client.force_login(AccountFactory(is_staff=True, is_superuser=True))
    assert client.get(f"/admin/{page}").status_code == 200


class TestAccounts:
    def test_create(self, client, boss):
        form = {"name": "Ann", "email": "", "usable_password": "true"}
        passwords = {"password1": "a good password 1", "password2": "a good password 1"}
        response = client.post("/admin/accounts/account/add/", {**form, **passwords}, follow=True)
        account = Account.objects.get(name="Ann")
        assert f"Account ID: {account.account_id}" in messages(response)
        assert AuditEvent.objects.get(action="account.create", target=account.account_id).actor == boss.account_id

    def change(self, client, account, **changes):
        page = f"/admin/accounts/account/{account.pk}/change/"
        form = {"name": account.name, "email": account.email or "", "is_active": "on", **changes}
        return client.post(page, {name: value for name, value in form.items() if value is not None})

    def test_deactivate_in_the_form_ends_refresh_tokens_too(self, client, boss):
        account = ActivatedAccountFactory()
        version = account.credential.version
        assert self.change(client, account, is_active=None).status_code == 302
        account = Account.objects.get(pk=account.pk)
        assert not account.is_active
        assert account.credential.version == version + 1
        assert self.change(client, account).status_code == 302
        assert Account.objects.get(pk=account.pk).is_active

    def test_quotas(self, client, boss):
        account = ActivatedAccountFactory()
        self.change(client, account, namespace_quota="3", image_quota="4", tag_quota="0")
        account.refresh_from_db()
        assert (account.namespace_quota, account.image_quota, account.tag_quota) == (3, 4, 0)

    def act(self, client, action, *accounts):
        return client.post(
            "/admin/accounts/account/",
            {"action": action, "_selected_action": [account.pk for account in accounts], "post": "yes"},
            follow=True,
        )

    def test_actions(self, client, boss):
        account = ActivatedAccountFactory()
        self.act(client, "deactivate", account, boss)
        assert not Account.objects.get(pk=account.pk).is_active
        assert Account.objects.get(pk=boss.pk).is_active, "nobody locks themselves out"
        self.act(client, "reactivate", account)
        assert Account.objects.get(pk=account.pk).is_active

    def test_reset_registry_password(self, client, boss):
        account, other = ActivatedAccountFactory(), AccountFactory()
        response = self.act(client, "reset_registry_password", account, other)
        shown = "\n".join(messages(response))
        password = re.search(r"New registry password of .*: (\S+)", shown)[1]
        assert Account.objects.get(pk=account.pk).credential.check_password(password)
        assert "Activate the service first." in shown
        assert password not in str(AuditEvent.objects.values_list("detail", flat=True))

    def test_nobody_is_deleted(self, client, boss):
        account = AccountFactory()
        assert client.post(f"/admin/accounts/account/{account.pk}/delete/", {"post": "yes"}).status_code == 403
        self.act(client, "delete_selected", account)
        assert Account.objects.filter(pk=account.pk).exists()

    def test_staff_cannot_make_themselves_more(self, client):
        from django.contrib.auth.models import Permission

        staff = AccountFactory(is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
        client.force_login(staff)
        self.change(client, staff, is_superuser="on")
        assert not Account.objects.get(pk=staff.pk).is_superuser
        boss = AccountFactory(is_staff=True, is_superuser=True)
        assert self.change(client, boss, name="Mallory").status_code == 403


class TestNamespaces:
    def test_create(self, client, boss):
        owner = ActivatedAccountFactory()
        assert client.post("/admin/namespaces/namespace/add/", {"name": "made", "owner": owner.pk}).status_code == 302
        assert Namespace.objects.get().owner == owner
        response = client.post("/admin/namespaces/namespace/add/", {"name": "made", "owner": boss.pk})
        assert "already in use by another user" in response.content.decode()
        response = client.post("/admin/namespaces/namespace/add/", {"name": "No Name", "owner": boss.pk})
        assert response.status_code == 200

    def test_transfer(self, client, boss):
        namespace, new = NamespaceFactory(), ActivatedAccountFactory()
        page = f"/admin/namespaces/namespace/{namespace.pk}/change/"
        assert client.get(page).status_code == 200
        assert client.post(page, {"transfer_to": ""}).status_code == 302
        ImageFactory(namespace=namespace)
        question = text_of(client.post(page, {"transfer_to": new.pk}))
        assert "<h1>Transfer namespace</h1>" in question and f"to <strong>{new}</strong>?" in question
        assert "<dt>Images</dt> <dd>1</dd>" in question
        # Without script, the Account ID is typed beside a list that is empty.
        typed = text_of(client.post(page, {"transfer_to": ["", new.account_id]}))
        assert f"to <strong>{new}</strong>?" in typed and "<noscript><input" in text_of(client.get(page))
        assert not Namespace.objects.get().in_transfer
        assert client.post(page, {"transfer_to": new.pk, "post": "yes"}).status_code == 302
        assert Namespace.objects.get().new_owner == new
        response = client.post(page, {"transfer_to": namespace.owner.pk, "post": "yes"})
        assert "already owned by" in response.content.decode()

    def test_deletion_is_the_owners(self, client, boss):
        namespace = NamespaceFactory()
        assert client.post(f"/admin/namespaces/namespace/{namespace.pk}/delete/", {"post": "yes"}).status_code == 403


class TestImages:
    def test_delete_through_the_same_job(self, client, boss):
        image = ImageFactory()
        client.post(
            "/admin/images/image/", {"action": "delete_with_all_tags", "_selected_action": [image.pk], "post": "yes"}
        )
        image.refresh_from_db()
        assert image.state == Image.State.DELETING
        assert ProcrastinateJob.objects.get().task_name == "images.delete_image"
        assert AuditEvent.objects.get(action="image.delete").actor == boss.account_id

    def test_delete_tags_through_the_same_job(self, client, boss):
        tag = TagFactory()
        client.post("/admin/images/tag/", {"action": "delete_tags", "_selected_action": [tag.pk], "post": "yes"})
        tag.refresh_from_db()
        assert tag.state == Tag.State.DELETING
        job = ProcrastinateJob.objects.get()
        assert (job.task_name, job.args) == ("images.delete_tags", {"image_id": tag.image_id})

    def test_rows_cannot_be_edited_or_dropped(self, client, boss):
        image = ImageFactory(name="app")
        page = f"/admin/images/image/{image.pk}/"
        assert client.get(f"{page}change/").status_code == 200
        client.post(f"{page}change/", {"name": "other", "visibility": "public"})
        image.refresh_from_db()
        assert (image.name, image.visibility) == ("app", "private")
        assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 403


def test_a_job_that_runs_is_not_started_a_second_time(client, boss):
    with connection.cursor() as cursor:
        for status in ("doing", "failed"):
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('x', %s, %s)", [status, status]
            )
    ticked = list(ProcrastinateJob.objects.values_list("pk", flat=True))
    client.post("/admin/procrastinate/procrastinatejob/", {"action": "retry", "_selected_action": ticked})
    found = dict(ProcrastinateJob.objects.values_list("task_name", "status"))
    assert found == {"doing": "doing", "failed": "todo"}


def test_the_audit_trail_is_read_only(client, boss):
    event = record("x.y", "z")
    page = f"/admin/audit/auditevent/{event.pk}"
    assert client.get(f"{page}/change/").status_code == 200
    assert client.post(f"{page}/change/", {"actor": "x"}).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/audit/auditevent/add/").status_code == 403
