"""What one has a star on, in one list."""

import re

import pytest
from django.utils import timezone

from console.official_images.models import OfficialImage
from console.repositories.models import Image
from console.repositories.services import set_visibility
from console.stars.models import Star
from console.stars.services import set_star
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def public(ann):
    return ImageFactory(
        namespace=NamespaceFactory(name="shop"),
        name="web",
        visibility="public",
        description="The *shop*",
        pull_count=77,
    )


@pytest.fixture
def own(team):
    return ImageFactory(namespace=team, name="app")


@pytest.fixture
def official():
    return OfficialImage.objects.create(name="debian", description="The universal one.", stars=5000, pulls=4321)


@pytest.fixture
def all_kinds(ann, public, own, official):
    for target in (public, own, official):
        set_star(ann, target, True)
    set_star(ActivatedAccountFactory(), ImageFactory(visibility="public"), True)  # somebody else's star


def names(client, query=""):
    return re.findall(r'class="name"><a href="[^"]+" title="([^"]+)"', text_of(client.get(f"/favorites/{query}")))


def test_all_kinds_in_one_list(client, all_kinds):
    assert names(client) == ["debian", "team/app", "shop/web"]  # the last starred first
    text = text_of(client.get("/favorites/"))
    for shown in (
        'href="/docker-hub/debian/"', 'href="/images/team/app/"', 'href="/public-images/shop/web/"', "3 in total",
        "The universal one.", "4,321", "The shop", "77", "Official", "Mine",
    ):  # fmt: skip
        assert shown in text, shown
    assert text.count('aria-pressed="true"') == 3
    assert "5,000" not in text  # Docker Hub's stars are not those given here


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?kind=official", ["debian"]),
        ("?kind=public", ["shop/web"]),
        ("?kind=own", ["team/app"]),
        ("?kind=other", ["debian", "team/app", "shop/web"]),
        ("?q=EB", ["debian", "shop/web"]),
        ("?q=shop+web", ["shop/web"]),
        ("?q=eb&kind=official", ["debian"]),
        ("?q=zzz", []),
        ("?q=%25", []),
        ("?sort=name", ["debian", "shop/web", "team/app"]),
        ("?sort=-name", ["team/app", "shop/web", "debian"]),
        ("?sort=starred", ["shop/web", "team/app", "debian"]),
    ],
)
def test_filter_search_sort(client, all_kinds, query, found):
    assert names(client, query) == found


def test_ones_own_public_image_is_ones_own(client, ann, own):
    Image.objects.update(visibility="public")
    set_star(ann, own, True)
    assert names(client, "?kind=own") == ["team/app"]
    assert names(client, "?kind=public") == []


def test_nothing(client, ann, public):
    assert "No favorites yet" in text_of(client.get("/favorites/"))
    assert "No favorites match" in text_of(client.get("/favorites/?kind=own"))


def test_an_image_that_becomes_private_goes(client, ann, all_kinds, public):
    set_visibility(public.namespace.owner, public, "private")
    assert names(client) == ["debian", "team/app"]
    assert "shop/web" not in text_of(client.get("/favorites/"))


def test_what_may_not_be_seen_is_not_shown(client, all_kinds, public):
    """Even if its star were there."""
    Star.objects.filter(image=public).delete()
    Image.objects.filter(pk=public.pk).update(visibility="private")
    Star.objects.create(account=Image.objects.get(name="app").owner, image=public)
    assert names(client) == ["debian", "team/app"]


def test_an_image_that_is_being_deleted(client, all_kinds):
    """Of one's own it shows until it is gone; somebody else's cannot be pulled any more."""
    Image.objects.update(state="deleting", changed_at=timezone.now())
    assert names(client) == ["debian", "team/app"]


def test_pages(client, ann, public):
    for number in range(25):
        set_star(ann, OfficialImage.objects.create(name=f"image{number:02}"), True)
    assert names(client, "?size=10&page=3&sort=name") == [f"image{number}" for number in range(20, 25)]
