"""Official images by the registry's address: the cache is a folder of it, where there is one address for everything."""

import base64

import jwt
import pytest
from django.conf import settings

from tests.support.factories import PASSWORD, ActivatedAccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(settings):
    settings.DOCKERHUB_FOLDER = "dockerhub"


def granted(client, account, service, *scopes):
    """The audience of the token, and the repositories that it allows something in."""
    pair = base64.b64encode(f"{account.credential.username}:{PASSWORD}".encode()).decode()
    answer = client.get(
        "/token/",
        {"service": service, "scope": scopes},
        headers={"Authorization": f"Basic {pair}"},
    )
    token = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return token["aud"], [(entry["name"], entry["actions"]) for entry in token["access"]]


@pytest.mark.parametrize("service", ["REGISTRY_SERVICE", "DOCKERHUB_SERVICE"])
@pytest.mark.parametrize(
    "scopes",
    [
        ["repository:dockerhub/library/debian:pull"],
        ["repository:dockerhub/library/debian:pull,push"],
    ],
)
def test_the_name_that_a_client_sees_is_the_cache_s(client, service, scopes):
    account = ActivatedAccountFactory()
    found = granted(client, account, getattr(settings, service), *scopes)
    assert found == (settings.DOCKERHUB_SERVICE, [("library/debian", ["pull"])])


def test_containerd_asks_for_both_names(client):
    scopes = ["repository:library/debian:pull", "repository:dockerhub/library/debian:pull"]
    found = granted(client, ActivatedAccountFactory(), settings.DOCKERHUB_SERVICE, *scopes)
    assert found == (settings.DOCKERHUB_SERVICE, [("library/debian", ["pull"])])


@pytest.mark.parametrize("name", ["dockerhub/team/app", "dockerhub/dockerhub/library/debian", "dockerhub/x"])
def test_only_official_images_are_there(client, name):
    found = granted(client, ActivatedAccountFactory(), settings.REGISTRY_SERVICE, f"repository:{name}:pull")
    assert found == (settings.DOCKERHUB_SERVICE, [])


def test_together_with_another_image_it_is_the_registry_s(client):
    scopes = ["repository:dockerhub/library/debian:pull", "repository:team/app:pull"]
    found = granted(client, ActivatedAccountFactory(), settings.REGISTRY_SERVICE, *scopes)
    assert found == (settings.REGISTRY_SERVICE, [])


def test_a_login_stays_the_registry_s(client):
    assert granted(client, ActivatedAccountFactory(), settings.REGISTRY_SERVICE)[0] == settings.REGISTRY_SERVICE


def test_where_the_cache_has_its_own_address_there_is_no_folder(client, settings):
    settings.DOCKERHUB_FOLDER = ""
    scope = "repository:dockerhub/library/debian:pull"
    found = granted(client, ActivatedAccountFactory(), settings.REGISTRY_SERVICE, scope)
    assert found == (settings.REGISTRY_SERVICE, [])
