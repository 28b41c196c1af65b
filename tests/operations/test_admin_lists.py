"""Lists and forms of the administration: what they show is for people."""

import re

import pytest
from django.core.paginator import Paginator
from procrastinate.contrib.django.models import ProcrastinateJob

from console.official_images.models import OfficialImage
from console.repositories import failures
from console.repositories.models import Image
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, TagFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


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


def test_numbers_of_a_rows_page_are_grouped(client, boss):
    official = OfficialImage.objects.create(name="postgres", pulls=10**9, stars=12345, tags_total=4000)
    page = text_of(client.get(f"/admin/dockerhub/officialimage/{official.pk}/change/"))
    for count in ("1,000,000,000", "12,345", "4,000"):
        assert f'<span class="number">{count}</span>' in page
    assert "1000000000" not in page


def test_a_no_is_no_alarm(client, boss):
    ActivatedAccountFactory(name="Ann")
    page = client.get("/admin/accounts/account/?o=2")
    no, yes = '<span class="muted">No</span>', "Yes"
    assert cells(page, "is_staff") == [no, yes]
    assert cells(page, "service_activated")[1] == no
    activated = cells(page, "service_activated")[0]
    assert activated.startswith('<span class="good"><svg') and activated.endswith("Yes</span>")
    ann = AccountFactory(is_active=False)
    official = OfficialImage.objects.create(name="postgres", listed=False)
    paths = (f"accounts/account/{ann.pk}", f"dockerhub/officialimage/{official.pk}")
    pages = [text_of(client.get(f"/admin/{path}/change/")) for path in paths]
    assert all(no in page for page in pages)
    assert not [page for page in (text_of(page), *pages) if "icon-no" in page or "icon-yes" in page]


def test_long_names_may_break_after_their_separators_and_are_whole_on_hover(client, boss):
    image = ImageFactory(name="part-" * 20 + "end")
    tag = TagFactory(image=image)
    broken = "part-<wbr>" * 20 + "end"
    for path in ("images/image/", "images/tag/", f"images/image/{image.pk}/change/", f"images/tag/{tag.pk}/change/"):
        page = client.get(f"/admin/{path}").content.decode()
        assert broken in page, path
        assert re.search(r'<span class="cut" title="[^"]*part-part-[^"]*end"', page), path


def test_the_number_of_rows_is_grouped(client, boss, monkeypatch):
    monkeypatch.setattr(Paginator, "count", 12345)
    page = text_of(client.get("/admin/images/image/"))
    assert "12,345 images" in page and "12345" not in page
    assert "12,345 results" in text_of(client.get("/admin/images/image/?q=a"))


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
    assert f'<time datetime="{image.created_at:%Y-%m-%dT%H:%M:%S}+00:00"' in page


def test_storage_of_a_namespace(client, boss):
    image = ImageFactory()
    ImageFactory(namespace=image.namespace)
    Image.objects.update(size=2**20)
    page = client.get("/admin/namespaces/namespace/")
    assert cells(page, "storage") == ['<span class="number">2.0 MiB</span>']
    assert cells(page, "images") == ['<span class="number">2</span>']


def test_a_tags_digest_is_short(client, boss):
    tag = TagFactory()
    (cell,) = cells(client.get("/admin/images/tag/"), "digest")
    assert f">{tag.manifest.digest.partition(':')[2][:12]}<" in cell


def test_a_job_in_words(client, boss):
    image = ImageFactory()
    form = {"action": "delete_with_all_tags", "_selected_action": [image.pk], "post": "yes"}
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
