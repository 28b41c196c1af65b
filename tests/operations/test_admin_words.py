"""The administration speaks the product's words, not those of Django."""

import pytest
from django.db import connection
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from console.accounts.models import Account
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('index', 'dockerhub.refresh')")
    return ProcrastinateJob.objects.get()


def save(client, account, **changes):
    form = {"name": account.name, "email": account.email or "", "is_active": "on", **changes}
    return client.post(f"/admin/accounts/account/{account.pk}/change/", form, follow=True)


def test_the_history_of_a_row(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    history = f"/admin/accounts/account/{ann.pk}/history/"
    assert "No administrator has changed this here." in text_of(client.get(history))
    save(client, ann, name="Anna", image_quota="7")
    save(client, Account.objects.get(pk=ann.pk), image_quota="7")
    page = text_of(client.get(history))
    assert "<h1>History</h1>" in page and "Anna" in page
    assert "<td>Changed: Name, Images allowed</td>" in page
    assert "<td>Saved without changes</td>" in page
    assert f"<td>{boss}</td>" in page and '<time datetime="' in page
    assert reverse("admin:audit_auditevent_changelist") in page.split("<main", 1)[1]


def test_a_created_row_in_its_history(client, boss):
    owner = ActivatedAccountFactory()
    page = client.post("/admin/namespaces/namespace/add/", {"name": "made", "owner": owner.pk}, follow=True)
    assert "Created the namespace “made”." in text_of(page)
    (namespace,) = owner.namespaces.all()
    page = text_of(client.get(f"/admin/namespaces/namespace/{namespace.pk}/history/"))
    assert "<td>Created</td>" in page


def test_a_job_has_its_name_everywhere(client, boss, job):
    for page in ("", "change/", "history/"):
        text = text_of(client.get(f"/admin/procrastinate/procrastinatejob/{f'{job.pk}/{page}' if page else ''}"))
        assert "Refresh the Docker Hub catalogue" in text.split("<main", 1)[1], page
        assert f"dockerhub.refresh[{job.pk}]" not in text, page


def test_what_was_done_is_said(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    assert f"Saved the account “{ann}”." in text_of(save(client, ann))
    passwords = {"password1": "a good password 1", "password2": "a good password 1"}
    form = {"name": "Ben", "email": "", "usable_password": "true", **passwords}
    page = client.post("/admin/accounts/account/add/", form, follow=True)
    ben = Account.objects.get(name="Ben")
    assert page.redirect_chain[-1][0] == f"/admin/accounts/account/{ben.pk}/change/"
    assert f"Created the account “{ben}”." in text_of(page)
    factor = ann.authenticator_set.create(type="webauthn", data={"name": "key"})
    page = client.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"}, follow=True)
    assert "Deleted the second factor “" in text_of(page)


def test_pages_of_console_passwords(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    path = f"/admin/accounts/account/{ann.pk}/password/"
    page = text_of(client.get(path))
    assert "<h1>Change console password</h1>" in page and "Delete password" in page
    shown = page.split("<main", 1)[1].replace('autocomplete="username"', "")
    assert "uthentication" not in page and "user" not in shown
    client.post(path, {"usable_password": "false", "unset-password": "x"})
    assert not Account.objects.get(pk=ann.pk).has_usable_password()
    page = text_of(client.get(path))
    assert "<h1>Set console password</h1>" in page and 'value="Set password"' in page
    page = text_of(client.get("/admin/accounts/account/add/"))
    assert "uthentication" not in page and "edit more user options" not in page
    assert "<h1>Create account</h1>" in page and 'value="Create"' in page


def test_what_a_search_found_is_cleared(client, boss):
    ImageFactory(name="app")
    page = text_of(client.get("/admin/images/image/?q=app"))
    assert "1 result" in page and "Show all" not in page
    # Images are not counted without a search, which says nothing of what was found.
    assert "1 result" not in text_of(client.get("/admin/images/image/"))


def test_an_accounts_form_in_words(client, boss):
    page = text_of(client.get(f"/admin/accounts/account/{ActivatedAccountFactory().pk}/change/"))
    for words in ("Superuser", "Has all permissions in the administration.", "Last sign-in"):
        assert words in page
    assert "Superuser status" not in page and "Last login" not in page and "Name:" not in page


def test_each_page_says_where_it_is(client, boss):
    ann = ActivatedAccountFactory(name="Ann")
    start = f"/admin/accounts/account/{ann.pk}/"
    pages = {"/admin/accounts/account/": "Accounts", f"{start}change/": str(ann), f"{start}history/": "History"}
    for path, name in pages.items():
        assert f'<li><span aria-current="page">{name}</span></li>' in text_of(client.get(path)), path


def test_forms_have_one_button_and_those_without_a_field_none(client, boss):
    namespace = NamespaceFactory()
    page = text_of(client.get(f"/admin/namespaces/namespace/{namespace.pk}/change/"))
    assert page.count('type="submit" value="Transfer…"') == 1 and ">Cancel</a>" in page
    image = ImageFactory(namespace=namespace)
    page = text_of(client.get(f"/admin/images/image/{image.pk}/change/"))
    assert 'value="Save"' not in page and ">Close</a>" in page
