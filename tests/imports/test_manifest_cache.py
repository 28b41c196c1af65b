"""The manifests that a copy read in earlier turns: each finds its own, and there is a limit on all of them."""

import os

import pytest

from console.imports import copying, jobs, plan
from console.imports.models import Transfer
from registry_client import Manifest, RegistryClient
from tests.support.import_requests import ask, image, official, pulled, ready, run
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_image, push_index

pytestmark = pytest.mark.django_db


class TestManifestsOfEarlierTurns:
    def made(self, length=10):
        content = os.urandom(length)
        return Manifest("some/app", digest_of(content), DOCKER_MANIFEST, content)

    def test_each_copy_finds_its_own(self):
        kept, one = plan.ManifestCache(), self.made()
        assert kept.add((1, 1), one)
        assert kept.get((1, 1), one.digest) == one
        assert kept.get((1, 2), one.digest) is None
        assert kept.get((1, 1), digest_of(b"another")) is None
        kept.forget((1, 1))
        assert (kept.get((1, 1), one.digest), kept.length) == (None, 0)

    def test_what_does_not_fit_is_not_kept(self, monkeypatch):
        monkeypatch.setattr(plan.ManifestCache, "_LIMIT", 100)
        kept, one = plan.ManifestCache(), self.made(60)
        assert kept.add(1, one)
        assert not kept.add(2, self.made(60))
        assert (kept.length, kept.get(1, one.digest)) == (60, one)
        # Nobody asks about it any more.
        monkeypatch.setattr(plan.ManifestCache, "_SECONDS", -1)
        assert kept.add(2, self.made(60))
        assert (kept.length, kept.get(1, one.digest)) == (60, None)

    def turns(self, upstream, namespace, monkeypatch):
        """How many turns a copy takes, and how often it asks the source for a manifest."""
        name = official()
        index = push_index(
            upstream, f"library/{name}", "latest", [push_image(upstream, f"library/{name}", None) for _ in range(3)]
        )
        transfer = ask(namespace, name)
        monkeypatch.setattr(jobs, "_TURN_SECONDS", -1)
        asked, real = [], RegistryClient.manifest
        monkeypatch.setattr(RegistryClient, "manifest", lambda self, *a, **k: asked.append(a) or real(self, *a, **k))
        turns = 0
        while not ready(transfer):
            jobs.fetch(transfer.pk, 1)
            turns += 1
            assert turns < 30, "it comes to no end"
        calls = len(asked)
        jobs.finish(transfer.pk, 1)
        assert pulled(image(namespace)) == index.digest
        return turns, calls

    @pytest.mark.usefixtures("registry_server", "hub")
    def test_the_source_is_not_asked_again(self, upstream, namespace, monkeypatch):
        monkeypatch.setattr(copying, "_manifest_cache", plan.ManifestCache())
        assert self.turns(upstream, namespace, monkeypatch) == (9, 4)
        assert copying._manifest_cache.length == 0

    @pytest.mark.usefixtures("registry_server", "hub")
    def test_without_room_a_turn_does_not_end_among_the_manifests(self, upstream, namespace, monkeypatch):
        monkeypatch.setattr(plan.ManifestCache, "_LIMIT", 0)
        assert self.turns(upstream, namespace, monkeypatch) == (6, 24)

    @pytest.mark.usefixtures("registry_server", "hub")
    def test_none_are_left_when_it_fails(self, upstream, namespace, monkeypatch):
        monkeypatch.setattr(copying, "_manifest_cache", plan.ManifestCache())
        name = official()
        push_image(upstream, f"library/{name}", "latest")
        assert run(ask(namespace, name, platforms=["linux/s390x"])).state == Transfer.State.FAILED
        assert copying._manifest_cache.length == 0
