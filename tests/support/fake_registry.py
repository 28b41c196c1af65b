"""Registries for tests of the reconcile: an empty real one, and a fake one in memory."""

from __future__ import annotations

import contextlib
import hashlib
import json

from django.utils import timezone

from console.registry.index import reconcile
from console.repositories.models import Manifest, Tag
from console.repositories.totals import refresh_totals
from registry_client import connections
from tests.support.http_servers import Reply, Request, Server, error_reply, json_reply, running_registry
from tests.support.pushed_images import OCI_INDEX


@contextlib.contextmanager
def own_registry(program, folder, settings):
    """Use a real, empty registry without authentication for the console."""
    with running_registry(program, folder) as url:
        settings.CONSOLE_REGISTRY_URL = url
        yield url


@contextlib.contextmanager
def fake_registry(settings, monkeypatch):
    """Use a ``FakeRegistry`` for the console."""
    monkeypatch.setattr(connections, "_BACKOFF_SECONDS", 0.0)
    fake = FakeRegistry()
    settings.CONSOLE_REGISTRY_URL = fake.server.url
    yield fake
    fake.server.close()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry:
    """Answers like a registry from ``repositories``: for each repository its tags, each with a manifest's content.

    ``strange`` may answer a request in another way, or return ``None``.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.strange = lambda request: None
        self.server = Server(self._answer)

    def push(self, repository: str, *tags: str, number: int = 0) -> str:
        """Point the tags at an empty index, a different one for each ``number``; returns its digest."""
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"n": str(number)}}
        content = json.dumps(index).encode()
        self.repositories.setdefault(repository, {}).update(dict.fromkeys(tags, content))
        return digest_of(content)

    def asked(self, word: str) -> list[str]:
        """The requests so far with ``word`` in them."""
        lines = [f"{request.method} {request.path}" for request in self.server.requests]
        return [line for line in lines if word in line]

    def _answer(self, request: Request) -> Reply:
        return self.strange(request) or self._usual(request)

    def _usual(self, request: Request) -> Reply:
        if request.path == "/v2/":
            return json_reply({})
        if request.path == "/v2/_catalog":
            return self._catalog(request)
        name, _, rest = request.path.removeprefix("/v2/").rpartition("/manifests/")
        if name:
            return self._manifest(self.repositories.get(name), rest)
        name = request.path.removeprefix("/v2/").removesuffix("/tags/list")
        if name not in self.repositories:
            return error_reply(404, "NAME_UNKNOWN")
        return json_reply({"name": name, "tags": list(self.repositories[name]) or None})

    def _catalog(self, request: Request) -> Reply:
        size, last = int(request.query["n"][0]), request.query.get("last", [""])[0]
        names = sorted(name for name in self.repositories if name > last)
        headers = {}
        if len(names) > size:
            headers["Link"] = f'</v2/_catalog?n={size}&last={names[size - 1]}>; rel="next"'
        return json_reply({"repositories": names[:size]}, **headers)

    def _manifest(self, tags: dict[str, bytes] | None, reference: str) -> Reply:
        if tags is None:
            return error_reply(404, "NAME_UNKNOWN")
        by_digest = {digest_of(content): content for content in tags.values()} if ":" in reference else tags
        content = by_digest.get(reference)
        if content is None:
            return error_reply(404, "MANIFEST_UNKNOWN")
        return Reply(200, content, {"Content-Type": OCI_INDEX, "Docker-Content-Digest": digest_of(content)})


def walk_over(*repositories, adopt_for="", **options):
    """Reconcile to the end; returns the run, and the lines that it reported."""
    lines = []
    walk = reconcile.resume(reconcile.begin(repositories, adopt_for=adopt_for), report=lines.append, **options)
    return walk, lines


def indexed(fake, image, *tags):
    """Create tags in both registry and index, each with a different digest."""
    digests = [fake.push(image.repository, tag, number=number) for number, tag in enumerate(tags)]
    manifests = Manifest.objects.bulk_create(
        Manifest(image=image, digest=digest, kind=Manifest.Kind.INDEX, size=1) for digest in digests
    )
    Tag.objects.bulk_create(
        Tag(image=image, name=tag, manifest=manifest, pushed_at=timezone.now())
        for tag, manifest in zip(tags, manifests, strict=True)
    )
    refresh_totals(image.pk)


def names(image):
    return set(image.tags.values_list("name", flat=True))
