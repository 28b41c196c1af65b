"""``regctl tag delete`` with each kind of credentials, against the real registry and token endpoint."""

import json
import re

import pytest
import requests

from registry_client import Challenged, ManifestUnknown, RegistryClient
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_image
from tests.support.registry_users import make_user

EMPTY = b"{}"


@pytest.fixture(scope="module")
def user(stack):
    return make_user(stack)


class Refused(Exception):
    """A request of regctl's failed for good."""


class Regctl:
    """The requests of ``regctl tag delete``, in their order, with its way of asking for tokens.

    After regclient of July 2026: ``TagDelete`` in ``scheme/reg/tag.go``, ``Do`` in ``internal/reghttp/http.go``, and
    the bearer handler in ``internal/auth/auth.go``, which adds each action to its one scope, and keeps it there.
    """

    def __init__(self, address, username, password):
        self.url, self.credentials = f"http://{address}/v2", (username.encode(), password.encode())
        self.actions, self.token, self.challenge = [], "", {}

    def _add(self, actions):
        new = [action for action in actions if action not in self.actions]
        if new:
            self.actions, self.token = self.actions + new, ""
        return bool(new)

    def _authorization(self, repository):
        if not self.challenge:
            return {}
        if not self.token:
            query = {
                "client_id": "regclient", "service": self.challenge["service"], "account": self.credentials[0],
                "scope": f"repository:{repository}:{','.join(self.actions)}",
            }  # fmt: skip
            answer = requests.get(self.challenge["realm"], query, auth=self.credentials, timeout=10)
            assert answer.status_code == 200, answer.text
            self.token = answer.json()["token"]
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, method, repository, path, **options):
        headers = options.pop("headers", {})
        url = path if path.startswith("http") else f"{self.url}/{repository}/{path}"
        for _attempt in range(3):
            if self.challenge:
                self._add(["pull"] if method in {"GET", "HEAD"} else ["pull", "push"])
            sent = {**headers, **self._authorization(repository)}
            answer = requests.request(method, url, headers=sent, timeout=10, **options)
            if answer.status_code != 401:
                break
            asked = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))
            first, self.challenge = not self.challenge, self.challenge or asked
            if not self._add(asked["scope"].rpartition(":")[2].split(",")) and not first:
                break  # nothing new to ask for
        if not answer.ok:
            raise Refused(f"{method} {path}: {answer.status_code}")
        return answer

    def _push_blob(self, repository, content):
        place = self.ask("POST", repository, "blobs/uploads/").headers["Location"]
        self.ask("PUT", repository, f"{place}&digest={digest_of(content)}", data=content)

    def delete_tag(self, repository, tag):
        try:
            self.ask("DELETE", repository, f"manifests/{tag}")
            return
        except Refused:
            pass  # Distribution 2.8 deletes by digest only.
        self.ask("HEAD", repository, f"manifests/{tag}", headers={"Accept": DOCKER_MANIFEST})
        config = json.dumps(
            {"config": {"Labels": {"delete-tag": tag}}, "os": "linux", "architecture": "amd64"}
        ).encode()
        for blob in (EMPTY, config):
            self._push_blob(repository, blob)

        def descriptor(kind, content):
            return {"mediaType": kind, "size": len(content), "digest": digest_of(content)}

        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": descriptor("application/vnd.docker.container.image.v1+json", config),
                "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", EMPTY)],
            }
        ).encode()
        self.ask("PUT", repository, f"manifests/{tag}", data=manifest, headers={"Content-Type": DOCKER_MANIFEST})
        self.ask("DELETE", repository, f"manifests/{digest_of(manifest)}")


@pytest.fixture
def client(stack, user):
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as client:
        yield client


@pytest.mark.parametrize("shown", ["password", "delete"])
def test_who_may_delete(stack, user, client, shown):
    repository = f"{user.namespace}/{shown}"
    kept = push_image(client, repository, "kept")
    push_image(client, repository, "gone", layers=[b"another"])
    Regctl(stack.registry_address, user.username, user.tokens.get(shown, user.password)).delete_tag(repository, "gone")
    assert client.tags(repository) == ["kept"]
    assert client.resolve(repository, "kept").digest == kept.digest
    with pytest.raises(ManifestUnknown):
        client.resolve(repository, "gone")


@pytest.mark.parametrize("shown", ["push", "pull"])
def test_who_may_not_delete_leaves_the_tag_as_it_is(stack, user, client, shown):
    """The refusal comes before the tag is overwritten, and not after."""
    repository = f"{user.namespace}/{shown}"
    image = push_image(client, repository, "v1")
    with pytest.raises(Refused, match="POST blobs/uploads/: 401"):
        Regctl(stack.registry_address, user.username, user.tokens[shown]).delete_tag(repository, "v1")
    assert client.resolve(repository, "v1").digest == image.digest


def test_a_token_to_push_still_pushes(stack, user, client):
    with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.tokens["push"])) as pusher:
        image = push_image(pusher, f"{user.namespace}/pushed", "v1")
    assert client.resolve(f"{user.namespace}/pushed", "v1").digest == image.digest
