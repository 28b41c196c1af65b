"""What signing in, and how one signs in, leaves in the audit trail: cases for ``test_every_change.py``."""

import time

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount

from console.accounts import email_changes, email_links
from console.login import factors, sign_in_links
from tests.support.factories import PASSWORD, AccountFactory
from tests.support.second_factor import Phone, set_up


def confirmed(w):
    """The session of somebody who has just shown that it is them."""
    session = w.client.session
    session["signin.confirmed"] = time.time()
    session.save()


def second_factor(w):
    phone = set_up(w.ann)
    w.client.logout()
    w.post("/sign-in/", username=w.id, password=PASSWORD)
    w.post("/sign-in/second-factor/", code=phone.code())
    return "account.sign_in", w.id, {"by": ["password", "code"]}


def link(w):
    w.client.logout()
    w.post(sign_in_links.make(w.ann).partition("/sign-in/")[2].join(["/sign-in/", ""]))
    return "account.sign_in", w.id, {"by": ["link"]}


def app(w):
    confirmed(w)
    w.client.get("/account/security/app/")
    phone = Phone(factors.shown_secret(w.client.session["signin.new_app"]))
    w.post("/account/security/app/", code=phone.code())
    return "second_factor.add", w.id, {"kind": "totp"}


def recovery_codes(w):
    passkey(w)
    confirmed(w)
    w.post("/account/security/codes/")
    return "second_factor.codes", w.id, {}


def passkey(w, owner=None):
    return Authenticator.objects.create(user=owner or w.ann, type="webauthn", data={"name": "before"})


def passkey_rename(w):
    confirmed(w)
    w.post(f"/account/security/passkeys/{passkey(w).pk}/-/rename/", name="after")
    return "second_factor.rename", w.id, {"old": "before", "new": "after"}


def factor_remove(w):
    confirmed(w)
    w.post(f"/account/security/factors/{passkey(w).pk}/-/remove/")
    return "second_factor.remove", w.id, {"name": "before"}


def identity_disconnect(w):
    identity = SocialAccount.objects.create(user=w.ann, provider="https://id.example.com", uid="1")
    confirmed(w)
    w.post(f"/account/security/identities/{identity.pk}/-/disconnect/")
    return "identity.disconnect", w.id, {"issuer": "https://id.example.com"}


def email_change(w):
    confirmed(w)
    w.post("/account/email/", email="anne@example.com")
    return "account.email_request", w.id, {"email": "anne@example.com"}


def email_change_cancel(w):
    email_changes.request(w.ann, "anne@example.com")
    w.post("/account/email/-/cancel/")
    return "account.email_cancel", w.id, {}


def email_change_send(w):
    w.post("/account/email/-/send/")
    return "account.email_request", w.id, {"email": "ann@example.com"}


def email_confirm(w):
    token = email_links.make_token(email_changes.request(w.ann, "anne@example.com"))
    w.post(f"/account/email/{token}/")
    return "account.change", w.id, {"changes": {"email": ["ann@example.com", "anne@example.com"]}}


def administrator_removes_factor(w):
    other = AccountFactory()
    w.act("mfa/authenticator", "delete_selected", passkey(w, other), post="yes")
    return "second_factor.remove", other.account_id, {"by": "admin"}


def administrator_removes_identity(w):
    other = AccountFactory()
    identity = SocialAccount.objects.create(user=other, provider="https://id.example.com", uid="1")
    w.act("socialaccount/socialaccount", "delete_selected", identity, post="yes")
    return "identity.disconnect", other.account_id, {"by": "admin"}


_PROVIDER = "It leads to the provider; what comes back is recorded (identity.connect, account.sign_in): tests/login."
_BROWSER = "A browser makes it; it ends where other ways do (account.sign_in, second_factor.add): tests/login."
ADDRESSES = {
    "second-factor": second_factor,
    "sign-in-link": link,
    "app": app,
    "recovery-codes": recovery_codes,
    "passkey-rename": passkey_rename,
    "factor-remove": factor_remove,
    "identity-disconnect": identity_disconnect,
    "email-change": email_change,
    "email-change-cancel": email_change_cancel,
    "email-change-send": email_change_send,
    "email-confirm": email_confirm,
    "sign-in-passkey": _BROWSER,
    "passkey-add": _BROWSER,
    "sso": _PROVIDER,
    "sso-callback": _PROVIDER,
    "identity-connect": _PROVIDER,
    "identity-confirm": _PROVIDER,
    "confirm": "It shows that it is the account's owner who sits there, and changes nothing.",
}
ACTIONS = {
    "authenticator.delete_selected": administrator_removes_factor,
    "socialaccount.delete_selected": administrator_removes_identity,
}
TASKS = {"signin.forget_sessions": "It removes sessions that are over."}
COMMANDS = {"signinlink": ("tests/login/test_configuration.py", "account.sign_in_link")}
