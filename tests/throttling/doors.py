"""Trying passwords at every door, from any address."""

import base64
import contextlib

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client


class Door:
    """Somewhere a password can be tried. ``right`` is the account's there."""

    right = "a good password 1"

    def open(self, account, password, address="192.0.2.1"):
        """Whether it opened: ``True``, ``False``, or the seconds to wait before it can be tried."""
        response = self.ask(account, password, address)
        if response.status_code == 429:
            return int(response["Retry-After"])
        return self.opened(response)


class SignIn(Door):
    path = "/sign-in/"

    def ask(self, account, password, address="192.0.2.1"):
        name = account if isinstance(account, str) else account.account_id
        return Client(REMOTE_ADDR=address).post(self.path, {"username": name, "password": password})

    def opened(self, response):
        return response.status_code == 302


class ChangePassword(Door):
    def ask(self, account, password, address="192.0.2.1"):
        client = Client(REMOTE_ADDR=address)
        client.force_login(account)
        return client.post("/account/password/", {"old_password": password, "new_password1": "", "new_password2": ""})

    def opened(self, response):
        return "old_password" not in response.context["form"].errors


class Confirm(Door):
    """Where one's password is asked for before one changes how one signs in."""

    def ask(self, account, password, address="192.0.2.1"):
        client = Client(REMOTE_ADDR=address)
        client.force_login(account)
        return client.post("/account/security/confirm/", {"password": password})

    def opened(self, response):
        return response.status_code == 302


class Basic(Door):
    def ask(self, account, password, address="192.0.2.1"):
        name = account if isinstance(account, str) else account.credential.username
        authorization = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
        return Client(REMOTE_ADDR=address).get("/token/", headers={"Authorization": authorization})

    def opened(self, response):
        assert response.status_code in {200, 401}
        return response.status_code == 200


class Post(Door):
    def ask(self, account, password, address="192.0.2.1"):
        name = account if isinstance(account, str) else account.credential.username
        form = {"service": settings.REGISTRY_SERVICE, "grant_type": "password", "username": name, "password": password}
        return Client(REMOTE_ADDR=address).post("/token/", form)

    def opened(self, response):
        assert response.status_code in {200, 400}
        return response.status_code == 200


DOORS = {
    "sign-in": SignIn(),
    "change": ChangePassword(),
    "confirm": Confirm(),
    "basic": Basic(),
    "post": Post(),
}
each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
# Those where the account is named, so that there may be none.
each_open_door = pytest.mark.parametrize(
    "door", [DOORS[name] for name in ("sign-in", "basic", "post")], ids=["sign-in", "basic", "post"]
)


@contextlib.contextmanager
def hashes_counted():
    """How many passwords are hashed meanwhile, each into a list."""
    seen = []
    encode = Argon2PasswordHasher.encode
    verify = Argon2PasswordHasher.verify

    def counted(name, call):
        def counting(self, *arguments):
            seen.append(name)
            return call(self, *arguments)

        return counting

    Argon2PasswordHasher.encode = counted("encode", encode)
    Argon2PasswordHasher.verify = counted("verify", verify)
    try:
        yield seen
    finally:
        Argon2PasswordHasher.encode, Argon2PasswordHasher.verify = encode, verify
