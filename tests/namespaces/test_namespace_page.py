"""The list of namespaces, and a namespace's page."""

import datetime
import re

import pytest
from django.utils import timezone

from console.repositories.models import Image
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db


def names(client, query=""):
    page = text_of(client.get(f"/namespaces/team/{query}"))
    return re.findall(r'class="name"><a href="/images/team/([\w/-]+)/" title=', page)


@pytest.fixture
def images(ann, team):
    """Two of hers in one namespace, one in another, and somebody else's."""
    for name, kind in (("web", "public"), ("api", "private")):
        ImageFactory(namespace=team, name=name, visibility=kind)
    ImageFactory(namespace=NamespaceFactory(owner=ann, name="other"), name="elsewhere")
    ImageFactory(name="somebody-elses")


def test_it_shows_the_images_of_this_namespace(client, images):
    assert names(client, "?sort=name") == ["api", "web"]
    assert names(client, "?q=we") == ["web"]
    assert names(client, "?type=private") == ["api"]
    text = text_of(client.get("/namespaces/team/"))
    assert "2 in total" in text
    assert 'href="/images/-/create/?namespace=team"' in text
    assert 'href="/images/-/storage/team/"' in text
    assert "elsewhere" not in text


def test_a_search_with_very_many_hits_counts_those_of_this_namespace(client, images, monkeypatch):
    monkeypatch.setattr("console.repositories.search._MANY", 0)
    assert "1 in total" in text_of(client.get("/namespaces/team/?q=we"))
    assert "1 in total" in text_of(client.get("/images/?q=we"))


def test_the_list_alone(client, images):
    text = text_of(client.get("/namespaces/team/", headers={**HTMX, "HX-Target": "list"}))
    assert "<html" not in text
    assert 'id="list"' in text


def test_nothing_found_and_nothing_there(client, team):
    assert "No images yet" in text_of(client.get("/namespaces/team/"))
    empty = text_of(client.get("/namespaces/team/?q=zzz"))
    assert "No images match" in empty
    assert '<a class="button" href="/namespaces/team/">Show all</a>' in empty


def test_an_image_that_is_created_from_there_begins_with_this_namespace(client, images):
    assert '<option value="team" selected>' in text_of(client.get("/images/-/create/?namespace=team"))


@pytest.mark.parametrize("verb", ["delete", "visibility"])
def test_what_is_changed_there_leads_back_there(client, images, verb):
    for place in ("/namespaces/team/?sort=name", "/images/?q=web"):
        headers = {**HTMX, "HX-Current-URL": f"http://testserver{place}"}
        response = client.post(f"/images/team/web/-/{verb}/", {"visibility": "public"}, headers=headers)
        assert response["HX-Redirect"] == place
        Image.objects.filter(name="web").update(state="active")


def test_the_list_says_what_is_in_each(client, ann, team):
    pushed = timezone.now() - datetime.timedelta(hours=5)
    for _ in range(2):
        image = ImageFactory(namespace=team)
        Image.objects.filter(pk=image.pk).update(size=1 << 30, pull_count=600, last_push_at=pushed)
    half = ImageFactory(namespace=NamespaceFactory(owner=ann, name="half"))
    Image.objects.filter(pk=half.pk).update(size=1 << 30)
    NamespaceFactory(owner=ann, name="unused")
    rows = text_of(client.get("/namespaces/")).partition("<tbody")[2].split("<tr ")[1:]
    first, second, third = rows
    assert ">half<" in first and 'width="50.00"' in first and "Never" in first
    assert "1,200" in second and "5 hours ago" in second and 'width="100.00"' in second
    assert "It contains 2 images. Delete them first." in second and 'aria-disabled="true"' in second
    assert 'width="0.00"' in third and 'hx-get="/namespaces/unused/-/delete/"' in third
