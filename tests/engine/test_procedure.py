"""The procedure with a real Docker Engine and with skopeo, on the whole product."""

import os
import re
import signal
import uuid

import pytest
import requests
from playwright.sync_api import expect

from registry_client import Challenged, ManifestUnknown, RegistryClient
from tests.support.docker_engine import layer
from tests.support.pushed_images import DOCKER_MANIFEST, push_blob, push_image
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.engine

REGISTRY_PASSWORD = "p%ss: wörd with spaces"


@pytest.fixture
def ann(person):
    """Somebody activated, with a namespace."""
    team = f"team-{uuid.uuid4().hex[:8]}"
    walker = person("Ann", namespace=team, registry_password=REGISTRY_PASSWORD)
    walker.team = team
    return walker


def image_row_shows(walker, repository):
    """A page that is opened after the push shows it at once."""
    walker.go("/images/")
    assert walker.row(repository).count() == 1


class TestDocker:
    def login(self, docker, stack, ann, password=REGISTRY_PASSWORD, **options):
        return docker(
            "login",
            f"--username={ann.account_id}",
            "--password-stdin",
            stack.registry_address,
            input=password,
            **options,
        )

    def test_the_procedure(self, stack, docker, ann):
        address = f"{stack.registry_address}/{ann.team}/web/app:v1"
        assert "Login Succeeded" in self.login(docker, stack, ann)
        local = docker("import", "-", "local:v1", input=layer({"hello": b"world" * 1000})).strip()
        docker("tag", local, address)
        pushed = re.search(r"digest: (sha256:\w+)", docker("push", address))[1]
        docker("rmi", address, "local:v1")
        assert pushed in docker("pull", address)

        image_row_shows(ann, f"{ann.team}/web/app")
        ann.go(f"/images/{ann.team}/web/app/-/tags/")
        assert ann.page.get_by_label("Select v1").count() == 1
        expect(ann.page.get_by_title(pushed)).to_be_visible()

        ann.delete_image(f"{ann.team}/web/app")
        ann.wait_until_gone(f"{ann.team}/web/app")
        docker("rmi", address)
        out = docker("pull", address, fails=True)
        assert "manifest unknown" in out or "denied" in out or "not found" in out

        # The name can be created and pushed again, with the very same content.
        docker("import", "-", address, input=layer({"hello": b"world" * 1000}))
        docker("push", address)
        image_row_shows(ann, f"{ann.team}/web/app")

    def test_wrong_password(self, stack, docker, ann):
        assert "unauthorized" in self.login(docker, stack, ann, password="wrong", fails=True).lower()

    def test_without_login(self, stack, docker, ann):
        address = f"{stack.registry_address}/{ann.team}/app:v1"
        docker("import", "-", address, input=layer({"a": b"b"}))
        out = docker("push", address, fails=True)
        assert "denied" in out or "unauthorized" in out
        out = docker("pull", address, fails=True)
        assert "denied" in out or "unauthorized" in out

    def test_somebody_elses_namespace(self, stack, docker, ann, person, unique):
        ben = person("Ben", namespace=unique(), registry_password=REGISTRY_PASSWORD)
        self.login(docker, stack, ben)
        address = f"{stack.registry_address}/{ann.team}/app:v1"
        docker("import", "-", address, input=layer({"a": b"b"}))
        assert "denied" in docker("push", address, fails=True)

    def test_deactivated(self, stack, docker, ann):
        self.login(docker, stack, ann)
        address = f"{stack.registry_address}/{ann.team}/app:v1"
        docker("import", "-", address, input=layer({"a": b"b"}))
        docker("push", address)
        stack.manage(
            "shell", "-c",
            "from console.accounts.models import Account; from console.accounts.services import set_active; "
            f"set_active(Account.objects.get(account_id='{ann.account_id}'), False)",
        )  # fmt: skip
        docker("push", address, fails=True)
        ann.go("/images/")
        expect(ann.page.get_by_role("heading", name="Sign in")).to_be_visible()

    def test_a_public_image_can_be_pulled_by_anybody(self, stack, docker, ann):
        ann.create_image("open", ann.team, "Public")
        self.login(docker, stack, ann)
        address = f"{stack.registry_address}/{ann.team}/open:v1"
        docker("import", "-", address, input=layer({"a": uuid.uuid4().bytes}))
        docker("push", address)
        docker("logout", stack.registry_address)
        docker("rmi", address)
        docker("pull", address)
        assert "denied" in docker("push", address, fails=True)

    def test_each_pull_is_counted_once(self, stack, docker, skopeo, ann, tmp_path):
        """However a client asks: by tag, or by a look at the tag and then by digest; a push counts as none."""
        self.login(docker, stack, ann)
        address = f"{stack.registry_address}/{ann.team}/app:v1"
        docker("import", "-", address, input=layer({"a": uuid.uuid4().bytes}))
        docker("push", address)
        docker("rmi", address)
        docker("pull", address)
        docker("pull", address)  # nothing to fetch: Docker only looks whether there is something newer
        skopeo.login(stack.registry_address, ann.account_id, REGISTRY_PASSWORD)
        for number in range(2):
            skopeo.copy(f"docker://{address}", f"dir:{tmp_path / f'pulled{number}'}")
        counted = (
            "SELECT tag.pull_count + manifest.pull_count, image.pull_count FROM images_tag AS tag "
            "JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id "
            "JOIN images_image AS image ON image.id = tag.image_id "
            "JOIN namespaces_namespace AS namespace ON namespace.id = image.namespace_id WHERE namespace.name = %s"
        )
        wait_until(
            lambda: (
                stack.sql("SELECT count(*) FROM indexing_activity WHERE repository = %s", f"{ann.team}/app") == [(0,)]
                and sum(sum(row) for row in stack.sql(counted, ann.team)) >= 6
            ),
            "the pulls are added up",
            90,
        )
        assert stack.sql(counted, ann.team) == [(3, 3)]


class TestSkopeo:
    def test_the_procedure(self, stack, skopeo, docker, ann, tmp_path):
        address = f"docker://{stack.registry_address}/{ann.team}/app:v1"
        skopeo.login(stack.registry_address, ann.account_id, REGISTRY_PASSWORD)
        docker("import", "-", "for-skopeo:v1", input=layer({"hello": uuid.uuid4().bytes}))
        archive = tmp_path / "image.tar"
        docker("save", "-o", str(archive), "for-skopeo:v1")
        skopeo.copy(f"docker-archive:{archive}", address)
        assert skopeo.inspect(address)["schemaVersion"] == 2
        skopeo.copy(address, f"dir:{tmp_path / 'pulled'}")
        image_row_shows(ann, f"{ann.team}/app")
        ann.delete_image(f"{ann.team}/app")
        ann.wait_until_gone(f"{ann.team}/app")
        out = skopeo.copy(address, f"dir:{tmp_path / 'again'}", fails=True)
        assert "manifest unknown" in out or "denied" in out or "unauthorized" in out

    def test_wrong_password(self, stack, skopeo, ann):
        skopeo.login(stack.registry_address, ann.account_id, "wrong", fails=True)


@pytest.fixture(scope="module")
def own_stack(registry_program):
    """A whole product that tests may be rough with, with somebody activated and registry tokens that soon expire."""
    # The registry accepts a token for 60 seconds past its end: these are good for three seconds.
    started = Stack(registry_program, TOKEN_SECONDS="-57")
    try:
        started.start()
        started.manage("shell", "-c", ACTIVATE.format(password=REGISTRY_PASSWORD))
        yield started
    finally:
        started.stop()


ACTIVATE = """
from console.accounts.models import Account
from console.accounts.services import store_credential, mark_activated
from console.ownership.services import create_namespace
from django.db import transaction
account = Account.objects.get()
with transaction.atomic():
    store_credential(account, "owner", {password!r})
mark_activated(account)
create_namespace(Account.objects.get(), "team")
"""
DELETE = """
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
image = Image.objects.get(name={name!r})
mark_image_for_deletion(image.namespace.owner, image)
"""


class TestKilledHalfWay:
    """Delete all tags goes on by itself and ends, whatever is killed meanwhile."""

    TAGS = 300

    def images(self, stack, name):
        return stack.sql("SELECT state, tag_count FROM images_image WHERE name = %s", name)

    def is_gone(self, stack, name, other):
        # The other image is there: the database answers, and no longer knows this one.
        return self.images(stack, other) and not self.images(stack, name)

    @pytest.mark.parametrize("victims", [["postgres"], ["worker", "inner registry", "registry", "worker"]])
    def test_it_ends(self, own_stack, victims):
        stack, name = own_stack, "doomed-" + "-".join(victims).replace(" ", "-")
        doomed, kept = f"team/{name}", f"team/kept-{name}"
        with RegistryClient(f"http://{stack.registry_address}", Challenged("owner", REGISTRY_PASSWORD)) as client:
            other = push_image(client, kept, "v1", layers=[b"shared"])
            pushed = [push_image(client, doomed, f"v{number}", layers=[b"shared"]) for number in range(20)]
            for number in range(20, self.TAGS):
                client.put_manifest(doomed, f"v{number}", pushed[number % 20].content, DOCKER_MANIFEST)
            wait_until(
                lambda: self.images(stack, name) == [("active", self.TAGS)] and self.images(stack, f"kept-{name}"),
                "all tags are indexed",
                400,
            )
            stack.manage("shell", "-c", DELETE.format(name=name))
            for victim in victims:
                pid = stack.pid_of(victim)
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda victim=victim, pid=pid: stack.pid_of(victim) != pid, f"the {victim} is started again")
            wait_until(lambda: self.is_gone(stack, name, f"kept-{name}"), "the image is gone", 90)
            assert client.tags(kept) == ["v1"]
            assert b"".join(client.blob(kept, other.blobs[1])) == b"shared"
            for one in pushed:
                with pytest.raises(ManifestUnknown):
                    client.resolve(doomed, one.digest)
            push_image(client, doomed, "again")
            wait_until(lambda: self.images(stack, name) == [("active", 1)], "the name can be used again")


def test_a_push_longer_than_a_tokens_life(own_stack):
    """The registry refuses a token that ran out in the middle; the client gets the next one and the push ends well."""
    url, scopes = f"http://{own_stack.registry_address}", ("repository:team/long:pull,push",)
    credentials = Challenged("owner", REGISTRY_PASSWORD)
    with RegistryClient(url, credentials) as client:
        first = push_blob(client, "team/long", b"first layer")
        used = credentials.authorization(scopes, None)
        wait_until(
            lambda: requests.get(f"{url}/v2/", headers={"Authorization": used}, timeout=5).status_code == 401,
            "the token runs out",
        )
        push_image(client, "team/long", "v1", layers=[b"first layer", b"second layer"])
        assert credentials.authorization(scopes, None) != used
        assert client.stat_blob("team/long", first).size == len(b"first layer")
