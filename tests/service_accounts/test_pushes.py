"""Pushes by a service account: its user name, with a plus sign, passes everywhere that names who pushed."""

import uuid

import pytest

from console.access.roles import Role
from console.audit.models import AuditEvent
from console.gate.lists import repositories_of
from console.gate.paging import Page
from console.membership.models import Grant
from console.repositories.models import Image, Tag
from console.service_accounts import services
from console.sharing.services import change_role
from tests.gate.conftest import GateClient
from tests.support.pushed_images import push_image
from tests.support.responses import text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry_server")]


@pytest.fixture
def gate(client, robot):
    """The gate, as the service account ``payments+ci`` calls it."""
    return GateClient(client, "payments+ci")


@pytest.fixture
def app():
    return f"payments/app-{uuid.uuid4().hex[:12]}"


def test_pages_and_audit_log_say_who_pushed(client, ann, robot, gate, app):
    push_image(gate, app, "v1")
    image = Image.objects.get(full_name=app)
    assert image.owner == ann
    assert Tag.objects.get().pushed_by == "payments+ci"
    assert "payments+ci" in text_of(client.get(f"/images/{app}/-/tags/"))
    assert "payments+ci" in text_of(client.get(f"/images/{app}/-/tags/v1/"))
    event = AuditEvent.objects.get(action="tag.push")
    assert (event.actor, event.target) == (robot.account.account_id, f"{app}:v1")
    assert "payments+ci pushed" in " ".join(text_of(client.get("/account/activity/?kind=images")).split())


def test_the_name_of_a_deleted_one_stays_with_what_it_pushed(client, ann, robot, gate, app):
    push_image(gate, app, "v1")
    services.delete(ann, robot)
    assert "payments+ci" in text_of(client.get(f"/images/{app}/-/tags/"))
    assert "payments+ci pushed" in " ".join(text_of(client.get("/account/activity/?kind=images")).split())


def test_the_role_at_the_moment_of_each_manifest(ann, robot, gate, app):
    push_image(gate, app, "v1")
    change_role(ann, Grant.objects.get(account=robot.account), Role.READER, None)
    with pytest.raises(AssertionError, match="DENIED"):
        push_image(gate, app, "v2")
    services.delete(ann, robot)
    with pytest.raises(AssertionError, match="DENIED"):
        push_image(gate, app, "v3")


def test_a_reader_s_catalogue(ann, payments, app):
    services.create(ann, payments, "bot", role=Role.READER)
    Image.objects.create(namespace=payments, name=app.partition("/")[2])
    assert app in repositories_of("payments+bot", False, Page(100, "")).names
