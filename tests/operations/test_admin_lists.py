"""Lists and forms of the administration: what they show is for people."""

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from console.repositories import failures
from console.repositories.models import Image
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    account = AccountFactory(name="Boss", is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def cells(page, column):
    """The cells of a column, as HTML."""
    return [part.split("</td>")[0] for part in text_of(page).split(f'<td class="field-{column}">')[1:]]


def test_sizes_times_numbers_and_links(client, boss):
    image = ImageFactory()
    Image.objects.filter(pk=image.pk).update(size=3 * 2**29, pull_count=12345)
    page = client.get("/admin/images/image/")
    assert cells(page, "size") == ['<span class="number">1.5 GiB</span>']
    assert cells(page, "pull_count") == ['<span class="number">12,345</span>']
    assert cells(page, "last_push_at") == ["–"]
    assert '<time datetime="' in cells(page, "created_at")[0]
    owner = image.namespace.owner
    assert cells(page, "owner") == [f'<a href="/admin/accounts/account/{owner.pk}/change/">{owner}</a>']


def test_sorting_by_a_column(client, boss):
    for size in (5, 7, 6):
        Image.objects.filter(pk=ImageFactory().pk).update(size=size)
    shown = [image.size for image in client.get("/admin/images/image/?o=-6").context["cl"].result_list]
    assert shown == [7, 6, 5]


def test_the_page_of_an_image(client, boss):
    image = ImageFactory()
    Image.objects.filter(pk=image.pk).update(size=2**20)
    page = text_of(client.get(f"/admin/images/image/{image.pk}/change/"))
    assert "1.0 MiB" in page
    assert f"{image.created_at:%Y-%m-%d %H:%M} UTC" in page


def test_storage_of_a_namespace(client, boss):
    image = ImageFactory()
    ImageFactory(namespace=image.namespace)
    Image.objects.update(size=2**20)
    page = client.get("/admin/namespaces/namespace/")
    assert cells(page, "storage") == ['<span class="number">2.0 MiB</span>']
    assert cells(page, "image_count") == ['<span class="number">2</span>']


def test_a_tags_digest_is_short(client, boss):
    tag = TagFactory()
    (cell,) = cells(client.get("/admin/images/tag/"), "digest")
    assert f">{tag.manifest.digest.partition(':')[2][:12]}<" in cell


def test_a_job_in_words(client, boss):
    image = ImageFactory()
    form = {"action": "delete_with_all_tags", "_selected_action": [image.pk]}
    client.post("/admin/images/image/", form)
    job = ProcrastinateJob.objects.get()
    page = client.get("/admin/procrastinate/procrastinatejob/")
    assert cells(page, "subject") == [image.repository]
    assert "Delete an image" in text_of(page) and '<span class="badge ">Waiting</span>' in cells(page, "state")[0]
    assert "&quot;image_id&quot;" not in text_of(page)
    assert "&quot;image_id&quot;" in text_of(client.get(f"/admin/procrastinate/procrastinatejob/{job.pk}/change/"))
    assert cells(client.get("/admin/procrastinate/procrastinatejob/?status=failed"), "state") == []
    assert cells(client.get("/admin/procrastinate/procrastinatejob/?queue_name=index"), "state") == []


def test_problems_are_filtered_by_whether_they_were_given_up(client, boss):
    failures.give_up(failures.Kind.RELEASE, "freed", sentence="It stays held.")
    assert "It stays held." in text_of(client.get("/admin/images/workfailure/?given_up_at__isempty=0"))
    page = text_of(client.get("/admin/images/workfailure/?given_up_at__isempty=1"))
    assert "It stays held." not in page and "Not empty" not in page
    assert "Nothing matches the search and filters." in page


def test_nothing_of_a_password_is_shown(client, boss):
    account = ActivatedAccountFactory()
    page = text_of(client.get(f"/admin/accounts/account/{account.pk}/change/"))
    assert "argon2" not in page and "salt" not in page
    assert "<strong>Set</strong>" in page
    account.set_unusable_password()
    account.save()
    assert "the account signs in otherwise" in text_of(client.get(f"/admin/accounts/account/{account.pk}/change/"))


def test_the_questions_before_a_deletion(client, boss):
    factor = AccountFactory().authenticator_set.create(type="webauthn", data={"name": "key"})
    page = text_of(client.get(f"/admin/mfa/authenticator/{factor.pk}/delete/"))
    assert "<h1>Delete second factor</h1>" in page
    form = {"action": "delete_selected", "_selected_action": [factor.pk]}
    page = text_of(client.post("/admin/mfa/authenticator/", form))
    assert "<h1>Delete second factors</h1>" in page and f'value="{factor.pk}"' in page
    client.post("/admin/mfa/authenticator/", {**form, "post": "yes"})
    assert not type(factor).objects.exists()
