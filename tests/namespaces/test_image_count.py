"""The number of a namespace's images, which database triggers keep."""

import pytest
from django.db import connection

from console.namespaces.models import Namespace
from console.repositories import quotas, services, totals, versions
from console.repositories.models import Image
from tests.support.concurrency import all_at_once
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = pytest.mark.django_db


def counts():
    """The stored number of each namespace, which must be that of its images."""
    found = {namespace.name: namespace.image_count for namespace in Namespace.objects.all()}
    assert found == {namespace.name: namespace.images.count() for namespace in Namespace.objects.all()}
    return found


@pytest.fixture
def two():
    owner = ActivatedAccountFactory()
    return NamespaceFactory(name="one", owner=owner), NamespaceFactory(name="two", owner=owner)


def test_created_deleted_and_moved(two):
    one, other = two
    first, second = ImageFactory(namespace=one), ImageFactory(namespace=one)
    ImageFactory(namespace=other)
    assert counts() == {"one": 2, "two": 1}
    Image.objects.filter(pk=second.pk).update(namespace=other)
    assert counts() == {"one": 1, "two": 2}
    first.delete()
    assert counts() == {"one": 0, "two": 2}
    Image.objects.all().delete()
    assert counts() == {"one": 0, "two": 0}


def test_many_in_one_statement(two):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO images_image (namespace_id, name, visibility, description, state, created_at, tag_count,
                attachment_count, size, pull_count, star_count, changed_at)
            SELECT CASE n %% 2 WHEN 0 THEN %s ELSE %s END, 'image' || n, 'private', '', 'active', now(), 0,
                0, 0, 0, 0, now()
            FROM generate_series(1, 9) AS n
            """,
            [namespace.pk for namespace in two],
        )
    assert counts() == {"one": 4, "two": 5}


def test_a_wrong_number_is_corrected(two):
    one, other = two
    ImageFactory(namespace=one)
    assert totals.correct_image_counts() == 0
    Namespace.objects.filter(pk=one.pk).update(image_count=0)
    Namespace.objects.filter(pk=other.pk).update(image_count=7)
    assert totals.correct_image_counts() == 2
    assert counts() == {"one": 1, "two": 0}


def test_quota_and_list_know_it(two, django_assert_num_queries):
    one, other = two
    for namespace in (one, one, other):
        ImageFactory(namespace=namespace)
    ImageFactory()
    with django_assert_num_queries(1):
        assert quotas.quota(one.owner).images_used == 3
    assert versions.overview(one.owner).images == 3


@pytest.mark.django_db(transaction=True)
def test_at_the_same_moment():
    """Of creations in one namespace each waits for the one before; none is counted twice or not at all."""
    namespaces = [NamespaceFactory(name=f"name{number}", owner=ActivatedAccountFactory()) for number in range(2)]

    def create(number):
        for step in range(5):
            namespace = namespaces[number % 2]
            services.create_image(namespace.owner, namespace, f"image-{number}-{step}")

    assert not all_at_once(*(lambda number=number: create(number) for number in range(4)))
    assert counts() == {"name0": 10, "name1": 10}
