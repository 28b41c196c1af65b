from __future__ import annotations

import json
import uuid

import pytest
import requests
from django.conf import settings as django_settings

from console.access.grants import Access
from console.registry.connection import registry
from console.registry.signing import sign
from registry_client import OCI_EMPTY, OCI_MANIFEST
from tests.support.http_servers import Reply, Server
from tests.support.pushed_images import digest_of, push_blob

PUSH = ("pull", "push", "delete")


def artifact(repository, **more):
    """The bytes of a small artifact whose blob the registry has."""
    push_blob(registry(), repository, b"{}")
    entry = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry, "layers": [entry], **more}
    # Spaces and order as no library writes them: the bytes must stay what they are.
    return json.dumps(document, indent=3).encode()


def puts(between):
    """The manifests that were put."""
    return [one.path for one in between.requests if one.method == "PUT" and "/manifests/" in one.path]


class GateClient:
    """A registry client whose blobs go to the registry, and whose manifests go through the gate.

    It can take the place of a ``RegistryClient`` in ``tests.support.pushed_images``. ``answer`` is the last response.
    """

    def __init__(self, client, username):
        self.client, self.username, self.answer = client, username, None

    def bearer(self, repository, actions=PUSH):
        token = sign(self.username, [Access("repository", repository, frozenset(actions))])
        return {"Authorization": f"Bearer {token.text}"}

    def upload_blob(self, *arguments):
        registry().upload_blob(*arguments)

    def put(self, repository, reference, content, media_type, headers=None):
        self.answer = self.client.put(
            f"/v2/{repository}/manifests/{reference}",
            content,
            content_type=media_type,
            headers=headers if headers is not None else self.bearer(repository),
        )
        return self.answer

    def put_manifest(self, repository, reference, content, media_type):
        answer = self.put(repository, reference, content, media_type)
        assert answer.status_code == 201, answer.content
        return answer["Docker-Content-Digest"]

    def delete(self, repository, reference):
        return self.client.delete(f"/v2/{repository}/manifests/{reference}", headers=self.bearer(repository))

    def get(self, repository, path, **query):
        return self.client.get(f"/v2/{repository}/{path}", query, headers=self.bearer(repository, ["pull"]))

    def error(self, answer, status):
        """The code and message of an error in the protocol's form."""
        assert answer.status_code == status, (answer.status_code, answer.content)
        assert answer["Content-Type"] == "application/json"
        (error,) = answer.json()["errors"]
        return error["code"], error["message"]


@pytest.fixture
def gate(client, ann):
    """The gate, as ``ann`` calls it."""
    return GateClient(client, ann.credential.username)


@pytest.fixture
def app(team, registry_server):
    """The name of a repository of ``ann`` that the registry does not have yet."""
    return f"{team.name}/app-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def between(settings):
    """A relay between the gate and the registry. ``strange`` may answer a request in another way."""
    origin = django_settings.CONSOLE_REGISTRY_URL

    def answer(request):
        if (reply := server.strange(request)) is not None:
            return reply
        kept = ("authorization", "content-type", "accept")
        headers = {name: value for name, value in request.headers.items() if name.lower() in kept}
        with requests.request(
            request.method, f"{origin}{request.target}", headers=headers, data=request.body, timeout=10
        ) as found:
            kept = ("Content-Type", "Docker-Content-Digest", "Location", "Link")
            passed = {name: found.headers[name] for name in kept if name in found.headers}
            length = {"Content-Length": found.headers["Content-Length"]} if request.method == "HEAD" else {}
            return Reply(found.status_code, found.content, {**passed, **length})

    server = Server(answer)
    server.strange = lambda request: None
    settings.CONSOLE_REGISTRY_URL = server.url
    yield server
    server.close()
