"""The table of rights: every role in every way to have it, at each entrance, as ``console.access.roles`` has it.

The expected answers are generated from ``ACTIONS`` and ``VERBS``. The entrances are asked with real requests: the token
endpoint with passwords and access tokens, the gate with tokens that allow everything, pages in a session.
"""

import itertools

import pytest
from django.db import transaction

from console.access.grants import Access
from console.access.roles import ACTIONS, VERBS, Role
from console.access_tokens import services as access_tokens
from console.registry.signing import sign
from console.repositories.models import ImageAccess
from registry_client import OCI_MANIFEST
from tests.gate.conftest import artifact
from tests.security.site import BOOKKEEPING, writes
from tests.sharing.holdings import HOLDINGS, OF_PEOPLE, Place
from tests.support.factories import PASSWORD
from tests.support.token_endpoint import Asker, granted

pytestmark = pytest.mark.django_db

EVERYTHING = ("pull", "push", "delete")
# The permissions of an access token, and what each lets through.
LIMITS = {
    "pull": ({"can_push": False}, {"pull"}),
    "push": ({"can_push": True}, {"pull", "push"}),
    "delete": ({"can_push": True, "can_delete": True}, {"pull", "push", "delete"}),
}
REACHES = ("all", "namespace", "image", "elsewhere")


def differences(expected, given):
    """What differs, in words; all of it at once, so that a failure shows the pattern."""
    return [f"{key}: {given.get(key)}, not {expected[key]}" for key in expected if given.get(key) != expected[key]]


def actions(place, limits=frozenset(EVERYTHING), reached=lambda repository: True):
    """What the rules let an account do on each repository, one action a request."""
    found = {}
    for repository, role in place.roles.items():
        of_role = ACTIONS[role] & limits if role is not None and reached(repository) else set()
        for action in EVERYTHING:
            public = action == "pull" and repository == place.open.repository
            found[repository, action] = action in of_role or public
    return found


def asked(ask, place, password):
    """What the token endpoint grants on each repository, one action a request."""
    username = place.account.credential.username
    return {
        (repository, action): ("repository", repository)
        in granted(ask.get(f"repository:{repository}:{action}", user=username, password=password))
        for repository, action in itertools.product(place.roles, EVERYTHING)
    }


@pytest.mark.parametrize("holding", HOLDINGS, ids=str)
def test_the_token_endpoint(client, holding):
    place = Place(holding)
    assert not differences(actions(place), asked(Asker(client), place, PASSWORD))


def chosen(place, reach):
    """The namespaces, then images that an access token is made for, and whether it is for a repository."""
    if reach == "all":
        return None, [], lambda repository: True
    if reach == "namespace":
        return [place.namespace], [], lambda repository: True
    if reach == "image":
        return [], [place.app], lambda repository: repository == place.app.repository
    return [], [], lambda repository: False


def make_token(place, permission, reach):
    """An access token of the account, which is for some namespaces and images."""
    namespaces, images, reached = chosen(place, reach)
    token, secret = access_tokens.create(place.account, f"{permission}-{reach}", **LIMITS[permission][0])
    if namespaces is not None:
        # By its rows alone: an access token stays what it is when its account's roles change.
        token.all_namespaces = False
        token.save(update_fields=["all_namespaces"])
        token.namespaces.set(namespaces)
        ImageAccess.objects.bulk_create(ImageAccess(token=token, image=image) for image in images)
    return secret, reached


@pytest.mark.parametrize("holding", HOLDINGS, ids=str)
def test_access_tokens(client, holding):
    """Never more than the account, and never more than the token."""
    place = Place(holding)
    wrong = []
    for permission, reach in itertools.product(LIMITS, REACHES):
        secret, reached = make_token(place, permission, reach)
        expected = actions(place, frozenset(LIMITS[permission][1]), reached)
        found = differences(expected, asked(Asker(client), place, secret))
        wrong += [f"{permission} {reach}: {line}" for line in found]
    assert not wrong, "\n".join(wrong)


class AtTheGate:
    """The gate, asked with tokens that allow everything: what it refuses, the rules refuse now."""

    def __init__(self, client, place):
        self.client, self.place, self.content = client, place, artifact(place.app.repository)

    def bearer(self, *access):
        return {"Authorization": f"Bearer {sign(self.place.account.credential.username, access).text}"}

    def headers(self, repository):
        return self.bearer(Access("repository", repository, frozenset(EVERYTHING)))

    def push(self, repository):
        """Whether a manifest is taken."""
        path, headers = f"/v2/{repository}/manifests/v1", self.headers(repository)
        answer = self.client.put(path, artifact(repository), content_type=OCI_MANIFEST, headers=headers)
        return self._allowed(answer, 201)

    def delete(self, repository):
        """Whether a tag may be deleted, be it there or not."""
        answer = self.client.delete(f"/v2/{repository}/manifests/v1", headers=self.headers(repository))
        return self._allowed(answer, 202, 404)

    def _allowed(self, answer, *statuses):
        if answer.status_code in statuses:
            return True
        assert answer.status_code == 403, (answer.status_code, answer.content)
        (error,) = answer.json()["errors"]
        assert error["code"] == "DENIED" and error["message"].endswith(".")
        return False

    def catalogue(self):
        """The repositories that it lists."""
        headers = self.bearer(Access("registry", "catalog", frozenset({"list"})))
        return self.client.get("/v2/_catalog", headers=headers).json()["repositories"]


@pytest.mark.usefixtures("registry_server")
@pytest.mark.parametrize("holding", HOLDINGS, ids=str)
def test_the_gate(client, holding):
    place = Place(holding)
    gate, expected = AtTheGate(client, place), actions(place)
    listed = gate.catalogue()
    found = {(repository, "pull"): repository in listed for repository in place.roles if repository != place.new}
    # Deleted before the push: that makes the image that was not there.
    found |= {(repository, "delete"): gate.delete(repository) for repository in place.roles}
    found |= {(repository, "push"): gate.push(repository) for repository in place.roles}
    del expected[place.new, "pull"]
    assert not differences(expected, found)


# Where each verb is used on the pages: what is asked for (GET) or sent (POST), with ``{words}`` of ``words_of``. An
# address that comes later is added here.
PAGES = {
    "image.view": [
        ("GET", "/images/{app}/", {}),
        ("GET", "/images/{app}/-/tags/", {}),
        ("GET", "/images/{app}/-/commands/", {}),
        ("GET", "/images/{app}/-/settings/", {}),
        # It lists the images that the account may read, so a role on one of them opens it.
        ("GET", "/namespaces/{namespace}/", {}),
    ],
    "image.create": [
        ("POST", "/images/-/create/", {"namespace": "{namespace}", "name": "new", "visibility": "private"}),
    ],
    "image.push": [
        ("POST", "/images/-/import/",
         {"namespace": "{namespace}", "name": "app", "tag": "v2", "reference": "registry.example.com/some/thing:1"}),
    ],
    "image.edit": [
        ("GET", "/images/{app}/-/describe/", {}),
        ("POST", "/images/{app}/-/describe/", {"description": "Another one."}),
        ("GET", "/images/{app}/-/visibility/", {}),
        ("POST", "/images/{app}/-/visibility/", {"visibility": "public"}),
    ],
    "image.delete": [
        ("GET", "/images/{app}/-/delete/", {}),
        ("POST", "/images/{app}/-/delete/", {}),
        ("POST", "/images/-/delete/", {"image": ["{app_pk}"]}),
    ],
    "namespace.view": [("GET", "/images/-/storage/{namespace}/", {})],
    "namespace.delete": [("POST", "/namespaces/{empty}/-/delete/", {"typed": "{empty}"})],
}  # fmt: skip
# On the namespace, so a role on one image does not have them.
OF_NAMESPACES = {verb for verb in PAGES if verb.startswith("namespace.")} | {"image.create"}


def words_of(place):
    """What the words in the addresses and forms stand for."""
    names = {"namespace": place.namespace.name, "empty": place.empty.name}
    return {**names, "app": place.app.repository, "app_pk": str(place.app.pk)}


def used(client, method, path, form):
    """Whether an account may: the page opens, or the form changes something, which is undone."""
    with transaction.atomic():
        before = writes()
        response = client.get(path) if method == "GET" else client.post(path, form)
        after = writes()
        changed = {table for table, number in after.items() if number != before.get(table, 0)} - BOOKKEEPING
        transaction.set_rollback(True)
    if response.status_code >= 500:
        return f"an error ({response.status_code})"
    return response.status_code == 200 if method == "GET" else bool(changed)


@pytest.mark.parametrize("holding", OF_PEOPLE, ids=str)
def test_pages_and_forms(client, holding):
    place = Place(holding)
    words = words_of(place)
    client.force_login(place.account)
    client.raise_request_exception = False
    expected, found = {}, {}
    for verb, requests in PAGES.items():
        role = None if holding.on_image and verb in OF_NAMESPACES else holding.current
        for method, path, form in requests:
            filled = {
                name: [one.format(**words) for one in value] if isinstance(value, list) else value.format(**words)
                for name, value in form.items()
            }
            expected[verb, method, path] = role is not None and verb in VERBS[role]
            found[verb, method, path] = used(client, method, path.format(**words), filled)
    assert not differences(expected, found)


def test_each_verb_of_a_page_is_a_verb_of_a_role():
    assert set(PAGES) <= VERBS[Role.OWNER]
