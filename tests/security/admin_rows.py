"""The administration's addresses, and who gets which answer there.

**A model that is newly registered** needs a line in ``MODELS``, or ``test_matrix.py`` fails and names its addresses:
who may add and change there, and what an action does. Its six addresses follow from that. Few may be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.security.answers import Pattern, Row, administrators, anybody

_NEW_PASSWORD = "another good password 2"
_ADMINISTRATORS = ("staff", "clerk", "superuser")
_ROW = "<path:object_id>"
# Who has no permission at all is refused; whoever may look may not do more.
NEVER = administrators("403")


@dataclass(frozen=True)
class Model:
    """What may be done in the administration with rows of a model. Those with the permission may look at all of them.

    :ivar add: and ``change``, ``delete``: what a form that is right comes to; nobody may where there is none.
    :ivar action: what an action comes to, whose form is ``action_form``. All others are in ``test_objects.py``.
    """

    add: Pattern | None = None
    change: Pattern | None = None
    delete: Pattern | None = None
    add_form: Mapping[str, str | list[str]] = field(default_factory=dict)
    change_form: Mapping[str, str | list[str]] = field(default_factory=dict)
    action: Pattern | None = None
    action_form: Mapping[str, str | list[str]] = field(default_factory=dict)


def _confirmed(action: str) -> dict[str, str | list[str]]:
    """The form of an action that is asked about, with the answer."""
    return {"action": action, "post": "yes"}


_ACTION_DONE = administrators("302 {list} +")
_CHANGED = administrators("302 {list} +")
_DELETED = administrators("302 {list} +")
MODELS = {
    "accounts.account": Model(
        add=administrators("302 {list}*/change/ +"),
        add_form={"name": "Made", "usable_password": "true", "password1": _NEW_PASSWORD, "password2": _NEW_PASSWORD},
        change=_CHANGED,
        change_form={"name": "Renamed", "email": "owner@example.com", "is_active": "on"},
        action=_ACTION_DONE,
        action_form=_confirmed("deactivate"),
    ),
    "accounts.accesstoken": Model(action=_ACTION_DONE, action_form=_confirmed("revoke"), change=_CHANGED),
    "membership.serviceaccount": Model(),
    "tokens.login": Model(action=_ACTION_DONE, action_form=_confirmed("revoke"), change=_CHANGED),
    "audit.auditevent": Model(),
    "namespaces.namespace": Model(
        add=administrators("302 {list} +"),
        add_form={"name": "made-there", "owner": "{owner}"},
        change=_CHANGED,
        change_form={"transfer_to": "{other}", "post": "yes"},
    ),
    "namespaces.namespacehold": Model(),
    "images.image": Model(action=_ACTION_DONE, action_form=_confirmed("delete_with_all_tags"), change=_CHANGED),
    "images.tag": Model(action=_ACTION_DONE, action_form=_confirmed("delete_tags"), change=_CHANGED),
    "images.imagedeletion": Model(),
    "images.copy": Model(),
    "images.workfailure": Model(action=_ACTION_DONE, action_form={"action": "forget"}, change=_CHANGED),
    "indexing.reconcile": Model(),
    "indexing.unusableevents": Model(),
    "dockerhub.catalogue": Model(),
    "dockerhub.officialimage": Model(),
    "transfers.transfer": Model(),
    "mfa.authenticator": Model(delete=_DELETED),
    "socialaccount.socialaccount": Model(delete=_DELETED),
    "membership.grant": Model(
        add=administrators("302 {list} +"),
        add_form={"namespace": "{row_namespaces_namespace}", "account": "{somebody_pk}", "role": "1"},
        change=_CHANGED,
        change_form={"role": "2"},
        delete=_DELETED,
    ),
    "membership.invitation": Model(action=_ACTION_DONE, action_form=_confirmed("take_back"), change=_CHANGED),
    "membership.team": Model(
        add=administrators("302 {list} +"),
        add_form={"name": "made-there", "description": "", "manager": "{owner}"},
        change=_CHANGED,
        change_form={"name": "renamed", "description": "Who sails"},
        delete=_DELETED,
    ),
    "membership.teammember": Model(
        add=administrators("302 {list} +"),
        add_form={"team": "{team_pk}", "account": "{other}"},
        change=_CHANGED,
        change_form={"is_manager": "on"},
        delete=_DELETED,
    ),
    "membership.teamgroup": Model(
        add=administrators("302 {list} +"),
        add_form={"team": "{team_pk}", "group": "Made"},
        delete=_DELETED,
    ),
    "procrastinate.procrastinatejob": Model(action=_ACTION_DONE, action_form={"action": "cancel"}),
}


def _safe(route: str, pattern: Pattern, post: Pattern | None = None, **more: object) -> Row:
    """Pages of the administration: HEAD as GET; a POST of nothing to what takes no form shows the page again."""
    return Row(route, GET=pattern, HEAD=pattern, POST=post or pattern, **more)  # type: ignore[arg-type]


def _rows_of(label: str, model: Model) -> Iterator[Row]:
    start = f"admin/{label.replace('.', '/')}/"
    key = f"{{row_{label.replace('.', '_')}}}"
    words = {"path:object_id": key, "list": f"/{start}"}
    look = administrators("200")
    action = {**model.action_form, "_selected_action": [key]} if model.action else {}
    yield _safe(start, look, model.action, form=action, words=words)
    yield _safe(f"{start}add/", look if model.add else NEVER, model.add, form=model.add_form, words=words)
    yield _safe(f"{start}{_ROW}/history/", look, words=words)
    shown = look if model.delete else NEVER
    yield _safe(f"{start}{_ROW}/delete/", shown, model.delete or NEVER, form={"post": "yes"}, words=words)
    yield _safe(f"{start}{_ROW}/change/", look, model.change or NEVER, form=model.change_form, words=words)
    # Where addresses led in earlier versions of Django: to the row's own, which then answers as above.
    yield _safe(f"{start}{_ROW}/", _any_of_them(f"302 {{list}}{key}/change/"), words=words)


def _any_of_them(answer: str) -> Pattern:
    """Administrators with or without permissions."""
    return administrators(answer, staff=answer)


ADMIN = [
    _safe("admin/", _any_of_them("200")),
    # Others are sent to the administration, and from there to sign in to it.
    _safe(
        "admin/logout/",
        {**anybody("302 /admin/"), **dict.fromkeys(_ADMINISTRATORS, "405")},
        {**anybody("302 /admin/"), **dict.fromkeys(_ADMINISTRATORS, "302 /sign-in/ +")},
    ),
    _safe("admin/health/", _any_of_them("200"), _any_of_them("405")),
    _safe("admin/password_change/done/", _any_of_them("200"), _any_of_them("405")),
    Row("admin/audit/auditevent/export/", POST=administrators("200 +")),
    # Looks for accounts for the form of a namespace; asked without saying what for.
    _safe("admin/autocomplete/", _any_of_them("403"), _any_of_them("405")),
    _safe("admin/jsi18n/", _any_of_them("200"), _any_of_them("405")),
    # Nothing here has a page that the administration would lead to.
    _safe(
        "admin/r/<path:content_type_id>/<path:object_id>/",
        _any_of_them("404"),
        words={"path:content_type_id": "1", "path:object_id": "1"},
    ),
    _safe(
        "admin/accounts/account/<id>/password/",
        administrators("200"),
        administrators("302 /admin/accounts/account/{row_accounts_account}/change/ +"),
        form={"usable_password": "true", "password1": _NEW_PASSWORD, "password2": _NEW_PASSWORD},
        words={"id": "{row_accounts_account}"},
    ),
    _safe(
        "admin/^(?P<app_label>audit|accounts|indexing|namespaces|membership|dockerhub|transfers|mfa|socialaccount|images"
        "|tokens|procrastinate)/$",
        administrators("200", staff="404"),
    ),
    _safe("admin/(?P<url>.*)$", _any_of_them("404")),
    *(row for label, model in MODELS.items() for row in _rows_of(label, model)),
]
