"""Access tokens: their secrets, the rules of their rows, the verbs."""

import datetime
import hashlib
import re

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from console.access import token_secrets
from console.access.token_secrets import hash_secret, looks_like_secret
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken
from console.accounts.services import change_registry_password, set_active
from console.audit.models import AuditEvent
from console.namespaces.models import NamespaceAccess
from console.ownership.services import create_namespace, delete_namespace, finish_transfers, transfer_namespace
from console.token_server import last_use
from tests.support.concurrency import all_at_once
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2027, 1, 1, 12, tzinfo=datetime.UTC)


def seconds(count):
    return datetime.timedelta(seconds=count)


@pytest.fixture
def ann():
    return ActivatedAccountFactory(name="Ann")


@pytest.fixture
def team(ann):
    return NamespaceFactory(owner=ann, name="team")


def make(account, name="ci", **options):
    return access_tokens.create(account, name, **{"can_push": False, **options})


def messages(caught, key):
    return " ".join(caught.value.message_dict[key])


class TestSecrets:
    def test_anybody_can_tell_one(self, ann):
        _token, secret = make(ann)
        assert re.fullmatch(r"myimg_[0-9A-Za-z]{49}", secret)
        assert looks_like_secret(secret)

    def test_the_checksum_is_settled(self):
        """Others compute it too: the CRC-32 in base 62, the digits before the capitals before the small letters."""
        secret = f"myimg_{'0' * 43}1dyoNU"
        assert token_secrets._checksum(secret[:-6]) == secret[-6:]
        assert looks_like_secret(secret)

    @pytest.mark.parametrize("change", [
        lambda secret: secret[:-1], lambda secret: secret + "a", lambda secret: secret.upper(),
        lambda secret: secret + "\n", lambda secret: " " + secret, lambda secret: "myimg-" + secret[6:],
        lambda secret: secret[:6] + ("b" if secret[6] == "a" else "a") + secret[7:], lambda secret: "",
        lambda secret: secret[:10] + "é" + secret[11:], lambda secret: "dckr_pat_" + secret[6:],
        lambda secret: secret[:10] + "\udcff" + secret[11:],
    ])  # fmt: skip
    def test_something_else(self, ann, change):
        assert not looks_like_secret(change(make(ann)[1]))

    def test_none_is_like_another(self):
        made = {token_secrets.new_secret() for _ in range(1000)}
        assert len(made) == 1000
        assert {character for secret in made for character in secret[6:49]} == set(token_secrets._DIGITS)

    def test_it_is_stored_nowhere(self, ann, django_assert_max_num_queries):
        with django_assert_max_num_queries(50) as queries:
            token, secret = make(ann)
        assert secret not in str(queries.captured_queries)
        row = AccessToken.objects.filter(pk=token.pk).values().get()
        assert secret not in str(row)
        assert row["secret_hash"] == hashlib.sha256(secret.encode()).hexdigest() == hash_secret(secret)
        assert row["hint"] == secret[-4:]
        event = AuditEvent.objects.get(action="access_token.create")
        assert secret[-4:] not in f"{event.target} {event.detail}"

    def test_it_is_no_registry_password(self, ann):
        with pytest.raises(ValidationError) as caught:
            change_registry_password(ann, make(ann)[1])
        assert "This is an access token" in messages(caught, "password")


class TestCreate:
    def test_all_namespaces(self, ann):
        token, _secret = make(ann, " ci ")
        token.refresh_from_db()
        assert (token.name, token.can_push, token.all_namespaces) == ("ci", False, True)
        assert (token.expires_at, token.last_used_at, token.last_used_from, token.revoked_at) == (None,) * 4
        event = AuditEvent.objects.get(action="access_token.create")
        assert event.target == f"{ann.account_id}/ci"
        assert event.detail == {"can_push": False, "can_delete": False, "namespaces": "all", "expires_at": None}

    def test_chosen_ones(self, ann, team):
        other = NamespaceFactory(owner=ann, name="other")
        until = timezone.now() + datetime.timedelta(days=30)
        token, _secret = make(ann, can_push=True, can_delete=True, namespaces=[team, other], expires_at=until)
        assert not token.all_namespaces
        assert [namespace.name for namespace in token.namespaces.all()] == ["other", "team"]
        detail = AuditEvent.objects.get(action="access_token.create").detail
        assert detail == {
            "can_push": True, "can_delete": True, "namespaces": ["other", "team"], "expires_at": until.isoformat(),
        }  # fmt: skip

    def test_deleting_includes_pushing(self, ann):
        with pytest.raises(ValueError, match="must be one that may push"):
            make(ann, can_push=False, can_delete=True)
        token, _secret = make(ann)
        with pytest.raises(IntegrityError, match="access_token_delete_needs_push"), transaction.atomic():
            AccessToken.objects.filter(pk=token.pk).update(can_delete=True)

    def test_none_chosen_are_not_all(self, ann, team):
        with pytest.raises(ValidationError) as caught:
            make(ann, namespaces=[])
        assert "Please choose from the namespaces and images that you have access to" in messages(caught, "namespaces")
        assert not AccessToken.objects.exists()
        assert not AuditEvent.objects.filter(action="access_token.create").exists()

    @pytest.mark.parametrize("how", ["somebody else's", "deleted meanwhile", "being transferred"])
    def test_one_that_is_not_ones_own(self, ann, team, how):
        other = NamespaceFactory(owner=ann if how != "somebody else's" else ActivatedAccountFactory(), name="other")
        if how == "deleted meanwhile":
            pk = other.pk
            other.delete()
            other.pk = pk
        elif how == "being transferred":
            transfer_namespace(other, ActivatedAccountFactory())
        with pytest.raises(ValidationError) as caught:
            make(ann, namespaces=[team, other])
        assert "namespaces" in caught.value.message_dict
        assert not AccessToken.objects.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "-ci",
            ".ci",
            "_ci",
            "a b",
            "a/b",
            "a:b",
            "a$b",
            "a'b",
            'a"b',
            "a\x00b",
            "é",
            "a\nb",
            "x" * 41,
            "ci\\",
        ],
    )
    def test_bad_names(self, ann, name):
        with pytest.raises(ValidationError) as caught:
            make(ann, name)
        assert list(caught.value.message_dict) == ["name"]

    @pytest.mark.parametrize("name", ["a", "0", "x" * 40, "GitLab-CI_2.prod", "9.9"])
    def test_good_names(self, ann, name):
        assert make(ann, name)[0].name == name

    def test_a_name_is_an_accounts_own_until_it_is_revoked(self, ann):
        token, _secret = make(ann)
        make(ActivatedAccountFactory())
        with pytest.raises(ValidationError) as caught:
            make(ann)
        assert "You already have an access token named “ci”" in messages(caught, "name")
        access_tokens.revoke(token)
        make(ann)
        assert AccessToken.objects.visible_to(ann).count() == 1
        assert ann.access_tokens.count() == 2

    def test_an_expired_one_keeps_its_name(self, ann):
        token, _secret = make(ann)
        AccessToken.objects.update(expires_at=timezone.now() - seconds(1))
        token.refresh_from_db()
        assert token.expired
        with pytest.raises(ValidationError):
            make(ann)

    @pytest.mark.parametrize("ago", [0, 1, 10**6])
    def test_a_time_that_is_over(self, ann, ago):
        with pytest.raises(ValidationError) as caught:
            make(ann, expires_at=timezone.now() - seconds(ago))
        assert "This time is in the past." in messages(caught, "expires_at")

    def test_quota(self, ann, settings):
        settings.MOST_ACCESS_TOKENS = 2
        make(ann, "a")
        token, _secret = make(ann, "b")
        with pytest.raises(ValidationError, match="access token limit"):
            make(ann, "c")
        make(ActivatedAccountFactory(), "c")
        access_tokens.revoke(token)
        make(ann, "c")

    @pytest.mark.parametrize("who", [AccountFactory, lambda: ActivatedAccountFactory(is_active=False)])
    def test_not_before_the_service_is_activated(self, who):
        with pytest.raises(ValidationError, match="Activate the service first"):
            make(who())


class TestRows:
    def row(self, account, **values):
        with transaction.atomic():
            return AccessToken.objects.create(
                **{"account": account, "name": "ci", "secret_hash": "0" * 64, "hint": "aaaa", **values}
            )

    @pytest.mark.parametrize(("values", "constraint"), [
        ({"secret_hash": "myimg_" + "a" * 49}, "access_token_hashed"),
        ({"secret_hash": "A" * 64}, "access_token_hashed"),
        ({"name": "a b"}, "access_token_name_pattern"),
        ({"name": ""}, "access_token_name_pattern"),
        ({"name": "ci\n"}, "access_token_name_pattern"),
        ({"secret_hash": "1" * 64}, "access_token_name_unique"),
        ({"name": "other"}, "secret_hash"),
    ])  # fmt: skip
    def test_the_database_holds_the_rules(self, ann, values, constraint):
        self.row(ann)
        with pytest.raises(IntegrityError, match=constraint):
            self.row(ann, **values)

    def test_one_statement_reads_all_that_a_decision_needs(self, ann, team):
        """What the token endpoint asks, in words of the tables."""
        _token, secret = make(ann, namespaces=[team])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT credential.username, account.is_active, token.all_namespaces, ARRAY("
                "  SELECT namespace_id FROM namespaces_namespaceaccess WHERE token_id = token.id)"
                " FROM accounts_accesstoken token JOIN accounts_account account ON account.id = token.account_id"
                " JOIN accounts_registrycredential credential ON credential.account_id = account.id"
                " WHERE token.secret_hash = %s",
                [hash_secret(secret)],
            )
            assert cursor.fetchall() == [(ann.account_id, True, False, [team.pk])]


class TestNamespacesThatGo:
    def test_a_freed_name_is_not_opened_again(self, ann, team):
        token, _secret = make(ann, namespaces=[team])
        delete_namespace(ann, team)
        create_namespace(ann, "team", unoccupied=True)
        token.refresh_from_db()
        assert not token.all_namespaces
        assert not token.namespaces.exists()

    @pytest.mark.usefixtures("registry_server")
    def test_nor_one_that_was_given_away_and_came_back(self, ann, team):
        token, _secret = make(ann, namespaces=[team, NamespaceFactory(owner=ann, name="other")])
        bob = ActivatedAccountFactory()
        for owner in (bob, ann):
            transfer_namespace(team, owner)
            assert [namespace.name for namespace in token.namespaces.all()] == ["other"]
            type(team).objects.filter(pk=team.pk).update(available_at=timezone.now())
            finish_transfers()
        team.refresh_from_db()
        assert team.owner == ann
        assert [namespace.name for namespace in token.namespaces.all()] == ["other"]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_name(self, ann):
        problems = all_at_once(*[lambda: make(ann)] * 6)
        assert [problem.error_dict["name"][0].code for problem in problems] == ["taken"] * 5
        assert AccessToken.objects.count() == 1

    def test_the_quota(self, ann, settings):
        settings.MOST_ACCESS_TOKENS = 3
        problems = all_at_once(*(lambda number=number: make(ann, f"ci{number}") for number in range(8)))
        assert [problem.code for problem in problems] == ["quota"] * 5
        assert AccessToken.objects.count() == 3

    @pytest.mark.parametrize("how", ["deleted", "given away"])
    def test_a_namespace_that_goes_while_it_is_chosen(self, ann, team, how):
        bob = ActivatedAccountFactory()
        for number in range(5):
            namespace = NamespaceFactory(owner=ann, name=f"team{number}")
            problems = all_at_once(
                lambda namespace=namespace, name=f"ci{number}": make(ann, name, namespaces=[namespace]),
                lambda namespace=namespace: (
                    delete_namespace(ann, namespace) if how == "deleted" else transfer_namespace(namespace, bob)
                ),
            )
            assert {str(problem) for problem in problems} <= {
                "{'namespaces': ['Please choose from the namespaces and images that you have access to.']}"
            }
        assert not NamespaceAccess.objects.exists()

    def test_a_revocation_counts_once(self, ann):
        token, _secret = make(ann)
        assert all_at_once(*[lambda: access_tokens.revoke(AccessToken.objects.get(pk=token.pk))] * 4) == []
        assert AuditEvent.objects.filter(action="access_token.revoke").count() == 1


class TestRevoke:
    def test_it_ends_and_stays_as_a_row(self, ann):
        token, _secret = make(ann)
        assert access_tokens.revoke(token)
        assert token.revoked_at is not None
        first = token.revoked_at
        assert not access_tokens.revoke(token)
        token.refresh_from_db()
        assert token.revoked_at == first
        assert not AccessToken.objects.visible_to(ann).exists()
        assert AuditEvent.objects.get(action="access_token.revoke").target == f"{ann.account_id}/ci"

    def test_passwords_and_deactivation_leave_tokens(self, ann):
        make(ann)
        change_registry_password(ann, "another password 1")
        set_active(ann, False)
        set_active(ann, True)
        assert AccessToken.objects.visible_to(ann).count() == 1


class TestUsed:
    @pytest.fixture
    def token(self, ann):
        return make(ann)[0]

    def use(self, token, address, at):
        last_use.update(AccessToken.objects.filter(pk=token.pk), address, at)
        token.refresh_from_db()
        return token.last_used_at, token.last_used_from

    def test_at_most_once_a_minute(self, token):
        assert self.use(token, "192.0.2.1", NOW) == (NOW, "192.0.2.1")
        assert self.use(token, "192.0.2.1", NOW + seconds(60)) == (NOW, "192.0.2.1")
        later = NOW + seconds(61)
        assert self.use(token, "192.0.2.1", later) == (later, "192.0.2.1")
        assert self.use(token, "192.0.2.1", NOW + seconds(5)) == (later, "192.0.2.1")

    @pytest.mark.parametrize(
        ("first", "second"),
        [("192.0.2.1", "2001:db8::1"), ("192.0.2.1", None), (None, "192.0.2.1"), ("2001:db8::1", "2001:db8::2")],
    )
    def test_sooner_from_elsewhere(self, token, first, second):
        self.use(token, first, NOW)
        assert self.use(token, second, NOW + seconds(1)) == (NOW, first)
        later = NOW + seconds(2)
        assert self.use(token, second, later) == (later, second)

    def test_an_unknown_address_twice(self, token):
        self.use(token, None, NOW)
        assert self.use(token, None, NOW + seconds(5)) == (NOW, None)

    def test_one_statement_and_no_other_row(self, ann, token, django_assert_num_queries):
        other = make(ann, "other")[0]
        with django_assert_num_queries(1):
            last_use.update(AccessToken.objects.filter(pk=token.pk), "192.0.2.1", NOW)
        with django_assert_num_queries(1):
            last_use.update(AccessToken.objects.filter(pk=10**6), "192.0.2.1", NOW)
        other.refresh_from_db()
        assert other.last_used_at is None
