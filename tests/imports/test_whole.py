"""Copies from elsewhere on the whole product, asked for in a browser; its worker is killed in the middle."""

import gzip
import json
import os
import signal
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from registry_client import Challenged, RegistryClient
from tests.support.browser_user import BrowserUser
from tests.support.docker_engine import layer
from tests.support.http_servers import Server
from tests.support.hub_cache import Upstream, running
from tests.support.import_requests import blob_reply, serving
from tests.support.pushed_images import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, digest_of, push_image, push_index
from tests.support.stack import Stack, wait_until

pytestmark = pytest.mark.browser
# What Docker Hub would have said of a tag.
KNOWN = """
from console.official_images.models import OfficialImage, OfficialTag

platforms = [{"name": f"linux/{one}", "digest": "", "size": 1} for one in ("amd64", "arm64", "s390x", "ppc64le")]
image, _ = OfficialImage.objects.get_or_create(name="nginx")
OfficialTag.objects.create(image=image, name="1.27", platforms=platforms)
"""
PASSWORD, REGISTRY_PASSWORD = "the console password 1", "the registry password 1"


@pytest.fixture(scope="module")
def upstream(registry_program, tmp_path_factory):
    with running(Upstream(registry_program, tmp_path_factory.mktemp("upstream"))) as started:
        yield started


@pytest.fixture(scope="module")
def slow():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole(registry_program, upstream, slow):
    made = Stack(
        registry_program,
        DOCKERHUB_UPSTREAM=upstream.url,
        IMPORT_ALLOWED_HOSTS=slow.url.removeprefix("http://"),
        # Nobody is there: what is known of Docker Hub is nothing.
        DOCKERHUB_API=slow.url,
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def account_id(whole):
    return whole.create_account("Ann", PASSWORD)


@pytest.fixture
def ann(chromium, whole, account_id):
    expect.set_options(timeout=20_000)
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    walker = BrowserUser(context.new_page(), whole.console_url)
    walker.sign_in(account_id, PASSWORD)
    if walker.page.get_by_role("button", name="Enable").count():
        walker.activate(REGISTRY_PASSWORD, "team")
    yield walker
    context.close()


@pytest.fixture
def owner(whole, ann, account_id):
    """Her registry client."""
    with RegistryClient(f"http://{whole.registry_address}", Challenged(account_id, REGISTRY_PASSWORD)) as client:
        yield client


def no_violation(page):
    found = [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]} {violation['nodes'][0]['any'][:1]}"
        for violation in Axe().run(page).response["violations"]
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def looked_at(page):
    """Light and dark, wide and narrow."""
    page.wait_for_load_state()
    for scheme in ("light", "dark"):
        for width in (1440, 390):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            no_violation(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


def unpackable(client, repository, architecture):
    """An image that an Engine can unpack."""
    archive = layer({"hello": os.urandom(5000)})
    rootfs = {"type": "layers", "diff_ids": [digest_of(archive)]}
    config = {"os": "linux", "architecture": architecture, "rootfs": rootfs}
    return push_image(client, repository, None, layers=[gzip.compress(archive)], config=config)


@pytest.mark.engine
def test_an_official_image_whole_and_two_of_its_platforms(whole, ann, owner, account_id, upstream, docker):
    with upstream.client() as client:
        children = [unpackable(client, "library/nginx", one) for one in ("amd64", "arm64", "s390x")]
        index = push_index(client, "library/nginx", "1.27", children)
    page = ann.page
    ann.go("/docker-hub/nginx/-/tags/1.27/copy/")
    looked_at(page)
    page.get_by_label("Image", exact=True).fill("web")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("heading", name="web")).to_be_visible()
    expect(page.get_by_role("link", name="1.27", exact=True)).to_be_visible()
    docker("login", f"--username={account_id}", "--password-stdin", whole.registry_address, input=REGISTRY_PASSWORD)
    assert f"Digest: {index.digest}" in docker("pull", f"{whole.registry_address}/team/web:1.27")
    whole.manage("shell", "--no-imports", "-c", KNOWN)
    ann.go("/docker-hub/nginx/-/tags/1.27/copy/")
    page.get_by_label("Image", exact=True).fill("web")
    page.get_by_label("Tag", exact=True).fill("small")
    page.get_by_label("linux/amd64").check()
    page.get_by_label("linux/s390x").check()
    looked_at(page)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("link", name="small", exact=True)).to_be_visible()
    found = owner.manifest("team/web", "small")
    assert [child.digest for child in found.children] == [children[0].digest, children[2].digest]
    assert f"Digest: {found.digest}" in docker("pull", f"{whole.registry_address}/team/web:small")


def test_an_import_whose_worker_is_killed(whole, ann, owner, slow):
    config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    first, last = os.urandom(100_000), os.urandom(100_000)
    blobs = {digest_of(one): one for one in (config, first, last)}
    parts = [{"digest": digest, "size": len(content)} for digest, content in blobs.items()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, **parts[0]},
        "layers": [{"mediaType": DOCKER_LAYER, **part} for part in parts[1:]],
    }
    content = json.dumps(manifest).encode()
    reached, gate = threading.Event(), threading.Event()

    def hold(request):
        if not request.path.endswith(digest_of(last)):
            return None
        reply = blob_reply(last)
        reply.before = lambda: (reached.set(), gate.wait(60))
        return reply

    slow.answer = serving(content, DOCKER_MANIFEST, blobs, spoil=hold)
    page = ann.page
    ann.go("/images/")
    page.get_by_role("button", name="Import").click()
    dialog = page.get_by_role("dialog", name="Import")
    expect(dialog).to_be_visible()
    looked_at(page)
    dialog.get_by_label("Image to import").fill(f"{slow.url}/some/app:1")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "50")
    assert reached.wait(30)
    looked_at(page)
    os.kill(whole.pid_of("worker"), signal.SIGKILL)
    gate.set()
    expect(page.get_by_role("link", name="1", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert owner.manifest("team/app", "1").digest == digest_of(content)
    assert b"".join(owner.blob("team/app", digest_of(last))) == last
    asked = [request.path.rpartition("/")[2] for request in slow.requests if "/blobs/" in request.path]
    assert (asked.count(digest_of(first)), asked.count(digest_of(last))) == (1, 2)

    # Cancelled at the same place: the tag does not come, and it can be tried again.
    reached.clear()
    gate.clear()
    last = os.urandom(100_000)
    blobs[digest_of(last)] = last
    manifest["layers"][1] = {"mediaType": DOCKER_LAYER, "digest": digest_of(last), "size": len(last)}
    content = json.dumps(manifest).encode()
    slow.answer = serving(content, DOCKER_MANIFEST, blobs, spoil=hold)
    ann.go(f"/images/-/import/?reference={slow.url}/some/app:1&namespace=team&name=app&tag=2")
    page.get_by_role("button", name="Import").click()
    assert reached.wait(30)
    page.get_by_role("button", name="Cancel 2").click()
    expect(page.get_by_text("was cancelled.")).to_be_visible()
    looked_at(page)
    gate.set()
    lock = "SELECT count(*) FROM procrastinate_jobs WHERE task_name LIKE 'transfers.f%%' AND status = 'doing'"
    wait_until(lambda: whole.sql(lock) == [(0,)], "the copy has stopped")
    assert owner.tags("team/app") == ["1"]
    page.get_by_role("button", name="Try again 2").click()
    expect(page.get_by_role("link", name="2", exact=True)).to_be_visible()
    assert owner.manifest("team/app", "2").digest == digest_of(content)
