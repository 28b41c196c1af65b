"""Roles at the token endpoint, the registry and the gate: what happens when one changes in the middle of a push."""

import datetime
import json
import uuid

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from console.access.grants import Access
from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from console.membership.models import Grant
from console.namespaces.models import Namespace
from console.ownership.services import delete_namespace
from console.registry.signing import sign
from console.repositories.models import Image
from console.sharing.services import change_role, take_role
from registry_client import OCI_EMPTY, OCI_MANIFEST
from tests.support.factories import (
    PASSWORD,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TagFactory,
    TeamMemberFactory,
)
from tests.support.pushed_images import digest_of
from tests.support.token_endpoint import Asker, granted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

SECOND = datetime.timedelta(seconds=1)
NO_ACCESS = "You no longer have access to this repository."
MAY_NOT_PUSH = "Your role in this namespace no longer allows you to push. Ask an owner of the namespace."
MAY_NOT_DELETE = "Your role in this namespace no longer allows you to delete. Ask an owner of the namespace."


class DockerClient:
    """An account that pushes as Docker does: a token, then blobs at the registry, then the manifest at the gate."""

    def __init__(self, client, account, secret=PASSWORD):
        self.client, self.account, self.secret = client, account, secret
        self.headers = {}

    def log_in(self, *scopes):
        """Take a token for some scopes; what it allows, by repository."""
        username = self.account.credential.username
        answer = Asker(self.client).get(*scopes, user=username, password=self.secret)
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return {name: actions for (_kind, name), actions in granted(answer).items()}

    def token(self, repository, actions="pull,push"):
        return self.log_in(f"repository:{repository}:{actions}").get(repository, set())

    def blob(self, repository, content, **query):
        """Upload a blob with the token; the registry's answer to the first request when it is not the usual one."""
        uploads = f"{settings.REGISTRY_URL}/v2/{repository}/blobs/uploads/"
        begun = requests.post(uploads, params=query, headers=self.headers, timeout=10)
        if begun.status_code != 202:
            return begun
        headers = {**self.headers, "Content-Type": "application/octet-stream"}
        return requests.put(
            begun.headers["Location"], params={"digest": digest_of(content)}, data=content, headers=headers, timeout=10
        )

    def blobs(self, repository):
        """All that comes before the manifest."""
        answer = self.blob(repository, b"{}")
        assert answer.status_code == 201, answer.text

    def manifest(self, repository, tag="v1"):
        entry = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry, "layers": [entry]}
        return self.client.put(
            f"/v2/{repository}/manifests/{tag}", json.dumps(document), content_type=OCI_MANIFEST, headers=self.headers
        )

    def delete(self, repository, reference):
        return self.client.delete(f"/v2/{repository}/manifests/{reference}", headers=self.headers)

    def pulls(self, repository, tag="v1"):
        """Whether the registry gives the manifest for the token."""
        headers = {**self.headers, "Accept": OCI_MANIFEST}
        found = requests.get(f"{settings.REGISTRY_URL}/v2/{repository}/manifests/{tag}", headers=headers, timeout=10)
        assert found.status_code in {200, 401}, found.text
        return found.status_code == 200


def denied(answer):
    """The message of a refusal in the protocol's form."""
    assert answer.status_code == 403, (answer.status_code, answer.content)
    assert answer["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == "DENIED"
    return error["message"]


@pytest.fixture
def owner():
    return ActivatedAccountFactory(name="Owner")


@pytest.fixture
def space(owner):
    return NamespaceFactory(owner=owner, name=f"space-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def member(client):
    return DockerClient(client, ActivatedAccountFactory(name="Member"))


@pytest.fixture
def grant(space, member):
    return GrantFactory(namespace=space, account=member.account, role=Role.WRITER)


class TestInTheMiddleOfAPush:
    """The blobs are there, then the role changes: neither the old token nor the next one pushes."""

    def refused(self, space, member, change, message, next_token=frozenset()):
        repository = f"{space.name}/app"
        assert member.token(repository) == {"pull", "push"}
        member.blobs(repository)
        change()
        assert denied(member.manifest(repository)) == message
        assert not Image.objects.filter(full_name=repository).exists()
        assert member.token(repository) == next_token
        # The registry refuses what the token does not have, so no further layer is uploaded.
        assert member.blob(repository, b"more").status_code == 401
        assert member.manifest(repository).status_code == 401

    def test_without_a_change_it_is_there(self, space, member, grant, owner):
        repository = f"{space.name}/app"
        assert member.token(repository) == {"pull", "push"}
        member.blobs(repository)
        answer = member.manifest(repository)
        assert answer.status_code == 201, answer.content
        image = Image.objects.get(full_name=repository)
        assert (image.owner, image.tag_count, image.visibility) == (owner, 1, "private")
        event = AuditEvent.objects.get(action="image.create", target=repository)
        assert event.actor == member.account.account_id

    def test_demoted(self, space, member, grant, owner):
        self.refused(
            space, member, lambda: change_role(owner, grant, Role.READER, None), MAY_NOT_PUSH, next_token={"pull"}
        )

    def test_removed(self, space, member, grant, owner):
        self.refused(space, member, lambda: take_role(owner, grant), NO_ACCESS)

    def test_expired(self, space, member, grant):
        """At the second: by the database's clock, whatever the token says."""
        Grant.objects.update(until=timezone.now() + datetime.timedelta(minutes=5))

        def expire():
            Grant.objects.update(until=timezone.now() - SECOND)

        self.refused(space, member, expire, NO_ACCESS)

    def test_out_of_the_team(self, space, member):
        row = TeamMemberFactory(account=member.account)
        GrantFactory(namespace=space, account=None, team=row.team, role=Role.WRITER)
        self.refused(space, member, row.delete, NO_ACCESS)

    def test_a_team_that_lost_its_role(self, space, member, owner):
        team = TeamMemberFactory(account=member.account).team
        grant = GrantFactory(namespace=space, account=None, team=team, role=Role.WRITER)
        self.refused(space, member, lambda: take_role(owner, grant), NO_ACCESS)

    def test_deactivated(self, space, member, grant):
        repository = f"{space.name}/app"
        member.token(repository)
        member.blobs(repository)
        set_active(member.account, False)
        assert denied(member.manifest(repository)) == NO_ACCESS
        username = member.account.credential.username
        answer = Asker(member.client).get(f"repository:{repository}:pull", user=username, password=PASSWORD)
        assert answer.status_code == 401 and answer.json()["errors"][0]["code"] == "UNAUTHORIZED"

    def test_the_namespace_is_deleted(self, space, member, grant, owner):
        repository = f"{space.name}/app"
        member.token(repository)
        member.blobs(repository)
        delete_namespace(owner, space)
        assert denied(member.manifest(repository)) == NO_ACCESS
        assert member.token(repository) == set()

    def test_promoted(self, space, member, grant, owner):
        """Counts with the next token."""
        repository = f"{space.name}/app"
        assert member.token(repository, "pull,delete") == {"pull"}
        change_role(owner, grant, Role.MAINTAINER, None)
        assert member.delete(repository, "v1").status_code == 401
        assert member.token(repository, "pull,delete") == {"pull", "delete"}


def test_the_end_of_a_role_is_the_databases_clock(space, member, grant):
    """A grant ends at a moment within the transaction that reads it, not when that began."""
    repository = f"{space.name}/app"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE membership_grant SET until = clock_timestamp() + interval '1 hour'")
        assert member.token(repository) == {"pull", "push"}
        cursor.execute("UPDATE membership_grant SET until = clock_timestamp()")
    assert member.token(repository) == set()


class TestQuotas:
    """A member's push counts towards the owner's quotas."""

    def push(self, member, repository, tag="v1"):
        assert "push" in member.token(repository)
        member.blobs(repository)
        return member.manifest(repository, tag)

    def test_images(self, space, member, grant, owner):
        owner.image_quota, member.account.image_quota = 1, 0
        owner.save()
        member.account.save()
        assert self.push(member, f"{space.name}/one").status_code == 201
        assert member.token(f"{space.name}/two") == {"pull"}
        # A token of before is no way around it.
        member.headers = bearer(member, f"{space.name}/two")
        member.blobs(f"{space.name}/two")
        assert "image limit (1)" in denied(member.manifest(f"{space.name}/two"))

    def test_tags(self, space, member, grant, owner):
        owner.tag_quota = 1
        owner.save()
        assert self.push(member, f"{space.name}/one", "v1").status_code == 201
        assert "tag limit (1)" in denied(self.push(member, f"{space.name}/one", "v2"))

    def test_a_role_on_one_image_creates_no_other(self, space, member):
        image = ImageFactory(namespace=space, name="app")
        GrantFactory(namespace=space, image=image, account=member.account, role=Role.OWNER)
        assert member.token(image.repository) == {"pull", "push"}
        assert member.token(f"{space.name}/new") == set()
        member.headers = bearer(member, f"{space.name}/new")
        member.blobs(f"{space.name}/new")
        assert denied(member.manifest(f"{space.name}/new")) == NO_ACCESS


def bearer(member, repository, actions=("pull", "push", "delete")):
    """A token that allows everything, as if it had been issued before."""
    token = sign(member.account.credential.username, [Access("repository", repository, frozenset(actions))])
    return {"Authorization": f"Bearer {token.text}"}


def test_a_reader_pulls_and_does_not_push(space, member, grant, owner):
    repository = f"{space.name}/app"
    member.token(repository)
    member.blobs(repository)
    assert member.manifest(repository).status_code == 201
    change_role(owner, grant, Role.READER, None)
    assert member.token(repository, "pull,push") == {"pull"}
    assert member.pulls(repository)
    assert member.manifest(repository).status_code == 401
    member.headers = bearer(member, repository)
    assert denied(member.manifest(repository, "v2")) == MAY_NOT_PUSH
    assert list(Image.objects.get(full_name=repository).tags.values_list("name", flat=True)) == ["v1"]


def test_a_robot_that_only_pulls(client, space, member, grant):
    """Its account may push; its access token may not."""
    repository = f"{space.name}/app"
    member.token(repository)
    member.blobs(repository)
    assert member.manifest(repository).status_code == 201
    secret = access_tokens.create(member.account, "robot", can_push=False)[1]
    robot = DockerClient(client, member.account, secret)
    assert robot.token(repository, "pull,push") == {"pull"}
    assert robot.pulls(repository)
    assert robot.blob(repository, b"layer").status_code == 401
    assert robot.manifest(repository).status_code == 401


@pytest.mark.parametrize("reference", ["tag", "digest"])
def test_deletes_need_a_maintainer(space, member, grant, owner, reference):
    repository = f"{space.name}/app"
    member.token(repository)
    member.blobs(repository)
    pushed = member.manifest(repository)
    reference = "v1" if reference == "tag" else pushed["Docker-Content-Digest"]
    assert member.token(repository, "pull,delete") == {"pull"}
    assert member.delete(repository, reference).status_code == 401
    member.headers = bearer(member, repository)
    assert denied(member.delete(repository, reference)) == MAY_NOT_DELETE
    change_role(owner, grant, Role.MAINTAINER, None)
    assert member.token(repository, "pull,delete") == {"pull", "delete"}
    assert member.delete(repository, reference).status_code == 202
    assert not Image.objects.get(full_name=repository).tags.exists()


class TestMounts:
    """A blob of another repository is mounted only for who may pull there; else the registry begins an upload."""

    @pytest.fixture
    def source(self, client, owner):
        content = uuid.uuid4().bytes
        repository = f"{NamespaceFactory(owner=owner, name=f'from-{uuid.uuid4().hex[:12]}').name}/app"
        pusher = DockerClient(client, owner)
        pusher.token(repository)
        assert pusher.blob(repository, content).status_code == 201
        ImageFactory(namespace=repository_namespace(repository), name="app")
        return repository, content

    def mount(self, member, target, source, content):
        uploads = f"{settings.REGISTRY_URL}/v2/{target}/blobs/uploads/"
        query = {"mount": digest_of(content), "from": source}
        return requests.post(uploads, params=query, headers=member.headers, timeout=10)

    def both(self, member, target, source):
        return member.log_in(f"repository:{target}:pull,push", f"repository:{source}:pull")

    def test_with_a_role_on_the_source(self, space, member, grant, source):
        repository, content = source
        GrantFactory(namespace=repository_namespace(repository), account=member.account, role=Role.READER)
        assert self.both(member, f"{space.name}/app", repository)[repository] == {"pull"}
        assert self.mount(member, f"{space.name}/app", repository, content).status_code == 201

    def test_without(self, space, member, grant, source):
        repository, content = source
        target = f"{space.name}/app"
        assert self.both(member, target, repository) == {target: {"pull", "push"}}
        self.not_mounted(member, target, repository, content)

    def test_with_one_that_has_expired(self, space, member, grant, source):
        repository, content = source
        target, until = f"{space.name}/app", timezone.now() - SECOND
        GrantFactory(namespace=repository_namespace(repository), account=member.account, role=Role.READER, until=until)
        assert self.both(member, target, repository) == {target: {"pull", "push"}}
        self.not_mounted(member, target, repository, content)

    def test_with_a_token_for_the_target_alone(self, space, member, grant, source):
        repository, content = source
        target = f"{space.name}/app"
        GrantFactory(namespace=repository_namespace(repository), account=member.account, role=Role.READER)
        assert member.token(target) == {"pull", "push"}
        self.not_mounted(member, target, repository, content)

    def not_mounted(self, member, target, source, content):
        """The registry refuses, or begins an upload; the blob is not in the target."""
        assert self.mount(member, target, source, content).status_code in {202, 401}
        found = requests.head(
            f"{settings.REGISTRY_URL}/v2/{target}/blobs/{digest_of(content)}", headers=member.headers, timeout=10
        )
        assert found.status_code == 404


def repository_namespace(repository):
    """The namespace of a repository."""
    return Namespace.objects.get(name=repository.partition("/")[0])


class TestCatalogue:
    def listed(self, member):
        assert member.log_in("registry:catalog:*") == {"catalog": {"list"}}
        return member.client.get("/v2/_catalog", headers=member.headers).json()["repositories"]

    def test_what_one_may_read(self, member):
        """One's own, what is shared by any way that counts now, and what is public; in order and once each."""
        account, past = member.account, timezone.now() - SECOND
        mine = ImageFactory(namespace__owner=account)
        whole = ImageFactory()
        ImageFactory(namespace=whole.namespace, visibility="public", name="open")
        GrantFactory(namespace=whole.namespace, account=account)
        by_team, alone, expired, public = ImageFactory(), ImageFactory(), ImageFactory(), ImageFactory()
        team = TeamMemberFactory(account=account).team
        GrantFactory(namespace=by_team.namespace, account=None, team=team, role=Role.WRITER)
        GrantFactory(namespace=by_team.namespace, account=account, role=Role.READER)
        GrantFactory(namespace=alone.namespace, image=alone, account=account)
        beside = ImageFactory(namespace=alone.namespace, name="beside")
        GrantFactory(namespace=expired.namespace, account=account, role=Role.OWNER, until=past)
        GrantFactory(namespace=expired.namespace, account=None, team=team, role=Role.OWNER, until=past)
        of_others = ImageFactory()
        GrantFactory(namespace=of_others.namespace, role=Role.READER)
        public.visibility = "public"
        public.save()
        for image in Image.objects.all():
            TagFactory(image=image)
        readable = {mine, whole, by_team, alone, public, Image.objects.get(name="open")}
        names = sorted(image.repository for image in readable)
        assert self.listed(member) == names
        assert not {beside.repository, expired.repository, of_others.repository} & set(names)

    def test_it_follows_at_once(self, member, space, owner):
        image = ImageFactory(namespace=space)
        grant = GrantFactory(namespace=space, account=member.account)
        assert self.listed(member) == [image.repository]
        headers = member.headers
        take_role(owner, grant)
        assert member.client.get("/v2/_catalog", headers=headers).json()["repositories"] == []
