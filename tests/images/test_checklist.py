"""The first steps above My Images: what ticks them, when they go, and what they cost."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.accounts.models import AccessToken
from console.repositories.models import Image
from console.token_server.models import Login
from tests.support.factories import AccountFactory, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
PAGE, CLOSE = "/images/", "/images/-/checklist/"
LIST = {**HTMX, "HX-Target": "list"}
NAMESPACE, LOGIN, PUSH, TOKEN = "Choose your namespace", "Log in with Docker", "Push an image", "Create an access token"


@pytest.fixture
def ann(client):
    account = ActivatedAccountFactory(name="Ann")
    client.force_login(account)
    return account


def steps(client):
    """What is done and what is not; ``None`` where there is no checklist."""
    page = text_of(client.get(PAGE))
    found = dict(re.findall(r">([^<>]+)</a><span class=\"hidden\">: (done|to do)</span>", page))
    return found or None


def all_of(account):
    Login.objects.create(account=account, version=1, client="docker")
    ImageFactory(namespace=NamespaceFactory(owner=account), tag_count=1)
    access_tokens.create(account, "ci", can_push=True)


def count(client, **headers):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(PAGE, headers=headers).status_code == 200
    return len(queries)


class TestTicks:
    @pytest.mark.usefixtures("ann")
    def test_none_yet(self, client):
        assert steps(client) == {NAMESPACE: "to do", LOGIN: "to do", PUSH: "to do", TOKEN: "to do"}

    def test_a_namespace(self, client, ann):
        NamespaceFactory(owner=ann)
        assert steps(client) == {NAMESPACE: "done", LOGIN: "to do", PUSH: "to do", TOKEN: "to do"}

    def test_a_login(self, client, ann):
        Login.objects.create(account=ann, version=1, client="docker")
        assert steps(client) == {NAMESPACE: "to do", LOGIN: "done", PUSH: "to do", TOKEN: "to do"}

    def test_a_token_and_its_use(self, client, ann):
        access_tokens.create(ann, "ci", can_push=True)
        assert steps(client) == {NAMESPACE: "to do", LOGIN: "to do", PUSH: "to do", TOKEN: "done"}
        AccessToken.objects.update(last_used_at=timezone.now(), revoked_at=timezone.now())
        assert steps(client) == {NAMESPACE: "to do", LOGIN: "done", PUSH: "to do", TOKEN: "to do"}

    def test_an_image_with_a_tag(self, client, ann):
        image = ImageFactory(namespace=NamespaceFactory(owner=ann))
        assert steps(client)[PUSH] == "to do"
        Image.objects.filter(pk=image.pk).update(tag_count=1)
        assert steps(client)[PUSH] == "done"

    @pytest.mark.usefixtures("ann")
    def test_nothing_of_others(self, client):
        all_of(ActivatedAccountFactory())
        assert set(steps(client).values()) == {"to do"}

    def test_not_before_the_activation(self, client):
        client.force_login(AccountFactory())
        assert steps(client) is None


class TestItGoes:
    def test_when_all_is_done(self, client, ann):
        all_of(ann)
        assert steps(client) is None
        # A script has it closed at once; until then nothing is seen of it.
        assert f'hx-post="{CLOSE}" hx-trigger="load" hx-swap="none" hidden>' in text_of(client.get(PAGE))
        assert client.post(CLOSE, headers=HTMX).status_code == 204
        assert CLOSE not in text_of(client.get(PAGE))
        AccessToken.objects.update(revoked_at=timezone.now())
        assert steps(client) is None, "and it does not come back"

    def test_when_it_is_dismissed(self, client, ann):
        assert client.get(CLOSE).status_code == 405
        assert client.post(CLOSE)["Location"] == PAGE
        assert "Dismissed the first steps." in text_of(client.get(PAGE))
        assert steps(client) is None
        ann.refresh_from_db()
        assert ann.checklist_closed
        client.force_login(ActivatedAccountFactory())
        assert steps(client) is not None, "each has their own"


@pytest.mark.usefixtures("ann")
class TestQueries:
    def test_one_on_the_page_and_none_later(self, client):
        count(client)
        shown, part = count(client), count(client, **LIST)
        client.post(CLOSE)
        assert count(client) == shown - 1
        assert count(client, **LIST) == part

    def test_none_when_the_list_is_asked_for_alone(self, client):
        with CaptureQueriesContext(connection) as queries:
            page = text_of(client.get(PAGE, headers=LIST))
            client.get("/images/-/version/")
        assert "First steps" not in page
        assert not [one for one in queries if "tokens_login" in one["sql"]]
