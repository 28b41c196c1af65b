"""Whether an installation holds what its clients were told."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.faults.client import Client, Refused, Unknown
from tests.faults.ledger import ABSENT, Ledger
from tests.support import disk
from tests.support.stack import Stack, wait_until

_QUIET_SECONDS = 120
# What a worker that gives no sign of life had in hand.
_ORPHANS = """
SELECT job.id, job.task_name FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
WHERE job.status = 'doing' AND (worker.id IS NULL OR worker.last_heartbeat < now() - interval '10 seconds')
"""
_AT_WORK = """
SELECT task_name, status::text, attempts FROM procrastinate_jobs
WHERE status IN ('todo', 'doing') AND task_name NOT IN ('indexing.add_up', 'operations.resume_stalled')
    AND (scheduled_at IS NULL OR scheduled_at < now() + interval '2 minutes')
"""
# What the clock asks for again needs no second try.
_ENDED_BADLY = """
SELECT id, task_name, status::text FROM procrastinate_jobs AS job
WHERE status NOT IN ('todo', 'doing', 'succeeded')
    AND NOT EXISTS (SELECT FROM procrastinate_periodic_defers AS clock WHERE clock.task_name = job.task_name)
"""
_INDEXED = """
SELECT image.full_name, tag.name, manifest.digest FROM images_tag AS tag
JOIN images_image AS image ON image.id = tag.image_id JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
"""
_MANIFESTS = """
SELECT image.full_name, manifest.digest FROM images_manifest AS manifest
JOIN images_image AS image ON image.id = manifest.image_id
"""
_TOTALS = """
SELECT image.full_name FROM images_image AS image
WHERE tag_count + attachment_count <> (SELECT count(*) FROM images_tag AS tag WHERE tag.image_id = image.id)
"""


class Proof:
    """Looks at everything while nobody changes anything.

    :param clients: by namespace, of its owner.
    """

    def __init__(self, stack: Stack, ledger: Ledger, clients: dict[str, Client]) -> None:
        self.stack, self.ledger, self.clients = stack, ledger, clients
        self.root = stack.data_dir / "registry" / "data" / "docker" / "registry" / "v2"

    def healthy(self) -> bool:
        """Whether the console, a page that needs the database, and the registry answer as ever."""
        try:
            answers = [
                requests.get(address, timeout=10, allow_redirects=False).status_code
                for address in (
                    f"{self.stack.console_url}/healthz",
                    f"{self.stack.console_url}/token/?scope=repository:aa/bb:pull",
                    f"{self.stack.console_url}/sign-in/",
                    f"http://{self.stack.registry_address}/v2/",
                )
            ]
        except requests.RequestException:
            return False
        return answers == [200, 200, 200, 401]

    def wait_until_quiet(self) -> None:
        """Wait until all is healthy, and whatever was asked for is done, with nobody's help.

        :raises AssertionError: when something is stuck; says what.
        """
        wait_until(self.healthy, "everything is healthy again", _QUIET_SECONDS)
        left: list = []

        def quiet() -> bool:
            left[:] = self._unfinished()
            return not left

        try:
            wait_until(quiet, "everything asked for is done", _QUIET_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {left[:10]}\n{self.stack.log()[-6000:]}") from None

    def _unfinished(self) -> list:
        return self._rows() if self.stack.sql("SELECT 1") else ["the database is away"]

    def _rows(self) -> list:
        return [
            *(("job", *row) for row in self.stack.sql(_AT_WORK)),
            *(("orphan", *row) for row in self.stack.sql(_ORPHANS)),
            *(("hint", *row) for row in self.stack.sql("SELECT repository, tag FROM indexing_hint")),
            *(("image deletion", *row) for row in self.stack.sql("SELECT image_id, problem FROM images_imagedeletion")),
            *(
                ("tag deletion", *row)
                for row in self.stack.sql("SELECT name, problem FROM images_tag WHERE state = 'deleting'")
            ),
        ]

    def prove(self, *, whole: bool = False) -> int:
        """Compare everything; what is not as it was said to be goes into the ledger's losses.

        :param whole: whether all blobs are read again that were read before.
        :return: how often the index had to be reconciled by hand, which it should not need.
        """
        self.wait_until_quiet()
        reconciled = 0
        with contextlib.suppress(AssertionError):
            # The registry tells again after a second what nobody took, and what it tells is looked at then.
            wait_until(lambda: not self._differences() and not self._unfinished(), "nothing is under way", 20)
        if self._differences():
            # What nobody was told of.
            self.stack.manage("reconcile")
            reconciled = 1
            self.wait_until_quiet()
        for difference in self._differences():
            self.ledger.lose(difference)
        for row in self.stack.sql(_ENDED_BADLY):
            self.ledger.lose(f"a job has failed and nobody tries it again: {row}")
        self._prove_tags(whole)
        self._prove_images()
        self._prove_gone()
        return reconciled

    def _differences(self) -> list[str]:
        """What the index and the registry's storage do not agree on."""
        indexed = {(name, tag): digest for name, tag, digest in self.stack.sql(_INDEXED)}
        names = {name for name, _tag in self.ledger.tags}
        stored = {(name, tag): digest for name in names for tag, digest in disk.tags(name, self.root).items()}
        found = [
            f"{name}:{tag} is {indexed.get((name, tag), 'nothing')} in the index, "
            f"{stored.get((name, tag), 'nothing')} in the registry"
            for name, tag in sorted(indexed.keys() | stored.keys())
            if indexed.get((name, tag)) != stored.get((name, tag))
        ]
        manifests = {name: disk.manifests(name, self.root) for name in names}
        found += [
            f"{name}@{digest} is in the index, and not in the registry"
            for name, digest in self.stack.sql(_MANIFESTS)
            if digest not in manifests.get(name, set())
        ]
        return found + [f"the totals of {name} are wrong" for (name,) in self.stack.sql(_TOTALS)]

    def _prove_tags(self, whole: bool) -> None:
        # Each client belongs to one thread: a namespace's tags are looked at by one.
        by_namespace: dict[str, list[tuple[str, str]]] = {}
        for key in sorted(self.ledger.tags):
            by_namespace.setdefault(key[0].partition("/")[0], []).append(key)
        with ThreadPoolExecutor(len(self.clients)) as pool:
            list(pool.map(lambda keys: [self._prove_tag(*key, whole) for key in keys], by_namespace.values()))

    def _prove_tag(self, repository: str, tag: str, whole: bool) -> None:
        key = (repository, tag)
        possible = self.ledger.tags[key]
        client = self.clients[repository.partition("/")[0]]
        if possible == {ABSENT} and (*key, ABSENT) in self.ledger.proven:
            return
        if possible == {ABSENT}:
            found = disk.tags(repository, self.root).get(tag, ABSENT)
        else:
            # What was read byte for byte before and is still the same manifest is not read whole again and again.
            read = not whole and any((*key, digest) in self.ledger.proven for digest in possible)
            found = self._pull(client, repository, tag, blobs=not read)
        if found not in possible:
            self.ledger.lose(
                f"{repository}:{tag} is {found or 'gone'}; it should be {' or '.join(sorted(possible)) or 'gone'}"
            )
        self.ledger.tags[key] = {found if found in self.ledger.made else ABSENT}
        self.ledger.proven.add((*key, found))

    def _pull(self, client: Client, repository: str, tag: str, *, blobs: bool) -> str:
        try:
            return client.pull(repository, tag, blobs=blobs)
        except (Unknown, Refused) as error:
            return f"not to be pulled ({error})"

    def _prove_images(self) -> None:
        there = {name for (name,) in self.stack.sql("SELECT full_name FROM images_image")}
        for name, possible in list(self.ledger.images.items()):
            if (name in there) not in possible:
                self.ledger.lose(f"the image {name} is {'there' if name in there else 'gone'}")
            self.ledger.images[name] = {name in there}

    def _prove_gone(self) -> None:
        """What was deleted is not in the registry under its digest either."""
        manifests = {name: disk.manifests(name, self.root) for name, _digest in self.ledger.gone}
        for name, digest in sorted(self.ledger.gone):
            if digest in manifests[name]:
                self.ledger.lose(f"{name}@{digest} was deleted with its tag, and is still there")
        self.ledger.gone.clear()
