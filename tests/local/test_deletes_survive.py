"""Deletions on the whole product: its parts are killed in turn, and many are asked for at once."""

import os
import re
import signal

import pytest
import requests

from registry_client import Challenged, RegistryClient
from tests.support import disk
from tests.support.pushed_images import push_image
from tests.support.stack import Stack, wait_until

REGISTRY_PASSWORD = "the registry password 1"
TAGS = 240
# Each tag gets a manifest of its own; a second image shares their blobs. Written by the console's own connection.
SEED = """
import json
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from console.accounts.models import Account, RegistryCredential
from console.repositories.models import Image
from console.repositories.services import mark_image_for_deletion
from console.registry.index.sync import reread_image
from console.namespaces.models import Namespace
from console.registry.connection import at_once, registry
from tests.support.pushed_images import DOCKER_MANIFEST, push_image

owner = Account.objects.get()
namespace = Namespace.objects.filter(owner=owner).first()
if namespace is None:
    RegistryCredential.objects.create(
        account=owner, username=owner.account_id, password=make_password({password!r}), activated_at=timezone.now()
    )
    namespace = Namespace.objects.create(owner=owner, name="team")

def fill(name, tags):
    first = push_image(registry(), f"team/{{name}}", None, layers=[b"a layer of all"], config={{"os": "linux"}})
    def put(number):
        content = json.dumps({{**json.loads(first.content), "annotations": {{"number": str(number)}}}}).encode()
        registry().put_manifest(f"team/{{name}}", f"v{{number}}", content, DOCKER_MANIFEST)
    at_once(put, range(tags))
    registry().delete_manifest(f"team/{{name}}", first.digest)
    reread_image(f"team/{{name}}")

def ask(*names):
    for image in Image.objects.filter(name__in=names):
        mark_image_for_deletion(owner, image)

"""


@pytest.fixture(scope="module")
def whole(registry_program):
    made = Stack(registry_program)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def do(whole, code):
    whole.manage("shell", "-v0", "-c", SEED.format(password=REGISTRY_PASSWORD) + code)


def root(whole):
    return whole.data_dir / "registry" / "data" / "docker" / "registry" / "v2"


def deletions(whole):
    return whole.sql("SELECT done, total FROM images_imagedeletion")


def images(whole):
    return {name for (name,) in whole.sql("SELECT name FROM images_image")}


def pull(client, repository, tag):
    manifest = client.manifest(repository, tag)
    for blob in manifest.references:
        assert b"".join(client.blob(repository, blob))
    return manifest.digest


def owner_client(whole):
    return RegistryClient(f"http://{whole.registry_address}", Challenged(whole.account_id, REGISTRY_PASSWORD))


def test_worker_registry_and_database_are_killed_in_turn(whole):
    do(whole, f"fill('big', {TAGS}); fill('kept', 3); ask('big')")
    seen = []

    def done_at_least(steps):
        found = deletions(whole)
        seen.extend(found)
        assert found or "big" in images(whole) or not whole.sql("SELECT 1"), "it ended before everything was killed"
        return bool(found) and found[0][0] >= steps

    for number, name in enumerate(("worker", "inner registry", "postgres")):
        wait_until(lambda: done_at_least(number * 120 + 60), f"{number * 120 + 60} steps", 90)  # noqa: B023
        pid = whole.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: whole.pid_of(name) != pid, f"{name} is started again")  # noqa: B023
    wait_until(lambda: whole.sql("SELECT 1") and not deletions(whole), "the deletion has ended", 120)
    assert images(whole) == {"kept"}
    done = [one for one, _total in seen]
    assert done == sorted(done), "the progress went back"
    assert max(total for _done, total in seen) == 2 * TAGS
    assert disk.left_of("team/big", root(whole)) == []
    assert len(disk.tags("team/kept", root(whole))) == 3
    for tag in ("v0", "v1", "v2"):
        pull(owner_client(whole), "team/kept", tag)


def test_what_was_pushed_by_its_digest_alone_goes_too(whole):
    """As the registry itself tells of it: the platforms of a push that broke off, beside a tag."""
    do(whole, "")
    client = owner_client(whole)
    push_image(client, "team/broken-off", "v1")
    alone = {push_image(client, "team/broken-off", None).digest for _ in range(3)}
    told = "SELECT digest FROM images_pusheddigest WHERE repository = 'team/broken-off'"
    wait_until(lambda: alone < {digest for (digest,) in whole.sql(told)}, "all are told of")
    wait_until(lambda: "broken-off" in images(whole), "the image is in the index")
    assert alone < disk.manifests("team/broken-off", root(whole))
    do(whole, "ask('broken-off')")
    wait_until(lambda: not deletions(whole), "the deletion has ended")
    assert "broken-off" not in images(whole)
    assert disk.left_of("team/broken-off", root(whole)) == []
    assert whole.sql(told) == []


def sign_in(whole):
    session = requests.Session()
    page = session.get(f"{whole.console_url}/sign-in/", timeout=30).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    answer = session.post(
        f"{whole.console_url}/sign-in/",
        {"csrfmiddlewaretoken": token, "username": whole.account_id, "password": whole.password},
        headers={"Referer": whole.console_url},
        timeout=30,
    )
    assert answer.status_code == 200
    return session


def test_many_at_once_keep_nobody_waiting(whole):
    """Pages answer, a push is taken in and shown, and a tag is deleted while images are."""
    names = [f"many{number}" for number in range(20)]
    do(whole, f"names = {names}\nfor name in names: fill(name, 15)\nfill('other', 2)\nask(*names)")
    client, session = owner_client(whole), sign_in(whole)
    pushed = push_image(client, "team/pushed", "v1")
    answers = []

    def look():
        answers.append(requests.get(f"{whole.console_url}/healthz", timeout=30).status_code)
        answers.append(session.get(f"{whole.console_url}/images/", timeout=30).status_code)
        return not deletions(whole)

    wait_until(look, "all deletions have ended", 120)
    assert set(answers) == {200}
    shown = (
        "SELECT manifest.digest FROM images_tag AS tag JOIN images_manifest AS manifest ON manifest.id = manifest_id"
    )
    wait_until(lambda: (pushed.digest,) in whole.sql(shown), "the push is in the index")
    assert images(whole) >= {"other", "pushed"}
    assert not images(whole) & set(names)
    assert not any(disk.left_of(f"team/{name}", root(whole)) for name in names)
    assert pull(client, "team/pushed", "v1") == pushed.digest
    assert pull(client, "team/other", "v1")
    assert 'href="/images/team/pushed/"' in session.get(f"{whole.console_url}/images/", timeout=30).text
