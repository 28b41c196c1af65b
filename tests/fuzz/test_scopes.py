"""The scope grammar, and what the token endpoint makes of scopes and Basic headers."""

from __future__ import annotations

import base64

import pytest
from django.conf import settings
from hypothesis import example, given
from hypothesis import strategies as st

from console.access.scopes import MOST_SCOPES
from console.throttling.models import Mark
from tests.fuzz import grammar, wild
from tests.fuzz.budget import examples
from tests.fuzz.checks import check_basic, check_scopes
from tests.support.factories import PASSWORD, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.token_endpoint import granted, read

COMPONENTS = st.sampled_from(["a", "b0", "team", "app", "c.d", "e_f", "g__h", "i---j", "library", "", "-", "K", "a..b"])
HOSTS = st.sampled_from(["", "localhost:5000/", "R.example/", "[::1]/", "x:/", "-x/", "a-b.c:1/", "team/"])
ACTIONS = st.lists(st.sampled_from(["pull", "push", "delete", "*", "admin", "", "PULL", "ſ"]), max_size=4).map(",".join)
TYPES = st.sampled_from(["repository", "registry", "repository(plugin)", "r(", "r()", "R", "", "a0"])
BUILT = st.builds(
    lambda kind, host, parts, actions: f"{kind}:{host}{'/'.join(parts)}:{actions}",
    TYPES, HOSTS, st.lists(COMPONENTS, max_size=4), ACTIONS,
)  # fmt: skip
SCOPES = BUILT | wild.around("ab0:/,*.-_() ", "repository:team/app:pull,push", "registry:catalog:*", "a" * 455 + ":b:c")
HEADERS = (
    wild.around("Basic =+/Aa0", "Basic " + base64.b64encode(b"owner:password").decode(), "Basic Og==", "Bearer x")
    | st.tuples(st.sampled_from(["Basic ", "bASIC  ", "Basic", "Negotiate "]), st.binary(max_size=40)).map(
        lambda pair: pair[0] + base64.b64encode(pair[1]).decode()
    )
    | wild.TEXTS.map(lambda text: "Basic " + base64.b64encode(f"owner:{text}".encode(errors="ignore")).decode())
)


@given(st.lists(st.lists(SCOPES, max_size=5).map(" ".join), max_size=4))
@example([" ".join(f"repository:team/app{number}:pull" for number in range(MOST_SCOPES))])
@example([f"repository:team/app{number}:pull" for number in range(MOST_SCOPES + 1)])
@example(["repository:" + "a" * 255 + ":pull", "repository:" + "a" * 256 + ":pull"])
@examples(600)
def test_scopes(cases, values):
    cases("scope grammar")
    check_scopes(values)


@given(HEADERS)
@examples(600)
def test_basic(cases, header):
    cases("Basic header")
    check_basic(header)


@pytest.fixture
def people(db):
    """Somebody with the namespace ``team`` and an image there, and somebody else's images, public and private."""
    account = ActivatedAccountFactory()
    ImageFactory(namespace=NamespaceFactory(owner=account, name="team"), name="app")
    other = NamespaceFactory(name="other")
    ImageFactory(namespace=other, name="public", visibility="public")
    ImageFactory(namespace=other, name="private")
    return account


@given(HEADERS, st.booleans())
@examples(100)
def test_any_header_is_refused_in_the_protocol(cases, client, people, header, offline):
    cases("Basic header at the endpoint")
    Mark.objects.all().delete()  # so that none is held back for the ones before
    header = wild.in_header(header)
    query = {"service": settings.REGISTRY_SERVICE} | ({"offline_token": "true"} if offline else {})
    response = client.get("/token/", query, headers={"Authorization": header})
    if not header:
        assert response.status_code == 200 and read(response.json()["token"])["sub"] == ""
        return
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith('Basic realm="')
    body = response.json()
    assert body["errors"][0]["code"] == "UNAUTHORIZED" and body["error"] == "invalid_client"
    assert "token" not in body and "access_token" not in body


NAMED = st.builds(
    "{}:{}:{}".format,
    st.sampled_from(["repository", "registry", "repository(plugin)"]),
    st.sampled_from(["team/app", "team/new", "other/public", "other/private", "other/new", "catalog", "a:1/team/app"]),
    ACTIONS,
)
OWN, READ = {"pull", "push", "delete"}, {"pull"}


@given(st.lists(NAMED | SCOPES.map(wild.in_header), max_size=6), st.booleans())
@examples(100)
def test_a_token_never_opens_more_than_was_asked(cases, client, people, scopes, known):
    cases("scopes at the endpoint")
    query = {"service": settings.REGISTRY_SERVICE, "scope": scopes}
    basic = base64.b64encode(f"{people.credential.username}:{PASSWORD}".encode()).decode()
    response = client.get("/token/", query, headers={"Authorization": f"Basic {basic}"} if known else {})
    may = {("repository", "other/public"): READ}
    if known:
        may |= {("repository", "team/app"): OWN, ("repository", "team/new"): OWN}
    expected = {}
    for text in " ".join(scopes).split(" "):
        kind, name, actions = grammar.read_scope(text) or ("", "", set())
        own = known and name.startswith("team/") and (kind, name) not in may and grammar.is_image(name[5:])
        allowed = OWN if own and kind == "repository" else may.get((kind, name), set())
        if known and (kind, name) == ("registry", "catalog") and "*" in actions:
            expected[kind, name] = {"list"}
        if actions & allowed:
            expected.setdefault((kind, name), set()).update(actions & allowed)
    assert granted(response) == expected


FORMS = wild.nearly(
    grant_type=st.sampled_from(["password", "refresh_token", "x"]),
    service=st.just(settings.REGISTRY_SERVICE),
    username=wild.WHOLE_TEXTS, password=wild.WHOLE_TEXTS, refresh_token=wild.WHOLE_TEXTS, scope=SCOPES,
    access_type=st.sampled_from(["offline", "online"]), client_id=wild.WHOLE_TEXTS,
)  # fmt: skip


@given(FORMS)
@examples(60)
def test_any_form_is_answered_in_the_protocol(cases, client, people, form):
    cases("OAuth2 form at the endpoint")
    Mark.objects.all().delete()
    text = {_sent(key): _sent(str(value)) for key, value in form.items()}
    response = client.post("/token/", text)
    assert response.status_code == 400
    body = response.json()
    assert body["errors"][0]["message"] and body["error"] and "access_token" not in body


def _sent(text):
    return text.encode("utf-8", "ignore").decode()
