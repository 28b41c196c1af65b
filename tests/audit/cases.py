"""Somebody who does things, and what each address that takes a form writes down when they do."""

from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts.models import Account
from console.accounts.password_reset_email import reset_tokens
from console.audit import summaries
from console.audit.models import AuditEvent
from console.imports.models import Transfer
from console.invitations.services import invite
from console.invitations.sign_up_links import make_token
from console.membership.models import HandOver, Invitation, ServiceAccount
from console.registry.connection import registry
from console.registry.index.sync import reread_image
from console.repositories import failures
from console.repositories.models import Copy, WorkFailure
from console.service_accounts import services as service_accounts
from console.teams.services import add_member, create_team, set_manager
from console.token_server.models import Login
from tests.audit import signing_in
from tests.support.factories import (
    PASSWORD,
    AccountFactory,
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
)
from tests.support.pushed_images import push_image

ADDRESS = "192.0.2.9"
NEW = "a brand new word 9"
UNTOUCHED = "It changes nothing."
ADDRESSES = {}


def case(cases, name):
    """Adds a case: it does something, and gives the row's action, target, details and, if need be, actor."""

    def add(function):
        assert name not in cases, f"{name} has a case already"
        cases[name] = function
        return function

    return add


class World:
    """Ann with the image ``app`` in a namespace whose name differs from run to run; ``pushed`` adds a tag of it."""

    def __init__(self, settings):
        self.ann = ActivatedAccountFactory(name="Ann", email="ann@example.com")
        self.id = self.ann.account_id
        self.team = NamespaceFactory(owner=self.ann)
        self.image = ImageFactory(namespace=self.team, name="app", description="before")
        self.name = self.image.repository
        self.client = Client(REMOTE_ADDR=ADDRESS)
        self.client.force_login(self.ann)
        self.settings = settings

    def post(self, path, **form):
        response = self.client.post(path, form)
        assert response.status_code in {200, 302}, response.content
        return response

    def pushed(self, tag="v1"):
        made = push_image(registry(), self.name, tag)
        reread_image(self.name)
        self.image.refresh_from_db()
        return made

    def transfer(self, state="running", **fields):
        return Transfer.objects.create(
            image=self.image, tag="new", repository="library/debian", reference="12", requested_by=self.id, state=state,
            **fields,
        )  # fmt: skip

    def robot(self):
        """The page of a service account of the namespace."""
        service_accounts.create(self.ann, self.team, "ci", "before")
        return f"/namespaces/{self.team.name}/-/service-accounts/ci/"

    def admin(self):
        self.ann.is_staff = self.ann.is_superuser = True
        self.ann.save()
        return self

    def act(self, model, action, row, **form):
        """Do something in a list, and confirm it where it is asked about."""
        confirmed = {"post": "yes", **form}
        return self.admin().post(f"/admin/{model}/", action=action, _selected_action=[row.pk], **confirmed)


# --- addresses ------------------------------------------------------------------------------------------------------


@case(ADDRESSES, "sign-in")
def _(w):
    w.client.logout()
    w.post("/sign-in/", username=w.id, password=PASSWORD)
    return "account.sign_in", w.id, {}


@case(ADDRESSES, "sign-out")
@case(ADDRESSES, "admin:logout")
def _(w):
    w.post("/sign-out/")
    return "account.sign_out", w.id, {}


@case(ADDRESSES, "password_change")
def _(w):
    w.post("/account/password/", old_password=PASSWORD, new_password1=NEW, new_password2=NEW)
    return "account.password", w.id, {}


@case(ADDRESSES, "password_reset_confirm")
def _(w):
    w.client.logout()
    path = f"/account/reset/{urlsafe_base64_encode(force_bytes(w.ann.pk))}"
    w.client.get(f"{path}/{reset_tokens.make_token(w.ann)}/")
    w.post(f"{path}/set-password/", new_password1=NEW, new_password2=NEW)
    return "account.password", w.id, {}, "anonymous"


@case(ADDRESSES, "account-name")
def _(w):
    w.post("/account/name/", name="Anne")
    return "account.change", w.id, {"changes": {"name": ["Ann", "Anne"]}}


@case(ADDRESSES, "account-preferences")
def _(w):
    w.post("/account/preferences/", theme="dark", time_zone="Europe/Berlin")
    return (
        "account.change",
        w.id,
        {"changes": {"theme": ["system", "dark"], "time_zone": ["", "Europe/Berlin"]}},
    )


@case(ADDRESSES, "account-theme")
def _(w):
    w.post("/account/theme/", theme="light")
    return "account.change", w.id, {"changes": {"theme": ["system", "light"]}}


@case(ADDRESSES, "access-token-create")
def _(w):
    w.post("/account/tokens/-/create/", name="ci", access="push", reach="all", expires="never")
    return (
        "access_token.create",
        f"{w.id}/ci",
        {"can_push": True, "can_delete": False, "namespaces": "all", "expires_at": None},
    )


@case(ADDRESSES, "access-token-revoke")
def _(w):
    token, _secret = access_tokens.create(w.ann, "ci", can_push=False)
    w.post(f"/account/tokens/{token.pk}/-/revoke/")
    return "access_token.revoke", f"{w.id}/ci", {}


def crew(w, *others):
    """A team that Ann manages, with others in it."""
    team = create_team(w.ann, "crew")
    for account in others:
        add_member(w.ann, team, account)
    return team


@case(ADDRESSES, "team-create")
def _(w):
    w.post("/teams/-/create/", name="crew")
    return "team.create", "crew", {"manager": w.id}


@case(ADDRESSES, "team-settings")
def _(w):
    crew(w)
    w.post("/teams/crew/-/settings/", name="sailors", description="They sail")
    return "team.change", "sailors", {"changes": {"name": ["crew", "sailors"], "description": ["", "They sail"]}}


@case(ADDRESSES, "team-delete")
def _(w):
    crew(w)
    w.post("/teams/crew/-/delete/", typed="crew")
    return "team.delete", "crew", {"namespaces": [], "number": 0}


@case(ADDRESSES, "team-member-add")
def _(w):
    crew(w)
    other = ActivatedAccountFactory()
    w.post("/teams/crew/-/members/add/", account_id=other.account_id)
    return "team.add", "crew", {"member": other.account_id, "manager": False}


@case(ADDRESSES, "team-manager")
def _(w):
    other = ActivatedAccountFactory()
    crew(w, other)
    w.post(f"/teams/crew/-/members/{other.pk}/manager/", manager="yes")
    return "team.manager", "crew", {"member": other.account_id, "manager": True}


@case(ADDRESSES, "team-member-remove")
def _(w):
    other = ActivatedAccountFactory()
    crew(w, other)
    w.post(f"/teams/crew/-/members/{other.pk}/remove/")
    return "team.remove", "crew", {"member": other.account_id}


@case(ADDRESSES, "team-leave")
def _(w):
    other = ActivatedAccountFactory()
    set_manager(w.ann, crew(w, other), other, True)
    w.post("/teams/crew/-/leave/")
    return "team.leave", "crew", {"member": w.id}


@case(ADDRESSES, "service-account-create")
def _(w):
    w.post(f"/namespaces/{w.team.name}/-/service-accounts/-/create/", name="ci", description="A pipeline", role="0")
    return "service_account.create", f"{w.team.name}+ci", {"description": "A pipeline"}


@case(ADDRESSES, "service-account-describe")
def _(w):
    w.post(f"{w.robot()}-/describe/", description="after")
    return "service_account.change", f"{w.team.name}+ci", {"changes": {"description": ["before", "after"]}}


@case(ADDRESSES, "service-account-token-create")
def _(w):
    w.post(
        f"{w.robot()}-/tokens/-/create/", name="gitlab", access="pull", reach="chosen", names=w.name, expires="never"
    )
    return (
        "access_token.create",
        f"{w.team.name}+ci/gitlab",
        {"can_push": False, "can_delete": False, "namespaces": [w.name], "expires_at": None},
    )


@case(ADDRESSES, "service-account-token-revoke")
def _(w):
    place = w.robot()
    robot = ServiceAccount.objects.get(namespace=w.team)
    token, _secret = service_accounts.create_token(w.ann, robot, "gitlab", can_push=False)
    w.post(f"{place}-/tokens/{token.pk}/-/revoke/")
    return "access_token.revoke", f"{w.team.name}+ci/gitlab", {}


@case(ADDRESSES, "service-account-delete")
def _(w):
    w.post(f"{w.robot()}-/delete/")
    return "service_account.delete", f"{w.team.name}+ci", {"access_tokens": []}


@case(ADDRESSES, "login-revoke")
def _(w):
    login = Login.objects.create(account=w.ann, version=1, client="docker", created_from="192.0.2.1")
    w.post(f"/account/logins/{login.pk}/-/revoke/")
    return "login.revoke", f"{w.id}/{login}", {"created_from": "192.0.2.1"}


@case(ADDRESSES, "logins-revoke")
def _(w):
    Login.objects.create(account=w.ann, version=1, client="docker")
    w.post("/account/logins/-/revoke/")
    return "login.revoke_all", w.id, {"logins": 1}


@case(ADDRESSES, "activate")
def _(w):
    w.ann.credential.activated_at = None
    w.ann.credential.save()
    w.post("/activation/", username=w.id, password=NEW, confirm=NEW)
    return "service.enable", w.id, {"username": w.id}


@case(ADDRESSES, "activation-steps")
def _(w):
    w.ann.credential.activated_at = None
    w.ann.credential.save()
    w.post("/activation/steps/")
    return "service.activate", w.id, {}


@case(ADDRESSES, "registry-password")
def _(w):
    w.post("/activation/password/", password=NEW, confirm=NEW)
    return "service.password", w.id, {}


@case(ADDRESSES, "image-create")
def _(w):
    w.post("/images/-/create/", namespace=w.team.name, name="other", visibility="public", description="x")
    return "image.create", f"{w.team.name}/other", {"type": "public", "description": "x"}


@case(ADDRESSES, "image-describe")
def _(w):
    w.post(f"/images/{w.name}/-/describe/", description="after")
    return "image.describe", w.name, {"old": "before", "new": "after"}


@case(ADDRESSES, "image-visibility")
def _(w):
    w.post(f"/images/{w.name}/-/visibility/", visibility="public")
    return "image.visibility", w.name, {"old": "private", "new": "public"}


@case(ADDRESSES, "image-delete")
def _(w):
    w.post(f"/images/{w.name}/-/delete/")
    return "image.delete", w.name, {"tags": 0}


@case(ADDRESSES, "image-delete-many")
def _(w):
    w.post("/images/-/delete/", image=[w.image.pk])
    return "image.delete", w.name, {"tags": 0}


@case(ADDRESSES, "tags-delete")
def _(w):
    w.pushed()
    w.post(f"/images/{w.name}/-/delete-tags/", tag=["v1"])
    return "tag.delete", w.name, {"tags": ["v1"]}


@case(ADDRESSES, "tag-copy")
def _(w):
    w.pushed()
    w.post(f"/images/{w.name}/-/tags/v1/copy/", namespace=w.team.name, name="app", tag="v2")
    return "tag.copy", f"{w.name}:v2", {"source": f"{w.name}:v1"}


@case(ADDRESSES, "copy-dismiss")
def _(w):
    copy = Copy.objects.create(image=w.image, tag="v2", source="a/b", digest="x", requested_by=w.id, state="failed")
    w.post(f"/images/{w.name}/-/copies/{copy.pk}/dismiss/")
    return "tag.copy-dismiss", f"{w.name}:v2", {"source": "a/b"}


def _failure(w):
    failures.give_up(failures.Kind.INDEX, w.name, "v2", sentence="It cannot be read.")
    return WorkFailure.objects.get()


@case(ADDRESSES, "failure-retry")
def _(w):
    w.post(f"/images/{w.name}/-/problems/{_failure(w).pk}/retry/")
    return "failure.retry", f"{w.name}:v2", {"work": "index", "problem": "It cannot be read."}


@case(ADDRESSES, "failure-dismiss")
def _(w):
    w.post(f"/images/{w.name}/-/problems/{_failure(w).pk}/dismiss/")
    return "failure.dismiss", f"{w.name}:v2", {"work": "index", "problem": "It cannot be read."}


@case(ADDRESSES, "namespace-create")
def _(w):
    w.post("/namespaces/-/create/", name=f"{w.team.name}2")
    return "namespace.create", f"{w.team.name}2", {"owner": w.id}


@case(ADDRESSES, "member-add-team")
def _(w):
    TeamFactory(name=f"crew{w.id}")
    w.post(f"/namespaces/{w.team.name}/-/members/add-team/", team=f"crew{w.id}", role="2", ends="good")
    return "member.grant", w.team.name, {"member": f"team crew{w.id}", "role": "writer", "until": None}


@case(ADDRESSES, "image-add-team")
def _(w):
    TeamFactory(name=f"crew{w.id}")
    w.post(f"/images/{w.name}/-/access/add-team/", team=f"crew{w.id}", role="2", ends="good")
    return "member.grant", w.name, {"member": f"team crew{w.id}", "role": "writer", "until": None}


@case(ADDRESSES, "member-change")
def _(w):
    grant = GrantFactory(namespace=w.team)
    w.post(f"/namespaces/{w.team.name}/-/members/{grant.pk}/change/", role="3", ends="good")
    changes = {"role": ["reader", "maintainer"]}
    return "member.change", w.team.name, {"member": grant.account.account_id, "changes": changes}


@case(ADDRESSES, "member-remove")
def _(w):
    grant = GrantFactory(namespace=w.team)
    w.post(f"/namespaces/{w.team.name}/-/members/{grant.pk}/remove/")
    return "member.remove", w.team.name, {"member": grant.account.account_id, "role": "reader"}


@case(ADDRESSES, "owner-change")
def _(w):
    GrantFactory(namespace=w.team, role=Role.OWNER)
    w.post(f"/namespaces/{w.team.name}/-/members/owner/change/", role="1")
    return "member.change", w.team.name, {"member": w.id, "changes": {"role": ["owner", "reader"]}}


@case(ADDRESSES, "owner-remove")
def _(w):
    heir = GrantFactory(namespace=w.team, role=Role.OWNER).account
    w.post(f"/namespaces/{w.team.name}/-/members/owner/remove/")
    return "namespace.owner", w.team.name, {"old": w.id, "new": heir.account_id}


@case(ADDRESSES, "namespace-leave")
def _(w):
    GrantFactory(namespace=w.team, role=Role.OWNER)
    w.post(f"/namespaces/{w.team.name}/-/leave/")
    return "member.leave", w.team.name, {"member": w.id, "changes": {"role": ["owner", None]}}


def offered(w):
    """A namespace of somebody else that is offered to Ann."""
    namespace = NamespaceFactory()
    HandOver.objects.create(namespace=namespace, to=w.ann, offered_by=namespace.owner)
    return namespace.name


@case(ADDRESSES, "namespace-hand-over-offer")
def _(w):
    other = ActivatedAccountFactory()
    w.post(f"/namespaces/{w.team.name}/-/hand-over/offer/", account_id=other.account_id)
    return "namespace.offer", w.team.name, {"to": other.account_id}


@case(ADDRESSES, "namespace-hand-over-take-back")
def _(w):
    other = ActivatedAccountFactory()
    HandOver.objects.create(namespace=w.team, to=other, offered_by=w.ann)
    w.post(f"/namespaces/{w.team.name}/-/hand-over/take-back/")
    return "namespace.offer_withdraw", w.team.name, {"to": other.account_id}


@case(ADDRESSES, "namespace-hand-over-accept")
def _(w):
    name = offered(w)
    w.post(f"/namespaces/{name}/-/hand-over/accept/")
    return "namespace.offer_accept", name, {"to": w.id}


@case(ADDRESSES, "namespace-hand-over-decline")
def _(w):
    name = offered(w)
    w.post(f"/namespaces/{name}/-/hand-over/decline/")
    return "namespace.offer_decline", name, {"to": w.id}


@case(ADDRESSES, "namespace-delete")
def _(w):
    other = NamespaceFactory(owner=w.ann)
    w.post(f"/namespaces/{other.name}/-/delete/", typed=other.name)
    return "namespace.delete", other.name, {"owner": w.id}


@case(ADDRESSES, "official-image-copy")
def _(w):
    w.post("/docker-hub/debian/-/tags/12/copy/", namespace=w.team.name, name="app", tag="12")
    return "tag.import", f"{w.name}:12", {"with_credentials": False}


@case(ADDRESSES, "import")
def _(w):
    form = {"reference": "ghcr.io/a/b:1", "namespace": w.team.name, "name": "app", "username": "u", "password": NEW}
    w.post("/images/-/import/", **form)
    return "tag.import", f"{w.name}:1", {"source": "ghcr.io/a/b:1", "with_credentials": True}


@case(ADDRESSES, "transfer-cancel")
def _(w):
    w.post(f"/images/{w.name}/-/transfers/{w.transfer().pk}/cancel/")
    return "tag.import-cancel", f"{w.name}:new", {}


@case(ADDRESSES, "transfer-retry")
def _(w):
    w.post(f"/images/{w.name}/-/transfers/{w.transfer('failed').pk}/retry/")
    return "tag.import", f"{w.name}:new", {"attempt": 2}


@case(ADDRESSES, "transfer-dismiss")
def _(w):
    w.post(f"/images/{w.name}/-/transfers/{w.transfer('failed').pk}/dismiss/")
    return "tag.import-dismiss", f"{w.name}:new", {}


@case(ADDRESSES, "token")
def _(w):
    form = {"grant_type": "password", "username": w.id, "password": PASSWORD, "service": w.settings.REGISTRY_SERVICE}
    scope = f"repository:{w.name}:pull,push repository:somebody/else:pull"
    for _ in range(2):
        w.post("/token/", **form, scope=scope, client_id="x")
    assert summaries.flush() == 2
    assert AuditEvent.objects.get(action="token.refuse").target == "somebody/else"
    return "token.grant", w.name, {"granted": ["pull", "push"], "refused": [], "shown": "password", "times": 2}


@case(ADDRESSES, "admin:auth_user_password_change")
def _(w):
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    other = AccountFactory()
    w.admin().post(f"/admin/accounts/account/{other.pk}/password/", **form)
    return "account.password", other.account_id, {}


@case(ADDRESSES, "admin:audit_auditevent_export")
def _(w):
    w.admin().post("/admin/audit/auditevent/export/", actor=w.id)
    return "audit.export", "audit event", {"filter": {"actor": w.id}}


def _invited(w):
    """An invitation of Ann from another, and the image that it is for."""
    other = ImageFactory(namespace=NamespaceFactory(owner=ActivatedAccountFactory()), name="app")
    made, _secret = invite(other.namespace.owner, other.namespace, image=other, role=Role.WRITER, account=w.ann)
    return made, other.repository, {"invitation": made.pk, "to": w.id, "role": "writer", "until": None}


@case(ADDRESSES, "invitation-create")
def _(w):
    w.post(f"/namespaces/{w.team.name}/-/invite/", way="link", role="2", lasts="good", days="7")
    made = Invitation.objects.get()
    return "invitation.create", w.team.name, {"invitation": made.pk, "to": "link", "role": "writer", "until": None}


@case(ADDRESSES, "invitation-accept")
def _(w):
    made, target, facts = _invited(w)
    w.post(f"/invitations/{made.pk}/-/accept/")
    return "invitation.accept", target, facts


@case(ADDRESSES, "invitation-decline")
def _(w):
    made, target, facts = _invited(w)
    w.post(f"/invitations/{made.pk}/-/decline/")
    return "invitation.decline", target, facts


@case(ADDRESSES, "invitation-revoke")
def _(w):
    other = ActivatedAccountFactory()
    made, _secret = invite(w.ann, w.team, role=Role.WRITER, account=other)
    w.post(f"/invitations/{made.pk}/-/revoke/")
    facts = {"invitation": made.pk, "to": other.account_id, "role": "writer", "until": None}
    return "invitation.revoke", w.team.name, facts


@case(ADDRESSES, "sign-up-finish")
def _(w):
    w.settings.SIGN_UP = "open"
    w.client.logout()
    w.client.get(f"/sign-up/link/{make_token('bea@example.com', None)}/")
    w.post("/sign-up/finish/", name="Bea", password=NEW, confirm=NEW)
    bea = Account.objects.get(email="bea@example.com")
    facts = {"name": "Bea", "email": "bea@example.com", "is_staff": False, "is_superuser": False}
    return "account.create", bea.account_id, facts, "anonymous"


ADDRESSES |= {
    **signing_in.ADDRESSES,
    "home": UNTOUCHED,
    "gate-unknown": UNTOUCHED,
    "gate-uploads": UNTOUCHED,
    "checklist-close": "It hides a note on a page.",
    "admin-password-change": UNTOUCHED,
    "admin:password_change": "It lies behind the address that leads to one's own page.",
    "sign-up": "It sends an e-mail and changes nothing; the account that is created with it is recorded.",
    "password_reset": "It sends a letter and changes nothing; that the password was changed with it is recorded.",
    "notifications": "It is a hint; what the index learns of it is recorded (tag.push).",
    "docker-hub-refresh": "What Docker Hub says of its images is nobody's doing.",
    "star": "A star is a preference of one's own, like a bookmark.",
    "star-official": "A star is a preference of one's own, like a bookmark.",
    **dict.fromkeys(
        ("healthz", "password_change_done", "password_reset_done", "password_reset_complete"), UNTOUCHED
    ),
    **{f"admin:{name}": UNTOUCHED for name in (
        "index", "login", "jsi18n", "autocomplete", "view_on_site", "app_list", "password_change_done", "",
    )},
}  # fmt: skip
