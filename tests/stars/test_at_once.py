"""Stars given and taken at the same time as other things happen to the image."""

import pytest
from django.core.exceptions import ValidationError

from console.official_images.models import OfficialImage
from console.registry.deletion import images
from console.repositories.models import Image
from console.repositories.services import set_visibility
from console.stars.models import Star
from console.stars.services import set_star
from tests.support.concurrency import all_at_once
from tests.support.factories import ActivatedAccountFactory, ImageFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people():
    return ActivatedAccountFactory.create_batch(6)


@pytest.mark.parametrize("official", [False, True])
def test_many_people(people, official):
    target = OfficialImage.objects.create(name="debian") if official else ImageFactory(visibility="public")

    def press(account):
        for on in (True, False, True, True, False, True):
            set_star(account, target, on)

    assert all_at_once(*(lambda one=one: press(one) for one in people)) == []
    target.refresh_from_db()
    assert target.star_count == Star.objects.count() == len(people)


def test_one_person_in_many_windows(people):
    image = ImageFactory(visibility="public")
    assert all_at_once(*(lambda: set_star(people[0], image, True) for _ in range(6))) == []
    image.refresh_from_db()
    assert image.star_count == Star.objects.count() == 1


@pytest.mark.parametrize("_time", range(5))
def test_an_image_that_is_made_private(people, _time):
    """Whichever comes first, nobody is left with a star on what they may not see."""
    image = ImageFactory(visibility="public")
    owner = image.namespace.owner
    problems = all_at_once(
        lambda: set_visibility(owner, image, "private"),
        *(lambda one=one: set_star(one, Image.objects.get(pk=image.pk), True) for one in (*people, owner)),
    )
    assert {type(problem) for problem in problems} <= {ValidationError}
    image.refresh_from_db()
    assert [star.account for star in image.stars.all()] == [owner]
    assert image.star_count == 1


@pytest.mark.parametrize("_time", range(5))
def test_an_image_that_goes(people, _time):
    image = ImageFactory(visibility="public")
    problems = all_at_once(
        lambda: images._finish(image),
        *(lambda one=one: set_star(one, image, True) for one in people),
    )
    assert {type(problem) for problem in problems} <= {ValidationError}
    assert not Image.objects.filter(pk=image.pk).exists()
    assert not Star.objects.exists()
