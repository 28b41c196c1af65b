"""Namespaces of others in the list of namespaces and in the search."""

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from console.access.roles import Role
from console.home import _steps
from console.search.matches import IMAGES, KINDS, PUBLIC, TAGS, find
from console.search.typed import take_apart
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TagFactory,
    TeamFactory,
    TeamMemberFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader():
    return ActivatedAccountFactory(name="Reader")


def rows_of(account):
    client = Client()
    client.force_login(account)
    rows = client.get("/namespaces/").context["rows"]
    return {one.name: (one.mine, one.role_name, one.seen, one.storage, one.may_delete) for one in rows}


def test_each_namespace_has_the_own_role_and_what_one_may_see(reader):
    own, whole, single, ended = [NamespaceFactory(name=name) for name in ("own", "whole", "single", "ended")]
    own.owner = reader
    own.save()
    NamespaceFactory(name="strange")
    for space in (own, whole, single, ended):
        ImageFactory(namespace=space, size=10)
    seen = ImageFactory(namespace=single, size=7)
    team = TeamFactory()
    TeamMemberFactory(team=team, account=reader)
    GrantFactory(namespace=whole, account=reader, role=Role.READER)
    GrantFactory(namespace=whole, account=None, team=team, role=Role.OWNER)
    GrantFactory(namespace=single, account=reader, image=seen, role=Role.MAINTAINER)
    GrantFactory(namespace=ended, account=reader, until=timezone.now() - datetime.timedelta(seconds=1))
    assert rows_of(reader) == {
        "own": (True, "Owner", 1, 10, True),
        "whole": (False, "Owner", 1, 10, True),
        "single": (False, "", 1, 7, False),
    }


def test_the_page_says_whose_it_is_and_why_it_cannot_be_deleted(reader):
    space = NamespaceFactory(owner=ActivatedAccountFactory(name="Olga Owner"))
    GrantFactory(namespace=space, account=reader, role=Role.MAINTAINER)
    client = Client()
    client.force_login(reader)
    text = client.get("/namespaces/").content.decode()
    assert "of Olga Owner" in text
    assert "Maintainer" in text
    assert "Only an owner of the namespace can delete it." in text
    assert f"/namespaces/{space.name}/delete/" not in text


def test_first_steps_count_only_what_one_owns(reader):
    image = ImageFactory(tag_count=1)
    GrantFactory(namespace=image.namespace, account=reader)
    ((named, _used, _logged_in, pushed, _token),) = _steps(reader.pk)
    assert (named, pushed) == (False, False)


@pytest.mark.parametrize("on_image", [True, False])
def test_the_search_finds_what_is_shared_among_ones_images(reader, on_image):
    image = ImageFactory(name="gateway", description="Routes parcels.", visibility="public")
    other = ImageFactory(namespace=image.namespace, name="gateway-2", description="Routes parcels.")
    TagFactory(image=image, name="parcels-1")
    GrantFactory(namespace=image.namespace, account=reader, image=image if on_image else None)
    for text in ("gateway", "parcels"):
        found = find(reader, take_apart(text), KINDS)
        assert {one.key for one in found[IMAGES]} == ({image.pk} if on_image else {image.pk, other.pk})
        assert found[PUBLIC] == []
    assert [one.tag for one in found[TAGS]] == ["parcels-1"]


def test_the_search_does_not_find_what_was_shared_until_now(reader):
    image = ImageFactory(name="gateway", description="Routes parcels.", visibility="public")
    until = timezone.now() - datetime.timedelta(seconds=1)
    GrantFactory(namespace=image.namespace, account=reader, until=until)
    for text in ("gateway", "parcels"):
        found = find(reader, take_apart(text), KINDS)
        assert found[IMAGES] == []
        assert [one.key for one in found[PUBLIC]] == [image.pk]
