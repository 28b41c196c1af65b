"""My Images shows what one owns and what is shared, in every order, as a plain sort has it."""

import datetime
import itertools
import random

import pytest
from django.utils import timezone

from console.access.roles import Role
from console.membership.models import Grant
from console.repositories import merge, search, versions
from console.repositories.models import Image
from console.repositories.reach import MINE, SHARED, reach_of
from tests.support.factories import (
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamMemberFactory,
)
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db
NOW = timezone.now()
PAST, FUTURE = NOW - datetime.timedelta(days=1), NOW + datetime.timedelta(days=1)
COLUMNS = {
    "name": lambda image: image.name,
    "type": lambda image: image.visibility,
    "namespace": lambda image: image.full_name.partition("/")[0],
    "tags": lambda image: image.tag_count,
    "size": lambda image: image.size,
    "pushed": lambda image: image.last_push_at or PAST - datetime.timedelta(days=9999),
    "created": lambda image: image.created_at,
}


def fill(namespace, count, chance):
    for number in range(count):
        image = ImageFactory(
            namespace=namespace,
            name=f"{chance.choice('abc')}{chance.randrange(9)}-{number}",
            visibility=chance.choice(Image.Visibility.values),
        )
        pushed = chance.choice([None, NOW, PAST])
        Image.objects.filter(pk=image.pk).update(
            tag_count=chance.randrange(3), size=chance.randrange(3), last_push_at=pushed
        )


@pytest.fixture
def reader():
    return ActivatedAccountFactory(name="Rita")


@pytest.fixture
def world(reader):
    """Namespaces with images: one's own; shared by a grant, through a team, on one image; expired; not shared."""
    chance = random.Random(7)
    names = ("own", "by-grant", "by-team", "one-image", "expired", "not-shared", "second-own")
    owners = {"own": reader, "second-own": reader}
    same = AccountFactory(name="Olga")
    made = {}
    for name in names:
        owner = owners.get(name) or (same if name in {"by-grant", "not-shared"} else AccountFactory())
        made[name] = NamespaceFactory(owner=owner, name=name)
        fill(made[name], 7, chance)
    GrantFactory(namespace=made["by-grant"], account=reader, role=Role.MAINTAINER)
    team = TeamMemberFactory(account=reader).team
    GrantFactory(namespace=made["by-team"], account=None, team=team, role=Role.READER, until=FUTURE)
    for image in made["one-image"].images.all()[:2]:
        GrantFactory(namespace=made["one-image"], account=reader, image=image, role=Role.WRITER)
    GrantFactory(namespace=made["expired"], account=reader, role=Role.OWNER, until=PAST)
    return made


def test_the_reach_is_what_one_may_see(reader, world):
    reach = reach_of(reader)
    expected = set(Image.objects.visible_to(reader).values_list("full_name", flat=True))
    assert set(reach.images.values_list("full_name", flat=True)) == expected
    assert reach.image_count == len(expected) == 7 * 4 + 2
    assert [place.name for place in reach.places] == ["by-grant", "by-team", "one-image", "own", "second-own"]
    for which, shown in ((MINE, Image.objects.owned_by(reader)), (SHARED, Image.objects.shared_with(reader))):
        assert set(reach.only(which).images) == set(shown)
    for image in Image.objects.visible_to(reader).select_related("namespace"):
        assert reach.role_on(image.full_name, image.pk) == image.role_of(reader.pk)


@pytest.mark.parametrize("merged", [merge.MERGED, 0], ids=["merged", "sorted"])
@pytest.mark.parametrize(("sort", "down"), list(itertools.product(search.SORTS, (False, True))))
def test_every_page_of_every_order(reader, world, monkeypatch, sort, down, merged):
    monkeypatch.setattr(merge, "MERGED", merged)
    images = list(Image.objects.visible_to(reader))
    images.sort(key=lambda image: (COLUMNS[sort](image), image.pk), reverse=down)
    expected = [image.pk for image in images]
    name, reach = f"-{sort}" if down else sort, reach_of(reader)
    for start in range(0, len(images), 4):
        end = min(start + 4, len(images))
        assert merge.keys_of_page(reach, name, start, end) == expected[start:end]
        backwards = merge.keys_of_page(reach, name, len(images) - end, len(images) - start, True)
        assert backwards == expected[start:end][::-1]
    private = [image.pk for image in images if image.visibility == "private"]
    assert merge.keys_of_page(reach, name, 0, len(private), kind="private") == private


def listed(client, **query):
    response = client.get("/images/", {"size": 100, **query})
    assert response.status_code == 200
    return response, [row.full_name for row in response.context["rows"]]


def names(images):
    return sorted(images.values_list("full_name", flat=True))


def test_the_list_and_its_filters(client, reader, world):
    client.force_login(reader)
    visible = Image.objects.visible_to(reader)
    response, shown = listed(client)
    assert sorted(shown) == names(visible)
    assert response.context["rows"].paginator.count == len(shown)
    assert sorted(listed(client, shared="mine")[1]) == names(visible.filter(owner=reader))
    assert sorted(listed(client, shared="with-me")[1]) == names(visible.exclude(owner=reader))
    assert sorted(listed(client, type="private")[1]) == names(visible.filter(visibility="private"))
    assert sorted(listed(client, namespace="by-team")[1]) == names(world["by-team"].images)
    assert sorted(listed(client, namespace="one-image")[1]) == names(visible.filter(namespace=world["one-image"]))
    assert sorted(listed(client, q="a")[1]) == names(visible.filter(full_name__contains="a"))
    assert listed(client, namespace="not-shared")[1] == []
    assert listed(client, shared="nonsense")[1] == shown
    # Only what is one's own counts towards the quota.
    assert "14 of 500 images used" in text_of(response)


def test_the_page_of_a_namespace_has_its_images_alone(client, reader, world):
    client.force_login(reader)
    for name in ("own", "by-team"):
        response = client.get(f"/namespaces/{name}/", {"size": 100})
        assert sorted(row.full_name for row in response.context["rows"]) == names(world[name].images)


def test_the_page_of_a_namespace_with_one_shared_image(client, reader, world):
    client.force_login(reader)
    response = client.get("/namespaces/one-image/")
    assert sorted(row.full_name for row in response.context["rows"]) == names(
        Image.objects.visible_to(reader).filter(namespace=world["one-image"])
    )
    assert client.get("/namespaces/not-shared/").status_code == 404
    assert client.get("/namespaces/expired/").status_code == 404


def test_a_row_says_by_whom_it_is_shared_and_offers_what_one_may_do(client, reader, world):
    client.force_login(reader)
    response, _shown = listed(client, namespace="by-grant")
    text = text_of(response)
    assert "Shared by Olga · Maintainer" in text
    image = world["by-grant"].images.first()
    assert f"/images/{image.full_name}/-/delete/" in text
    assert f'name="image" value="{image.pk}"' in text
    response, _shown = listed(client, namespace="by-team")
    text = text_of(response)
    assert "· Reader" in text
    image = world["by-team"].images.first()
    assert f"/images/{image.full_name}/-/delete/" not in text
    assert f"/images/{image.full_name}/-/visibility/" not in text
    assert f'name="image" value="{image.pk}"' not in text
    response, _shown = listed(client, shared="mine")
    assert "Shared by" not in text_of(response)


def test_the_version_changes_with_shared_images_and_roles(reader, world):
    seen = [versions.list_version(reader)]

    def changed():
        seen.append(versions.list_version(reader))
        return seen[-1] != seen[-2]

    assert not changed()
    image = world["by-team"].images.first()
    image.changed_at = timezone.now()
    image.save()
    assert changed()
    grant = GrantFactory(namespace=world["not-shared"], account=reader)
    assert changed()
    Grant.objects.filter(pk=grant.pk).update(role=Role.WRITER)
    assert changed()
    Grant.objects.filter(pk=grant.pk).update(until=PAST)
    assert changed()
    hidden = world["expired"].images.first()
    hidden.changed_at = timezone.now()
    hidden.save()
    assert not changed()
