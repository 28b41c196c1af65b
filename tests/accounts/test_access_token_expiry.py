"""Warnings before access tokens expire: by e-mail, once for each threshold, and on pages."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from console.access.roles import Role
from console.access_tokens import expiry, jobs
from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, Account
from console.accounts.services import set_active
from console.service_accounts import services
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db


def days(count):
    return datetime.timedelta(days=count)


@pytest.fixture(autouse=True)
def _mail(settings):
    settings.EMAIL_HOST = "mail.example.com"


@pytest.fixture
def person():
    return ActivatedAccountFactory(name="Ann", email="ann@example.com", confirmed_email="ann@example.com")


def ending(account, left, name="ci", life=90):
    """A token that expires in ``left`` days, made for ``life`` days."""
    token, _secret = access_tokens.create(account, name, can_push=False)
    end = timezone.now() + days(left)
    AccessToken.objects.filter(pk=token.pk).update(created_at=end - days(life), expires_at=end)
    token.refresh_from_db()
    return token


def queued():
    found = ProcrastinateJob.objects.filter(task_name="access_tokens.send_warning", status="todo").order_by("pk")
    return [job.args for job in found]


def run():
    """The hourly job, and the e-mails that it queues."""
    jobs.warn()
    found = queued()
    for one in found:
        jobs.send_warning(**one)
    ProcrastinateJob.objects.filter(task_name="access_tokens.send_warning").delete()
    return len(found)


class TestEmails:
    @pytest.mark.parametrize(
        ("left", "words"),
        [(13.5, "expires in 14 days"), (6.5, "expires in 7 days"), (3, "expires in 3 days"), (0.5, "within a day")],
    )
    def test_one_for_each_threshold(self, person, mailoutbox, left, words):
        ending(person, left)
        assert run() == 1
        (letter,) = mailoutbox
        assert letter.to == ["ann@example.com"]
        assert letter.subject.startswith("My Images: the access token “ci” ")
        assert words in letter.subject
        assert "/account/tokens/" in letter.body
        assert "It has never been used." in letter.body

    @pytest.mark.parametrize("left", [14.5, 30, -1])
    def test_none_before_and_after(self, person, left):
        ending(person, left)
        assert run() == 0

    def test_each_once_and_then_the_next(self, person, mailoutbox):
        token = ending(person, 13)
        assert [run(), run()] == [1, 0]
        for left, warned in ((6, 7), (5, 7), (0.9, 1), (0.1, 1)):
            AccessToken.objects.update(expires_at=timezone.now() + days(left))
            run()
            token.refresh_from_db()
            assert token.warned_days == warned
        assert len(mailoutbox) == 3

    def test_not_on_the_first_day_of_a_short_life(self, person):
        ending(person, 6.9, life=7)
        assert run() == 0
        AccessToken.objects.update(expires_at=timezone.now() + days(0.9), created_at=timezone.now() - days(6.1))
        assert run() == 1

    def test_without_a_mail_server_nothing_is_marked(self, person, settings):
        settings.EMAIL_HOST = ""
        token = ending(person, 3)
        assert run() == 0
        token.refresh_from_db()
        assert token.warned_days is None
        settings.EMAIL_HOST = "mail.example.com"
        assert run() == 1

    def test_who_has_no_address(self, mailoutbox):
        ending(ActivatedAccountFactory(), 3)
        assert run() == 0
        assert not mailoutbox

    @pytest.mark.parametrize("how", ["revoked", "deactivated", "expired", "renamed"])
    def test_what_ends_between_marking_and_sending(self, person, mailoutbox, how):
        token = ending(person, 3)
        jobs.warn()
        if how == "revoked":
            access_tokens.revoke(token)
        elif how == "deactivated":
            set_active(person, False)
        elif how == "expired":
            AccessToken.objects.update(expires_at=timezone.now() - days(1))
        else:
            Account.objects.filter(pk=person.pk).update(email=None)
        jobs.send_warning(**queued()[0])
        assert not mailoutbox

    def test_a_failure_before_the_commit_leaves_nothing(self, person, monkeypatch):
        """Killed between the first e-mail that is queued and the commit: all is done again."""
        token = ending(person, 3)

        class Killed(Exception):
            pass

        def defer(**_arguments):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(jobs.send_warning, "defer", defer)
            with pytest.raises(Killed):
                jobs.warn()
        token.refresh_from_db()
        assert token.warned_days is None
        assert run() == 1

    def test_many(self, person):
        for number in range(5):
            ending(person, 3, f"ci{number}")
        AccessToken.objects.filter(name="ci4").update(expires_at=timezone.now() + days(60))
        assert [run(), run()] == [4, 0]

    def test_more_than_one_batch(self, person, monkeypatch):
        monkeypatch.setattr(expiry, "_BATCH", 2)
        for number in range(5):
            ending(person, 3, f"ci{number}")
        assert run() == 5


class TestServiceAccounts:
    @pytest.fixture
    def robot(self, person):
        namespace = NamespaceFactory(owner=person, name="payments")
        return services.create(person, namespace, "ci", role=Role.WRITER)

    def test_the_owners_with_a_confirmed_address(self, person, robot, mailoutbox):
        def somebody(name, confirmed=True):
            email = f"{name}@example.com"
            return ActivatedAccountFactory(name=name, email=email, confirmed_email=email if confirmed else None)

        space = robot.namespace
        GrantFactory(namespace=space, account=somebody("bob"), role=Role.OWNER)
        GrantFactory(namespace=space, account=somebody("unconfirmed", False), role=Role.OWNER)
        GrantFactory(namespace=space, account=somebody("maintainer"), role=Role.MAINTAINER)
        GrantFactory(namespace=space, account=somebody("expired"), role=Role.OWNER, until=timezone.now() - days(1))
        team = TeamFactory()
        TeamMemberFactory(team=team, account=somebody("member"))
        GrantFactory(namespace=space, account=None, team=team, role=Role.OWNER)
        ending(robot.account, 3)
        run()
        assert {letter.to[0] for letter in mailoutbox} == {"ann@example.com", "bob@example.com", "member@example.com"}
        assert "of the service account payments+ci" in mailoutbox[0].body
        assert "/namespaces/payments/-/service-accounts/ci/" in mailoutbox[0].body

    def test_an_owner_who_is_none_any_more(self, person, robot, mailoutbox):
        bob = ActivatedAccountFactory(email="bob@example.com", confirmed_email="bob@example.com")
        grant = GrantFactory(namespace=robot.namespace, account=bob, role=Role.OWNER)
        ending(robot.account, 3)
        jobs.warn()
        grant.delete()
        for one in queued():
            jobs.send_warning(**one)
        assert [letter.to for letter in mailoutbox] == [["ann@example.com"]]

    def test_a_deleted_one(self, person, robot, mailoutbox):
        ending(robot.account, 3)
        jobs.warn()
        services.delete(person, robot)
        jobs.send_warning(**queued()[0])
        assert not mailoutbox


class TestPages:
    PAGES = ("/account/tokens/", "/images/")

    @pytest.mark.parametrize(
        ("left", "sentence"),
        [((2.5,), "1 access token expires in 3 days"), ((0.5,), "1 access token expires within a day"),
         ((2.5, 13), "2 access tokens expire soon, the first in 3 days"),
         ((0.5, 13, 60), "2 access tokens expire soon, the first within a day")],
    )  # fmt: skip
    def test_a_notice(self, client, ann, team, left, sentence):
        for number, one in enumerate(left):
            ending(ann, one, f"ci{number}")
        for page in self.PAGES:
            assert sentence in text_of(client.get(page)), page

    @pytest.mark.parametrize("left", [20, -1])
    def test_none(self, client, ann, team, left):
        ending(ann, left)
        ending(ActivatedAccountFactory(), 3)
        for page in self.PAGES:
            assert "expires in" not in text_of(client.get(page))
            assert "expire soon" not in text_of(client.get(page))

    def test_of_service_accounts_for_those_who_manage_them(self, client, ann, team):
        robot = services.create(ann, team, "ci")
        ending(robot.account, 2.5)
        sentence = "1 access token of team+ci expires in 3 days"
        assert sentence in text_of(client.get("/images/"))
        page = "/namespaces/team/-/service-accounts/ci/"
        assert f'href="{page}"' in text_of(client.get("/images/"))
        assert "1 access token expires in 3 days" in text_of(client.get(page))
        reader = GrantFactory(namespace=team).account
        client.force_login(reader)
        assert sentence not in text_of(client.get("/images/"))

    def test_one_query_and_none_for_the_list_alone(self, client, ann, team):
        def asked(**options):
            with CaptureQueriesContext(connection) as queries:
                client.get("/images/", **options)
            return sum("warned_days" in one["sql"] or "accounts_accesstoken" in one["sql"] for one in queries)

        Account.objects.update(checklist_closed=True)
        assert asked() == 1
        assert asked(headers={**HTMX, "HX-Target": "list"}) == 0
