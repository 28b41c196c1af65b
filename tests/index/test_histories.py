"""Whatever happens in the registry, and whatever is told of it: the index ends as the registry is.

Random histories of pushes, retags and deletions, of which events arrive, get lost, are repeated and shuffled. The
ordinary run tries few; ``HISTORIES=10000`` tries that many.
"""

import itertools
import json
import os
import random
from dataclasses import dataclass, field

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from console.registry.connection import registry
from console.registry.index import hints
from console.registry.index.models import Hint
from console.registry.index.parse import subject_of_tag
from console.registry.index.reconcile import begin, resume
from console.repositories.models import Image, Manifest, PushedDigest, Tag
from registry_client import DOCKER_MANIFEST_LIST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, NameUnknown
from tests.support.factories import NamespaceFactory
from tests.support.http_servers import running_registry
from tests.support.pushed_images import DOCKER_MANIFEST, digest_of, push_blob, push_image

HISTORIES = int(os.environ.get("HISTORIES", "60"))
URL = "/indexing/notifications/"
# The last one lies in nobody's namespace.
REPOSITORIES = ["histories/app", "histories/deep/tool", "nobody/app"]
OWNED = REPOSITORIES[:2]
TAGS = ["v1", "v2", "latest"]
EMPTY = b"{}"


@dataclass(frozen=True)
class Made:
    """A manifest that histories push: its bytes, what it needs to be there, and what the index is to say of it."""

    content: bytes
    media_type: str
    kind: str
    size: int
    needs: tuple[str, ...] = ()
    subject: str = ""

    @property
    def digest(self):
        return digest_of(self.content)


def _descriptor(made, **more):
    return {"mediaType": made.media_type, "digest": made.digest, "size": len(made.content), **more}


def _index(media_type, *children):
    entries = [
        _descriptor(child, platform={"os": "linux", "architecture": architecture})
        for child, architecture in zip(children, ("amd64", "arm64"), strict=False)
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
    return content, media_type


def make_all(repository):
    """Push the blobs that the histories' manifests need, and return the manifests by name."""
    made = {}
    for name in ("one", "two", "three"):
        pushed = push_image(registry(), repository, None, layers=[name.encode() * 50], config={"name": name})
        registry().delete_manifest(repository, pushed.digest)
        made[name] = Made(pushed.content, DOCKER_MANIFEST, "image", pushed.size)
    empty = {"mediaType": OCI_EMPTY, "digest": push_blob(registry(), repository, EMPTY), "size": len(EMPTY)}
    layer = b"signed" * 20
    signature = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": empty,
        "layers": [{"mediaType": "text/plain", "digest": push_blob(registry(), repository, layer), "size": len(layer)}],
        "subject": _descriptor(made["one"]),
    }
    made["signature"] = Made(
        json.dumps(signature).encode(), OCI_MANIFEST, "artifact", len(layer) + 2, subject=made["one"].digest
    )
    for name, kind, media_type, children in [
        ("index", "index", OCI_INDEX, ("one", "two")),
        ("list", "index", DOCKER_MANIFEST_LIST, ("two", "three")),
        ("nested", "index", OCI_INDEX, ("list", "one")),
        ("referrers", "artifact", OCI_INDEX, ("signature",)),
    ]:
        content, _ = _index(media_type, *(made[child] for child in children))
        made[name] = Made(content, media_type, kind, sum(made[child].size for child in children), children)
    return made


@dataclass
class World:
    """The registry's present state as the test knows it, and the events that wait to be delivered."""

    made: dict[str, dict[str, Made]]
    tags: dict[str, dict[str, str]] = field(default_factory=lambda: {one: {} for one in REPOSITORIES})
    present: dict[str, set[str]] = field(default_factory=lambda: {one: set() for one in REPOSITORIES})
    events: list[dict] = field(default_factory=list)
    number: itertools.count = field(default_factory=itertools.count)

    def tell(self, action, repository, digest, tag=""):
        number = next(self.number)
        self.events.append(
            {
                "id": f"history-{number}",
                "timestamp": f"2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}Z",
                "action": action,
                "target": {"repository": repository, "digest": digest, "tag": tag},
                "actor": {"name": "somebody"},
            }
        )

    def push(self, repository, tag, name):
        made = self.made[repository][name]
        for needed in made.needs:
            if needed not in self.present[repository]:
                self.push(repository, None, needed)
        registry().put_manifest(repository, tag or made.digest, made.content, made.media_type)
        self.present[repository].add(name)
        if tag:
            self.tags[repository][tag] = name
        self.tell("push", repository, made.digest, tag or "")

    def delete(self, repository, name):
        digest = self.made[repository][name].digest
        registry().delete_manifest(repository, digest, missing_ok=True)
        self.present[repository].discard(name)
        self.tell("delete", repository, digest)
        for tag in [tag for tag, pointed in self.tags[repository].items() if pointed == name]:
            del self.tags[repository][tag]
            self.tell("delete", repository, "", tag)

    def clear(self):
        for repository, present in self.present.items():
            for name in present:
                registry().delete_manifest(repository, self.made[repository][name].digest, missing_ok=True)


# A step is a change of the registry, or a delivery: of all that is new, or of the events at these places in this order.
_name = st.sampled_from(["one", "two", "three", "signature", "index", "list", "nested", "referrers"])
_tag = st.sampled_from([*TAGS, "signature-of-one", "about-one", None])
_repository = st.sampled_from([REPOSITORIES[0]] * 6 + REPOSITORIES[1:])
_step = st.one_of(
    st.tuples(st.just("push"), _repository, _tag, _name),
    st.tuples(st.just("delete"), _repository, _name),
    st.tuples(st.just("tell")),
    st.tuples(st.just("deliver"), st.lists(st.integers(0, 30), min_size=1, max_size=6)),
)
_steps = st.integers(3, 14).flatmap(lambda length: st.lists(_step, min_size=length, max_size=length))
_history = st.tuples(_steps, st.randoms(use_true_random=False), st.booleans())


@pytest.fixture(scope="module")
def open_registry(registry_program, tmp_path_factory):
    """A registry that holds nothing but the histories."""
    with running_registry(registry_program, tmp_path_factory.mktemp("histories")) as url:
        yield url


@pytest.fixture
def made(open_registry, settings):
    settings.CONSOLE_REGISTRY_URL = open_registry
    return {repository: make_all(repository) for repository in REPOSITORIES}


def deliver(client, events):
    """Let the console take the events in, and follow what it then has to look at."""
    answer = client.post(
        URL,
        json.dumps({"events": events}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {django_settings.KEYS.notification_secret}"},
    )
    assert answer.status_code == 200
    for repository in sorted(set(Hint.objects.values_list("repository", flat=True))):
        hints.sync_repository(repository)
    assert not Hint.objects.exists()


def indexed_tags(repository):
    namespace, _, name = repository.partition("/")
    rows = Tag.objects.filter(image__namespace__name=namespace, image__name=name)
    return dict(rows.values_list("name", "manifest__digest"))


def present_tags(repository):
    try:
        names = registry().tags(repository)
    except NameUnknown:
        names = []
    return {name: registry().resolve(repository, name).digest for name in names}


def assert_exact(world, present):
    """The index says what the registry says (``present``: its tags), and nothing else."""
    for repository in OWNED:
        assert indexed_tags(repository) == present[repository]
        image = Image.objects.filter(full_name=repository).first()
        if image is not None:
            assert_exact_image(world, repository, image, present[repository])
        else:
            assert not present[repository]
    assert not Image.objects.filter(namespace__name="nobody").exists()


def assert_exact_image(world, repository, image, tags):
    """Manifests, their children and the totals of one image."""
    made, there = world.made[repository], world.present[repository]
    by_digest = {one.digest: name for name, one in made.items()}
    rows = {by_digest[row.digest]: row for row in Manifest.objects.filter(image=image)}
    named = {child for name in rows for child in made[name].needs}
    assert {by_digest[digest] for digest in tags.values()} <= set(rows)
    for name, row in rows.items():
        # What is gone from the registry is remembered only while an index names it.
        assert name in there or name in named, f"{name} is gone"
        assert name in named or not row.is_child, name
        assert (row.media_type, row.subject) == (made[name].media_type, made[name].subject)
        assert row.child_digests == [made[child].digest for child in made[name].needs], name
    # What a tag's index names is known when it is there, and the size then is that of the whole.
    for name in reachable(made, {by_digest[digest] for digest in tags.values()}, there):
        assert name in rows or name not in there, name
        if reachable(made, {name}) <= there:
            assert (rows[name].kind, rows[name].size) == (made[name].kind, made[name].size), name
            assert all(rows[child].is_child for child in made[name].needs), name
    attached = 0
    for tag in image.tags.select_related("manifest"):
        subject = subject_of_tag(tag.name) or tag.manifest.subject
        # One that is about what it names itself would be shown nowhere.
        assert tag.subject == ("" if subject == tag.manifest.digest else subject)
        attached += by_digest.get(tag.subject) in rows
    assert (image.attachment_count, image.tag_count) == (attached, len(tags) - attached)
    assert image.size == sum(rows[by_digest[digest]].size for digest in set(tags.values()))


def assert_all_known(world):
    """Whatever is in the registry would go with its image: the index has it, or it is remembered."""
    for repository in OWNED:
        known = set(Manifest.objects.filter(image__full_name=repository).values_list("digest", flat=True))
        known |= set(PushedDigest.objects.filter(repository=repository).values_list("digest", flat=True))
        assert {world.made[repository][name].digest for name in world.present[repository]} <= known


def reachable(made, names, there=None):
    """These manifests with all that they name, and what those name; nothing is behind one that is not ``there``."""
    found = set()
    while names:
        found |= names
        names = {child for name in names if there is None or name in there for child in made[name].needs} - found
    return found


def play(history, client, made):
    """Let a history happen in the registry, with the deliveries in it, and look at what the index comes to."""
    steps, chance, nothing_lost = history
    world, told = World(made), 0
    abouts = {"signature-of-one": "sha256-{}.sig", "about-one": "sha256-{}"}
    try:
        for step in steps:
            match step:
                case "push", repository, tag, name:
                    if tag in abouts:
                        tag = abouts[tag].format(made[repository]["one"].digest.partition(":")[2])
                    world.push(repository, tag, name)
                case "delete", repository, name:
                    world.delete(repository, name)
                case ("tell",):
                    deliver(client, world.events[told:])
                    told = len(world.events)
                case "deliver", places if world.events:
                    deliver(client, [world.events[place % len(world.events)] for place in places])
        present = {repository: present_tags(repository) for repository in OWNED}
        for repository in OWNED:
            assert present[repository] == {
                tag: made[repository][name].digest for tag, name in world.tags[repository].items()
            }
        if nothing_lost:
            # Then the tags are right without a walk, in whatever order they are told of.
            deliver(client, chance.sample(world.events, len(world.events)))
            assert {repository: indexed_tags(repository) for repository in OWNED} == present
        assert resume(begin(), share=100).state == "done"
        assert_exact(world, present)
        if nothing_lost:
            assert_all_known(world)
        # What arrives late, or once more, changes nothing.
        deliver(client, chance.sample(world.events, min(len(world.events), 5)))
        assert_exact(world, present)
    finally:
        world.clear()


@pytest.mark.django_db
def test_after_a_reconcile_the_index_equals_the_registry(client, made):
    NamespaceFactory(name="histories")

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if HISTORIES <= 1000 else [])],
    )
    @given(_history)
    # A child that comes back completes its index, and the index that names that.
    @example(
        (
            [
                ("push", REPOSITORIES[0], "about-one", "list"),
                ("delete", REPOSITORIES[0], "two"),
                ("push", REPOSITORIES[0], "signature-of-one", "nested"),
                ("tell",),
                ("push", REPOSITORIES[0], "about-one", "list"),
            ],
            random.Random(1),
            False,
        )
    )
    def check(history):
        with transaction.atomic():
            play(history, client, made)
            transaction.set_rollback(True)

    check()
