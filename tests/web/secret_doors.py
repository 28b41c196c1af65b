"""Everywhere that a secret is shown, made or chosen."""

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


class House:
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


def sign_in(house, right):
    form = {"username": house.account.account_id, "password": house.either(right, house.console)}
    return house.client.post("/sign-in/", form)


def change_console_password(house, right):
    house.enter()
    form = house.twice(True, "new_password1", "new_password2")
    form["old_password"] = house.either(right, house.console)
    return house.client.post("/account/password/", form)


def basic(house, right):
    answer = house.ask.get(user=house.user, password=house.either(right, house.registry), offline_token="true")
    house.given = {answer.json()["refresh_token"]} if answer.status_code == 200 else set()
    house.secrets |= house.given
    return answer


def form_password(house, right):
    password = house.either(right, house.registry)
    answer = house.ask.post(grant_type="password", username=house.user, password=password, access_type="offline")
    house.given = {answer.json()["refresh_token"]} if answer.status_code == 200 else set()
    house.secrets |= house.given
    return answer


def _access_token(house, right):
    token, secret = access_tokens.create(house.account, "ci", can_push=True)
    house.secrets.add(secret)
    if not right:
        access_tokens.revoke(token)
    return secret


def basic_access_token(house, right):
    return house.ask.get(user=house.user, password=_access_token(house, right))


def form_access_token(house, right):
    return house.ask.post(grant_type="password", username=house.user, password=_access_token(house, right))


def create_access_token(house, right):
    house.enter()
    form = {"name": "new" if right else "", "access": "pull", "reach": "all", "expires": "90"}
    answer = house.client.post("/account/tokens/-/create/", form)
    house.given = set(re.findall(r"myimg_[0-9A-Za-z]{49}", answer.content.decode()))
    assert bool(house.given) == (answer.status_code == 200)
    house.secrets |= house.given
    return answer


def refresh(house, right):
    asked = {"grant_type": "password", "username": house.user, "password": house.registry, "access_type": "offline"}
    token = house.ask.post(**asked).json()["refresh_token"]
    house.secrets.add(token)
    if not right:
        set_active(house.account, False)
    house.given = {token} if right else set()
    return house.ask.post(grant_type="refresh_token", refresh_token=token)


def activate(house, right):
    house.enter(AccountFactory(name="Yan"))
    form = {"username": "somebody.new", "namespace": "theirs", **house.twice(right, "password", "confirm")}
    return house.client.post("/activation/", form)


def change_registry_password(house, right):
    house.enter()
    return house.client.post("/activation/password/", house.twice(right, "password", "confirm"))


def letter(house, right):
    house.client.post("/account/reset/", {"email": house.account.email})
    deliver()
    address = re.search(r"/account/reset/\S+", mail.outbox[0].body)[0]
    house.secrets.add(address.split("/")[-2])
    if not right:
        set_active(house.account, False)
    answer = house.client.get(address)
    if answer.status_code != 302:
        return answer
    return house.client.post(answer["Location"], house.twice(True, "new_password1", "new_password2"))


def link(house, right):
    address = sign_in_links.make(house.account).removeprefix(settings.CONSOLE_URL)
    house.secrets.add(address.split("/")[-2])
    if not right:
        set_active(house.account, False)
    return house.client.post(address)


def email_link(house, right):
    house.enter()
    email_changes.request(house.account, "new@example.com")
    deliver()
    address = re.search(r"/account/email/\S+", mail.outbox[0].body)[0]
    house.secrets.add(address.split("/")[-2])
    if not right:
        email_changes.cancel(house.account)
    return house.client.post(address)


def session(house, right):
    house.enter()
    if not right:
        set_active(house.account, False)
    return house.client.get("/account/")


def notifications(house, right):
    secret = house.either(right, settings.KEYS.notification_secret)
    event = {"action": "push", "id": "1", "target": {"repository": f"{house.team.name}/app", "tag": "1"}}
    return house.client.post(
        "/indexing/notifications/",
        json.dumps({"events": [event]}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )


def single_sign_on(house, right):
    back = house.provider.authorize(leave(house.client))
    house.secrets.add(code := re.search(r"code=([^&]+)", back)[1])
    if not right:  # a provider that says all it was told
        said = f"not {settings.OIDC_CLIENT_SECRET} nor {code}"
        house.provider.answers["/token"] = 400, {"error": said, "error_description": said}
    return come_back(house.client, back)


def bring(house, right):
    house.enter()
    form = {"reference": "registry.example.com/a/app:1", "namespace": house.team.name, "tag": "1" if right else "-"}
    form |= {"username": "zoe", "password": house.secret("elsewhere")}
    return house.client.post("/images/-/import/", form)


@dataclass
class Door:
    """Where a secret is shown: how the answers are, and what is to fail that has the secret in its hands.

    ``gives``: that an answer shows what was made, as it is meant to.
    """

    ask: Callable[[House, bool], HttpResponse]
    works: int
    refuses: int
    deep: str
    gives: bool = False


VERIFY, ENCODE = (f"django.contrib.auth.hashers.Argon2PasswordHasher.{name}" for name in ("verify", "encode"))
LOOKUP = "console.token_server.lookup.find"
HASH = "console.access_tokens.services.hash_secret"
DOORS = [
    Door(sign_in, 302, 200, VERIFY),
    Door(change_console_password, 302, 200, ENCODE),
    Door(basic, 200, 401, VERIFY, gives=True),
    Door(form_password, 200, 400, VERIFY, gives=True),
    Door(basic_access_token, 200, 401, LOOKUP),
    Door(form_access_token, 200, 400, LOOKUP),
    Door(create_access_token, 200, 422, HASH, gives=True),
    Door(refresh, 200, 400, "console.token_server.token_request._refresh_token", gives=True),
    Door(activate, 302, 422, ENCODE),
    Door(change_registry_password, 302, 422, ENCODE),
    Door(letter, 302, 200, "console.accounts.password_reset_email.PasswordResetTokens.check_token"),
    Door(link, 302, 410, "console.login.sign_in_links.read"),
    Door(email_link, 302, 410, "console.accounts.email_changes.is_token_of"),
    Door(session, 200, 302, "django.contrib.sessions.backends.base.SessionBase.__getitem__"),
    Door(notifications, 200, 401, "console.registry.index.views._store"),
    Door(single_sign_on, 302, 400, "console.login.single_sign_on._claims"),
    Door(bring, 302, 422, "cryptography.fernet.Fernet.encrypt"),
]
