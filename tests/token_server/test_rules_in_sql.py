"""The statement of the token endpoint repeats rules for speed: compared with models and querysets, case by case."""

import datetime
import itertools

import pytest
from django.utils import timezone

from console.access.grants import Access, registry_grants
from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.gate import lookup as gate_lookup
from console.repositories.models import Image, ImageAccess
from console.token_server.token_request import Password, Secret
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamMemberFactory,
)
from tests.support.token_endpoint import look_up

pytestmark = pytest.mark.django_db

IN_TRANSFER = (False, True)
STATES, VISIBILITIES = Image.State.values, Image.Visibility.values
ACTIONS = frozenset({"pull", "push", "delete"})
PAST, FUTURE = timezone.now() - datetime.timedelta(days=1), timezone.now() + datetime.timedelta(days=1)


@pytest.fixture
def reader():
    return ActivatedAccountFactory()


def _no_grant(reader, image):
    pass


def _own(role, until=None, on_image=False):
    def grant(reader, image):
        GrantFactory(
            namespace=image.namespace, image=image if on_image else None, account=reader, role=role, until=until
        )

    return grant


def _team(role, until=None, on_image=False):
    def grant(reader, image):
        team = TeamMemberFactory(account=reader).team
        GrantFactory(
            namespace=image.namespace,
            image=image if on_image else None,
            account=None,
            team=team,
            role=role,
            until=until,
        )

    return grant


def _of_another_image(reader, image):
    GrantFactory(namespace=image.namespace, image=ImageFactory(namespace=image.namespace), account=reader, role=3)


def _of_a_team_of_others(reader, image):
    GrantFactory(namespace=image.namespace, account=None, team=TeamMemberFactory().team, role=4)


def _several(reader, image):
    _own(Role.READER)(reader, image)
    _team(Role.WRITER, until=FUTURE)(reader, image)
    _own(Role.MAINTAINER, on_image=True)(reader, image)
    _own(Role.OWNER, until=PAST, on_image=False)(reader, ImageFactory(namespace=NamespaceFactory()))
    _team(Role.OWNER, until=PAST)(reader, image)


# How the reader has a role on an image of somebody else, and which.
HOLDINGS = {
    "none": (_no_grant, None),
    **{f"own {role.name}": (_own(role), role) for role in Role},
    **{f"team {role.name}": (_team(role), role) for role in Role},
    **{f"image {role.name}": (_own(role, on_image=True), role) for role in Role},
    "team on the image": (_team(Role.WRITER, on_image=True), Role.WRITER),
    "until tomorrow": (_own(Role.WRITER, until=FUTURE), Role.WRITER),
    "expired": (_own(Role.OWNER, until=PAST), None),
    "team, expired": (_team(Role.OWNER, until=PAST), None),
    "another image": (_of_another_image, None),
    "a team of others": (_of_a_team_of_others, None),
    "several": (_several, Role.MAINTAINER),
}


@pytest.fixture
def images(reader):
    """An image of each kind, by its name: whose, in transfer, state, visibility; with the reader's role on it."""
    other = ActivatedAccountFactory()
    made = {}
    kinds = list(itertools.product(IN_TRANSFER, STATES, VISIBILITIES))
    for holding, (moving, state, visibility) in itertools.product(["owner", *HOLDINGS], kinds):
        namespace = NamespaceFactory(owner=reader if holding == "owner" else other)
        if moving:
            namespace.new_owner, namespace.available_at = (other if holding == "owner" else reader), timezone.now()
            namespace.save()
        image = ImageFactory(namespace=namespace, state=state, visibility=visibility, tag_count=3, attachment_count=2)
        if holding != "owner":
            HOLDINGS[holding][0](reader, image)
        role = Role.OWNER if holding == "owner" else HOLDINGS[holding][1]
        made[image.repository] = Image.objects.get(pk=image.pk), role
    return made


def ask(account, names, secret=""):
    asked = [Access("repository", name, ACTIONS) for name in names]
    username = account.registry_credential.username
    return asked, look_up(asked, Secret(username, secret) if secret else Password(username, ""))


def in_hundreds(names):
    names = list(names)
    return [names[start : start + 100] for start in range(0, len(names), 100)]


def test_facts_of_each_repository(reader, images):
    read = {name: one for some in in_hundreds(images) for name, one in ask(reader, some)[1].repositories.items()}
    assert len(read) == len(images) == 8 * (1 + len(HOLDINGS))
    for name, (image, role) in images.items():
        facts = image.facts_for(reader.pk)
        assert (read[name].role, read[name].in_transfer, read[name].public, read[name].active) == (
            facts.role,
            facts.in_transfer,
            facts.public,
            facts.active,
        )
        assert facts.role == role, name
        assert read[name].owner == image.namespace.owner_id
        assert read[name].exists  # the gate counts tags


def test_the_gate_reads_the_same_roles(reader, images):
    username = reader.registry_credential.username
    for name, (_image, role) in images.items():
        assert gate_lookup.find(username, name).repository.role == role, name


def test_who_may_pull_push_and_delete(reader, images):
    granted = {}
    for some in in_hundreds(images):
        asked, found = ask(reader, some)
        granted |= {grant.name: grant.actions for grant in registry_grants(found.caller, asked, found.repositories)}
    readable = set(Image.objects.readable_by(reader).values_list("full_name", flat=True))
    pushable = set(Image.objects.allowing(reader, "image.push").values_list("full_name", flat=True))
    deletable = set(Image.objects.allowing(reader, "image.delete").values_list("full_name", flat=True))
    for name, (image, role) in images.items():
        actions = granted.get(name, frozenset())
        served = image.state == "active" and not image.namespace.in_transfer
        assert ("pull" in actions) == (name in readable and served), name
        # Not even "push" for a request that asks for "delete" as well and may not have it.
        assert ("push" in actions) == (reader.may("image.delete", image) and served), name
        assert ("delete" in actions) == (reader.may("image.delete", image) and served), name
        assert (name in pushable) == (role is not None and role >= Role.WRITER), name
        assert (name in deletable) == (role is not None and role >= Role.MAINTAINER), name


def test_who_may_push(reader, images):
    for some in in_hundreds(images):
        asked = [Access("repository", name, frozenset({"pull", "push"})) for name in some]
        found = look_up(asked, Password(reader.registry_credential.username, ""))
        granted = {grant.name: grant.actions for grant in registry_grants(found.caller, asked, found.repositories)}
        for name in some:
            image, _role = images[name]
            served = image.state == "active" and not image.namespace.in_transfer
            assert ("push" in granted.get(name, ())) == (reader.may("image.push", image) and served), name


def test_anonymous_callers_read_what_everybody_may(images):
    granted = set()
    for some in in_hundreds(images):
        asked = [Access("repository", name, ACTIONS) for name in some]
        granted |= {grant.name for grant in registry_grants(None, asked, look_up(asked).repositories)}
    public = set(Image.objects.public().filter(namespace__new_owner=None).values_list("full_name", flat=True))
    assert granted == public & images.keys()


def test_images_count_towards_the_quota_of_the_owner(reader, images):
    namespace = NamespaceFactory(owner=reader)
    _asked, found = ask(reader, [f"{namespace.name}/new"])
    assert found.repositories[f"{namespace.name}/new"].images == Image.objects.owned_by(reader).count()


def test_a_writer_s_new_image_counts_towards_the_quota_of_the_owner(reader):
    owner = ActivatedAccountFactory(image_quota=3)
    namespace = ImageFactory(namespace__owner=owner).namespace
    ImageFactory(namespace__owner=reader)
    GrantFactory(namespace=namespace, account=reader, role=Role.WRITER)
    _asked, found = ask(reader, [f"{namespace.name}/new"])
    repository = found.repositories[f"{namespace.name}/new"]
    assert (repository.images, repository.image_quota, repository.role) == (1, 3, Role.WRITER)


def test_namespaces_and_images_that_a_token_was_made_for(reader, images):
    own = reader.namespaces.filter(new_owner=None).order_by("name")
    token, secret = access_tokens.create(reader, "ci", can_push=True, namespaces=own[:1])
    other = Image.objects.filter(namespace=own[1]).get()
    ImageAccess.objects.create(token=token, image=other)
    found = {
        name: one for some in in_hundreds(images) for name, one in ask(reader, some, secret)[1].repositories.items()
    }
    chosen = {name for name, repository in found.items() if repository.chosen}
    expected = {image.repository for image in Image.objects.filter(namespace__in=token.namespaces.all())}
    assert chosen == expected | {other.repository}
    assert expected
