"""The gate of the whole product: many clients at once, and a console that is killed in the middle of a push."""

import threading

import psutil
import psycopg
import pytest

from console.installation.environment import socket_dir
from registry_client import Challenged, ManifestUnknown, RegistryClient, RegistryError
from tests.support.concurrency import all_at_once
from tests.support.pushed_images import DOCKER_MANIFEST, push_image, push_index
from tests.support.registry_users import make_user
from tests.support.stack import wait_until

CLIENTS, PUSHES = 4, 20


@pytest.fixture(scope="module")
def user(stack):
    return make_user(stack)


@pytest.fixture
def connect(stack, user):
    """Makes clients as different machines have them: each with connections and a token of its own, and no retries."""
    made = []

    def connect():
        client = RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password), retries=0)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


def indexed(stack, repository):
    """The digest of each tag in the index."""
    return dict(
        stack.sql(
            "SELECT tag.name, manifest.digest FROM images_tag AS tag JOIN images_manifest AS manifest"
            " ON manifest.id = tag.manifest_id JOIN images_image AS image ON image.id = tag.image_id"
            " WHERE image.full_name = %s",
            repository,
        )
    )


def test_many_pushes_at_once_that_share_everything(stack, user, connect):
    """Each puts the manifests of all platforms again, as Docker does: the registry alone refuses some of them."""
    repository = f"{user.namespace}/shared"
    children = [push_image(connect(), repository, None) for _ in range(3)]
    digests = {}

    def push(number, client):
        for turn in range(PUSHES):
            for child in children:
                client.put_manifest(repository, child.digest, child.content, DOCKER_MANIFEST)
            tag = f"{number}-{turn}"
            digests[tag] = push_index(client, repository, tag, children[: 1 + turn % 3]).digest

    assert not all_at_once(*(lambda one=one: push(*one) for one in enumerate(connect() for _ in range(CLIENTS))))
    # No page has to wait: all are in the index when their clients have their answers.
    assert indexed(stack, repository) == digests
    assert len(digests) == CLIENTS * PUSHES


def test_a_console_that_is_killed_after_the_registry_has_taken_the_manifest(stack, user, connect):
    """The client has no answer, but the push is not lost: the worker finds the hint."""
    repository = f"{user.namespace}/killed"
    first = push_image(connect(), repository, "v1")
    image = "SELECT FROM images_image WHERE full_name = %s FOR UPDATE"
    problems = []

    def push():
        try:
            connect().put_manifest(repository, "v2", first.content, DOCKER_MANIFEST)
        except RegistryError as error:
            problems.append(error)

    def is_there():
        try:
            return connect().resolve(repository, "v2").digest == first.digest
        except ManifestUnknown:
            return False

    pushing = threading.Thread(target=push)
    with psycopg.connect(
        host=str(socket_dir(stack.data_dir.resolve())), dbname="my_images", user="postgres"
    ) as holding:
        holding.execute(image, [repository])
        pushing.start()
        wait_until(is_there, "the registry has the manifest")
        master = psutil.Process(stack.pid_of("console"))
        for process in (master, *master.children(recursive=True)):
            process.kill()
    pushing.join(60)
    assert problems
    assert stack.sql("SELECT pushed_by FROM indexing_hint WHERE repository = %s", repository) == [(user.username,)]
    # As if it had waited for as long as a request may take.
    stack.sql(
        "UPDATE indexing_hint SET pushed_at = pushed_at - interval '1 minute' WHERE repository = %s RETURNING id",
        repository,
    )
    wait_until(lambda: indexed(stack, repository).get("v2") == first.digest, "the worker has synced the tag", 90)
    wait_until(lambda: not stack.sql("SELECT FROM indexing_hint WHERE repository = %s", repository), "no hint is left")
