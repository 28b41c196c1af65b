"""The administration's pages of the trail: finding, reading, exporting; and that nothing is altered."""

import csv
import datetime
import io
import json

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from console.audit import admin, export
from console.audit.models import AuditEvent
from console.audit.search import FilterForm, actions
from console.audit.services import Event, record, record_all
from tests.support.factories import AccountFactory
from tests.support.responses import text_of

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/auditevent/"
EXPORT = f"{LIST}export/"


@pytest.fixture
def boss(client):
    account = AccountFactory(is_staff=True, is_superuser=True)
    client.force_login(account)
    return account


def rows(response):
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


class TestFinal:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_auditevent SET actor = 'x'",
            "DELETE FROM audit_auditevent",
            "DELETE FROM audit_auditevent WHERE false",
            "TRUNCATE audit_auditevent",
            "INSERT INTO audit_auditevent (id, at, actor, action, target, detail) SELECT id, at, actor, 'x', 'y', '{}' "
            "FROM audit_auditevent ON CONFLICT (id) DO UPDATE SET actor = 'x'",
        ],
    )
    @pytest.mark.parametrize("role", ["origin", "replica"])
    def test_not_even_the_owner(self, statement, role):
        event = record("x.y", "z", actor="somebody")
        with connection.cursor() as cursor:
            cursor.execute("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'audit_auditevent'")
            assert cursor.fetchone()[0]
            # The tests let it be emptied between them (tests/conftest.py); that others do not, tests/upgrade says.
            cursor.execute("ALTER TABLE audit_auditevent ENABLE ALWAYS TRIGGER audit_event_not_emptied")
            cursor.execute(f"SET LOCAL session_replication_role = {role}")
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                cursor.execute(statement)
            cursor.execute("SET LOCAL session_replication_role = origin")
        assert list(AuditEvent.objects.filter(pk=event.pk).values_list("actor", "action")) == [("somebody", "x.y")]


class TestFinding:
    @pytest.fixture(autouse=True)
    def events(self, boss):
        record_all(
            [
                Event("tag.push", "team/my-app:v1", "123456789012", {"new": "sha256:" + "ab" * 32}, "192.0.2.1"),
                Event(
                    "image.create",
                    "team/other",
                    "123456789012",
                    {"type": "public", "longer": "\\ländliches" + "y" * 9999},
                    "2001:db8::1",
                ),
                Event("image.delete", "shop/my_app", "999999999999", {}, None),
            ]
        )

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"actor": "123456789012"}, {"team/my-app:v1", "team/other"}),
            ({"action": "image.delete"}, {"shop/my_app"}),
            ({"target": "team/"}, {"team/my-app:v1", "team/other"}),
            ({"address": "2001:DB8:0::1"}, {"team/other"}),
            ({"words": "App"}, {"team/my-app:v1", "shop/my_app"}),
            ({"words": "my-app team"}, {"team/my-app:v1"}),
            ({"words": "sha256:" + "ab" * 32}, {"team/my-app:v1"}),
            ({"words": "public"}, {"team/other"}),
            ({"words": "ländlich!"}, {"team/other"}),
            ({"words": "'); DROP"}, set()),
            ({"target": "%"}, set()),
            ({"actor": "123456789012", "words": "other"}, {"team/other"}),
            ({"since": "2100-01-01T00:00"}, set()),
            ({"until": "2100-01-01T00:00", "actor": "999999999999"}, {"shop/my_app"}),
        ],
    )
    def test_filters(self, client, asked, found):
        response = client.get(LIST, asked)
        assert {event.target for event in response.context["cl"].result_list} == found
        assert {row["target"] for row in rows(client.post(EXPORT, asked))} == found

    @pytest.mark.parametrize(
        "asked",
        [{"since": "yesterday"}, {"address": "here"}, {"action": "no.such"}, {"actor": "x" * 65}]
        + [{"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"}],
    )
    def test_what_is_wrong_shows_nothing_and_says_so(self, client, asked):
        response = client.get(LIST, asked)
        assert response.status_code == 200
        assert list(response.context["cl"].result_list) == []
        assert "Correct the filter" in response.content.decode()
        assert client.post(EXPORT, asked).status_code == 400
        assert not AuditEvent.objects.filter(action="audit.export").exists()

    @pytest.mark.parametrize("word", ["first", "second", "third", "fourth", "fifth", "name", "sixth", "quoted"])
    def test_words_after_the_end_of_a_line(self, client, word):
        """In JSON a line's end is a backslash and a letter, which belongs to no word."""
        record("x.y", "z", new='first\nsecond\r\nthird\tfourth\x01fifth\\name\\\nsixth "quoted"')
        assert [event.target for event in client.get(LIST, {"words": word}).context["cl"].result_list] == ["z"]

    def test_old_and_new_can_be_read(self, client):
        one = record("image.describe", "team/app", old="<b>before</b>", new="after", by="admin")
        several = record("account.change", "1", changes={"email": [None, "ann@example.com"]})
        text = text_of(client.get(f"{LIST}{one.pk}/change/"))
        assert "<td>&lt;b&gt;before&lt;/b&gt;</td><td>after</td>" in text
        assert "<th>By</th><td>admin</td>" in text
        text = text_of(client.get(f"{LIST}{several.pk}/change/"))
        assert "<tr><th>Email</th><td>–</td><td>ann@example.com</td></tr>" in text
        # As earlier versions wrote it.
        assert client.get(f"{LIST}{record('x.y', 'z', changes={'a': 1}, new={'b': 'c'}).pk}/change/").status_code == 200


class TestMillion:
    """Plans, with twenty thousand rows, where the planner turns to an index by itself."""

    @pytest.fixture(autouse=True)
    def many(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO audit_auditevent (at, actor, action, target, detail, address) "
                "SELECT now() - n * interval '1 second', 100000000000 + n % 500, 'noun.verb' || n % 40, "
                "'team' || n % 300 || '/app' || n || ':v1', '{}', ('10.0.' || n / 250 % 250 || '.' || n % 250)::inet "
                "FROM generate_series(1, 20000) AS n"
            )
            cursor.execute("ANALYZE audit_auditevent")

    def test_each_filter_uses_its_index(self):
        for index, asked in (
            ("audit_by_time", {}),
            ("audit_by_actor|audit_done", {"actor": "100000000007"}),  # both begin with the actor
            ("audit_by_action", {"action": "noun.verb3"}),
            ("audit_by_target", {"target": "team7/app7"}),
            ("audit_by_address", {"address": "10.0.1.9"}),
            ("audit_by_words", {"words": "app19999"}),
            ("audit_by_time", {"since": "2026-01-01T00:00"}),
        ):
            form = FilterForm({"action": "", **asked})
            assert form.is_valid(), form.errors
            plan = form.find(AuditEvent.objects.all())[:100].explain()
            assert "Seq Scan" not in plan, plan
            assert any(one in plan for one in index.split("|")), plan

    def test_actions_are_told_apart_without_reading_all(self):
        assert len(actions()) >= 40
        with connection.cursor() as cursor:
            from console.audit import search as finding

            cursor.execute(f"EXPLAIN {finding._ACTIONS}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan" not in plan, plan

    def test_no_more_are_counted_than_can_be_paged(self, client, boss, monkeypatch):
        monkeypatch.setattr(admin, "MOST_PAGED", 300)
        response = client.get(LIST)
        assert response.context["cl"].result_count == 300
        assert "Only the newest 300 are listed" in text_of(response)
        assert client.get(LIST, {"p": "3"}).status_code == 200


class TestExport:
    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"])
    def test_no_formula_gets_into_a_spreadsheet(self, client, boss, text):
        record("x.y", text, actor=text[:64])
        (row,) = rows(client.post(EXPORT, {"action": "x.y"}))
        assert row["target"] == f"'{text}" and row["actor"] == f"'{text}"

    def test_what_is_in_it(self, client, boss):
        moment = datetime.datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=datetime.UTC)
        with timezone.override(datetime.timezone(datetime.timedelta(hours=5))):
            event = record("x.y", 'a "b", c', old="ä", new=None)
            assert export.utc(moment) == "2026-03-01T12:00:00.005Z"
            response = client.post(EXPORT, {"action": "x.y"}, REMOTE_ADDR="192.0.2.7")
            (row,) = rows(response)
        assert row["at"] == export.utc(event.at) and row["at"].endswith("Z")
        assert row["target"] == 'a "b", c'
        assert json.loads(row["detail"]) == {"old": "ä", "new": None}
        assert response["Content-Disposition"].startswith("attachment; ")
        taken = AuditEvent.objects.get(action="audit.export")
        assert (taken.actor, taken.address) == (boss.account_id, "192.0.2.7")
        assert taken.detail == {"filter": {"action": "x.y"}}

    def test_it_is_read_in_pages(self, boss, monkeypatch, django_assert_num_queries):
        """After the first lines no more was asked for; some pages begin between rows of the same moment."""
        monkeypatch.setattr(export, "_AT_ONCE", 10)
        for moment in range(5):
            record_all(Event("x.y", f"z{moment * 15 + number}", "a", {}) for number in range(15))
        events = AuditEvent.objects.filter(action="x.y")
        found = export.lines(events)
        with django_assert_num_queries(1) as asked:
            text = next(found) + next(found)
        assert "LIMIT 10" in asked[0]["sql"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%audit_auditevent%'")
            assert cursor.fetchone()[0] == 0
        with django_assert_num_queries(7):
            text += "".join(found)
        read = [row["target"] for row in csv.DictReader(io.StringIO(text))]
        assert read == [f"z{number}" for number in reversed(range(75))]

    def test_only_for_whom_the_list_is_for(self, client):
        client.force_login(AccountFactory())
        assert client.post(EXPORT).status_code == 302
        staff = AccountFactory(is_staff=True)
        client.force_login(staff)
        assert client.post(EXPORT).status_code == 403
        assert client.get(LIST).status_code == 403
        staff.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
        assert client.post(EXPORT).status_code == 200
        assert client.get(EXPORT).status_code == 405
