"""Every field that people type into: its longest value, and what is said of one character more.

**A new form, or a new text field of one,** needs a line here, or ``tests/web/test_fields.py`` fails and names it.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSWORD = "Typed-9-" + "p" * 56  # 64 characters: the longest registry password
LONG_PASSWORD = "Typed-9-" + "q" * 4088  # 4,096: the longest for signing in
NAME_30, NAME_200, TAG_128 = "n" * 30, "i" * 200, "t" * 128
TOO_LONG = "Use at most 4,096 characters"
NO_ADDRESS = "Enter an e-mail address like"
IMAGE_NAME, NAMESPACE_NAME = "The name must have 2 to 200 characters.", "The name must have 2 to 30 characters."
NO_TAG = "Use up to 128 letters"
OFF = "off"


def address(word: str) -> str:
    """The longest e-mail address, one of its own for each word."""
    local = f"{word}{'a' * 64}"[:64]
    return f"{local}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"


@dataclass(frozen=True)
class Typed:
    """A field. ``{own}`` in a value stands for five letters that are nobody else's in this run.

    :ivar longest: the longest value that is allowed.
    :ivar sentence: what is said at the field of ``longer``, which is the longest and one character unless given.
    :ivar refused: what is said of the longest, where it is of the right form and not right (a code, a password).
    :ivar autocomplete: what the browser, and a password manager, is told to fill in.
    """

    name: str
    longest: str
    sentence: str
    autocomplete: str = OFF
    longer: str = ""
    refused: str = ""

    def longer_than_allowed(self) -> str:
        return self.longer or self.longest + "x"


@dataclass(frozen=True)
class Form:
    """A form.

    :ivar form: its class.
    :ivar where: the address of its page, filled in by the test.
    :ivar submit: its button.
    :ivar done: a text that is seen when the longest values were taken; empty where one of them is refused.
    :ivar dialog: whether it is a dialog as well, opened by an element with ``hx-get`` of that address on this page.
    """

    form: str
    where: str
    submit: str
    fields: tuple[Typed, ...]
    done: str = ""
    dialog: str = ""
    method: str = "POST"


def new_password(name: str, longest: str = LONG_PASSWORD, sentence: str = TOO_LONG) -> Typed:
    return Typed(name, longest, sentence, "new-password")


def repetition(name: str, longest: str = LONG_PASSWORD) -> Typed:
    # The same characters: what is too long is said at the first of the two.
    return Typed(name, longest, "", "new-password")


def current_password(name: str, longest: str = LONG_PASSWORD, refused: str = "") -> Typed:
    return Typed(name, longest, TOO_LONG, "current-password", refused=refused)


def number(name: str) -> Typed:
    return Typed(name, "2147483647", "less than or equal to 2147483647", "", longer="2147483648")


def email(word: str) -> Typed:
    return Typed("email", address(word), NO_ADDRESS, "email")


_REGISTRY = (
    new_password("password", PASSWORD, "The password must have 8 to 64 characters."),
    repetition("confirm", PASSWORD),
)
_SIGN_IN_NAME = "Enter your Account ID (twelve digits) or your e-mail address"
_LINES = "one line\n" + "d" * 24_991  # 25,000 characters, of which one is a line's end

# Nobody is signed in. The account has the longest address and the longest password.
STRANGER = (
    Form(
        "console.accounts.forms.ResetPasswordForm", "/account/reset/", "Send the link", (email("{own}stranger"),),
        done="Check your e-mail",
    ),
    Form(
        "console.accounts.forms.NewPasswordForm", "{letter}", "Save",
        (new_password("new_password1"), repetition("new_password2")), done="Password changed",
    ),
    Form(
        "console.accounts.forms.SignInForm", "/sign-in/", "Sign in",
        (
            Typed("username", address("{own}stranger"), _SIGN_IN_NAME, "username"),
            current_password("password"),
        ),
        done="Activate the service",
    ),
)  # fmt: skip

# Somebody new.
FRESH = (
    Form(
        "console.activation.forms.ActivationForm", "/images/", "Enable",
        (
            Typed("username", "u-{own}-" + "n" * 22, "Use 4 to 30 lowercase letters", "username"),
            *_REGISTRY,
            Typed("namespace", "n-{own}-" + "n" * 22, NAMESPACE_NAME),
        ),
        done="Next, create an image or push one.",
    ),
)  # fmt: skip

# Somebody activated, with the namespace {team} and the tag v1 of the image {team}/app.
ACTIVATED = (
    Form(
        "console.activation.forms.RegistryPasswordForm", "/activation/password/", "Reset password", _REGISTRY,
        done="The registry password was reset.", dialog="/images/",
    ),
    Form(
        "console.ownership.forms.NamespaceForm", "/namespaces/-/create/", "Submit",
        (Typed("name", "m-{own}-" + "n" * 22, NAMESPACE_NAME),), done="Created the namespace", dialog="/namespaces/",
    ),
    Form(
        "console.images.forms.ImageForm", "/images/-/create/", "Submit",
        (
            Typed("name", NAME_200, IMAGE_NAME),
            Typed("description", _LINES, "The description can have up to 25,000 characters."),
        ),
        done="Push to it with these commands.", dialog="/images/",
    ),
    Form(
        "console.images.forms.DescriptionForm", "/images/{team}/app/-/describe/", "Save",
        (Typed("description", _LINES, "The description can have up to 25,000 characters."),), done="one line",
        dialog="/images/{team}/app/",
    ),
    Form(
        "console.images.forms.CopyForm", "/images/{team}/app/-/tags/v1/copy/", "Copy",
        (Typed("name", "c" * 200, IMAGE_NAME), Typed("tag", TAG_128, NO_TAG)), done="has started.",
        dialog="/images/{team}/app/-/tags/",
    ),
    Form(
        "console.imports.forms.OfficialCopyForm", "/docker-hub/debian/-/tags/not-listed/copy/", "Copy",
        (
            Typed("name", "o" * 200, IMAGE_NAME),
            Typed("tag", TAG_128, NO_TAG),
            Typed("platforms", "linux/amd64", "Enter platforms like", longer="linux/amd64, " + "a" * 31 + "/amd64"),
        ),
        done="has started.",
    ),
    Form(
        "console.imports.forms.ImportForm", "/images/-/import/", "Import",
        (
            # A host of 253 characters with scheme and port, a path of 255, a tag and a digest.
            Typed(
                "reference",
                f"https://{'.'.join(['h' * 62] * 4)}.h:65535/{'r' * 255}:{TAG_128}@sha512:{'0' * 128}",
                "image name is too long", longer="r" * 801,
            ),
            Typed("username", "u" * 4096, "The user name can have up to 4,096 characters."),
            # Not "off", which is not heeded for passwords: the console password is not for the other registry.
            new_password("password", "p" * 4096, "The password can have up to 4,096 characters."),
            Typed("name", "j" * 200, IMAGE_NAME),
            Typed("tag", TAG_128, NO_TAG),
            Typed("platforms", "linux/arm64/v8", "Enter platforms like", longer="linux/arm64/" + "v" * 31),
        ),
        done="has started.", dialog="/images/",
    ),
    Form(
        "console.teams.forms.CreateTeamForm", "/teams/-/create/", "Submit",
        (
            Typed("name", "{own}" + "n" * 25, NAMESPACE_NAME),
            Typed("description", "d" * 200, "Use at most 200 characters."),
        ),
        done="Created the team", dialog="/teams/",
    ),
    Form(
        "console.access_tokens.forms.AccessTokenForm", "/account/tokens/-/create/", "Create",
        (Typed("name", "a" * 40, "Use 1 to 40 letters"),), done="Access token created",
        dialog="/account/tokens/",
    ),
    Form(
        "console.ownership.forms.HandOverForm", "/namespaces/{team}/-/hand-over/offer/", "Offer",
        (Typed("account_id", "0" * 12, "An Account ID has twelve digits.", refused="No active account has this"),),
        dialog="/namespaces/{team}/-/settings/",
    ),
    Form(
        "console.members.forms.TeamRoleForm", "/namespaces/{team}/-/members/add-team/", "Add team",
        (Typed("team", NAME_30, "The name of a team has 2 to 30 characters.", refused="No team has this name."),),
        dialog="/namespaces/{team}/-/members/",
    ),
    Form(
        "console.service_accounts.forms.ServiceAccountForm", "/namespaces/{team}/-/service-accounts/-/create/",
        "Create",
        (
            Typed("name", "s-{own}-" + "n" * 22, NAMESPACE_NAME),
            Typed("description", "d" * 200, "The description can have up to 200 characters."),
        ),
        done="Created the service account", dialog="/namespaces/{team}/-/service-accounts/",
    ),
    Form(
        "console.accounts.forms.NameForm", "/account/name/", "Change name",
        (Typed("name", "Ann " + "n" * 96, "up to 100 characters.", "name"),), done="Changed the name.",
        dialog="/account/",
    ),
    Form(
        "console.login.forms_email.EmailForm", "/account/email/", "Change e-mail", (email("{own}activated"),),
        done="A link was sent to", dialog="/account/",
    ),
    Form(
        "console.login.forms.PasswordForm", "/account/security/confirm/", "Continue",
        (current_password("password", refused="Wrong password."),),
    ),
    Form(
        "console.login.forms.AppForm", "/account/security/app/", "Set up",
        (Typed("code", "1" * 40, "code is too long", "one-time-code", refused="not the app’s current code"),),
    ),
    Form(
        "console.accounts.forms.ChangePasswordForm", "/account/password/", "Change password",
        (
            current_password("old_password", refused="Your old password was entered incorrectly."),
            new_password("new_password1"),
            repetition("new_password2"),
        ),
    ),
)  # fmt: skip

# Somebody activated who has a second factor: the passkey {factor}.
ENROLLED = (
    Form(
        "console.login.forms.PasskeyNameForm", "/account/security/passkeys/{factor}/-/rename/", "Rename",
        (Typed("name", "k" * 60, "up to 60 characters."),), done="k" * 60, dialog="/account/security/",
    ),
    Form(
        "console.login.forms.CodeForm", "/account/security/confirm/", "Continue",
        (Typed("code", "1" * 40, "code is too long", "one-time-code", refused="This code is wrong"),),
    ),
)  # fmt: skip

# An administrator; {other} is somebody's account.
ADMINISTRATOR = (
    Form(
        "console.accounts.admin.AccountCreationForm", "/admin/accounts/account/add/", "Create",
        (
            Typed("name", "n" * 100, "at most 100 characters"),
            Typed("email", address("{own}new"), "at most 254 characters"),
            new_password("password1"),
            repetition("password2"),
        ),
        done="Created the account",
    ),
    Form(
        "console.accounts.admin.AccountChangeForm", "/admin/accounts/account/{other}/change/", "Save",
        (
            Typed("name", "m" * 100, "at most 100 characters"),
            Typed("email", address("{own}other"), "at most 254 characters"),
            *(number(name) for name in ("namespace_quota", "image_quota", "tag_quota")),
        ),
        done="Saved the account",
    ),
    Form(
        "console.accounts.admin.AccountPasswordForm", "/admin/accounts/account/{other}/password/", "Change password",
        (new_password("password1"), repetition("password2")), done="Password changed successfully.",
    ),
    Form(
        "console.audit.search.FilterForm", "/admin/audit/auditevent/", "Filter",
        (
            Typed("words", "w" * 200, "at most 200 characters"),
            Typed("actor", "1" * 64, "at most 64 characters"),
            Typed("target", "g" * 400, "at most 400 characters"),
            Typed("address", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "This is not a valid IPv6 address."),
        ),
        done="Clear", method="GET",
    ),
)  # fmt: skip

FORMS = (*STRANGER, *FRESH, *ACTIVATED, *ENROLLED, *ADMINISTRATOR)
# Forms without a field to type into, and those whose fields others have.
NOTHING_TYPED = {
    "console.accounts.forms.PreferencesForm",
    "console.images.forms.VisibilityForm",
    "console.members.forms.OwnerRoleForm",
    "console.members.admin.GrantForm",
    "console.members.forms.RoleForm",
    "console.repositories.forms.NamespaceChoiceForm",
    "console.repositories.forms.TargetChoiceForm",
    "console.teams.admin.TeamMemberForm",
    "console.web.admin_services.ByServiceForm",
}
# In ``test_typing.py``, in a test of its own: its owner is chosen from a list that is searched.
# In ``test_invitations.py``: what is typed belongs to one choice, and an account is created by links alone.
ELSEWHERE = {
    "console.ownership.admin.NamespaceForm": {"name"},
    "console.invitations.forms.InvitationForm": {"account_id", "email"},
    "console.invitations.forms.SignUpForm": {"email"},
    "console.invitations.forms.NewAccountForm": {"name", "password", "confirm"},
    # In ``test_typing.py``, in a test of its own: its owner is chosen from a list that is searched. In
    # ``tests/accounts/test_access_token_images.py``: the names show with one choice alone. In
    # ``tests/service_accounts/test_pages.py``: the same field as that of a new service account.
    "console.access_tokens.forms.AccessTokenForm": {"name", "names"},
    "console.service_accounts.forms.DescriptionForm": {"description"},
    # In ``tests/teams``: the fields of a new team, and an Account ID as in an invitation.
    "console.teams.forms.TeamForm": {"name", "description"},
    "console.teams.forms.MemberForm": {"account_id"},
    "console.teams.admin.TeamForm": {"name", "description"},
    "console.teams.admin.TeamGroupForm": {"group"},
}
# Fields that templates write themselves: by template, what they are.
RAW = {
    # The text to copy by hand; nobody types into it.
    "components/_toasts.html": set(),
    "components/_typed.html": {"typed"},
    "admin/action_question.html": {"typed"},
    "admin/search_form.html": set(),  # named by Django's variable
    "images/_compare_form.html": {"from", "to"},
    "activation/registry_password.html": set(),  # the user name, which cannot be changed
    "components/_username.html": set(),  # for password managers alone
    **dict.fromkeys(
        ("components/_search.html", "help/_search.html", "images/_filters.html", "favorites/favorites.html",
         "search/_field.html", "search/page.html"),
        {"q"},
    ),
}  # fmt: skip
