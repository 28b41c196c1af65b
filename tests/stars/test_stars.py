"""Giving and taking stars, and the counts that the database keeps of them."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from console.namespaces.models import Namespace
from console.official_images.models import OfficialImage
from console.ownership.services import finish_transfers
from console.repositories.models import Image
from console.repositories.services import set_visibility
from console.stars.models import Star
from console.stars.services import mark, set_star
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def image():
    return ImageFactory(visibility="public")


@pytest.fixture
def official():
    return OfficialImage.objects.create(name="debian")


def counted_right():
    """Whether each count is the number of stars, whatever was done."""
    for target in (*Image.objects.all(), *OfficialImage.objects.all()):
        stars = target.stars if isinstance(target, Image) else target.given_stars
        assert target.star_count == stars.count(), target
    return True


class TestGiving:
    def test_what_one_may_see(self, image, official):
        ann = ActivatedAccountFactory()
        own = ImageFactory(namespace=NamespaceFactory(owner=ann))
        for number, target in enumerate((image, official, own), start=1):
            starred = set_star(ann, target, True)
            assert (starred.star_count, starred.starred) == (1, True)
            assert Star.objects.filter(account=ann).count() == number
        assert counted_right()

    def test_again_changes_nothing(self, image, official):
        ann = ActivatedAccountFactory()
        for target in (image, official):
            assert [set_star(ann, target, on).star_count for on in (True, True, False, False, True)] == [1, 1, 0, 0, 1]
        assert counted_right()

    def test_of_several_people(self, image):
        people = ActivatedAccountFactory.create_batch(3)
        assert [set_star(one, image, True).star_count for one in people] == [1, 2, 3]
        assert set_star(people[0], image, False).star_count == 2
        assert set_star(people[0], image, False).star_count == 2
        assert counted_right()

    def test_nothing_that_one_may_not_see(self, image):
        private = ImageFactory()
        for account, target in (
            (ActivatedAccountFactory(), private),
            (AccountFactory(), image),  # not activated
            (ActivatedAccountFactory(is_active=False), image),
            (ActivatedAccountFactory(), ImageFactory(visibility="public", state="deleting")),
            (ActivatedAccountFactory(), OfficialImage.objects.create(name="gone", listed=False)),
        ):
            with pytest.raises(ValidationError, match="no longer have access to this image"):
                set_star(account, target, True)
        assert not Star.objects.exists()

    def test_taking_is_always_possible(self, image, official):
        ann = ActivatedAccountFactory()
        set_star(ann, image, True)
        set_star(ann, official, True)
        Image.objects.update(state="deleting")
        OfficialImage.objects.update(listed=False)
        assert set_star(ann, image, False).star_count == set_star(ann, official, False).star_count == 0

    def test_an_image_that_is_gone(self, image, official):
        Image.objects.filter(pk=image.pk).delete()
        OfficialImage.objects.filter(pk=official.pk).delete()
        for target in (image, official):
            for on in (True, False):
                with pytest.raises(ValidationError, match="no longer exists"):
                    set_star(ActivatedAccountFactory(), target, on)

    def test_a_misspelt_verb_grants_nothing(self, official):
        with pytest.raises(ValueError, match="no rule"):
            ActivatedAccountFactory().may("image.edit", official)


class TestMark:
    def test_with_one_query(self, official, django_assert_num_queries):
        ann = ActivatedAccountFactory()
        images = ImageFactory.create_batch(3, visibility="public")
        set_star(ann, images[1], True)
        set_star(ActivatedAccountFactory(), images[0], True)
        set_star(ann, official, True)
        with django_assert_num_queries(1):
            mark(ann, images)
        with django_assert_num_queries(1):
            mark(ann, [official])
        assert [image.starred for image in images] == [False, True, False]
        assert official.starred

    def test_nothing(self):
        mark(ActivatedAccountFactory(), [])


class TestWhatTheDatabaseHolds:
    def test_a_star_is_on_one_thing(self, image, official):
        ann = ActivatedAccountFactory()
        for both in ({}, {"image": image, "official_image": official}):
            with pytest.raises(IntegrityError, match="star_on_one_thing"), transaction.atomic():
                Star.objects.create(account=ann, **both)

    def test_one_star_from_each(self, image, official):
        ann = ActivatedAccountFactory()
        for target in ({"image": image}, {"official_image": official}):
            Star.objects.create(account=ann, **target)
            with pytest.raises(IntegrityError, match="once"), transaction.atomic():
                Star.objects.create(account=ann, **target)
        assert counted_right()

    def test_counts_of_many_at_once(self, image, official):
        other = ImageFactory(visibility="public")
        people = ActivatedAccountFactory.create_batch(5)
        Star.objects.bulk_create(
            [
                *(Star(account=one, image=image) for one in people),
                *(Star(account=one, image=other) for one in people[:2]),
                *(Star(account=one, official_image=official) for one in people[:3]),
            ]
        )
        assert counted_right()
        assert Image.objects.get(pk=image.pk).star_count == 5
        Star.objects.filter(account__in=people[1:4]).delete()
        assert counted_right()
        other.delete()
        assert Star.objects.count() == 3
        assert counted_right()
        official.delete()
        Star.objects.all()._raw_delete(Star.objects.db)
        assert counted_right()

    def test_a_private_image_keeps_its_owners_star_alone(self, image):
        owner, friend = image.namespace.owner, ActivatedAccountFactory()
        other = ImageFactory(visibility="public")
        for account in (owner, friend):
            set_star(account, image, True)
        set_star(friend, other, True)
        set_visibility(owner, image, "private")
        assert [star.account for star in image.stars.all()] == [owner]
        assert other.stars.count() == 1
        assert counted_right()
        set_visibility(owner, image, "public")
        assert image.stars.count() == 1

    def test_however_it_is_made_private(self, image):
        set_star(ActivatedAccountFactory(), image, True)
        Image.objects.update(description="new")
        assert image.stars.count() == 1
        Image.objects.update(visibility="private")
        assert image.stars.count() == 0
        assert counted_right()

    @pytest.mark.usefixtures("registry_server")
    def test_a_namespace_that_changes_hands(self, image):
        former, friend, new = image.namespace.owner, ActivatedAccountFactory(), ActivatedAccountFactory()
        private = ImageFactory(namespace=image.namespace)
        for account, target in ((former, image), (friend, image), (former, private)):
            set_star(account, target, True)
        Namespace.objects.filter(pk=image.namespace_id).update(new_owner=new, available_at=timezone.now())
        finish_transfers()
        assert {star.account for star in image.stars.all()} == {former, friend}
        assert not private.stars.exists()
        assert counted_right()
