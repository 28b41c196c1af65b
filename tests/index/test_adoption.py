"""Taking over a registry that was there before the console."""

import datetime
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from console.audit.models import AuditEvent
from console.namespaces.models import Namespace, NamespaceHold
from console.registry.connection import registry
from console.registry.index import adoption, jobs
from console.registry.index.adoption import adopt, why_unusable
from console.registry.index.models import Reconcile
from console.repositories.models import Image
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory
from tests.support.fake_registry import fake_registry, own_registry, walk_over
from tests.support.pushed_images import push_image, push_index

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    return ActivatedAccountFactory(name="Ann")


@pytest.fixture
def fake(settings, monkeypatch):
    with fake_registry(settings, monkeypatch) as fake:
        yield fake


def test_a_registry_is_taken_over(registry_program, tmp_path, settings, ann):
    """Everything at once, against a real registry, by the command."""
    bob = NamespaceFactory(name="bobs").owner
    held_by = NamespaceHold.objects.create(
        name="held", last_owner=bob, until=timezone.now() + datetime.timedelta(minutes=6)
    )
    out = io.StringIO()
    with own_registry(registry_program, tmp_path, settings):
        app = [push_image(registry(), "shop/web/app", tag) for tag in ("v1", "v2")]
        multi = push_index(registry(), "shop/multi", "latest", [push_image(registry(), "shop/multi", None)])
        push_image(registry(), "tools/cli", "v1")
        push_image(registry(), "bobs/own", "v1")
        for name in ("single", "library/busybox", "a/b", "two__lines/app", "held/app", f"{'n' * 31}/app"):
            push_image(registry(), name, "v1")
        emptied = push_image(registry(), "emptied/app", "v1")
        registry().delete_manifest("emptied/app", emptied.digest)
        call_command("reconcile", adopt_for=ann.account_id, stdout=out)
        told = out.getvalue()
        again = io.StringIO()
        call_command("reconcile", adopt_for=ann.account_id, stdout=again)

    owners = dict(Namespace.objects.values_list("name", "owner__name"))
    assert owners == {"bobs": bob.name, "shop": "Ann", "tools": "Ann"}
    images = {image.repository: image for image in Image.objects.select_related("namespace")}
    assert set(images) == {"shop/web/app", "shop/multi", "tools/cli", "bobs/own"}
    assert {image.visibility for image in images.values()} == {Image.Visibility.PRIVATE}
    web, index = images["shop/web/app"], images["shop/multi"]
    assert (web.tag_count, web.size) == (2, sum(pushed.size for pushed in app))
    assert (index.tag_count, index.size, index.manifests.count()) == (1, multi.size, 2)
    assert web.last_push_at is not None

    for line in (
        f"shop/multi: its namespace now belongs to {ann.account_id}",
        "shop/web/app:v2: added",
        "bobs/own:v1: added",
        "single: is in the registry, but it is not in a namespace",
        "library/busybox: is in the registry, but the namespace library is reserved",
        "a/b: is in the registry, but its name cannot be used here",
        "two__lines/app: is in the registry, but its name cannot be used here",
        f"{'n' * 31}/app: is in the registry, but its name cannot be used here",
        "held/app: is in the registry, but the namespace held was freed a moment ago and is held for its former owner",
    ):
        assert line in told.splitlines()
    assert "emptied" not in told
    assert "11 repositories compared, 5 tags added" in told
    assert "2 namespaces adopted, 6 repositories without owner, 6 with a problem." in told
    adopted = AuditEvent.objects.filter(action="namespace.adopt").values_list("target", "detail")
    assert dict(adopted) == {name: {"owner": ann.account_id} for name in ("shop", "tools")}
    assert NamespaceHold.objects.get() == held_by
    # Nothing is left to do a second time, and what could not be adopted is told again.
    assert "11 repositories compared, 6 repositories without owner, 6 with a problem." in again.getvalue()


def test_without_an_account_it_is_only_told(fake):
    fake.push("shop/app", "v1")
    walk, lines = walk_over()
    assert lines == ["shop/app: is in the registry, but its namespace has no owner"]
    assert (walk.counts["nobodys"], Namespace.objects.count(), Image.objects.count()) == (1, 0, 0)


def test_one_repository_alone(fake, ann):
    fake.push("shop/app", "v1")
    fake.push("shop/zoo", "v1")
    fake.push("tools/cli", "v1")
    walk_over("shop/app", adopt_for=ann.account_id)
    assert [image.repository for image in Image.objects.all()] == ["shop/app"]
    assert Namespace.objects.get().owner == ann


def test_the_hourly_walk_that_was_broken_off_begins_anew_for_an_adoption(fake, ann, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(walk):
        if walk.done == 1:
            raise Killed

    for name in ("a-shop/app", "b-shop/app"):
        fake.push(name, "v1")
    with pytest.raises(Killed):
        walk_over(on_progress=kill)
    walk, _lines = walk_over(adopt_for=ann.account_id)
    assert (Reconcile.objects.count(), walk.done) == (1, 2)
    assert Namespace.objects.count() == 2


def test_an_adoption_that_was_broken_off_goes_on_by_itself(fake, ann):
    class Killed(BaseException):
        pass

    def kill(walk):
        if walk.done == 1:
            raise Killed

    for name in ("a-shop/app", "b-shop/app"):
        fake.push(name, "v1")
    with pytest.raises(Killed):
        walk_over(adopt_for=ann.account_id, on_progress=kill)
    jobs.reconcile()
    assert set(Namespace.objects.values_list("name", "owner")) == {("a-shop", ann.pk), ("b-shop", ann.pk)}


def test_an_account_that_was_deactivated_meanwhile_gets_nothing(fake, ann):
    fake.push("shop/app", "v1")
    ann.is_active = False
    ann.save()
    walk, _lines = walk_over(adopt_for=ann.account_id)
    assert (walk.state, walk.counts["nobodys"], Namespace.objects.count()) == (Reconcile.State.DONE, 1, 0)
    with pytest.raises(CommandError, match="no active account"):
        call_command("reconcile", adopt_for=ann.account_id)


def test_somebody_else_is_quicker(ann, monkeypatch):
    other = NamespaceFactory(name="shop")
    assert adopt("shop/app", ann) == "another account took the namespace shop a moment ago"
    assert Namespace.objects.get() == other
    assert not AuditEvent.objects.filter(action="namespace.adopt").exists()


def test_a_registry_that_cannot_be_read_gives_nobody_anything(fake, ann):
    from tests.support.http_servers import Reply

    fake.push("shop/app", "v1")
    fake.strange = lambda request: Reply(500) if "tags/list" in request.path else None
    walk_over(adopt_for=ann.account_id)
    assert not Namespace.objects.exists()


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        ("shop/app", ""),
        ("shop/nested/app", ""),
        ("app", "it is not in a namespace"),
        ("docker/app", "the namespace docker is reserved"),
        ("shop/a", "its name cannot be used here"),
        (f"shop/{'x' * 201}", "its name cannot be used here"),
    ],
)
def test_why_a_name_is_unusable(repository, reason):
    assert why_unusable(repository) == reason
    assert reason == "" or adoption.adopt(repository, None) == reason
