"""Past the gate quotas are soft: what tokens from before open is pushed beyond them. The gate's own are exact."""

import pytest

from console.accounts.models import Account
from console.registry import jobs
from console.registry.connection import registry_with_token
from console.registry.index.sync import reread_image
from console.repositories.models import Image, ImageDeletion
from console.repositories.quotas import tags_used
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from tests.support.factories import ImageFactory
from tests.support.pushed_images import push_image
from tests.support.responses import text_of
from tests.support.token_endpoint import granted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

PASSWORD = "a good password 1"


@pytest.fixture
def token(ask, team):
    """Asks for a token as a client does before it pushes."""

    def get(repository):
        return ask.get(f"repository:{repository}:pull,push", user=team.owner.credential.username, password=PASSWORD)

    return get


def push(response, repository, *tags):
    with registry_with_token(response.json()["access_token"]) as client:
        for tag in tags:
            push_image(client, repository, tag)
    reread_image(repository)


def test_images(token, client, team):
    Account.objects.filter(pk=team.owner_id).update(image_quota=2)
    names = [f"team/app{number}" for number in range(3)]
    before = [token(name) for name in names]
    for name, response in zip(names, before, strict=True):
        push(response, name, "v1")
    assert "3 of 2 images used" in text_of(client.get("/images/"))
    assert "This account has reached its image limit (2)." in text_of(client.get("/images/"))
    assert granted(token("team/more")) == {("repository", "team/more"): {"pull"}}
    # What is there may be pushed to: it becomes no more by that.
    assert granted(token("team/app0")) == {("repository", "team/app0"): {"pull", "push"}}
    for left in (2, 1):
        image = Image.objects.filter(state=Image.State.ACTIVE).order_by("name").last()
        mark_image_for_deletion(team.owner, image)
        jobs.delete_image(image.pk)
        assert not ImageDeletion.objects.exists()
        assert f"{left} of 2 images used" in text_of(client.get("/images/"))
        assert ("push" in granted(token("team/more"))["repository", "team/more"]) == (left < 2)


def test_tags(token, client, team):
    Account.objects.filter(pk=team.owner_id).update(tag_quota=2)
    image = ImageFactory(namespace=team, name="app")
    push(token(image.repository), image.repository, "v1", "v2", "v3")
    page = f"/images/{image.repository}/-/tags/"
    assert "3 of 2 tags used" in text_of(client.get(page))
    assert "This image has reached its tag limit (2)." in text_of(client.get(page))
    for left in (2, 1):
        mark_tags_for_deletion(team.owner, image, [f"v{left + 1}"])
        jobs.delete_tags(image.pk, [])
        assert tags_used(Image.objects.get()) == left
        assert f"{left} of 2 tags used" in text_of(client.get(page))
    assert granted(token(image.repository)) == {("repository", image.repository): {"pull", "push"}}
