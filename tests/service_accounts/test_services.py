"""Create, describe and delete service accounts; what becomes of them when people and namespaces go."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from console.access.roles import Role
from console.accounts.models import AccessToken, Account, RegistryCredential
from console.accounts.services import set_active
from console.audit.models import AuditEvent
from console.membership.models import Grant, ServiceAccount
from console.ownership.services import create_namespace, delete_namespace, transfer_namespace
from console.repositories.models import Image
from console.service_accounts import services
from console.sharing.services import change_role, give_role, take_role
from tests.support.concurrency import all_at_once
from tests.support.factories import ActivatedAccountFactory, GrantFactory, ImageFactory, NamespaceFactory
from tests.support.token_endpoint import granted

pytestmark = pytest.mark.django_db

APP = "repository:payments/app:pull,push,delete"
PUSH = "repository:payments/app:pull,push"


def token(robot, name="gitlab", **options):
    return services.create_token(None, robot, name, **{"can_push": True, **options})[1]


def opened(answer):
    return granted(answer).get(("repository", "payments/app"), set()) if answer.status_code == 200 else None


class TestCreate:
    def test_what_it_is(self, ann, payments, robot):
        account = Account.objects.get(pk=robot.pk)
        assert (account.name, account.is_service, account.email) == ("payments+ci", True, None)
        assert account.may("access_token.create")
        assert not account.has_usable_password()
        assert (account.credential.username, account.credential.password) == ("payments+ci", "")
        assert (robot.created_by, robot.description) == (ann, "The release pipeline")
        assert payments.role_of(account.pk) == Role.WRITER
        events = AuditEvent.objects.filter(actor="anonymous") | AuditEvent.objects.filter(target="payments+ci")
        assert [event.action for event in events.filter(action__startswith="service_account")] == [
            "service_account.create"
        ]
        assert AuditEvent.objects.get(action="member.grant").detail["role"] == "writer"

    @pytest.mark.parametrize(
        "name", ["", "c", "CI", "-ci", "ci-", "c+i", "c i", "c/i", "x" * 31, "a--b", "é", "a\x00b"]
    )
    def test_bad_names(self, ann, payments, name):
        with pytest.raises(ValidationError) as caught:
            services.create(ann, payments, name)
        assert list(caught.value.message_dict) == ["name"]
        assert not Account.objects.filter(is_service=True).exists()

    def test_the_longest_names(self, ann, ask):
        namespace = NamespaceFactory(owner=ann, name="n" * 30)
        robot = services.create(ann, namespace, "s" * 30)
        assert ask.get(user=f"{'n' * 30}+{'s' * 30}", password=token(robot)).status_code == 200

    def test_a_name_is_once_in_a_namespace(self, ann, payments, robot):
        with pytest.raises(ValidationError, match="already has a service account named “ci”"):
            services.create(ann, payments, "ci")
        services.create(ann, NamespaceFactory(owner=ann, name="shop"), "ci")

    def test_an_owner_is_a_person(self, ann, payments):
        with pytest.raises(ValidationError) as caught:
            services.create(ann, payments, "ci", role=Role.OWNER)
        assert list(caught.value.message_dict) == ["role"]

    def test_without_a_role(self, ann, payments):
        robot = services.create(ann, payments, "ci", role=None)
        assert not Grant.objects.filter(account=robot.account).exists()

    @pytest.mark.parametrize("role", [None, Role.READER, Role.WRITER, Role.MAINTAINER])
    def test_only_owners(self, payments, robot, role):
        other = ActivatedAccountFactory()
        if role is not None:
            GrantFactory(namespace=payments, account=other, role=role)
        for change in (
            lambda: services.create(other, payments, "new"),
            lambda: services.describe(other, robot, "changed"),
            lambda: services.create_token(other, robot, "new", can_push=False),
            lambda: services.delete(other, robot),
        ):
            with pytest.raises(ValidationError, match="Only an owner"):
                change()
        assert ServiceAccount.objects.get().description == "The release pipeline"

    def test_a_second_owner(self, payments, robot):
        other = ActivatedAccountFactory()
        GrantFactory(namespace=payments, account=other, role=Role.OWNER)
        services.create(other, payments, "new")
        services.delete(other, robot)

    def test_a_limit(self, ann, payments, robot, settings):
        settings.MOST_SERVICE_ACCOUNTS = 1
        with pytest.raises(ValidationError, match="service account limit"):
            services.create(ann, payments, "new")

    def test_not_during_a_transfer(self, ann, payments):
        transfer_namespace(payments, ActivatedAccountFactory())
        with pytest.raises(ValidationError, match="is being transferred"):
            services.create(ann, payments, "ci")

    def test_the_database_holds_that_it_cannot_sign_in(self, robot):
        for values in ({"email": "ci@example.com"}, {"is_staff": True}, {"is_superuser": True}):
            with pytest.raises(IntegrityError, match="cannot_sign_in"), transaction.atomic():
                Account.objects.filter(pk=robot.pk).update(**values)

    def test_describe(self, ann, robot):
        services.describe(ann, robot, " Nightly ")
        services.describe(ann, robot, "Nightly")
        event = AuditEvent.objects.get(action="service_account.change")
        assert event.detail == {"changes": {"description": ["The release pipeline", "Nightly"]}}
        with pytest.raises(ValidationError) as caught:
            services.describe(ann, robot, "x" * 201)
        assert list(caught.value.message_dict) == ["description"]


class TestDelete:
    def test_everything_ends(self, ann, payments, robot, ask):
        secret = token(robot)
        ImageFactory(namespace=payments, name="app")
        assert opened(ask.get(PUSH, user="payments+ci", password=secret)) == {"pull", "push"}
        services.delete(ann, robot)
        assert ask.get(PUSH, user="payments+ci", password=secret).status_code == 401
        account = Account.objects.get(name="payments+ci")
        assert not account.is_active
        assert not account.grants.exists()
        assert not account.access_tokens.filter(revoked_at=None).exists()
        assert not RegistryCredential.objects.filter(account=account).exists()
        event = AuditEvent.objects.get(action="service_account.delete")
        assert (event.target, event.detail) == ("payments+ci", {"access_tokens": ["gitlab"]})
        with pytest.raises(ValidationError, match="no longer exists"):
            services.delete(ann, ServiceAccount(account=account, namespace=payments, name="ci"))

    def test_an_old_name_never_has_the_old_access(self, ann, payments, robot, ask, settings):
        secret = token(robot)
        services.delete(ann, robot)
        with pytest.raises(ValidationError, match="was deleted a moment ago"):
            services.create(ann, payments, "ci")
        # Registry tokens that name it have expired by then.
        AccessToken.objects.update(
            revoked_at=timezone.now() - datetime.timedelta(seconds=settings.NAME_HOLD_SECONDS + 1)
        )
        new = services.create(ann, payments, "ci", role=None)
        assert new.pk != robot.pk
        assert ask.get(PUSH, user="payments+ci", password=secret).status_code == 401
        assert not new.account.access_tokens.exists()

    def test_a_name_that_never_had_a_token_is_free_at_once(self, ann, payments, robot):
        services.delete(ann, robot)
        services.create(ann, payments, "ci")

    def test_with_the_namespace(self, ann, payments, robot, ask):
        secret = token(robot)
        delete_namespace(ann, payments)
        account = Account.objects.get(name="payments+ci")
        assert not account.is_active
        assert not account.access_tokens.filter(revoked_at=None).exists()
        assert ask.get(user="payments+ci", password=secret).status_code == 401
        assert AuditEvent.objects.get(action="service_account.delete").detail == {
            "access_tokens": ["gitlab"],
            "by": "namespace.delete",
        }
        again = create_namespace(ann, "payments", unoccupied=True)
        with pytest.raises(ValidationError, match="was deleted a moment ago"):
            services.create(ann, again, "ci")

    def test_not_with_a_namespace_that_stays(self, ann, payments, robot):
        ImageFactory(namespace=payments)
        with pytest.raises(ValidationError, match="still contains images"):
            delete_namespace(ann, payments)
        assert Account.objects.get(pk=robot.pk).is_active
        assert ServiceAccount.objects.filter(pk=robot.pk).exists()


class TestPeopleGo:
    @pytest.fixture
    def bob(self, payments):
        bob = ActivatedAccountFactory(name="Bob")
        GrantFactory(namespace=payments, account=bob, role=Role.OWNER)
        return bob

    @pytest.mark.parametrize("how", ["deactivated", "removed", "demoted"])
    def test_its_creator(self, ann, payments, bob, ask, how):
        robot = services.create(bob, payments, "ci", role=Role.WRITER)
        secret = services.create_token(bob, robot, "gitlab", can_push=True)[0] and token(robot, "second")
        grant = Grant.objects.get(account=bob)
        if how == "deactivated":
            set_active(bob, False)
        elif how == "removed":
            take_role(ann, grant)
        else:
            change_role(ann, grant, Role.READER, None)
        assert opened(ask.get(PUSH, user="payments+ci", password=secret)) == {"pull", "push"}

    @pytest.mark.usefixtures("registry_server")
    def test_a_transfer_keeps_it_and_its_choices(self, payments, robot, bob, ask):
        from console.ownership.services import finish_transfers

        image = ImageFactory(namespace=payments, name="app")
        secrets = [
            token(robot, "all"),
            token(robot, "namespace", namespaces=[payments]),
            token(robot, "image", images=[image]),
        ]
        transfer_namespace(payments, bob)
        assert [opened(ask.get(PUSH, user="payments+ci", password=secret)) for secret in secrets] == [set()] * 3
        type(payments).objects.update(available_at=timezone.now())
        assert finish_transfers() == 1
        for secret in secrets:
            assert opened(ask.get(PUSH, user="payments+ci", password=secret)) == {"pull", "push"}


class TestAtTheRegistry:
    @pytest.fixture(autouse=True)
    def app(self, payments):
        return ImageFactory(namespace=payments, name="app")

    @pytest.mark.parametrize(
        ("role", "actions"),
        [
            (Role.READER, {"pull"}),
            (Role.WRITER, {"pull", "push"}),
            (Role.MAINTAINER, {"pull", "push"}),
        ],
    )
    def test_roles(self, ann, payments, ask, role, actions):
        secret = token(services.create(ann, payments, "bot", role=role), can_delete=True)
        for answer in (
            ask.get(PUSH, user="payments+bot", password=secret),
            ask.post(PUSH, grant_type="password", username="payments+bot", password=secret),
        ):
            assert opened(answer) == actions
        deleting = ask.get(APP, user="payments+bot", password=secret)
        assert ("delete" in opened(deleting)) == (role == Role.MAINTAINER)

    def test_a_new_role_and_none(self, ann, payments, robot, ask):
        secret = token(robot)
        give_role(ann, payments, robot.account, Role.READER)
        assert opened(ask.get(PUSH, user="payments+ci", password=secret)) == {"pull"}
        take_role(ann, Grant.objects.get(account=robot.account))
        assert opened(ask.get(PUSH, user="payments+ci", password=secret)) == set()

    def test_a_role_on_one_image(self, ann, payments, ask, app):
        ImageFactory(namespace=payments, name="other")
        robot = services.create(ann, payments, "bot", role=None)
        secret = token(robot)
        give_role(ann, payments, robot.account, Role.WRITER, image=app)
        answer = ask.get(PUSH, "repository:payments/other:pull", user="payments+bot", password=secret)
        assert granted(answer) == {("repository", "payments/app"): {"pull", "push"}}

    def test_a_role_in_its_own_namespace_alone(self, ann, robot):
        with pytest.raises(ValidationError, match="in its own namespace only"):
            give_role(ann, NamespaceFactory(owner=ann, name="shop"), robot.account, Role.READER)

    def test_a_push_creates_an_image_of_the_owner(self, ann, robot, ask):
        answer = ask.get("repository:payments/new:pull,push", user="payments+ci", password=token(robot))
        assert granted(answer) == {("repository", "payments/new"): {"pull", "push"}}
        assert not Image.objects.filter(owner=robot.account).exists()

    def test_deactivated_by_an_administrator(self, ann, robot, ask):
        secret = token(robot)
        set_active(robot.account, False)
        assert ask.get(PUSH, user="payments+ci", password=secret).status_code == 401
        with pytest.raises(ValidationError, match="has deactivated"):
            services.create_token(ann, robot, "new", can_push=False)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_name(self, ann, payments):
        problems = all_at_once(*[lambda: services.create(ann, payments, "ci")] * 5)
        assert [problem.error_dict["name"][0].code for problem in problems] == ["taken"] * 4
        assert Account.objects.filter(is_service=True).count() == 1

    def test_a_token_of_one_that_is_deleted(self, ann, payments):
        for number in range(4):
            robot = services.create(ann, payments, f"ci{number}")
            problems = all_at_once(lambda robot=robot: token(robot), lambda robot=robot: services.delete(ann, robot))
            assert {str(problem) for problem in problems} <= {"['The service account no longer exists.']"}
        assert not AccessToken.objects.filter(revoked_at=None).exists()
        assert not Account.objects.filter(is_service=True, is_active=True).exists()
