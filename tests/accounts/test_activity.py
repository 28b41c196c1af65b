"""The page of one's own activity: what stands there, and what of others does not."""

import datetime
import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.accounts.event_words import WORDS
from console.accounts.services import set_active
from console.audit import activity
from console.audit.origin import Origin, set_origin
from console.audit.services import Event, record, record_all
from console.login.activity import KINDS
from console.namespaces.models import Namespace
from console.ownership.services import finish_transfers, transfer_namespace
from console.token_server import logins
from console.token_server.models import Login
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
PAGE = "/account/activity/"
_CELL = '<td role="cell" class="{}">(.*?)</td>'
_ROW = re.compile(rf"{_CELL.format('name event')}\s*{_CELL.format('when')}\s*{_CELL.format('nowrap')}", re.DOTALL)


@pytest.fixture
def ann():
    return ActivatedAccountFactory(name="Ann")


@pytest.fixture
def ben():
    return ActivatedAccountFactory(name="Ben")


@pytest.fixture
def acting():
    """Makes an account, or something else, the actor of what follows, from an address."""

    def act(actor, address="198.51.100.7"):
        name = getattr(actor, "account_id", actor)
        set_origin(Origin(lambda: name, address))

    yield act
    set_origin(None)


def of(account, query="", **options):
    client = Client()
    client.force_login(account)
    response = client.get(f"{PAGE}{query}", **options)
    assert response.status_code == 200
    return response


def rows(account, query=""):
    """The sentences and addresses on the page, without markup."""
    found = _ROW.findall(of(account, query).content.decode())
    return [tuple(" ".join(re.sub(r"<[^>]+>", "", row[at]).split()) for at in (0, 2)) for row in found]


def sentences(account, query=""):
    return [sentence for sentence, _address in rows(account, query)]


class TestWhatIsThere:
    def test_what_one_did(self, ann, acting):
        acting(ann)
        access_tokens.create(ann, "ci", can_push=True)
        record("account.change", ann.account_id, changes={"name": ["An", "Ann"]})
        record("account.sign_in", ann.account_id)
        record("image.create", "team/app")
        assert rows(ann) == [
            ("You created the image team/app", "198.51.100.7"),
            ("You signed in", "198.51.100.7"),
            ("You changed your account", "198.51.100.7"),
            ("You created the access token ci", "198.51.100.7"),
        ]

    def test_what_was_done_to_ones_own(self, ann, ben, acting):
        team = NamespaceFactory(owner=ann, name="team")
        image = ImageFactory(namespace=team, name="app")
        token, _secret = access_tokens.create(ann, "ci", can_push=True)
        login = Login.objects.create(account=ann, version=1, client="docker")
        acting(ben, "203.0.113.5")
        access_tokens.revoke(token)
        logins.revoke(login)
        set_active(ann, False)
        set_active(ann, True)
        record("image.delete", image.repository)
        record("tag.deleted", f"{image.repository}:v1", actor="system")
        found = rows(ann)
        assert [sentence for sentence, _address in found][:6] == [
            "My Images deleted the tag team/app:v1",
            "Ben started to delete the image team/app",
            "Ben reactivated your account",
            "Ben deactivated your account",
            "Ben ended a Docker login of docker",
            "Ben revoked the access token ci",
        ]
        assert {address for _sentence, address in found[:6]} == {""}
        page = text_of(of(ann))
        assert ben.account_id not in page and "203.0.113.5" not in page

    def test_who_did_it(self, ann, acting):
        for actor in ("anonymous", "command:root", "reconcile", "system"):
            acting(actor)
            record("password.wrong", ann.account_id)
        assert sentences(ann) == [
            "My Images entered a wrong password for your account",
            "My Images entered a wrong password for your account",
            "An administrator entered a wrong password for your account",
            "Somebody not signed in entered a wrong password for your account",
        ]

    def test_an_action_without_words_is_said_as_it_is_recorded(self, ann, acting):
        acting(ann)
        record("image.some-new-thing", "<i>")
        assert rows(ann)[0][0] == "You image.some-new-thing &lt;i&gt;"

    def test_nothing_yet(self, ann):
        assert "No activity yet" in text_of(of(ann))
        assert "No events match these filters" in text_of(of(ann, "?kind=images"))


class TestWhatIsNot:
    def test_of_others(self, ann, ben, acting):
        NamespaceFactory(owner=ann, name="team")
        acting(ben)
        access_tokens.create(ben, "theirs", can_push=True)
        record("image.create", "team2/secret")
        record("image.create", "other/team")
        record("account.change", f"{ann.account_id}0")
        assert sentences(ann) == []

    def test_who_pulls_ones_public_images(self, ann, ben, acting):
        NamespaceFactory(owner=ann, name="team")
        acting(ben)
        record("token.grant", "team/app")
        record("token.refuse", "team/secret")
        assert sentences(ann) == sentences(ann, "?kind=access") == []
        assert sentences(ben) == []
        assert sentences(ben, "?kind=access") == [
            "You didn’t get registry access to team/secret",
            "You got registry access to team/app",
        ]

    def test_detail_is_not_shown(self, ann, ben, acting):
        acting(ben)
        record("identity.disconnect", ann.account_id, issuer="https://id.example.com/of-ben")
        assert "of-ben" not in text_of(of(ann))

    def test_a_namespace_that_is_named_like_ones_account_id(self, ann, ben, acting):
        acting(ben)
        record("image.create", f"{ann.account_id}/secret")
        record("namespace.create", ann.account_id, owner=ben.account_id)
        assert sentences(ann) == []
        # Nor is it taken for the account.
        assert sentences(ben) == [
            f"You created the namespace {ann.account_id}",
            f"You created the image {ann.account_id}/secret",
        ]
        NamespaceFactory(owner=ben, name=ann.account_id)
        acting(ann)
        record("access_token.create", f"{ann.account_id}/of-ann")
        record("account.password", ann.account_id)
        assert not [sentence for sentence in sentences(ben) if "of-ann" in sentence or "password" in sentence]

    def test_what_a_name_was_before_it_was_ones_own(self, ann, ben, acting):
        acting(ben)
        record("image.delete", "team/secret")
        acting(ann)
        NamespaceFactory(owner=ann, name="team")
        record("image.create", "team/app")
        assert sentences(ann) == ["You created the image team/app"]

    @pytest.mark.usefixtures("registry_server")
    def test_a_transfer_divides_what_each_sees(self, ann, ben, acting):
        boss = AccountFactory(name="Boss", is_staff=True, is_superuser=True)
        acting(ann)
        team = NamespaceFactory(owner=ann, name="team")
        record("image.create", "team/secret-of-ann")
        acting(boss)
        transfer_namespace(team, ben)
        assert sentences(ann)[0] == "Boss started to transfer the namespace team"
        assert sentences(ben) == [], "it is not Ben's yet"
        acting("system", None)
        Namespace.objects.update(available_at=timezone.now())
        assert finish_transfers() == 1
        acting(ben)
        record("image.create", "team/secret-of-ben")
        acting(boss)
        record("image.delete", "team/secret-of-ben")
        assert sentences(ann) == [
            "My Images transferred the namespace team",
            "Boss started to transfer the namespace team",
            "You created the image team/secret-of-ann",
        ]
        assert sentences(ben) == [
            "Boss started to delete the image team/secret-of-ben",
            "You created the image team/secret-of-ben",
            "My Images transferred the namespace team",
        ]

    def test_what_an_administrator_did_to_others_names_them_alone(self, ann, ben, acting):
        acting(ann)
        set_active(ben, False)
        assert sentences(ann) == ["You deactivated the account Ben"]


class TestFilters:
    @pytest.fixture
    def events(self, ann, acting):
        acting(ann)
        for action in WORDS:
            record(action, "x")

    @pytest.mark.usefixtures("events")
    def test_kinds(self, ann):
        shown = [sentence for kind in KINDS for sentence in sentences(ann, f"?kind={kind}")]
        assert len(shown) > 60
        assert sentences(ann, "?kind=images")[0].startswith("You pushed")
        # What is no kind, such as the administration's own, stands under all.
        left = {action.partition(".")[0] for action in WORDS}.difference(*(words for _name, words in KINDS.values()))
        assert left == {"audit", "backup", "job", "reconcile", "signing_key"}

    def test_time(self, ann):
        record_all([Event("image.create", "team/new", ann.account_id, {})])
        with connection.cursor() as cursor:
            for days in (2, 20, 200, 2000):
                cursor.execute(
                    "INSERT INTO audit_auditevent (at, actor, action, target, detail) VALUES (%s, %s, %s, %s, %s)",
                    [
                        timezone.now() - datetime.timedelta(days=days), ann.account_id, "image.create",
                        f"team/{days}", "{}",
                    ],
                )  # fmt: skip
        counted = [len(sentences(ann, f"?time={period}")) for period in ("day", "week", "month", "year", "")]
        assert counted == [1, 2, 3, 4, 5]
        assert len(sentences(ann, "?time=month&kind=images")) == 3
        assert len(sentences(ann, "?time=century&kind=no-kind")) == 5

    def test_pages(self, ann, acting):
        acting(ann)
        for number in range(60):
            record("image.create", f"team/n{number}")
        record("access_token.create", f"{ann.account_id}/ci")
        found, query = [], "?kind=images"
        for shown in (25, 25, 10):
            page = of(ann, query).content.decode()
            found += sentences(ann, query)
            older = re.search(r'<a href="([^"]+)" id="page-next"', page)
            assert ("Newest" in page) == ("before" in query)
            assert len(found) % 25 in {0, 10} and len(sentences(ann, query)) == shown
            query = older[1].replace("&amp;", "&") if older else ""
        assert query == ""
        assert found == [f"You created the image team/n{number}" for number in reversed(range(60))]

    def test_few_among_many_are_found_page_by_page(self, ann, acting, monkeypatch):
        monkeypatch.setattr(activity, "MOST_READ", 10)
        acting(ann)
        record("access_token.create", f"{ann.account_id}/ci")
        for number in range(25):
            record("image.create", f"team/n{number}")
        found, query = [], "?kind=credentials"
        for _page in range(3):
            page = of(ann, query).content.decode()
            found.append(sentences(ann, query))
            older = re.search(r'<a href="([^"]+)" id="page-next"', page)
            assert older or "to search further back." not in page
            query = older[1].replace("&amp;", "&") if older else ""
        assert found == [[], [], ["You created the access token ci"]]
        assert query == ""

    @pytest.mark.parametrize(
        "place", ["x", "-", "1-", "-1", "1-x", "²-1", "9" * 30 + "-1", "9" * 18 + "-1", "1-" + "9" * 19, "1-%00"]
    )
    def test_a_place_that_is_none(self, ann, acting, place):
        acting(ann)
        record("image.create", "team/app")
        assert sentences(ann, f"?before={place}") == ["You created the image team/app"]

    def test_the_list_alone_when_a_filter_changes(self, ann):
        part = text_of(of(ann, "?kind=images", headers={**HTMX, "HX-Target": "list"}))
        assert "<html" not in part and "No events match these filters" in part


class TestBounds:
    """However much others did, and however much access was given, few rows are read."""

    @pytest.fixture
    def many(self, ann, ben):
        for owner, name in ((ann, "team"), (ann, "web"), (ben, "others")):
            NamespaceFactory(owner=owner, name=name)
        for account, name in ((ann, "team"), (ben, "others")):
            record_all(Event("token.grant", f"{name}/app", account.account_id, {}) for _each in range(3000))
            record_all(Event("tag.push", f"{name}/app:v{one}", account.account_id, {}) for one in range(3000))
            record_all(Event("account.change", account.account_id, "system", {}) for _each in range(3000))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE audit_auditevent")

    def scans(self, account, query):
        with CaptureQueriesContext(connection) as queries:
            of(account, query)
        (statement,) = [one["sql"] for one in queries if "audit_auditevent WHERE actor" in one["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            plan = cursor.fetchone()[0]
        plan = json.loads(plan) if isinstance(plan, str) else plan

        def walk(node):
            yield node
            for child in node.get("Plans", ()):
                yield from walk(child)

        return [node for node in walk(plan[0]["Plan"]) if node.get("Relation Name") == "audit_auditevent"]

    @pytest.mark.usefixtures("many")
    @pytest.mark.parametrize(
        ("query", "most"), [("", 26), ("?kind=credentials", activity.MOST_READ), ("?kind=access", 26)]
    )
    def test_rows(self, ann, query, most):
        scans = self.scans(ann, query)
        assert len(scans) == (1 if "access" in query else 4)
        for scan in scans:
            assert scan["Node Type"] in {"Index Scan", "Index Only Scan"}, scan
            assert scan["Actual Rows"] * scan["Actual Loops"] <= most * 2, scan
            assert scan.get("Rows Removed by Filter", 0) == scan.get("Rows Removed by Index Recheck", 0) == 0, scan

    @pytest.mark.usefixtures("many")
    def test_each_part_has_its_index(self, ann):
        names = {scan["Index Name"] for scan in self.scans(ann, "")}
        assert names == {"audit_done", "audit_of_account", "audit_of_namespace", "audit_handed_over"}
