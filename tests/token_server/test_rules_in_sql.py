"""The statement of the token endpoint repeats rules for speed: compared with models and querysets, case by case."""

import itertools

import pytest
from django.utils import timezone

from console.access.grants import Access, registry_grants
from console.access_tokens import services as access_tokens
from console.repositories.models import Image
from console.token_server.token_request import Password, Secret
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.token_endpoint import look_up

pytestmark = pytest.mark.django_db

OWN, IN_TRANSFER = (False, True), (False, True)
STATES, VISIBILITIES = Image.State.values, Image.Visibility.values
ACTIONS = frozenset({"pull", "push", "delete"})


@pytest.fixture
def reader():
    return ActivatedAccountFactory()


@pytest.fixture
def images(reader):
    """An image of each kind, by its name: whose, in transfer, state, visibility."""
    other = ActivatedAccountFactory()
    made = {}
    for own, moving, state, visibility in itertools.product(OWN, IN_TRANSFER, STATES, VISIBILITIES):
        namespace = NamespaceFactory(owner=reader if own else other)
        if moving:
            namespace.new_owner, namespace.available_at = (other if own else reader), timezone.now()
            namespace.save()
        image = ImageFactory(namespace=namespace, state=state, visibility=visibility, tag_count=3, attachment_count=2)
        made[image.repository] = Image.objects.get(pk=image.pk)
    return made


def ask(account, names, secret=""):
    asked = [Access("repository", name, ACTIONS) for name in names]
    username = account.registry_credential.username
    return asked, look_up(asked, Secret(username, secret) if secret else Password(username, ""))


def test_facts_of_each_repository(reader, images):
    _asked, found = ask(reader, images)
    assert len(found.repositories) == len(images) == 16
    for name, image in images.items():
        read, facts = found.repositories[name], image.facts
        assert (read.owner, read.in_transfer, read.public, read.active) == (
            facts.owner,
            facts.in_transfer,
            facts.public,
            facts.active,
        )
        assert read.exists  # the gate counts tags


def test_who_may_pull_push_and_delete(reader, images):
    asked, found = ask(reader, images)
    granted = {grant.name: grant.actions for grant in registry_grants(found.caller, asked, found.repositories)}
    readable = set(Image.objects.readable_by(reader).values_list("full_name", flat=True))
    for name, image in images.items():
        actions = granted.get(name, frozenset())
        served = image.facts.active and not image.facts.in_transfer
        assert ("pull" in actions) == (name in readable and served)
        assert ("push" in actions) == (reader.may("image.push", image) and served)
        assert ("delete" in actions) == (reader.may("image.delete", image) and served)


def test_anonymous_callers_read_what_everybody_may(images):
    asked = [Access("repository", name, ACTIONS) for name in images]
    found = look_up(asked)
    granted = {grant.name for grant in registry_grants(None, asked, found.repositories)}
    public = set(Image.objects.public().filter(namespace__new_owner=None).values_list("full_name", flat=True))
    assert granted == public


def test_images_count_towards_the_quota_as_the_list_shows_them(reader, images):
    namespace = NamespaceFactory(owner=reader)
    _asked, found = ask(reader, [f"{namespace.name}/new"])
    assert found.caller.images == Image.objects.visible_to(reader).count()


def test_namespaces_that_a_token_was_made_for(reader, images):
    own = reader.namespaces.filter(new_owner=None).order_by("name")
    token, secret = access_tokens.create(reader, "ci", can_push=True, namespaces=own[:1])
    _asked, found = ask(reader, images, secret)
    chosen = {name for name, repository in found.repositories.items() if repository.chosen}
    expected = {image.repository for image in Image.objects.filter(namespace__in=token.namespaces.all())}
    assert chosen == expected and chosen
