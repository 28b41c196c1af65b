"""Every address that takes a form, every job, every command and every action of the administration is in the trail.

The lists are made from the addresses, the tasks, the commands and the administration that there are. Each has a case
that shows the row, or a reason why there is none. A new one without either fails.
"""

import datetime
import pkgutil
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from procrastinate.contrib.django import app

import manage
from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.audit import summaries
from console.audit.admin import AuditEventAdmin
from console.audit.models import AuditEvent
from console.audit.origin import command, set_origin
from console.imports import jobs as transfer_jobs
from console.invitations.services import invite
from console.members import jobs as member_jobs
from console.operations.management.commands import prepare
from console.ownership import jobs as namespace_jobs
from console.registry import jobs as image_jobs
from console.registry.connection import registry
from console.registry.copy_requests import copy_tag
from console.registry.index import jobs as index_jobs
from console.registry.index.hints import Notice, remember
from console.repositories import failures
from console.repositories.models import Image, WorkFailure
from console.repositories.services import mark_image_for_deletion, mark_tags_for_deletion
from console.teams.groups import add_mapping
from console.token_server import jobs as token_jobs
from console.token_server import passwords
from console.token_server.models import Login
from console.web.admin_base import AuditedAdmin
from tests.audit import signing_in
from tests.audit.cases import ADDRESS, ADDRESSES, NEW, World, case
from tests.support.factories import (
    PASSWORD,
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.pushed_images import push_image
from tests.support.site_addresses import every_address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]

ROOT = Path(__file__).resolve().parents[2]
TASKS, COMMANDS, ACTIONS = {}, {}, {}


@pytest.fixture
def world(settings):
    summaries.forget()
    passwords.forget_all()
    yield World(settings)
    set_origin(None)


def shown(world, do, actor, address):
    """Do it, and find its row among those that came with it."""
    before = AuditEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    action, target, detail, *other = do(world)
    events = AuditEvent.objects.filter(id__gt=before, action=action)
    assert [event.target for event in events] == [target], list(AuditEvent.objects.values_list("action", "target"))
    (event,) = events
    assert {**event.detail, **detail} == event.detail
    assert event.actor == (other[0] if other else actor)
    assert event.address == address
    assert PASSWORD not in str(event.detail) and NEW not in str(event.detail) and "argon2" not in str(event.detail)


# --- addresses ------------------------------------------------------------------------------------------------------

OF_A_MODEL = ("_changelist", "_add", "_change", "_delete", "_history")


def takes_forms():
    """The addresses that do not refuse a form at once."""
    client = Client()
    client.force_login(ActivatedAccountFactory(is_staff=True, is_superuser=True))
    for name, path, _view in every_address():
        if name not in ADDRESSES and not (name.startswith("admin:") and name.endswith(OF_A_MODEL)):
            yield name, client.post(path).status_code


def test_each_address_has_a_case_or_a_reason():
    without = {name: status for name, status in takes_forms() if status != 405}
    assert without == {}, "addresses that take a form need a case or a reason in tests/audit/cases.py"
    assert set(ADDRESSES) <= {name for name, _path, _view in every_address()}


@pytest.mark.parametrize("name", [name for name, one in ADDRESSES.items() if callable(one)])
def test_an_address(world, name):
    shown(world, ADDRESSES[name], world.id, ADDRESS)


def test_a_password_that_an_administrator_takes_away(world):
    other = AccountFactory()

    def do(w):
        form = {"usable_password": "false", "unset-password": "1"}
        w.admin().post(f"/admin/accounts/account/{other.pk}/password/", **form)
        return "account.password", other.account_id, {"changes": {"usable": [True, False]}}

    shown(world, do, world.id, ADDRESS)


# --- the administration ---------------------------------------------------------------------------------------------


@case(ACTIONS, "account.deactivate")
def _(w):
    other = ActivatedAccountFactory()
    w.act("accounts/account", "deactivate", other)
    return "account.deactivate", other.account_id, {"changes": {"is_active": [True, False]}}


@case(ACTIONS, "account.reactivate")
def _(w):
    other = ActivatedAccountFactory(is_active=False)
    w.act("accounts/account", "reactivate", other)
    return "account.activate", other.account_id, {"changes": {"is_active": [False, True]}}


@case(ACTIONS, "account.reset_registry_password")
def _(w):
    w.act("accounts/account", "reset_registry_password", w.ann)
    return "service.password", w.id, {}


@case(ACTIONS, "grant.delete_selected")
def _(w):
    grant = GrantFactory(namespace=w.team, role=Role.WRITER)
    w.act("membership/grant", "delete_selected", grant)
    return "member.remove", w.team.name, {"member": grant.account.account_id, "role": "writer"}


@case(ACTIONS, "invitation.take_back")
def _(w):
    other = ActivatedAccountFactory()
    made, _secret = invite(w.ann, w.team, role=Role.WRITER, account=other)
    w.act("membership/invitation", "take_back", made)
    facts = {"invitation": made.pk, "to": other.account_id, "role": "writer", "until": None}
    return "invitation.revoke", w.team.name, facts


@case(ACTIONS, "team.delete_selected")
def _(w):
    w.act("membership/team", "delete_selected", TeamFactory(name="crew"))
    return "team.delete", "crew", {"by": "admin"}


@case(ACTIONS, "teammember.delete_selected")
def _(w):
    member = TeamMemberFactory(team__name="crew")
    w.act("membership/teammember", "delete_selected", member)
    return "team.remove", "crew", {"member": member.account.account_id, "by": "admin"}


@case(ACTIONS, "teamgroup.delete_selected")
def _(w):
    w.act("membership/teamgroup", "delete_selected", add_mapping(TeamFactory(name="crew"), "Sail"))
    return "team.unmap", "crew", {"group": "Sail", "left": [], "by": "admin"}


@case(ACTIONS, "account.sync_groups")
def _(w):
    other = ActivatedAccountFactory()
    w.act("accounts/account", "sync_groups", other)
    return "team.sync", other.account_id, {"joined": [], "left": [], "sessions": "ended", "by": "admin"}


@case(ACTIONS, "accesstoken.revoke")
def _(w):
    w.act("accounts/accesstoken", "revoke", access_tokens.create(w.ann, "ci", can_push=False)[0])
    return "access_token.revoke", f"{w.id}/ci", {"by": "admin"}


@case(ACTIONS, "login.revoke")
def _(w):
    login = Login.objects.create(account=w.ann, version=1, client="docker")
    w.act("tokens/login", "revoke", login)
    return "login.revoke", f"{w.id}/{login}", {"by": "admin"}


@case(ACTIONS, "image.delete_with_all_tags")
def _(w):
    w.act("images/image", "delete_with_all_tags", w.image)
    return "image.delete", w.name, {}


@case(ACTIONS, "tag.delete_tags")
def _(w):
    w.pushed()
    w.act("images/tag", "delete_tags", w.image.tags.get())
    return "tag.delete", w.name, {"tags": ["v1"]}


@case(ACTIONS, "workfailure.try_again")
def _(w):
    failures.give_up(failures.Kind.INDEX, w.name, "v2", sentence="x")
    w.act("images/workfailure", "try_again", WorkFailure.objects.get())
    return "failure.retry", f"{w.name}:v2", {"work": "index"}


@case(ACTIONS, "workfailure.forget")
def _(w):
    failures.give_up(failures.Kind.LEFT, w.name, "sha256:1", sentence="x")
    w.act("images/workfailure", "forget", WorkFailure.objects.get())
    return "failure.dismiss", f"{w.name}@sha256:1", {"work": "left"}


def job_action(name):
    def do(w):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('x', 'y') RETURNING id")
            (pk,) = cursor.fetchone()
        w.admin().post("/admin/procrastinate/procrastinatejob/", action=name, _selected_action=[pk])
        return f"job.{name}", "background jobs", {"rows": [str(pk)]}

    return do


ACTIONS |= signing_in.ACTIONS
ACTIONS |= {f"procrastinatejob.{name}": job_action(name) for name in ("retry", "cancel", "abort")}


def test_each_action_has_a_case(rf):
    request = rf.get("/")
    request.user = AccountFactory(is_staff=True, is_superuser=True)
    found = {
        f"{model._meta.model_name}.{action}"
        for model, one in admin.site._registry.items()
        for action in one.get_actions(request)
    }
    assert found == set(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action(world, name):
    shown(world, ACTIONS[name], world.id, ADDRESS)


def test_the_whole_administration_is_recorded():
    assert [type(one) for one in admin.site._registry.values() if not isinstance(one, AuditedAdmin)] == [
        AuditEventAdmin
    ]


def test_a_form_tells_old_and_new_of_each_field(world):
    other = ActivatedAccountFactory(name="Ben", image_quota=3)
    form = {"name": "Ben", "email": "ben@example.com", "image_quota": 5, "is_active": "on", "is_staff": "on"}
    shown(
        world,
        lambda w: w.admin().post(f"/admin/accounts/account/{other.pk}/change/", **form)
        and ("account.change", other.account_id, {
            "changes": {"email": [None, "ben@example.com"], "image_quota": ["3", "5"], "is_staff": ["False", "True"]},
        }),
        world.id,
        ADDRESS,
    )  # fmt: skip
    count = AuditEvent.objects.count()
    world.post(f"/admin/accounts/account/{other.pk}/change/", **form)
    assert AuditEvent.objects.count() == count, "nothing was changed"


def test_a_new_row_tells_what_is_in_it_but_no_password(world):
    form = {"name": "Ben", "usable_password": "true", "password1": NEW, "password2": NEW}
    world.admin().post("/admin/accounts/account/add/", **form)
    changes = AuditEvent.objects.get(action="account.create").detail["changes"]
    assert changes["name"] == [None, "Ben"] and changes["password1"] == [None, "…"]


def test_what_is_deleted_there(world):
    class Loose(AuditedAdmin):
        pass

    made = Loose(Image, admin.site)
    request = RequestFactory().get("/")
    made.delete_model(request, ImageFactory(name="one"))
    made.delete_queryset(request, Image.objects.filter(pk=ImageFactory(name="two").pk))
    assert AuditEvent.objects.filter(action="image.delete").count() == 2
    assert not Image.objects.filter(name__in=["one", "two"]).exists()


# --- jobs -----------------------------------------------------------------------------------------------------------


@case(TASKS, "namespaces.settle")
def _(w):
    new = ActivatedAccountFactory()
    moving = NamespaceFactory(owner=w.ann, new_owner=new, available_at=timezone.now() - datetime.timedelta(minutes=1))
    namespace_jobs.settle()
    return "namespace.transferred", moving.name, {"old": w.id, "new": new.account_id}


@case(TASKS, "members.end_expired")
def _(w):
    grant = GrantFactory(namespace=w.team, until=timezone.now() - datetime.timedelta(minutes=1))
    member_jobs.end_expired_roles()
    return "member.expire", w.team.name, {"member": grant.account.account_id, "role": "reader"}


@case(TASKS, "images.delete_image")
def _(w):
    w.pushed()
    mark_image_for_deletion(w.ann, w.image)
    image_jobs.delete_image(w.image.pk)
    return "image.deleted", w.name, {}, w.id


@case(TASKS, "images.delete_tags")
def _(w):
    pushed = w.pushed()
    mark_tags_for_deletion(w.ann, w.image, ["v1"])
    image_jobs.delete_tags(w.image.pk, ["v1"])
    return "tag.deleted", f"{w.name}:v1", {"old": pushed.digest}


@case(TASKS, "images.copy")
def _(w):
    pushed = w.pushed()
    copy = copy_tag(w.ann, w.image.tags.select_related("manifest").get(), w.team, "app", "v2")
    image_jobs.copy(copy.pk)
    pushes = AuditEvent.objects.get(action="tag.push", target=f"{w.name}:v2")
    assert (pushes.actor, pushes.detail) == (w.id, {"old": None, "new": pushed.digest})
    return "tag.copied", f"{w.name}:v2", {"source": w.name, "digest": pushed.digest}, w.id


@case(TASKS, "tokens.forget_old")
def _(w):
    Login.objects.create(account=w.ann, version=0, client="docker")
    token_jobs.forget_old()
    return "login.forget", "logins", {"number": 1}


@case(TASKS, "indexing.follow_all_hints")
def _(w):
    first, second = w.pushed("v0"), push_image(registry(), w.name, "v0")
    remember([Notice(w.name, "v0", timezone.now(), w.ann.credential.username)])
    index_jobs.sync_all_hints()
    return "tag.push", f"{w.name}:v0", {"old": first.digest, "new": second.digest}, w.id


@case(TASKS, "indexing.follow_hints")
def _(w):
    pushed = push_image(registry(), w.name, "v0")
    remember([Notice(w.name, "v0", timezone.now(), "a-former-name")])
    index_jobs.sync_hints(w.name)
    return "tag.push", f"{w.name}:v0", {"old": None, "new": pushed.digest}, "a-former-name"


@case(TASKS, "indexing.reread_image")
def _(w):
    pushed = w.pushed()
    registry().delete_manifest(w.name, pushed.digest)
    index_jobs.reread_image(w.name)
    return "tag.gone", f"{w.name}:v1", {"old": pushed.digest, "new": None}


@case(TASKS, "indexing.reread_tag")
def _(w):
    pushed = push_image(registry(), w.name, "v1")
    index_jobs.reread_tag(w.name, "v1")
    index_jobs.sync_all_hints()
    return "tag.found", f"{w.name}:v1", {"old": None, "new": pushed.digest}


@case(TASKS, "indexing.reconcile")
def _(w):
    pushed = push_image(registry(), w.name, "v1")
    index_jobs.reconcile()
    found = AuditEvent.objects.get(action="tag.found", target=f"{w.name}:v1")
    assert (found.actor, found.detail) == ("system", {"old": None, "new": pushed.digest})
    return "index.mended", w.name, {"added": ["v1"]}, "reconcile"


@case(TASKS, "transfers.fetch")
def _(w):
    transfer = w.transfer()
    w.ann.is_active = False
    w.ann.save()
    transfer_jobs.fetch(transfer.pk, transfer.attempt)
    problem = "You can no longer push to the image that this copy was for."
    return "tag.import-failed", f"{w.name}:new", {"problem": problem}, w.id


@case(TASKS, "transfers.finish")
def _(w):
    pushed = push_image(registry(), w.name, None)
    transfer = w.transfer(result=pushed.digest)
    transfer_jobs.finish(transfer.pk, transfer.attempt)
    return "tag.imported", f"{w.name}:new", {"digest": pushed.digest}, w.id


TASKS |= {
    **signing_in.TASKS,
    "images.delete_leftovers": "It ends a deletion that was recorded when somebody asked for it.",
    "images.forget_documents": "It removes what no image needs any more, which no page shows.",
    "guessing.forget": "It removes counters that are over; what they led to is recorded (password.held_back).",
    "operations.raise_waiting": "It changes the order of what waits; what the jobs do is recorded.",
    "operations.resume_stalled": "It starts a job again; what the job does is recorded.",
    "operations.forget_old_jobs": "It removes rows of jobs that ended a month ago; what they did is recorded.",
    "dockerhub.keep_up": "What Docker Hub says of its images is nobody's doing.",
    "dockerhub.refresh": "What Docker Hub says of its images is nobody's doing.",
    "dockerhub.read_tags": "What Docker Hub says of its images is nobody's doing.",
    "invitations.send_invitation": "It sends an invitation, whose creation is recorded.",
    "invitations.send_sign_up": "It sends a link; the account that is created with it is recorded.",
    "access_tokens.warn": "It queues e-mails; nothing that the token may do changes.",
    "access_tokens.send_warning": "It sends an e-mail before an access token expires.",
    "accounts.send_letters": "It sends letters; that a password was changed with one is recorded.",
    "accounts.send_email_link": "It sends a link; that it was asked for and what it changed is recorded.",
    "accounts.send_email_changed": "It sends an e-mail that says what was changed and recorded.",
    "indexing.add_up": "It counts pushes and pulls.",
    "indexing.sync_left_hints": "It queues the sync of hints.",
    "transfers.forget_credentials": "It removes an import's password an hour after it was given, as was said then.",
}


def test_each_job_has_a_case_or_a_reason():
    found = {name for name in app.tasks if "builtin" not in name}
    assert found == set(TASKS), "a job needs a case or a reason in TASKS"


@pytest.mark.parametrize("name", [name for name, one in TASKS.items() if callable(one)])
def test_a_job(world, name):
    set_origin(None)
    shown(world, TASKS[name], "system", None)


# --- commands -------------------------------------------------------------------------------------------------------


@case(COMMANDS, "createaccount")
def _(w):
    call_command("createaccount", name="Ben", administrator=True, password_stdin=True)
    made = AuditEvent.objects.get(action="account.create")
    return "account.create", made.target, {"name": "Ben", "is_staff": True, "is_superuser": True}


@case(COMMANDS, "prepare")
def _(w):
    prepare.Command()._first_administrator()
    made = AuditEvent.objects.get(action="account.create")
    return "account.create", made.target, {"name": "Administrator", "is_superuser": True}


@case(COMMANDS, "grant")
def _(w):
    ben = ActivatedAccountFactory(name="Ben")
    call_command("grant", w.team.name, ben.account_id, "writer")
    return "member.grant", w.team.name, {"member": ben.account_id, "role": "writer"}


@case(COMMANDS, "revoke")
def _(w):
    ben = ActivatedAccountFactory(name="Ben")
    call_command("grant", w.team.name, ben.account_id, "reader")
    call_command("revoke", w.team.name, ben.account_id)
    return "member.remove", w.team.name, {"member": ben.account_id, "role": "reader"}


@case(COMMANDS, "reconcile")
def _(w):
    push_image(registry(), w.name, "v1")
    call_command("reconcile", w.name)
    made = AuditEvent.objects.get(action="reconcile.run")
    return "reconcile.run", made.target, {"images": [w.name]}


# By a file of tests that does it with whole installations, and the action that it looks for.
ELSEWHERE = {
    **signing_in.COMMANDS,
    "backup": ("tests/backup/test_refusals.py", "backup.make"),
    "restore": ("tests/backup/test_refusals.py", "backup.restore"),
    "rotate_signing_key": ("tests/token_server/test_keys.py", "signing_key.rotate"),
}
COMMANDS |= {
    "access": "It changes nothing.",
    "worker": "It runs jobs, which record what they do.",
    **ELSEWHERE,
}


def test_each_command_has_a_case_or_a_reason():
    folders = [str(path) for path in ROOT.glob("console/**/management/commands")]
    assert {module.name for module in pkgutil.iter_modules(folders)} == set(COMMANDS)


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if callable(one)])
def test_a_command(world, name, monkeypatch):
    monkeypatch.setattr("sys.stdin.readline", lambda: NEW, raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "olga")
    if name == "prepare":
        monkeypatch.setattr(prepare.Account.objects, "exists", lambda: False, raising=False)
    set_origin(command())
    shown(world, COMMANDS[name], "command:olga", None)


def test_the_command_line_says_who_is_at_it(monkeypatch, world):
    monkeypatch.setattr("getpass.getuser", lambda: "olga")
    monkeypatch.setattr("sys.argv", ["manage.py", "changepassword", world.id])
    monkeypatch.setattr("getpass.getpass", lambda **_rest: NEW)
    # A command closes its connection in the end, and this test's would go with its transaction.
    monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)
    manage.main()
    assert AuditEvent.objects.get(action="account.password", target=world.id).actor == "command:olga"


def test_the_worker_is_not_the_operator(monkeypatch):
    from console.audit.origin import origin
    from console.operations.management.commands import worker

    found = []
    monkeypatch.setattr(worker, "run_worker", lambda: found.append(origin().actor()))
    monkeypatch.setattr(worker, "reconcile_soon", lambda: None)
    monkeypatch.setattr(worker.connection, "close", lambda: None)
    # It is the process's, and would be that of the tests that follow.
    monkeypatch.setattr(worker, "limit_statements", found.append)
    set_origin(command())
    call_command("worker")
    assert found == [worker.JOB_SECONDS, "system"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_command_elsewhere(name):
    file, action = ELSEWHERE[name]
    assert f'"{action}"' in (ROOT / file).read_text()
