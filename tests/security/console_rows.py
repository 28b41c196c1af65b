"""The pages' addresses, and who gets which answer there. The administration's are in ``admin_rows.py``.

**A new address** needs a row here, or ``test_matrix.py`` fails and names it. Write its route as it fails, choose a
pattern of ``answers.py`` for each method that it takes (``signed_in``, ``activated``, ``owner``, ``anybody``), and for
POST a form with which it succeeds; end what changes something with ``+``. Things in its address are filled in by
``site.Site.words``: ``<uuid:pk>`` is ``words["uuid:pk"]``, the owner's. A row whose ids mean something else brings its
own ``words``. Then run ``pytest tests/security`` and read each difference before it is written down.
"""

from __future__ import annotations

from tests.security.answers import IMAGES, METHODS, Pattern, Row, activated, anybody, but, owner, signed_in

_IMAGE = "images/<repository:repository>/"
_AT_IMAGE = "302 /images/team/app/-/tags/"
_SERVICES = "namespaces/<namespace:namespace>/-/service-accounts/"
_SERVICE = f"{_SERVICES}<namespace:service>/"
_AT_SERVICE = "302 /namespaces/team/-/service-accounts/team/"
_NEW_PASSWORD = "another good password 2"
_TWICE = {"password": _NEW_PASSWORD, "confirm": _NEW_PASSWORD}
_GATE = {
    "anything:name": "team/app",
    "str:reference": "v0",
    "str:digest": f"sha256:{0:064}",
    "str:upload_id": "1",
    "anything:rest": "team/app/nothing",
}
_COPY = {"namespace": "team", "name": "app", "tag": "copied"}

_ADMINISTRATION = but(
    anybody("403"),
    anonymous="302 /sign-in/?next=/admin/",
    deactivated="302 /sign-in/?next=/admin/",
    **dict.fromkeys(("staff", "clerk", "superuser"), "302 /admin/"),
)


def _mine(answer: str) -> Pattern:
    """The owner's, activated or not; others learn nothing of it."""
    return but(signed_in("404"), owner=answer)


_SIGN_UP = but(anybody(IMAGES), anonymous="404", deactivated="404")
_SIGN_UP_FINISH = but(anybody(IMAGES), anonymous="302 /sign-in/", deactivated="302 /sign-in/")
# Everybody here has shown just now that it is them. The owner has a passkey and an identity, the others have neither.
_BACK = "302 /account/security/"
_SECURITY = [
    Row("account/name/", GET=signed_in("200"), POST=signed_in("302 /account/ +"), form={"name": "Another name"}),
    Row(
        "account/email/", GET=signed_in("200"), POST=signed_in("302 /account/ +"), form={"email": "another@example.com"}
    ),
    # Two of them have an address that is not confirmed.
    Row(
        "account/email/-/send/",
        POST=but(signed_in("302 /account/"), owner="302 /account/ +", other="302 /account/ +"),
    ),
    Row("account/email/-/cancel/", POST=but(signed_in("302 /account/"), owner="302 /account/ +")),
    # The link is the owner's, and works in a session of the owner alone.
    Row(
        "account/email/<str:token>/",
        GET=but(signed_in("410"), owner="200"),
        POST=but(signed_in("410"), owner="302 /account/ +"),
        words={"str:token": "{email_token}"},
    ),
    Row("account/security/", GET=signed_in("200")),
    Row(
        "account/security/confirm/",
        GET=signed_in("200"),
        POST=but(signed_in(f"{_BACK} ~"), owner="200"),
        form={"password": "{password}"},
    ),
    Row("account/security/app/", GET=signed_in("200 ~"), POST=signed_in("200 ~"), form={"code": "000000"}),
    Row("account/security/app/picture.svg", GET=signed_in("404")),
    Row(
        "account/security/codes/",
        GET=signed_in("200"),
        POST=but(signed_in(_BACK), owner="302 /account/security/codes/ +"),
    ),
    Row("account/security/codes/file/", GET=signed_in("200")),
    Row("account/security/passkeys/-/add/", GET=signed_in("404"), POST=signed_in("404")),
    Row(
        "account/security/passkeys/<int:pk>/-/rename/",
        GET=_mine("200"),
        POST=_mine(f"{_BACK} +"),
        form={"name": "renamed"},
        words={"int:pk": "{factor}"},
    ),
    Row(
        "account/security/factors/<int:pk>/-/remove/",
        GET=_mine("200"),
        POST=_mine(f"{_BACK} +"),
        words={"int:pk": "{factor}"},
    ),
    Row("account/security/identities/-/connect/", POST=signed_in("404")),
    Row("account/security/identities/-/confirm/", POST=signed_in("404")),
    Row(
        "account/security/identities/<int:pk>/-/disconnect/",
        GET=_mine("200"),
        POST=_mine(f"{_BACK} +"),
        words={"int:pk": "{identity}"},
    ),
]

# Members of namespaces and images, and namespaces that change hands: the owner's.
_SPACE, _ROLE = "namespaces/<namespace:namespace>/-/", {"role": "2", "ends": "good"}
_HAND_OVER, _SHARED = "namespaces/<namespace:name>/-/hand-over/", {"namespace:namespace": "{shared}"}
_AT_MEMBERS, _MEMBER = "302 /namespaces/team/-/members/ +", {"int:pk": "{member}"}
_AT_SHARED = "302 /namespaces/{shared}/-/members/ +"
_OFFERED = {"namespace:name": "{offered}"}
_MEMBERS = [
    Row(f"{_SPACE}members/", GET=owner("200")),
    Row(f"{_SPACE}settings/", GET=owner("200")),
    Row(f"{_SPACE}activity/", GET=owner("200")),
    Row(f"{_SPACE}leave/", GET=owner("200"), POST=owner(f"{IMAGES} +"), words=_SHARED),
    Row(f"{_SPACE}members/add-team/", GET=owner("200"), POST=owner(_AT_MEMBERS), form={**_ROLE, "team": "testers"}),
    Row(f"{_SPACE}members/owner/change/", GET=owner("200"), POST=owner(_AT_SHARED), form=_ROLE, words=_SHARED),
    Row(f"{_SPACE}members/owner/remove/", GET=owner("200"), POST=owner(f"{IMAGES} +"), words=_SHARED),
    Row(f"{_SPACE}members/<int:pk>/change/", GET=owner("200"), POST=owner(_AT_MEMBERS), form=_ROLE, words=_MEMBER),
    Row(f"{_SPACE}members/<int:pk>/remove/", GET=owner("200"), POST=owner(_AT_MEMBERS), words=_MEMBER),
    Row(f"{_IMAGE}-/access/", GET=owner("200")),
    Row(
        f"{_IMAGE}-/access/add-team/",
        GET=owner("200"),
        POST=owner("302 {image_at}-/access/ +"),
        form={**_ROLE, "team": "testers"},
    ),
    Row(
        f"{_HAND_OVER}offer/",
        GET=owner("200"),
        POST=owner("302 /namespaces/team/-/settings/ +"),
        form={"account_id": "{somebody}"},
    ),
    Row(
        f"{_HAND_OVER}take-back/",
        POST=owner("302 /namespaces/{shared}/-/settings/ +"),
        words={"namespace:name": "{shared}"},
    ),
    # Of these the owner is the one who is asked.
    Row(_HAND_OVER, GET=owner("200"), words=_OFFERED),
    Row(f"{_HAND_OVER}accept/", POST=owner("302 /namespaces/ +"), words=_OFFERED),
    Row(f"{_HAND_OVER}decline/", POST=owner(f"{IMAGES} +"), words=_OFFERED),
]

CONSOLE = [
    Row("", GET=anybody(IMAGES), HEAD=anybody(IMAGES)),
    Row("healthz", GET=anybody("200"), HEAD=anybody("200")),
    # --- teams ---
    Row("teams/", GET=activated("200")),
    Row("teams/-/create/", GET=activated("200"), POST=activated("302 /teams/made/ +"), form={"name": "made"}),
    Row("teams/<namespace:team>/", GET=owner("200")),
    Row("teams/<namespace:team>/-/access/", GET=owner("200")),
    Row(
        "teams/<namespace:team>/-/settings/",
        GET=owner("200"),
        POST=owner("302 /teams/renamed/-/settings/ +"),
        form={"name": "renamed"},
    ),
    Row("teams/<namespace:team>/-/delete/", GET=owner("200"), POST=owner("302 /teams/ +"), form={"typed": "team"}),
    Row("teams/<namespace:team>/-/leave/", GET=owner("200"), POST=owner("302 /teams/ +")),
    Row(
        "teams/<namespace:team>/-/members/add/",
        GET=owner("200"),
        POST=owner("302 /teams/team/ +"),
        form={"account_id": "{other_account_id}"},
    ),
    Row(
        "teams/<namespace:team>/-/members/<int:account>/manager/",
        POST=owner("302 /teams/team/ +"),
        form={"manager": "yes"},
    ),
    Row(
        "teams/<namespace:team>/-/members/<int:account>/remove/",
        GET=owner("200"),
        POST=owner("302 /teams/team/ +"),
    ),
    # --- what registries and their clients ask: no session counts there (see test_tokens.py) ---
    Row("token/", GET=anybody("200"), HEAD=anybody("200"), POST=anybody("400")),
    Row("indexing/notifications/", POST=anybody("401")),
    # No session counts at the gate either: only a registry token opens it (see tests/gate).
    Row("v2/_catalog", GET=anybody("401"), HEAD=anybody("401")),
    Row("v2/<anything:name>/tags/list", GET=anybody("401"), HEAD=anybody("401"), words=_GATE),
    Row(
        "v2/<anything:name>/manifests/<str:reference>",
        GET=anybody("404"),
        HEAD=anybody("404"),
        PUT=anybody("401"),
        DELETE=anybody("401"),
        words=_GATE,
    ),
    Row("v2/<anything:name>/referrers/<str:digest>", GET=anybody("401"), HEAD=anybody("401"), words=_GATE),
    # What they have of the registry comes from there: the edge asks the console about nothing but their heads.
    Row("v2/_chunk", GET=anybody("400")),
    Row("v2/_upload", GET=anybody("400")),
    Row("v2/<anything:name>/blobs/uploads/", POST=anybody("404"), words=_GATE),
    Row(
        "v2/<anything:name>/blobs/uploads/<str:upload_id>",
        **{method: anybody("404") for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE")},
        words=_GATE,
    ),
    Row(
        "v2/<anything:name>/blobs/<str:digest>",
        **{method: anybody("404") for method in ("GET", "HEAD", "DELETE")},
        words=_GATE,
    ),
    Row("v2/<anything:rest>", **{method: anybody("404") for method in METHODS}, words=_GATE),
    # --- signing in and out ---
    Row(
        "sign-in/",
        GET=but(anybody("302 /"), anonymous="200", deactivated="200"),
        HEAD=but(anybody("302 /"), anonymous="200", deactivated="200"),
        # Who is signed in already is not signed in as somebody else.
        # The owner has a second factor, which is asked for next.
        POST=but(anybody("302 /"), anonymous="302 /sign-in/second-factor/ ~", deactivated="200 ~"),
        form={"username": "{account_id}", "password": "{password}"},
    ),
    Row(
        "admin/login/",
        GET=_ADMINISTRATION,
        HEAD=_ADMINISTRATION,
    ),
    Row("sign-in/second-factor/", GET=anybody("302 /sign-in/"), POST=anybody("302 /sign-in/")),
    Row("sign-in/passkey/", POST=anybody("200 ~")),
    Row("sign-in/link/<str:token>/", GET=anybody("410"), POST=anybody("410")),
    # No provider is configured here; tests/login has one.
    Row("sign-in/sso/", POST=anybody("404")),
    Row("sign-in/sso/callback/", GET=anybody("404")),
    Row(
        "sign-out/",
        POST=but(anybody("302 /sign-in/ +"), anonymous="302 /sign-in/", deactivated="302 /sign-in/ ~"),
    ),
    # --- one's account ---
    Row("account/", GET=signed_in("200")),
    Row(
        "account/preferences/",
        POST=signed_in("302 /account/ +"),
        form={"theme": "dark", "time_zone": "Europe/Berlin"},
    ),
    Row("account/theme/", POST=signed_in("302 /account/ +"), form={"theme": "dark"}),
    Row("account/activity/", GET=signed_in("200")),
    *_SECURITY,
    Row("account/tokens/", GET=activated("200")),
    Row(
        "account/tokens/-/create/",
        GET=activated("200"),
        POST=activated("200 +"),
        form={"name": "ci", "access": "push", "reach": "all", "expires": "30"},
    ),
    Row("account/tokens/<int:pk>/-/revoke/", GET=owner("200"), POST=owner("302 /account/tokens/ +")),
    Row(
        "account/password/",
        GET=signed_in("200"),
        HEAD=signed_in("200"),
        POST=signed_in("302 /account/password/done/ +"),
        form={"old_password": "{password}", "new_password1": _NEW_PASSWORD, "new_password2": _NEW_PASSWORD},
    ),
    Row("account/password/done/", GET=signed_in("200"), HEAD=signed_in("200")),
    Row("admin/password_change/", GET=anybody("302 /account/password/"), HEAD=anybody("302 /account/password/")),
    Row(
        "account/reset/",
        GET=anybody("200"),
        HEAD=anybody("200"),
        # The same for an address that nobody has: it is counted, and a job is queued, as test_letters.py shows.
        POST=anybody("302 /account/reset/sent/ +"),
        form={"email": "owner@example.com"},
    ),
    Row("account/reset/sent/", GET=anybody("200"), HEAD=anybody("200")),
    # Whoever has the letter. It is taken out of the address and kept in the session. Deactivated: it opens nothing.
    Row(
        "account/reset/<uidb64>/<token>/",
        GET=but(anybody("302 {letter} ~"), deactivated="200"),
        HEAD=but(anybody("302 {letter} ~"), deactivated="200"),
        POST=but(anybody("302 {letter} ~"), deactivated="200"),
        form={"new_password1": _NEW_PASSWORD, "new_password2": _NEW_PASSWORD},
    ),
    Row("account/reset/complete/", GET=anybody("200"), HEAD=anybody("200")),
    Row("account/logins/", GET=activated("200")),
    Row(
        "account/logins/-/revoke/",
        GET=activated("200"),
        POST=activated("302 /account/logins/ +"),
    ),
    Row("account/logins/<uuid:pk>/-/revoke/", GET=owner("200"), POST=owner("302 /account/logins/ +")),
    # --- activation ---
    Row(
        "activation/",
        GET=signed_in(IMAGES),
        POST=but(signed_in(IMAGES), new="302 /activation/steps/ +"),
        form={"username": "somebody-new", **_TWICE, "namespace": "brand-new"},
    ),
    # For somebody between the two, see test_objects.py.
    Row("activation/steps/", GET=signed_in(IMAGES), POST=signed_in(IMAGES)),
    Row("activation/password/", GET=activated("200"), POST=activated("302 /images/ +"), form=_TWICE),
    # --- images ---
    Row("images/", GET=signed_in("200")),
    Row("images/-/checklist/", POST=activated("302 /images/ +")),
    Row(
        "images/-/create/",
        GET=activated("200"),
        POST=owner("302 /images/team/created/-/commands/ +", others="422"),
        form={"namespace": "team", "name": "created", "visibility": "private"},
    ),
    # The same answer to ids of others and to ids of nobody.
    Row(
        "images/-/delete/",
        GET=activated(IMAGES),
        POST=but(activated(IMAGES), owner="302 /images/ +"),
        form={"image": ["{image}"]},
    ),
    Row("images/-/registry/", GET=activated("200")),
    Row("images/-/version/", GET=activated("200")),
    Row("images/-/guide/", GET=activated("200")),
    Row("images/-/storage/<namespace:namespace>/", GET=owner("200")),
    Row("namespaces/<namespace:namespace>/", GET=owner("200")),
    Row(_IMAGE, GET=owner("200")),
    Row(f"{_IMAGE}-/info/", GET=owner("302 {image_at}")),
    Row(f"{_IMAGE}-/settings/", GET=owner("200")),
    Row(f"{_IMAGE}-/tags/", GET=owner("200")),
    Row(f"{_IMAGE}-/compare/", GET=owner("200")),
    Row(f"{_IMAGE}-/commands/", GET=owner("200")),
    # Empty for an image that is not there, or another's: the row of the list goes.
    Row(f"{_IMAGE}-/row/", GET=activated("200")),
    Row(f"{_IMAGE}-/version/", GET=owner("200")),
    Row(f"{_IMAGE}-/describe/", GET=owner("200"), POST=owner("302 {image_at} +"), form={"description": "new"}),
    Row(
        f"{_IMAGE}-/visibility/",
        GET=owner("200"),
        POST=owner("302 {image_at}-/settings/ +"),
        form={"visibility": "public"},
    ),
    Row(
        f"{_IMAGE}-/delete/",
        GET=owner("200"),
        POST=owner("302 /images/ +"),
    ),
    Row(f"{_IMAGE}-/delete-tags/", GET=owner(_AT_IMAGE), POST=owner(f"{_AT_IMAGE} +"), form={"tag": ["v0"]}),
    Row(f"{_IMAGE}-/tags/<tag:tag>/", GET=owner("200")),
    Row(f"{_IMAGE}-/tags/<tag:tag>/copy/", GET=owner("200"), POST=owner(f"{_AT_IMAGE} +"), form=_COPY),
    Row(f"{_IMAGE}-/copies/<int:number>/dismiss/", POST=owner(f"{_AT_IMAGE} +"), words={"int:number": "{copy}"}),
    Row(f"{_IMAGE}-/problems/<int:number>/retry/", POST=owner(f"{_AT_IMAGE} +"), words={"int:number": "{failure}"}),
    Row(f"{_IMAGE}-/problems/<int:number>/dismiss/", POST=owner(f"{_AT_IMAGE} +"), words={"int:number": "{failure}"}),
    Row(f"{_IMAGE}-/manifests/<digest:digest>/", GET=owner("200")),
    Row(f"{_IMAGE}-/manifests/<digest:digest>/raw/", GET=owner("200")),
    Row(f"{_IMAGE}-/manifests/<digest:digest>/<slug:name>/", GET=owner("200"), words={"slug:name": "platforms"}),
    # --- namespaces ---
    Row("namespaces/", GET=activated("200")),
    Row(
        "namespaces/-/create/",
        GET=activated("200"),
        POST=activated("302 /namespaces/ +"),
        form={"name": "brand-new"},
    ),
    Row(
        "namespaces/<namespace:name>/-/delete/",
        GET=owner("200"),
        POST=owner("302 /namespaces/ +"),
        form={"typed": "spare"},
        words={"namespace:name": "spare"},
    ),
    *_MEMBERS,
    # --- invitations: of the namespace's owner, and to the owner from another ---
    Row(
        "namespaces/<namespace:namespace>/-/invite/",
        GET=owner("200"),
        POST=owner("200 +"),
        form={"way": "link", "role": "1", "lasts": "good", "days": "7"},
    ),
    Row("invitations/", GET=signed_in("200")),
    Row("invitations/link/<str:secret>/", GET=anybody("410"), words={"str:secret": "none"}),
    Row("invitations/<int:pk>/", GET=_mine("200"), words={"int:pk": "{invitation}"}),
    Row("invitations/<int:pk>/-/accept/", POST=_mine("302 /images/ +"), words={"int:pk": "{invitation}"}),
    Row("invitations/<int:pk>/-/decline/", POST=_mine("302 /invitations/ +"), words={"int:pk": "{invitation}"}),
    Row(
        "invitations/<int:pk>/-/revoke/",
        GET=owner("200"),
        POST=owner("302 /namespaces/team/ +"),
        words={"int:pk": "{own_invitation}"},
    ),
    # Off, as it is unless it is configured; tests/invitations has the other two.
    Row("sign-up/", GET=_SIGN_UP, POST=_SIGN_UP, form={"email": "somebody@example.com"}),
    Row("sign-up/sent/", GET=anybody("200")),
    Row("sign-up/finish/", GET=_SIGN_UP_FINISH, POST=_SIGN_UP_FINISH),
    Row("sign-up/link/<str:token>/", GET=anybody("410")),
    # --- service accounts ---
    Row(_SERVICES, GET=owner("200")),
    Row(
        f"{_SERVICES}-/create/",
        GET=owner("200"),
        POST=owner("302 /namespaces/team/-/service-accounts/ci/ +"),
        form={"name": "ci", "description": "A pipeline", "role": "2"},
    ),
    Row(_SERVICE, GET=owner("200")),
    Row(
        f"{_SERVICE}-/describe/",
        GET=owner("200"),
        POST=owner(f"{_AT_SERVICE} +"),
        form={"description": "Another description"},
    ),
    Row(f"{_SERVICE}-/delete/", GET=owner("200"), POST=owner("302 /namespaces/team/-/service-accounts/ +")),
    Row(
        f"{_SERVICE}-/tokens/-/create/",
        GET=owner("200"),
        POST=owner("200 +"),
        form={"name": "ci", "access": "push", "reach": "chosen", "names": "team/app", "expires": "30"},
    ),
    Row(
        f"{_SERVICE}-/tokens/<int:pk>/-/revoke/",
        GET=owner("200"),
        POST=owner(f"{_AT_SERVICE} +"),
        words={"int:pk": "{service_token}"},
    ),
    # --- Docker Hub ---
    Row("docker-hub/", GET=signed_in("200")),
    Row("docker-hub/-/refresh/", POST=activated("302 /docker-hub/ +")),
    Row("docker-hub/-/version/", GET=signed_in("200")),
    Row("docker-hub/<official:name>/", GET=signed_in("200")),
    Row("docker-hub/<official:name>/-/cached/", GET=signed_in("200")),
    Row("docker-hub/<official:name>/-/version/", GET=signed_in("200")),
    Row(
        "docker-hub/<official:name>/-/tags/<tag:tag>/copy/",
        GET=activated("200"),
        POST=owner(f"{_AT_IMAGE} +", others="422"),
        form=_COPY,
    ),
    # --- copies from other registries ---
    Row(
        "images/-/import/",
        GET=activated("200"),
        POST=owner(f"{_AT_IMAGE} +", others="422"),
        form={**_COPY, "reference": "registry.example.com/some/thing:1"},
    ),
    Row(
        f"{_IMAGE}-/transfers/<int:number>/cancel/",
        POST=owner(f"{_AT_IMAGE} +"),
        words={"int:number": "{running_transfer}"},
    ),
    Row(
        f"{_IMAGE}-/transfers/<int:number>/retry/",
        POST=owner(f"{_AT_IMAGE} +"),
        words={"int:number": "{failed_transfer}"},
    ),
    Row(
        f"{_IMAGE}-/transfers/<int:number>/dismiss/",
        POST=owner(f"{_AT_IMAGE} +"),
        words={"int:number": "{failed_transfer}"},
    ),
    # --- public images and favorites: everybody's, once activated ---
    Row("favorites/", GET=activated("200")),
    Row("favorites/-/star/<repository:repository>/", POST=owner("302 /favorites/ +"), form={"star": "on"}),
    Row(
        "favorites/-/official-star/<official:name>/",
        POST=activated("302 /favorites/ +"),
        form={"star": "on"},
        words={"official:name": "unstarred"},
    ),
    # --- help: everybody's, and the administrators' own documents ---
    Row("help/", GET=signed_in("200")),
    Row("help/<slug:name>/", GET=signed_in("200"), words={"slug:name": "getting-started"}),
    # Everybody's, where the installation has an authority of its own; this one has none.
    Row("help/certificate/", GET=anybody("404")),
    Row("help/certificate/ca.crt", GET=anybody("404")),
    Row(
        "help/administration/<slug:name>/",
        GET=but(signed_in("404"), **dict.fromkeys(("staff", "clerk", "superuser"), "200")),
        words={"slug:name": "operations"},
    ),
    Row("search/", GET=activated("200")),
    Row("public-images/", GET=activated("200")),
    Row(
        "public-images/<repository:repository>/",
        GET=activated("200"),
        words={"repository:repository": "{public}"},
    ),
]
