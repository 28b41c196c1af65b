"""Requests by which a secret is shown, created or chosen."""

import base64
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from console.access_tokens import services as access_tokens
from console.accounts import email_changes
from console.accounts.services import set_active
from console.login import sign_in_links
from tests.support.factories import AccountFactory, ActivatedAccountFactory, NamespaceFactory, hashed
from tests.support.mailbox import deliver
from tests.support.second_factor import come_back, leave
from tests.support.token_endpoint import Asker

_numbers = itertools.count(1)


def new(kind="secret"):
    """A secret that is found wherever it is."""
    return f"Sentinel{next(_numbers)}{kind}Ends5Here"


def forms_of(secret):
    """How it might be written: as it is, in an address, and inside of anything that is written in base64."""
    found = {secret, quote(secret, safe="")}
    for before in range(3):
        # Only the letters that what stands before and behind has no part in.
        text = base64.b64encode(b"\x00" * before + secret.encode()).decode().rstrip("=")
        found.add(text[(0, 2, 3)[before] : len(secret) * 4 // 3 - 2])
    return found


class Owner:
    """Somebody with a secret of every kind, and all secrets that were made or tried."""

    def __init__(self, provider):
        self.provider = provider
        self.secrets = {settings.KEYS.notification_secret, settings.SECRET_KEY, settings.OIDC_CLIENT_SECRET}
        self.client = Client(raise_request_exception=False)
        self.console, self.registry = self.secret("console"), self.secret("registry")
        self.account = ActivatedAccountFactory(password=hashed(self.console), email=f"zoe{next(_numbers)}@example.com")
        self.account.credential.password = hashed(self.registry)
        self.account.credential.save()
        self.team = NamespaceFactory(owner=self.account)
        self.user = self.account.credential.username
        self.ask = Asker(self.client)

    def secret(self, kind="tried"):
        self.secrets.add(made := new(kind))
        return made

    def either(self, right, good):
        """What is right, or something that might be."""
        return good if right else self.secret()

    def enter(self, account=None):
        self.client.force_login(account or self.account)
        self.secrets.add(self.client.session.session_key)

    def twice(self, right, first, second):
        """A new password, as a form wants it; two that are not the same are refused."""
        password = self.secret("chosen")
        return {first: password, second: password if right else self.secret()}


def sign_in(owner, right):
    form = {"username": owner.account.account_id, "password": owner.either(right, owner.console)}
    return owner.client.post("/sign-in/", form)


def change_console_password(owner, right):
    owner.enter()
    form = owner.twice(True, "new_password1", "new_password2")
    form["old_password"] = owner.either(right, owner.console)
    return owner.client.post("/account/password/", form)


def basic(owner, right):
    answer = owner.ask.get(user=owner.user, password=owner.either(right, owner.registry), offline_token="true")
    owner.given = {answer.json()["refresh_token"]} if answer.status_code == 200 else set()
    owner.secrets |= owner.given
    return answer


def form_password(owner, right):
    password = owner.either(right, owner.registry)
    answer = owner.ask.post(grant_type="password", username=owner.user, password=password, access_type="offline")
    owner.given = {answer.json()["refresh_token"]} if answer.status_code == 200 else set()
    owner.secrets |= owner.given
    return answer


def _access_token(owner, right):
    token, secret = access_tokens.create(owner.account, "ci", can_push=True)
    owner.secrets.add(secret)
    if not right:
        access_tokens.revoke(token)
    return secret


def basic_access_token(owner, right):
    return owner.ask.get(user=owner.user, password=_access_token(owner, right))


def form_access_token(owner, right):
    return owner.ask.post(grant_type="password", username=owner.user, password=_access_token(owner, right))


def create_access_token(owner, right):
    owner.enter()
    form = {"name": "new" if right else "", "access": "pull", "reach": "all", "expires": "90"}
    answer = owner.client.post("/account/tokens/-/create/", form)
    owner.given = set(re.findall(r"myimg_[0-9A-Za-z]{49}", answer.content.decode()))
    assert bool(owner.given) == (answer.status_code == 200)
    owner.secrets |= owner.given
    return answer


def refresh(owner, right):
    asked = {"grant_type": "password", "username": owner.user, "password": owner.registry, "access_type": "offline"}
    token = owner.ask.post(**asked).json()["refresh_token"]
    owner.secrets.add(token)
    if not right:
        set_active(owner.account, False)
    owner.given = {token} if right else set()
    return owner.ask.post(grant_type="refresh_token", refresh_token=token)


def activate(owner, right):
    owner.enter(AccountFactory(name="Yan"))
    form = {"username": "somebody.new", "namespace": "theirs", **owner.twice(right, "password", "confirm")}
    return owner.client.post("/activation/", form)


def change_registry_password(owner, right):
    owner.enter()
    return owner.client.post("/activation/password/", owner.twice(right, "password", "confirm"))


def reset_password(owner, right):
    owner.client.post("/account/reset/", {"email": owner.account.email})
    deliver()
    address = re.search(r"/account/reset/\S+", mail.outbox[0].body)[0]
    owner.secrets.add(address.split("/")[-2])
    if not right:
        set_active(owner.account, False)
    answer = owner.client.get(address)
    if answer.status_code != 302:
        return answer
    return owner.client.post(answer["Location"], owner.twice(True, "new_password1", "new_password2"))


def link(owner, right):
    address = sign_in_links.make(owner.account).removeprefix(settings.CONSOLE_URL)
    owner.secrets.add(address.split("/")[-2])
    if not right:
        set_active(owner.account, False)
    return owner.client.post(address)


def email_link(owner, right):
    owner.enter()
    email_changes.request(owner.account, "new@example.com")
    deliver()
    address = re.search(r"/account/email/\S+", mail.outbox[0].body)[0]
    owner.secrets.add(address.split("/")[-2])
    if not right:
        email_changes.cancel(owner.account)
    return owner.client.post(address)


def session(owner, right):
    owner.enter()
    if not right:
        set_active(owner.account, False)
    return owner.client.get("/account/")


def notifications(owner, right):
    secret = owner.either(right, settings.KEYS.notification_secret)
    event = {"action": "push", "id": "1", "target": {"repository": f"{owner.team.name}/app", "tag": "1"}}
    return owner.client.post(
        "/indexing/notifications/",
        json.dumps({"events": [event]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )


def single_sign_on(owner, right):
    back = owner.provider.authorize(leave(owner.client))
    owner.secrets.add(code := re.search(r"code=([^&]+)", back)[1])
    if not right:  # a provider that says all it was told
        said = f"not {settings.OIDC_CLIENT_SECRET} nor {code}"
        owner.provider.answers["/token"] = 400, {"error": said, "error_description": said}
    return come_back(owner.client, back)


def import_image(owner, right):
    owner.enter()
    form = {"reference": "registry.example.com/a/app:1", "namespace": owner.team.name, "tag": "1" if right else "-"}
    form |= {"username": "zoe", "password": owner.secret("elsewhere")}
    return owner.client.post("/images/-/import/", form)


@dataclass
class SecretRequest:
    """A request with a secret, and the statuses of its answers.

    ``breaks`` is a function that gets the secret, and is made to fail. ``gives``: the answer shows a new secret.
    """

    ask: Callable[[Owner, bool], HttpResponse]
    works: int
    refuses: int
    breaks: str
    gives: bool = False


VERIFY, ENCODE = (f"django.contrib.auth.hashers.Argon2PasswordHasher.{name}" for name in ("verify", "encode"))
LOOKUP = "console.token_server.lookup.find"
HASH = "console.access_tokens.services.hash_secret"
REQUESTS = [
    SecretRequest(sign_in, 302, 200, VERIFY),
    SecretRequest(change_console_password, 302, 200, ENCODE),
    SecretRequest(basic, 200, 401, VERIFY, gives=True),
    SecretRequest(form_password, 200, 400, VERIFY, gives=True),
    SecretRequest(basic_access_token, 200, 401, LOOKUP),
    SecretRequest(form_access_token, 200, 400, LOOKUP),
    SecretRequest(create_access_token, 200, 422, HASH, gives=True),
    SecretRequest(refresh, 200, 400, "console.token_server.token_request._refresh_token", gives=True),
    SecretRequest(activate, 302, 422, ENCODE),
    SecretRequest(change_registry_password, 302, 422, ENCODE),
    SecretRequest(reset_password, 302, 200, "console.accounts.password_reset_email.PasswordResetTokens.check_token"),
    SecretRequest(link, 302, 410, "console.login.sign_in_links.read"),
    SecretRequest(email_link, 302, 410, "console.accounts.email_changes.is_token_of"),
    SecretRequest(session, 200, 302, "django.contrib.sessions.backends.base.SessionBase.__getitem__"),
    SecretRequest(notifications, 200, 401, "console.registry.index.views._store"),
    SecretRequest(single_sign_on, 302, 400, "console.login.single_sign_on._claims"),
    SecretRequest(import_image, 302, 422, "cryptography.fernet.Fernet.encrypt"),
]
