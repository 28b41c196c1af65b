"""The token endpoint: every kind of credential with every kind of scope and action.

That a token for one registry opens nothing at another is shown at the registries themselves
(``tests/token_server/test_registry_checks.py``, ``tests/token_server/test_hub_tokens.py``).
"""

import datetime

import pytest
from django.conf import settings
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken, RegistryCredential
from console.accounts.services import change_registry_password, set_active
from console.namespaces.models import NamespaceHold
from console.token_server import logins
from console.token_server.models import Login
from tests.security.site import writes
from tests.security.token_rows import (
    GRANTED,
    GRANTED_AT_THE_HUB,
    REFUSED,
    REFUSED_REFRESH_TOKENS,
    lines,
    table,
)
from tests.support.factories import PASSWORD as CONSOLE
from tests.support.factories import AccountFactory, ImageFactory, NamespaceFactory, RegistryCredentialFactory, hashed
from tests.support.token_endpoint import Asker, granted

pytestmark = pytest.mark.django_db

REGISTRY = "the registry password 3"
HUB = settings.DOCKERHUB_SERVICE
LETTERS = {"r": "pull", "w": "push", "d": "delete", "*": "*"}
ASKED = ("pull", "push", "delete", "*", "pull,push,delete,*")
ROWS, HUB_ROWS = table(GRANTED), table(GRANTED_AT_THE_HUB)
WHO = list(next(iter(ROWS.values())))


def person(username, **fields):
    account = AccountFactory(**fields)
    RegistryCredentialFactory(account=account, username=username, password=hashed(REGISTRY))
    return account


class Accounts:
    """People with the images that the table names, and a way to ask with each kind of credential."""

    def __init__(self, client):
        self.ask = Asker(client)
        self.owner, self.other = person("owner", tag_quota=7), person("other")
        self.superuser = person("superuser", is_staff=True, is_superuser=True)
        person("staff", is_staff=True)
        team, spare, moving = (NamespaceFactory(owner=self.owner, name=name) for name in ("team", "spare", "moving"))
        others = NamespaceFactory(owner=self.other, name="others")
        NamespaceHold.objects.create(name="held", last_owner=self.owner, until=timezone.now())
        for namespace in (team, spare, moving):
            ImageFactory(namespace=namespace, name="app")
            ImageFactory(namespace=namespace, name="open", visibility="public")
        ImageFactory(namespace=team, name="nested/deep/app")
        ImageFactory(namespace=team, name="going", state="deleting")
        ImageFactory(namespace=team, name="full", tag_count=4, attachment_count=3)
        ImageFactory(namespace=others, name="secret")
        ImageFactory(namespace=others, name="open", visibility="public")
        ImageFactory(namespace=others, name="going-open", visibility="public", state="deleting")
        self.pull = self.secret(self.owner, can_push=False)
        self.push = self.secret(self.owner)
        self.delete = self.secret(self.owner, can_delete=True)
        self.chosen = self.secret(self.owner, namespaces=[team])
        moving.new_owner, moving.available_at = self.other, timezone.now()
        moving.save()

    def secret(self, account, can_push=True, **options):
        name = f"ci{AccessToken.objects.count()}"
        return access_tokens.create(account, name, can_push=can_push, **options)[1]

    def refresh_token(self, username="owner"):
        answer = self.ask.get(user=username, password=REGISTRY, offline_token="true", client_id="docker")
        return answer.json()["refresh_token"]

    def by(self, who):
        """A function that asks for scopes as somebody."""
        if who == "nobody":
            return self.ask.get
        if who == "refresh":
            token = self.refresh_token()
            return lambda *scopes, **more: self.ask.post(
                *scopes, grant_type="refresh_token", refresh_token=token, **more
            )
        user, password = {
            "pull": ("owner", self.pull),
            "push": ("owner", self.push),
            "delete": ("owner", self.delete),
            "chosen": ("owner", self.chosen),
            "supertoken": ("superuser", self.secret(self.superuser) if who == "supertoken" else ""),
        }.get(who, (who, REGISTRY))
        return lambda *scopes, **more: self.ask.get(*scopes, user=user, password=password, **more)


@pytest.fixture
def accounts(client):
    return Accounts(client)


def expected(scope, cell, actions):
    """What is granted of these actions on a scope: no push to who asks for a deletion that is refused."""
    kind, _colon, name = scope.partition(":")
    may, asked = {LETTERS[letter] for letter in cell if letter in LETTERS}, set(actions.split(","))
    some = may & asked
    if cell == "l":
        return {(kind, name): {"list"}} if "*" in asked else {}
    if "delete" in asked - may:
        some.discard("push")
    return {(kind, name): some} if some else {}


def wrong_grants(ask, rows, who, service):
    for scope, cells in rows.items():
        for actions in ASKED:
            right = expected(scope, cells[who], actions)
            given = granted(ask(f"{scope}:{actions}", service=service), service)
            if given != right:
                yield f"{who} asking for {scope}:{actions}: {given or 'nothing'}, not {right or 'nothing'}"


@pytest.mark.parametrize("who", WHO)
def test_who_is_granted_what(accounts, who):
    ask = accounts.by(who)
    wrong = [*wrong_grants(ask, ROWS, who, settings.REGISTRY_SERVICE), *wrong_grants(ask, HUB_ROWS, who, HUB)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", WHO)
def test_asked_for_all_at_once(accounts, who):
    """One answer to all scopes is what the answers to each of them are together: none opens another."""
    ask = accounts.by(who)
    everything = [f"{scope}:pull,push,delete,*" for scope in ROWS]
    together = {}
    for scope, cells in ROWS.items():
        together |= expected(scope, cells[who], "pull,push,delete,*")
    assert granted(ask(*everything)) == together
    assert granted(ask(" ".join(reversed(everything)))) == together


@pytest.mark.parametrize("who", ["owner", "pull", "push", "chosen", "other", "staff", "superuser"])
def test_a_form_opens_what_the_header_opens(accounts, who):
    """OAuth2's grant ``password``, whose answer also says what was granted."""
    user = who if who in {"owner", "other", "staff", "superuser"} else "owner"
    password = REGISTRY if user == who else getattr(accounts, who)
    scopes = [f"{scope}:pull,push,delete,*" for scope in ROWS]
    answer = accounts.ask.post(*scopes, grant_type="password", username=user, password=password)
    together = {}
    for scope, cells in ROWS.items():
        together |= expected(scope, cells[who], "pull,push,delete,*")
    assert granted(answer) == together
    said = (scope.rpartition(":") for scope in answer.json()["scope"].split())
    assert {tuple(name.split(":", 1)): set(actions.split(",")) for name, _colon, actions in said} == together


def refused_credentials(accounts, kind):
    """User name and password of somebody who is refused."""
    owner, ask = accounts.owner, {"namespaces": None}
    match kind:
        case "a wrong password":
            return "owner", "not the password 4"
        case "the console password":
            return "owner", CONSOLE
        case "an access token of another account":
            return "owner", accounts.secret(accounts.other, **ask)
        case "an access token that is expired":
            AccessToken.objects.all().update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
            return "owner", accounts.push
        case "an access token that is revoked":
            AccessToken.objects.all().update(revoked_at=timezone.now())
            return "owner", accounts.push
        case "an access token that is one letter off":
            return "owner", one_off(accounts.push)
        case "a refresh token as a password":
            return "owner", accounts.refresh_token()
        case "nobody of that name":
            return "nobody", REGISTRY
        case "not activated, with the console password":
            return AccountFactory().account_id, CONSOLE
        case "activation begun and not ended":
            RegistryCredential.objects.filter(account=owner).update(activated_at=None)
            return "owner", REGISTRY
        case "deactivated":
            # It was right a moment ago, and is remembered.
            granted(accounts.by("owner")("repository:team/app:pull"))
            set_active(owner, False)
            return "owner", REGISTRY
        case "deactivated, with an access token":
            set_active(owner, False)
            return "owner", accounts.push
        case "no password":
            return "owner", ""
    raise AssertionError(f"no such credential: {kind}")


def one_off(text):
    return text[:-1] + ("a" if text[-1] != "a" else "b")


SCOPES = ["repository:team/app:pull", "repository:others/open:pull", "registry:catalog:*"]


@pytest.mark.parametrize("kind", lines(REFUSED))
def test_who_is_refused(accounts, kind):
    """Nothing is granted, what everybody may pull included; a form is refused as the header is."""
    user, password = refused_credentials(accounts, kind)
    by_header = accounts.ask.get(*SCOPES, user=user, password=password)
    by_form = accounts.ask.post(*SCOPES, grant_type="password", username=user, password=password)
    assert (by_header.status_code, by_form.status_code) == (401, 400), by_header.content
    known = accounts.ask.get(*SCOPES, user="nobody-else", password="nothing right 5").json()
    assert by_header.json() == known, "it tells why"
    assert "access_token" not in by_form.json()
    assert by_form.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", lines(REFUSED_REFRESH_TOKENS))
def test_refresh_tokens_that_are_refused(accounts, kind):
    good = accounts.refresh_token()
    assert granted(accounts.ask.post(*SCOPES, grant_type="refresh_token", refresh_token=good))
    token = {"nothing": "", "nonsense": "abc", "one letter off": one_off(good), "an access token": accounts.push}.get(
        kind, good
    )
    if kind == "revoked":
        logins.revoke(Login.objects.get(account=accounts.owner))
    elif kind == "from before the password changed":
        change_registry_password(accounts.owner, "the next password 6")
    elif kind == "deactivated":
        set_active(accounts.owner, False)
    answer = accounts.ask.post(*SCOPES, grant_type="refresh_token", refresh_token=token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_asking_makes_nothing(accounts):
    """A token to push to an image that is not there makes none, and none of those that are refused makes anything."""
    ask = accounts.by("owner")
    ask("repository:team/app:pull")
    before = writes()
    for scope in ROWS:
        ask(f"{scope}:pull,push,delete,*")
    assert writes() == before


def test_a_session_opens_nothing_here(accounts, client):
    """Who is signed in on the pages is nobody here, and so is an administrator."""
    for account in (accounts.owner, accounts.superuser):
        client.force_login(account)
        assert granted(accounts.ask.get(*SCOPES)) == {("repository", "others/open"): {"pull"}}
