"""Tag lists and the catalogue, from the index."""

import pytest

from console.access.grants import Access
from console.gate import lists
from console.registry.signing import sign
from tests.support.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory, TagFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(team):
    return ImageFactory(namespace=team, name="app")


def tag(image, *names, **fields):
    for name in names:
        TagFactory(image=image, name=name, **fields)


class TestTags:
    def names(self, gate, **query):
        answer = gate.get("team/app", "tags/list", **query)
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == "application/json"
        assert answer.json()["name"] == "team/app"
        return answer.json()["tags"], answer.get("Link")

    def test_in_lexical_order(self, gate, image):
        tag(image, "v10", "V2", "v2", "b", "A", "_x", "1.0", "1-0")
        assert self.names(gate) == (["1-0", "1.0", "_x", "A", "b", "v10", "V2", "v2"], None)

    def test_pages(self, gate, image):
        tag(image, *(f"v{number}" for number in range(5)))
        assert self.names(gate, n=2) == (["v0", "v1"], '</v2/team/app/tags/list?n=2&last=v1>; rel="next"')
        assert self.names(gate, n=2, last="v1")[0] == ["v2", "v3"]
        assert self.names(gate, n=2, last="v3") == (["v4"], None)
        assert self.names(gate, n=5) == (["v0", "v1", "v2", "v3", "v4"], None)
        assert self.names(gate, last="v2a") == (["v3", "v4"], None)
        assert self.names(gate, last="zzz") == ([], None)

    def test_one_by_one(self, gate, image):
        tag(image, "a", "A", "b", "B", "0")
        seen, last = [], ""
        while page := self.names(gate, n=1, **({"last": last} if last else {}))[0]:
            seen += page
            (last,) = page
        assert seen == ["0", "A", "a", "B", "b"]

    def test_none_is_asked_for(self, gate, image):
        tag(image, "v1")
        assert self.names(gate, n=0) == ([], None)

    def test_there_are_none(self, gate, image):
        assert self.names(gate) == ([], None)

    def test_no_more_than_a_page_holds(self, gate, image, monkeypatch):
        monkeypatch.setattr(lists, "MOST_TAGS", 2)
        tag(image, "a", "b", "c")
        assert self.names(gate)[0] == ["a", "b"]
        assert self.names(gate, n="9" * 5000)[1] == '</v2/team/app/tags/list?n=2&last=b>; rel="next"'

    def test_without_those_being_deleted(self, gate, image):
        tag(image, "a")
        tag(image, "b", state="deleting")
        assert self.names(gate)[0] == ["a"]

    @pytest.mark.parametrize("n", ["-1", "x", "", "1.5", "²", "0x10"])
    def test_no_number(self, gate, image, n):
        assert gate.error(gate.get("team/app", "tags/list", n=n), 400)[0] == "PAGINATION_NUMBER_INVALID"

    def test_a_nul(self, gate, image):
        assert gate.error(gate.get("team/app", "tags/list", last="\x00"), 400)[0] == "UNSUPPORTED"

    def test_no_such_repository(self, gate, team):
        assert gate.error(gate.get("team/none", "tags/list"), 404)[0] == "NAME_UNKNOWN"
        ImageFactory(namespace=team, name="going", state="deleting")
        assert gate.error(gate.get("team/going", "tags/list"), 404)[0] == "NAME_UNKNOWN"

    def test_nobody_may_read_a_public_one(self, client, gate):
        """With the token that anonymous callers get."""
        public = ImageFactory(visibility="public")
        gate.username = ""
        assert gate.get(public.repository, "tags/list").status_code == 200

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
    def test_other_methods(self, client, method):
        for path in ("/v2/team/app/tags/list", "/v2/_catalog", f"/v2/team/app/referrers/sha256:{0:064}"):
            answer = getattr(client, method)(path)
            assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
            assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"


class TestCatalogue:
    def names(self, client, username, action="list", **query):
        token = sign(username, [Access("registry", "catalog", frozenset({action}))]).text
        answer = client.get("/v2/_catalog", query, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.content
        return answer.json()["repositories"], answer.get("Link")

    def test_what_the_caller_may_read(self, client, gate, image, team):
        ImageFactory(namespace=team, name="going", state="deleting")
        ImageFactory(namespace=team, name="a-b/c")
        other = NamespaceFactory(name="other")
        ImageFactory(namespace=other, name="open", visibility="public")
        ImageFactory(namespace=other, name="secret")
        assert self.names(client, gate.username) == (["other/open", "team/a-b/c", "team/app"], None)
        somebody = ActivatedAccountFactory().credential.username
        assert self.names(client, somebody)[0] == ["other/open"]
        assert self.names(client, "nobody-any-more")[0] == ["other/open"]
        assert self.names(client, "root", "*")[0] == ["other/open", "other/secret", "team/a-b/c", "team/app"]

    def test_pages(self, client, gate, team):
        for name in ("aa", "bb", "cc"):
            ImageFactory(namespace=team, name=name)
        link = '</v2/_catalog?n=2&last=team%2Fbb>; rel="next"'
        assert self.names(client, gate.username, n=2) == (["team/aa", "team/bb"], link)
        assert self.names(client, gate.username, n=2, last="team/bb") == (["team/cc"], None)
        assert self.names(client, gate.username, n=0) == ([], None)


def test_what_is_nothing(client):
    for path in ("/v2/", "/v2/team/app/blobs/uploads/1", "/v2/x\ny", "/v2/team/app/manifests/", "/v2/token/"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["message"]
