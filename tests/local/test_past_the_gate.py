"""Nothing writes or deletes a manifest past the gate, however a request is written.

The account that sends the requests has been deactivated: the gate refuses them, while its tokens are still good for the
registry. So whatever changes the registry's storage has gone past the gate.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from console.access.grants import Access
from console.access.scopes import parse_scopes
from console.installation.environment import load
from console.installation.keys import ensure_keys
from console.local import sockets
from console.registry.signing import sign
from registry_client import RegistryClient, SignedTokens
from tests.local.odd_requests import AROUND, CLAIMS, FIELDS, FRAMES, HOSTS, METHODS, TARGETS, VERSIONS
from tests.support import disk, raw_http
from tests.support.ports import free_port
from tests.support.pushed_images import DOCKER_CONFIG, DOCKER_MANIFEST, push_image
from tests.support.registry_users import make_user
from tests.support.stack import Stack

SERVERS = ["registry", "site", "console", "dockerhub"]
# Requests that are sent at a time: most of them wait for an answer that does not come.
_AT_ONCE = 24


class Account:
    """An account with one image, whose requests are written by hand. Each has a tag of its own.

    :ivar sent: the requests by their tags, so that what is stored says which request stored it.
    """

    def __init__(self, stack: Stack) -> None:
        self.username = make_user(stack).username
        self.repository = f"{self.username}/app"
        self.key = ensure_keys(stack.data_dir).token_key
        self.root = stack.data_dir / "registry" / "data" / "docker" / "registry" / "v2"
        self.sent: dict[str, str] = {}
        self._numbers = itertools.count(1)
        with RegistryClient(f"http://{stack.registry_address}", SignedTokens(self._sign)) as client:
            pushed = push_image(client, self.repository, "v1")
        self.digest, (self.config, _layer) = pushed.digest, pushed.blobs

    def _sign(self, scopes):
        return sign(self.username, parse_scopes(scopes), key_file=self.key).text, 60.0

    def bearer(self, server="registry"):
        """A token for everything that an owner may do, at the registry or the cache."""
        grants = [Access("repository", self.repository, frozenset({"pull", "push", "delete"}))]
        service = "my-images-registry-dockerhub" if server == "dockerhub" else ""
        return f"Bearer {sign(self.username, grants, service, key_file=self.key).text}"

    def stored(self):
        """What the registry has: tags with their digests, and manifests."""
        return disk.tags(self.repository, self.root), disk.manifests(self.repository, self.root)

    def names(self, tag=""):
        """What ``tests.local.odd_requests`` leaves open; ``tag`` is a new one if it is not given."""
        tag = tag or f"t{next(self._numbers)}"
        where = {"r": self.repository, "t": tag, "d": self.config}
        return {**where, "m": f"/v2/{self.repository}/manifests/{tag}"}

    def request(self, names, line="PUT {m} HTTP/1.1", more=(), server="registry", host="localhost", keep=False):
        """A whole request. Its body is a manifest that the registry takes, unlike any other.

        :param line: its first line, and ``more`` further lines of its head, with places for ``names``.
        :param keep: whether the connection stays open afterwards.
        """
        config = {"mediaType": DOCKER_CONFIG, "digest": self.config, "size": 2}
        manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [], "t": names["t"]}
        body = json.dumps(manifest)
        lines = [
            line.format(**names),
            f"Host: {host.format(**names)}",
            f"Authorization: {self.bearer(server)}",
            f"Content-Type: {DOCKER_MANIFEST}",
            f"Content-Length: {len(body)}",
            *(one.format(**names) for one in more),
            *([] if keep else ["Connection: close"]),
        ]
        words = "\r\n".join([*lines, "", body])
        self.sent[names["t"]] = words
        return words

    def hidden(self, frame, line, server):
        """A request whose body, or what follows it, is another one that writes a manifest."""
        names = self.names()
        inner = self.request(names, server=server)
        head = f"{line.format(**names)}\r\nHost: localhost\r\nAuthorization: {self.bearer(server)}\r\n"
        words = head + frame.format(n=len(inner), x=f"{len(inner):x}", h=inner)
        self.sent[names["t"]] = words
        return words


class Product:
    """The whole product, with all of its addresses, and two accounts: one that may write, and one that may not."""

    def __init__(self, stack: Stack, site_port: int) -> None:
        self.stack = stack
        self.ports = {name: getattr(stack, f"{name}_port") for name in ("registry", "console", "dockerhub")}
        self.ports["site"] = site_port
        self.active, self.refused = Account(stack), Account(stack)
        query = """
            UPDATE accounts_account SET is_active = false
            WHERE id = (SELECT account_id FROM accounts_registrycredential WHERE username = %s) RETURNING id
        """
        assert len(stack.sql(query, self.refused.username)) == 1
        self.before = self.refused.stored()

    def send(self, server, words, seconds=raw_http.PATIENCE):
        connection = raw_http.connect(self.ports[server], tls=server == "site")
        return raw_http.exchange(connection, words.encode("latin-1"), seconds)

    def send_all(self, server, requests, seconds=raw_http.PATIENCE):
        """Send many requests; returns the answers. Afterwards, the registry has what it had before."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(lambda words: self.send(server, words, seconds), requests))
        self.check()
        return answers

    def check(self):
        """Compare what the registry has of the deactivated account's image with what it had."""
        tags, manifests = self.refused.stored()
        written = tags.keys() - self.before[0].keys()
        assert not written, [self.refused.sent.get(tag) for tag in sorted(written)]
        assert (tags, manifests) == self.before

    def indexed(self, tag):
        query = "SELECT 1 FROM images_tag AS tag JOIN images_image AS image ON image.id = tag.image_id"
        return self.stack.sql(f"{query} WHERE image.full_name = %s AND tag.name = %s", self.active.repository, tag)


@pytest.fixture(scope="module")
def product(registry_program, static_files):
    site, redirect = free_port(), free_port()
    address = f"https://localhost:{site}"
    stack = Stack(registry_program, SITE=address, TLS="internal", HTTP_PORT=str(redirect), DOCKERHUB="on")
    stack.console_url = address
    try:
        stack.start()
        made = Product(stack, site)
        yield made
        # Of what was still under way when its client had gone.
        made.check()
    finally:
        stack.stop()


class TestThatItWouldBeSeen:
    """Otherwise the tests below would say nothing."""

    def test_the_registry_itself_takes_what_the_gate_refuses(self, product):
        names = product.refused.names("past")
        place = sockets.registry(load(product.stack.environment))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))
            answer = raw_http.exchange(connection, product.refused.request(names).encode())
        assert answer.startswith(b"HTTP/1.1 201 "), answer
        with pytest.raises(AssertionError, match="PUT /v2/"):
            product.check()
        product.before = product.refused.stored()
        answer = product.send("registry", product.refused.request(product.refused.names()))
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["code"] == "DENIED"

    @pytest.mark.parametrize("server", ["registry", "site", "console"])
    def test_a_plain_request_of_somebody_who_may_is_written_and_indexed(self, product, server):
        names = product.active.names()
        answer = product.send(server, product.active.request(names))
        assert answer.startswith(b"HTTP/1.1 201 "), answer
        assert names["t"] in product.active.stored()[0]
        assert product.indexed(names["t"])

    def test_so_is_one_of_http_2(self, product):
        names = product.active.names()
        self.send(product, product.active, names, {})
        assert names["t"] in product.active.stored()[0]
        assert product.indexed(names["t"])

    def test_a_second_request_on_the_connection_is_read(self, product):
        """What is hidden in the first one would be answered like this."""
        first, second = product.active.names(), product.active.names()
        words = product.active.request(first, keep=True) + product.active.request(second)
        assert product.send("registry", words).count(b"HTTP/1.1 201 ") == 2
        assert {first["t"], second["t"]} <= product.active.stored()[0].keys()

    @staticmethod
    def send(product, account, names, changed):
        """Send a request by HTTP/2, with some of its fields changed."""
        head, _, body = account.request(names).partition("\r\n\r\n")
        given = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        fields = {":method": "PUT", ":scheme": "https", ":authority": "localhost", ":path": names["m"]}
        fields |= {"authorization": given["Authorization"], "content-type": given["Content-Type"]}
        fields |= {name: value.format(**names) for name, value in changed.items()}
        words = [(name.format(**names).encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        account.sent[names["t"]] = str(fields)
        with contextlib.closing(raw_http.connect(product.ports["site"], tls=True, protocol="h2")) as connection:
            return raw_http.exchange_frames(connection, words, body.encode())


@pytest.mark.parametrize("server", SERVERS)
class TestPastTheGate:
    def test_targets(self, product, server):
        account = product.refused
        requests = [account.request(account.names(), f"PUT {target} HTTP/1.1", server=server) for target in TARGETS]
        answers = product.send_all(server, requests)
        for words, answer in zip(requests, answers, strict=True):
            status = answer[9:12]
            assert status.startswith((b"3", b"4")), (words.partition("\r\n")[0], answer[:300])

    def test_targets_of_deletes(self, product, server):
        account = product.refused
        names = account.names(account.digest)
        lines = [f"DELETE {target} HTTP/1.1" for target in [*TARGETS, *(one.replace("{t}", "v1") for one in TARGETS)]]
        answers = product.send_all(server, [account.request(names, line, server=server) for line in lines])
        for line, answer in zip(lines, answers, strict=True):
            assert answer[9:12].startswith((b"3", b"4")), (line, answer[:300])

    def test_methods_and_versions(self, product, server):
        account = product.refused
        lines = [f"{method} {{m}} HTTP/1.1" for method in METHODS] + [f"PUT {{m}} {version}" for version in VERSIONS]
        product.send_all(server, [account.request(account.names(), line, server=server) for line in lines])

    def test_claims(self, product, server):
        """At the plain address, and at others that the gate does not see."""
        account = product.refused
        lines = [
            "PUT {m}",
            "PUT /v2/{r}/blobs/uploads/1",
            "POST /v2/{r}/blobs/uploads/",
            "GET /v2/",
            "GET {m}",
            "POST /token/",
        ]
        requests = [
            account.request(account.names(), f"{line} HTTP/1.1", [claim], server=server)
            for line in lines
            for claim in CLAIMS
        ]
        product.send_all(server, requests)

    def test_hosts(self, product, server):
        account = product.refused
        product.send_all(server, [account.request(account.names(), host=host, server=server) for host in HOSTS])
        product.send_all(
            server, [account.request(account.names(), more=[f"Host: {host}"], server=server) for host in HOSTS]
        )

    def test_hidden_requests(self, product, server):
        """In the body of another, or behind it. What is read as a request of its own is refused by the gate."""
        account = product.refused
        around = {"registry": AROUND, "console": AROUND[-5:-2], "dockerhub": AROUND[:1], "site": AROUND[:1]}[server]
        requests = [account.hidden(frame, line, server) for line in around for frame in FRAMES]
        product.send_all(server, requests, raw_http.SILENCE)


@pytest.mark.parametrize("changed", FIELDS, ids=repr)
def test_http_2(product, changed):
    account = product.refused
    TestThatItWouldBeSeen.send(product, account, account.names(), changed)
    product.check()


def test_another_host_gets_an_error_of_the_protocol(product):
    """No page: registry clients print the sentence of such an error."""
    for line in ("PUT {m} HTTP/1.1", "GET /v2/{r}/tags/list HTTP/1.1", "GET /v2/_catalog HTTP/1.1"):
        for server in ("registry", "site", "console"):
            account = product.refused
            answer = product.send(server, account.request(account.names(), line, host="evil.example", server=server))
            head, _, body = answer.decode().partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 400 "), head
            assert "\r\nContent-Type: application/json" in head
            assert "{" in body, answer
            # It may come in chunks.
            (error,) = json.loads(body[body.index("{") : body.rindex("}") + 1])["errors"]
            assert "ask an administrator to allow this name" in error["message"]
