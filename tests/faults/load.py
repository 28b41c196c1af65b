"""A steady load: threads that push, pull, create and delete, and write down what they saw."""

from __future__ import annotations

import random
import threading
import traceback

from tests.faults.client import Client, Refused, Unknown, make, make_index
from tests.faults.ledger import ABSENT, Ledger, Made

_PACE_SECONDS = 0.05
_MOST_IMAGES = 5
_SHARES = {
    "push": 32,
    "move a tag": 10,
    "pull": 20,
    "page": 14,
    "create an image": 5,
    "delete a tag": 14,
    "delete an image": 5,
}


class Person(threading.Thread):
    """Does one thing after another until told to stop; rests while ``going`` is not set."""

    def __init__(self, number: int, namespace: str, client: Client, ledger: Ledger, seed: int) -> None:
        super().__init__(name=f"person {number}", daemon=True)
        self.number, self.namespace, self.client, self.ledger = number, namespace, client, ledger
        self.random = random.Random(f"{seed} {number}")
        self.bases = [self.random.randbytes(400) for _ in range(2)]
        self.going, self.resting, self.over = threading.Event(), threading.Event(), threading.Event()
        self.images: list[str] = []
        self.names = 0
        # A push whose end nobody knows: whoever pushed pushes it again.
        self.unfinished: tuple[str, str, Made] | None = None
        self.failure = ""
        self.signed_in = False

    def run(self) -> None:
        while not self.over.is_set():
            if not self.going.is_set():
                self.resting.set()
                self.going.wait(0.5)
                continue
            self.resting.clear()
            try:
                self.step()
            except Exception:
                self.failure = traceback.format_exc()
                break
            self.over.wait(_PACE_SECONDS)
        self.resting.set()

    def step(self) -> None:
        """Do one thing."""
        if not self.signed_in:
            self.done("sign in", self.client.sign_in)
            self.signed_in = self.client.session.cookies.get("my_images_session") is not None
            return
        if self.unfinished and self.random.random() < 0.6:
            self.push_again()
            return
        (verb,) = self.random.choices(list(_SHARES), list(_SHARES.values()))
        getattr(self, verb.replace(" a ", "_").replace(" an ", "_"))()

    def done(self, verb: str, call, *arguments) -> str:
        """Make a call and count what the client saw of it."""
        try:
            call(*arguments)
        except Unknown:
            seen = "unknown"
        except Refused:
            seen = "refused"
        else:
            seen = "confirmed"
        self.ledger.count(verb, seen)
        return seen

    # --- the things -------------------------------------------------------------------------------------------------

    def _new_name(self, what: str) -> str:
        self.names += 1
        return f"{what}{self.number}-{self.names}"

    def _image(self) -> str:
        if self.images and (len(self.images) >= _MOST_IMAGES or self.random.random() < 0.85):
            return self.random.choice(self.images)
        repository = f"{self.namespace}/{self._new_name('image')}"
        self.images.append(repository)
        # A push to a name that nobody created makes the image.
        self.ledger.images[repository] = {False}
        return repository

    def _some_tag(self) -> tuple[str, str, str] | None:
        there = [(name, tag, digest) for name in self.images for tag, digest in self.ledger.certain(name).items()]
        return self.random.choice(there) if there else None

    def _push(self, verb: str, repository: str, tag: str, made: Made | None = None) -> None:
        key = (repository, tag)
        before = self.ledger.tags.setdefault(key, {ABSENT})
        sent = False

        def call() -> None:
            nonlocal made, sent
            if made is None:
                maker = make_index if self.random.random() < 0.2 else make
                made = maker(self.client, repository, self.random.choice(self.bases))
            self.ledger.made[made.digest] = made
            self.ledger.tags[key] = before | {made.digest}
            sent = True
            self.client.put_manifest(repository, tag, made)

        seen = self.done(verb, call)
        if seen == "confirmed":
            self.ledger.tags[key] = {made.digest}
            self.ledger.images[repository] = {True}
        elif seen == "refused" or not sent:
            self.ledger.tags[key] = before
        else:
            self.ledger.images[repository] = self.ledger.images[repository] | {True}
        if self.unfinished and self.unfinished[:2] == key:
            self.unfinished = None
        if seen == "unknown" and made is not None:
            self.unfinished = (repository, tag, made)

    def push(self) -> None:
        self._push("push", self._image(), self._new_name("v"))

    def push_again(self) -> None:
        repository, tag, made = self.unfinished
        if repository not in self.images:
            self.unfinished = None
            return
        self._push("push again", repository, tag, made)

    def move_tag(self) -> None:
        if some := self._some_tag():
            self._push("move a tag", some[0], some[1])

    def pull(self) -> None:
        some = self._some_tag()
        if some is None:
            return
        repository, tag, digest = some

        def call() -> None:
            found = self.client.pull(repository, tag)
            if found != digest:
                self.ledger.lose(f"{repository}:{tag} is {found or 'gone'}, not {digest}, in a pull under load")

        self.done("pull", call)

    def page(self) -> None:
        path = self.random.choice(["/images/", *(f"/images/{name}/" for name in self.images)])
        self.done("page", self.client.look, path)

    def create_image(self) -> None:
        if len(self.images) >= _MOST_IMAGES:
            return
        name = self._new_name("made")
        repository = f"{self.namespace}/{name}"
        form = {"namespace": self.namespace, "name": name, "visibility": "private", "description": ""}
        seen = self.done("create an image", self.client.submit, "/images/-/create/", form)
        self.ledger.images[repository] = {"confirmed": {True}, "refused": {False}, "unknown": {True, False}}[seen]
        if seen == "confirmed":
            self.images.append(repository)

    def delete_tag(self) -> None:
        some = self._some_tag()
        if some is None:
            return
        repository, tag, digest = some

        def call() -> None:
            # Somebody deletes what the page shows: a push that the index has not heard of yet is spared on purpose.
            if digest[:20] not in self.client.look(f"/images/{repository}/-/tags/{tag}/"):
                self.ledger.refuse("form delete-tags/: the page shows another digest")
                raise Refused
            self.client.submit(f"/images/{repository}/-/delete-tags/", {"tag": tag})

        # The name is not used again: a later push would count as the later wish.
        seen = self.done("delete a tag", call)
        if seen == "confirmed":
            self.ledger.tags[repository, tag] = {ABSENT}
            self.ledger.gone.add((repository, digest))
        elif seen == "unknown":
            self.ledger.tags[repository, tag] = self.ledger.tags[repository, tag] | {ABSENT}
        if seen != "refused" and self.unfinished and self.unfinished[:2] == (repository, tag):
            self.unfinished = None

    def delete_image(self) -> None:
        full = [name for name in self.images if self.ledger.images[name] == {True}]
        if len(full) < 2:
            return
        repository = self.random.choice(full)
        form = {"typed": repository.partition("/")[2]}
        seen = self.done("delete an image", self.client.submit, f"/images/{repository}/-/delete/", form)
        if seen == "refused":
            return
        self.images.remove(repository)
        gone = {ABSENT} if seen == "confirmed" else None
        if gone:
            self.ledger.gone.update((repository, digest) for digest in self.ledger.certain(repository).values())
        self.ledger.images[repository] = {False} if gone else {True, False}
        for key in [key for key in self.ledger.tags if key[0] == repository]:
            self.ledger.tags[key] = gone or self.ledger.tags[key] | {ABSENT}
