"""Things of others: in addresses, in forms, and in the administration."""

import re
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.accounts.models import Account, RegistryCredential
from console.imports.models import Transfer
from console.namespaces.models import Namespace
from console.repositories.models import Copy, Image, Tag
from console.token_server.models import Login
from tests.security.answers import IMAGES, ROLES
from tests.security.console_rows import CONSOLE
from tests.security.site import Site, effect
from tests.support.factories import AccountFactory, RegistryCredentialFactory
from tests.support.responses import text_of
from tests.support.site_rows import INDEX

pytestmark = pytest.mark.django_db

# Of what nobody has, for each part of an address.
ABSENT = {
    "int:pk": "999999999",
    "uuid:pk": "00000000-0000-0000-0000-000000000000",
    "int:number": "999999999",
    "namespace:namespace": "absent",
    "namespace:name": "absent",
    "namespace:team": "absent",
    "int:account": "999999999",
    "repository:repository": "absent/app",
}
# Each answer has another.
_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="\w+"')
OWNERS_ALONE = [
    row
    for row in CONSOLE
    if "/row/" in row.route or any(to["other"] == "404" != to["owner"] for to in (row.GET, row.POST))
]


@pytest.fixture
def site():
    return Site()


def seen(answer, path):
    """What an answer shows, but for the address itself and its form's token; times by the minutes from now."""
    headers = dict(answer.headers)
    if "Expires" in headers:
        headers["Expires"] = round((parsedate_to_datetime(headers["Expires"]) - timezone.now()).total_seconds() / 60)
    content = _TOKEN.sub(b"", answer.content)
    return answer.status_code, content, str(headers).replace(quote(path), "")


def test_nobody_learns_what_others_have(site):
    """What is another's is answered as what is nobody's, to the letter: status, headers, page."""
    assert len(OWNERS_ALONE) > 20
    for row in OWNERS_ALONE:
        there, absent = site.path(row), site.path(row, ABSENT)
        assert there != absent
        for role in set(ROLES) - {"owner"}:
            with site.as_role(role) as ask:
                for method in ("GET", "POST"):
                    theirs, nobodys = (ask(method, path, row.form)[0] for path in (there, absent))
                    assert seen(theirs, there) == seen(nobodys, absent), (role, method, there)


# Addresses of the other account's own image, with numbers and names of the owner's things.
UNDER_ONES_OWN = [
    ("POST", "/images/others/secret/-/transfers/{running_transfer}/cancel/", {}, 404),
    ("POST", "/images/others/secret/-/transfers/{failed_transfer}/retry/", {}, 404),
    ("POST", "/images/others/secret/-/transfers/{failed_transfer}/dismiss/", {}, 404),
    # It takes a notice away, which may have gone already.
    ("POST", "/images/others/secret/-/copies/{copy}/dismiss/", {}, 302),
    ("POST", "/images/others/secret/-/problems/{failure}/retry/", {}, 404),
    ("POST", "/images/others/secret/-/problems/{failure}/dismiss/", {}, 302),
    ("GET", f"/images/others/secret/-/manifests/{INDEX}/", {}, 404),
    ("GET", f"/images/others/secret/-/manifests/{INDEX}/raw/", {}, 404),
    ("GET", f"/images/others/secret/-/manifests/{INDEX}/platforms/", {}, 404),
    ("GET", "/images/others/secret/-/tags/v0/", {}, 404),
    ("GET", "/images/others/secret/-/tags/v0/copy/", {}, 404),
    ("POST", "/images/others/secret/-/delete-tags/", {"tag": ["v0"]}, 404),
    # Names of the owner's namespace and image in forms.
    ("POST", "/images/-/create/", {"namespace": "team", "name": "mine", "visibility": "private"}, 422),
    (
        "POST",
        "/images/-/import/",
        {"namespace": "team", "name": "app", "tag": "v0", "reference": "example.com/a:1"},
        422,
    ),
    ("POST", "/docker-hub/official0/-/tags/v0/copy/", {"namespace": "team", "name": "app", "tag": "v0"}, 422),
    ("POST", "/images/others/secret/-/tags/mine/copy/", {"namespace": "team", "name": "app", "tag": "v0"}, 422),
    ("POST", "/namespaces/-/create/", {"name": "team"}, 422),
    (
        "POST",
        "/account/tokens/-/create/",
        {"name": "x", "access": "push", "reach": "chosen", "namespaces": ["team"], "expires": "30"},
        422,
    ),
    (
        "POST",
        "/account/tokens/-/create/",
        {"name": "x", "access": "push", "reach": "chosen", "namespaces": ["others", "team"], "expires": "30"},
        422,
    ),
    (
        "POST",
        "/account/tokens/-/create/",
        {"name": "x", "access": "push", "reach": "chosen", "names": "team/app", "expires": "30"},
        422,
    ),
    ("POST", "/namespaces/others/-/service-accounts/team/-/delete/", {}, 404),
    ("POST", "/namespaces/others/-/service-accounts/ours/-/tokens/{service_token}/-/revoke/", {}, 404),
    ("POST", "/images/-/delete/", {"image": ["{image}"]}, 302),
]


@pytest.mark.parametrize("role", ["other", "superuser"])
def test_things_of_others_under_ones_own_addresses(site, role):
    if role == "superuser":
        Namespace.objects.filter(name="others").update(owner=site.accounts["superuser"])
        Image.objects.filter(pk=site.theirs.pk).update(owner=site.accounts["superuser"])
    Tag.objects.create(image=site.theirs, name="mine", manifest=site.manifest_of(site.theirs), pushed_at=site.now)
    with site.as_role(role) as ask:
        for method, path, form, status in UNDER_ONES_OWN:
            path = site.fill(path)
            response, tables = ask(method, path, form)
            assert (response.status_code, effect(tables)) == (status, ""), (method, path, tables)


def test_ticked_rows_of_several_people(site, client):
    """One's own are deleted, others are left alone."""
    client.force_login(site.accounts["other"])
    ids = [site.words["image"], str(site.theirs.pk)]
    assert client.post("/images/-/delete/", {"image": ids}).status_code == 302
    assert list(Image.objects.filter(pk__in=ids, state="deleting")) == [site.theirs]


LISTS = [
    "/images/",
    "/images/?namespace=team",
    "/images/?q=unstarred-imag",
    "/images/-/guide/",
    "/images/-/create/?namespace=team",
    "/images/-/import/?namespace=team",
    "/namespaces/",
    "/namespaces/?q=spar",
    "/account/",
    "/account/tokens/",
    "/account/tokens/-/create/",
    "/account/logins/",
    "/favorites/",
    "/favorites/?kind=own",
    "/public-images/",
    "/public-images/?q=unstarred-imag",
    "/search/?q=unstarred-imag",
    "/search/?q=mine",
    "/search/?q=spar",
    "/search/?q=spar&in=namespaces",
    "/search/?q=v0",
    "/search/?q=What+it&in=images",
    "/docker-hub/official0/-/tags/v0/copy/",
]


@pytest.mark.parametrize("role", ["other", "staff", "superuser"])
def test_no_list_shows_what_others_have(site, role):
    with site.as_role(role) as ask:
        for path in LISTS:
            response, _tables = ask("GET", path)
            # A namespace's name is a class, too.
            shown = re.sub(r'class="[^"]*"', "", text_of(response).replace(path, ""))
            assert response.status_code == 200
            for theirs in ("unstarred-image", "mine0", "spare", "ci0", "docker0", site.owner.account_id):
                assert theirs not in shown, (path, theirs)
    with site.as_role("owner") as ask:
        assert "team" in text_of(ask("GET", "/images/")[0])


def test_activation_of_somebody_else(site):
    """Another's Account ID or user name as one's own; and the steps are one's own."""
    form = {"password": "another good password 2", "confirm": "another good password 2"}
    names = [site.owner.account_id, AccountFactory().account_id]
    RegistryCredential.objects.filter(account=site.owner).update(username="the-owner")
    with site.as_role("new") as ask:
        for username in [*names, "the-owner"]:
            response, tables = ask("POST", "/activation/", {**form, "username": username})
            assert (response.status_code, effect(tables)) == (422, ""), username
        response, tables = ask("POST", "/activation/", {**form, "username": "somebody-new", "namespace": "team"})
        assert (response.status_code, effect(tables)) == (422, "")


def test_activation_that_has_not_ended(site):
    """It opens the steps, and nothing else."""
    RegistryCredentialFactory(account=site.accounts["new"], username="somebody-new", activated_at=None)
    rows = [row for row in CONSOLE if row.GET["new"] == IMAGES and "activation" not in row.route and row.route]
    assert len(rows) > 20
    with site.as_role("new") as ask:
        for row in rows:
            assert ask("GET", site.path(row))[0]["Location"] == "/images/", row.route
        assert ask("GET", "/images/")[0]["Location"] == "/activation/steps/"
        assert ask("GET", "/activation/steps/")[0].status_code == 200


# --- the administration ---------------------------------------------------------------------------------------------


def actions():
    """Each action of each model of the administration."""
    for model, options in admin.site._registry.items():
        label = f"{model._meta.app_label}_{model._meta.model_name}"
        for action in [*options.actions, "delete_selected"]:
            yield label, model, getattr(action, "__name__", action)


def test_who_may_only_look_does_nothing(site):
    """Somebody with every permission to look and none to change: no action, and no form."""
    looker = site.accounts["staff"]
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    done = 0
    with site.as_role("staff") as ask:
        for label, _model, action in actions():
            path, key = reverse(f"admin:{label}_changelist"), site.words[f"row_{label}"]
            assert ask("GET", path)[0].status_code == 200, path
            # Django's own deletion is confirmed in a second request, and is not here.
            confirmed = {} if action == "delete_selected" else {"post": "yes"}
            _response, tables = ask("POST", path, {"action": action, "_selected_action": [key], **confirmed})
            assert not tables, (path, action, tables)
            done += 1
        for label in {label for label, _model, _action in actions()}:
            for verb in ("change", "delete", "add"):
                arguments = [] if verb == "add" else [site.words[f"row_{label}"]]
                path = reverse(f"admin:{label}_{verb}", args=arguments)
                response, tables = ask("POST", path, {"name": "changed", "transfer_to": site.words["other"]})
                assert (response.status_code, tables) == (403, set()), path
    assert done > 20


@pytest.mark.parametrize("role", ["clerk", "superuser"])
def test_who_may_change_does_what_each_action_says(site, role):
    """And nothing is ever deleted in one go."""
    Account.objects.filter(pk=site.accounts["other"].pk).update(is_active=False)
    with site.as_role(role) as ask:
        for label, _model, action in actions():
            key = site.words["other" if action == "reactivate" else f"row_{label}"]
            path = reverse(f"admin:{label}_changelist")
            # Django's own deletion is confirmed in a second request, and is not here.
            confirmed = {} if action == "delete_selected" else {"post": "yes"}
            _response, tables = ask("POST", path, {"action": action, "_selected_action": [key], **confirmed})
            # What waits cannot be retried; that somebody asked for it is written down.
            works = action not in {"delete_selected", "retry"}
            assert bool(tables - {"django_session", "audit_auditevent"}) == works, (path, action, tables)


@pytest.fixture
def clerk(site):
    """Asks as a clerk, when the superuser has one of everything."""
    superuser = site.accounts["superuser"]
    access_tokens.create(superuser, "supers", can_push=True)
    Login.objects.create(account=superuser, version=1, client="supers")
    with site.as_role("clerk") as ask:
        yield ask


def test_a_clerk_does_not_touch_superusers(site, clerk):
    superuser = site.accounts["superuser"]
    for label, thing, some in (
        ("accounts_account", superuser, ("deactivate", "reset_registry_password")),
        ("accounts_accesstoken", superuser.access_tokens.get(), ("revoke",)),
        ("tokens_login", Login.objects.get(account=superuser), ("revoke",)),
    ):
        for action in some:
            form = {"action": action, "_selected_action": [str(thing.pk)], "post": "yes"}
            _response, tables = clerk("POST", reverse(f"admin:{label}_changelist"), form)
            assert not tables, (label, action, tables)
        path = reverse(f"admin:{label}_change", args=[thing.pk])
        response, tables = clerk("POST", path, {"name": "changed", "is_active": ""})
        assert (response.status_code, tables) == (403, set()), path
    form = {"usable_password": "true", "password1": "another good password 2", "password2": "another good password 2"}
    path = f"/admin/accounts/account/{superuser.pk}/password/"
    response, tables = clerk("POST", path, form)
    assert (response.status_code, tables) == (403, set())
    assert clerk("GET", path)[0].status_code == 403


def test_nobody_becomes_more_than_they_are(site, client):
    """Fields that the form does not show: rights, permissions, the password's hash, the owner of a namespace."""
    clerk, owner = site.accounts["clerk"], site.owner
    client.force_login(clerk)
    everything = {"is_superuser": "on", "is_staff": "on", "is_active": "on", "user_permissions": ["1", "2"]}
    for account in (clerk, owner):
        before = account.user_permissions.count()
        path = f"/admin/accounts/account/{account.pk}/change/"
        form = {**everything, "name": "Renamed", "account_id": "000000000000", "password": "x", "sessions_ended": "0"}
        assert client.post(path, form).status_code == 302
        now = Account.objects.get(pk=account.pk)
        assert now.name == "Renamed"
        assert (now.is_superuser, now.is_staff) == (False, account.is_staff)
        assert (now.account_id, now.password) == (account.account_id, account.password)
        assert now.user_permissions.count() == before
    assert client.post("/admin/accounts/account/add/", {
        **everything, "name": "Made", "usable_password": "true",
        "password1": "another good password 2", "password2": "another good password 2",
    }).status_code == 302  # fmt: skip
    made = Account.objects.get(name="Made")
    assert not made.is_superuser and not made.is_staff
    namespace = Namespace.objects.get(name="team")
    client.post(f"/admin/namespaces/namespace/{namespace.pk}/change/", {"owner": clerk.pk, "name": "taken"})
    namespace.refresh_from_db()
    assert (namespace.owner, namespace.name) == (owner, "team")


def test_the_door_of_the_administration(site, client):
    """It opens to administrators alone, and not to those who are deactivated."""
    for role in ("other", "staff", "superuser"):
        account = site.accounts[role]
        form = {"username": account.account_id, "password": "a good password 1"}
        assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/sign-in/?next=/admin/"
        assert client.post("/sign-in/?next=/admin/", form)["Location"] == "/admin/"
        assert client.get("/admin/", follow=True).status_code == (200 if account.is_staff else 403)
        client.logout()
        Account.objects.filter(pk=account.pk).update(is_active=False)
        assert client.post("/sign-in/?next=/admin/", form).status_code == 200
        assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("path", ["/nothing/", "/images/others/secret/-/nothing/", "/images/a", "/admin", "/token/x/"])
def test_addresses_that_are_none(site, path):
    """One answer for everybody, which leads nowhere but to the same with a slash."""
    answers = set()
    for role in ROLES:
        with site.as_role(role) as ask:
            for method in ("GET", "POST", "DELETE"):
                response, tables = ask(method, path)
                assert not tables
                answers.add((response.status_code, response.get("Location")))
    assert answers in ({(404, None)}, {(301, f"{path}/"), (404, None)}, {(301, f"{path}/")}), answers


def test_credentials_of_the_site(site):
    """What the tests above rest on: those who are to be refused have everything that others need to do the same."""
    assert RegistryCredential.objects.filter(account=site.accounts["other"], activated_at__isnull=False).exists()
    assert Copy.objects.filter(pk=site.words["copy"], state="failed").exists()
    assert Transfer.objects.filter(pk=site.words["running_transfer"], state="running").exists()
