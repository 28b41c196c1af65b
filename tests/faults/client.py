"""A light client of the token endpoint, the registry and the console's pages, as a person's programs use them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time

import requests

from tests.faults.ledger import Ledger, Made
from tests.support.pushed_images import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, OCI_INDEX, digest_of
from tests.support.stack import Stack

# Longer than any fault: whoever gives up earlier does not know whether what was asked for is still going to happen.
_PATIENCE_SECONDS = 180
_TOKEN_SECONDS = 120
_ACCEPT = f"{DOCKER_MANIFEST}, {OCI_INDEX}"
# The console's pages, and what the edge says while the console is away.
_EDGE_SENTENCE = "My Images does not answer at the moment. Try again in some seconds."
_SENTENCES = re.compile("<h1>(Something went wrong on our side|Can’t reach the database|This took too long)</h1>")


class Unknown(Exception):
    """No answer, or one that says nothing about what was done."""


class Refused(Exception):
    """The answer says that nothing was done."""


class Client:
    """One account's client, for one thread.

    :param username: of the console and of the registry.
    """

    def __init__(self, stack: Stack, ledger: Ledger, username: str, console_password: str, password: str) -> None:
        self.console, self.registry = stack.console_url, f"http://{stack.registry_address}"
        self.ledger = ledger
        self.username, self.console_password, self.password = username, console_password, password
        self.session = requests.Session()
        self.session.trust_env = False
        self._tokens: dict[str, tuple[str, float]] = {}

    # --- one call ---------------------------------------------------------------------------------------------------

    def ask(self, method: str, url: str, **options) -> requests.Response:
        """Send one request; the answer, whatever it says short of a failure of the server's own.

        :raises Unknown: when none came, or it was a failure of the server's own (500 and more).
        """
        try:
            answer = self.session.request(method, url, timeout=_PATIENCE_SECONDS, allow_redirects=False, **options)
        except requests.RequestException as error:
            raise Unknown(type(error).__name__) from error
        if answer.status_code >= 500:
            if not _speaks(answer):
                self.ledger.speechless.append(f"{method} {url}: {answer.status_code} {answer.text[:300]!r}")
            raise Unknown(f"{answer.status_code}")
        return answer

    def _refuse(self, what: str, answer: requests.Response) -> Refused:
        found = re.search(r'"code":\s*"([A-Z_]+)"', answer.text)
        self.ledger.refuse(f"{what}: {answer.status_code} {found[1] if found else ''}".strip())
        return Refused(f"{answer.status_code} {answer.text[:200]}")

    # --- the registry -----------------------------------------------------------------------------------------------

    def token(self, repository: str) -> str:
        """A registry token for pushing to and pulling from the repository; kept for two minutes."""
        token, until = self._tokens.get(repository, ("", 0.0))
        if time.monotonic() < until:
            return token
        scope = {"service": "my-images-registry", "scope": f"repository:{repository}:pull,push"}
        answer = self.ask("GET", f"{self.console}/token/", params=scope, auth=(self.username, self.password))
        if answer.status_code != 200:
            raise self._refuse("token", answer)
        token = answer.json()["token"]
        self._tokens[repository] = (token, time.monotonic() + _TOKEN_SECONDS)
        return token

    def _call(self, method: str, repository: str, path: str, **options) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token(repository)}", **options.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.registry}/v2/{repository}/{path}"
        return self.ask(method, url, headers=headers, **options)

    def _has_blob(self, repository: str, digest: str) -> bool:
        try:
            return self._call("HEAD", repository, f"blobs/{digest}").status_code == 200
        except Unknown:
            return False  # Docker then uploads it, too

    def push_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob unless the registry says that it has it."""
        digest = digest_of(content)
        if self._has_blob(repository, digest):
            return digest
        begun = self._call("POST", repository, "blobs/uploads/")
        if begun.status_code != 202:
            raise self._refuse("upload", begun)
        place = begun.headers["Location"]
        place += f"{'&' if '?' in place else '?'}digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        done = self._call("PUT", repository, place, data=content, headers=kind)
        if done.status_code != 201:
            raise self._refuse("upload", done)
        return digest

    def put_manifest(self, repository: str, reference: str, made: Made) -> None:
        """Put a manifest whose blobs were confirmed.

        :raises Unknown: when it may be there and may not be.
        """
        answer = self._call(
            "PUT", repository, f"manifests/{reference}", data=made.content, headers={"Content-Type": made.media_type}
        )
        if answer.status_code == 201:
            return
        if "BLOB_UNKNOWN" in answer.text:
            self.ledger.lose(f"{repository}: a blob that was confirmed is not there: {answer.text[:300]}")
        raise self._refuse("manifest", answer)

    def pull(self, repository: str, reference: str, *, blobs: bool = True) -> str:
        """Pull, verifying all bytes; the digest, or empty when the registry says that there is no such tag.

        :raises Unknown: when it failed in any other way.
        """
        answer = self._call("GET", repository, f"manifests/{reference}", headers={"Accept": _ACCEPT})
        if answer.status_code == 404:
            return ""
        if answer.status_code != 200:
            raise self._refuse("pull", answer)
        digest = digest_of(answer.content)
        document = json.loads(answer.content)
        for child in document.get("manifests", []):
            if self.pull(repository, child["digest"], blobs=blobs) != child["digest"]:
                raise Unknown(f"{child['digest']} is not there")
        parts = [document["config"], *document["layers"]] if "layers" in document else []
        for blob in parts if blobs else []:
            found = self._call("GET", repository, f"blobs/{blob['digest']}")
            if found.status_code != 200 or digest_of(found.content) != blob["digest"]:
                raise Unknown(f"{blob['digest']}: {found.status_code}")
        return digest

    # --- the console ------------------------------------------------------------------------------------------------

    def sign_in(self) -> None:
        """Sign in at the console, as the page's form does."""
        page = self.ask("GET", f"{self.console}/sign-in/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        form = {"csrfmiddlewaretoken": token, "username": self.username, "password": self.console_password}
        answer = self.ask("POST", f"{self.console}/sign-in/", data=form, headers={"Referer": self.console})
        if answer.status_code != 302:
            raise self._refuse("sign in", answer)

    def look(self, path: str) -> str:
        """A page's text."""
        answer = self.ask("GET", self.console + path)
        if answer.status_code != 200:
            raise self._refuse(f"page {re.sub('[0-9]+', 'N', path)}", answer)
        return answer.text

    def submit(self, path: str, form: dict) -> None:
        """Send a form of the console; it is confirmed by leading on to another page.

        :raises Refused: when it is shown again, or there is nothing of the kind.
        """
        headers = {"Referer": self.console, "X-CSRFToken": self.session.cookies.get("my_images_csrf", "")}
        answer = self.ask("POST", self.console + path, data=form, headers=headers)
        if answer.status_code != 302 or "/sign-in/" in answer.headers["Location"]:
            raise self._refuse(f"form {path.rpartition('/-/')[2]}", answer)


def _speaks(answer: requests.Response) -> bool:
    """Whether a failure says what happened: a sentence of the product's own, or the protocol's error body."""
    if answer.request.method == "HEAD":
        return True
    if "html" in answer.headers.get("Content-Type", ""):
        return bool(_SENTENCES.search(answer.text))
    if answer.headers.get("Content-Type", "").startswith("text/plain"):
        return answer.text.strip() == _EDGE_SENTENCE
    try:
        error = answer.json()["errors"][0]
        return bool(error["code"] and error["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return False


def make(client: Client, repository: str, base: bytes) -> Made:
    """Upload the blobs of a new image: a layer of its own over ``base``; the manifest is not put yet."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "n": os.urandom(8).hex()}).encode()
    layers = [base, os.urandom(300)]
    blobs = [client.push_blob(repository, content) for content in (config, *layers)]
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": DOCKER_CONFIG, "digest": blobs[0], "size": len(config)},
            "layers": [
                {"mediaType": DOCKER_LAYER, "digest": digest, "size": len(layer)}
                for digest, layer in zip(blobs[1:], layers, strict=True)
            ],
        }
    ).encode()
    return Made(digest_of(content), DOCKER_MANIFEST, content, tuple(blobs))


def make_index(client: Client, repository: str, base: bytes) -> Made:
    """Two images, pushed by their digests, and an index of them that is not put yet."""
    children = [make(client, repository, base) for _ in range(2)]
    for child in children:
        client.put_manifest(repository, child.digest, child)
    entries = [
        {
            "mediaType": child.media_type,
            "digest": child.digest,
            "size": len(child.content),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return Made("sha256:" + hashlib.sha256(content).hexdigest(), OCI_INDEX, content, (), tuple(children))
