"""What each role sees and may do on the pages of an image."""

import datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from console.access.roles import VERBS, Role, least_role
from console.access.rules import ImageFacts, NamespaceFacts, may
from console.imports.models import Transfer
from console.registry import copying
from console.registry.copy_requests import copy_tag
from console.repositories import failures
from console.repositories.failures import Kind
from console.repositories.models import Copy, Image, ImageDeletion, Tag, WorkFailure
from console.repositories.rights import refusal
from console.repositories.services import create_image, mark_image_for_deletion, set_visibility, update_image
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    ManifestFactory,
    NamespaceFactory,
    TagFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db
ABOVE_READER = [Role.WRITER, Role.MAINTAINER, Role.OWNER]


@pytest.fixture
def app():
    owner = ActivatedAccountFactory(name="Olga Owner")
    image = ImageFactory(namespace=NamespaceFactory(name="payments", owner=owner), name="app")
    TagFactory(image=image, manifest=ManifestFactory(image=image), name="v1")
    Image.objects.filter(pk=image.pk).update(tag_count=1)
    return image


def by_namespace(image, account, role):
    GrantFactory(namespace=image.namespace, account=account, role=role)


def by_image(image, account, role):
    GrantFactory(namespace=image.namespace, image=image, account=account, role=role)


def by_team(image, account, role):
    team = TeamFactory(name="deployers")
    TeamMemberFactory(team=team, account=account)
    GrantFactory(namespace=image.namespace, account=None, team=team, role=role)


WAYS = [by_namespace, by_image, by_team]


def address(image, name, *more):
    return reverse(name, args=[image.repository, *more])


def pages(image):
    """Every page of an image, with the verb that it needs."""
    digest = Tag.objects.get(image=image, name="v1").manifest.digest
    return {
        address(image, "image"): "image.view",
        address(image, "image-tags"): "image.view",
        address(image, "image-commands"): "image.view",
        address(image, "image-settings"): "image.view",
        address(image, "image-version"): "image.view",
        address(image, "image-row"): "image.view",
        address(image, "image-compare"): "image.view",
        address(image, "tag", "v1"): "image.view",
        address(image, "manifest", digest): "image.view",
        address(image, "tag-copy", "v1"): "image.view",
        address(image, "image-describe"): "image.edit",
        address(image, "image-visibility"): "image.edit",
        address(image, "image-delete"): "image.delete",
        address(image, "tags-delete") + "?tag=v1": "image.delete",
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", Role)
def test_each_page_by_each_role(client, ann, app, role, way):
    way(app, ann, role)
    for path, verb in pages(app).items():
        answer = client.get(path)
        allowed = verb in VERBS[role]
        assert answer.status_code == (200 if allowed else 403), path
        if not allowed:
            assert f"Your role is {role.name.title()}. Ask the owner, Olga Owner." in text_of(answer), path
            assert text_of(client.get(path, headers=HTMX)).count("Your role is") == 1, path


@pytest.mark.parametrize("state", ["none", "expired"])
def test_without_a_role_nothing_is_found(client, ann, app, state):
    if state == "expired":
        grant = GrantFactory(namespace=app.namespace, account=ann, role=Role.OWNER)
        type(grant).objects.update(until=timezone.now() - datetime.timedelta(seconds=1))
    for path in pages(app):
        if "/row/" not in path:
            assert client.get(path).status_code == 404, path
    assert "payments" not in text_of(client.get(address(app, "image-row")))


def posts(image):
    """Every form of an image, with the verb that it needs, and what it sends."""
    failures.give_up(Kind.INDEX, image.repository, "odd", sentence="It cannot be read.")
    failure = WorkFailure.objects.get().pk
    copy = Copy.objects.create(image=image, tag="c", source="x/y", digest="d", state="failed", requested_by="1")
    transfer = Transfer.objects.create(image=image, tag="t", repository="x/y", reference="1", requested_by="1")
    return [
        (address(image, "copy-dismiss", copy.pk), "image.push", {}),
        (address(image, "transfer-cancel", transfer.pk), "image.push", {}),
        (address(image, "transfer-retry", transfer.pk), "image.push", {}),
        (address(image, "transfer-dismiss", transfer.pk), "image.push", {}),
        (address(image, "failure-retry", failure), "image.resolve_failure", {}),
        (address(image, "failure-dismiss", failure), "image.resolve_failure", {}),
        (address(image, "image-describe"), "image.edit", {"description": "new"}),
        (address(image, "image-visibility"), "image.edit", {"visibility": "public"}),
        (address(image, "tags-delete"), "image.delete", {"tag": "v1"}),
        (address(image, "image-delete"), "image.delete", {}),
        (reverse("image-delete-many"), "image.delete", {"image": image.pk}),
    ]


@pytest.mark.parametrize("role", Role)
def test_each_form_by_each_role(client, ann, app, role):
    by_namespace(app, ann, role)
    for path, verb, data in posts(app):
        if verb in VERBS[role]:
            continue
        answer = client.post(path, data)
        assert answer.status_code == 403, path
        assert f"Your role is {role.name.title()}." in text_of(answer), path
    if role < Role.MAINTAINER:
        app.refresh_from_db()
        assert (app.description, app.visibility, app.state) == ("", "private", "active")
        assert not ImageDeletion.objects.exists()
        assert not Tag.objects.exclude(state=Tag.State.ACTIVE).exists()
        assert WorkFailure.objects.filter(kind=Kind.INDEX).exists()
    if role < Role.WRITER:
        assert Copy.objects.exists() and Transfer.objects.get().state == Transfer.State.RUNNING


def test_a_writer_cancels_and_dismisses_what_others_started(client, ann, app):
    by_namespace(app, ann, Role.WRITER)
    (dismiss_copy, *_), (cancel, *_), _retry, (dismiss, *_), *_others = posts(app)
    for path in (dismiss_copy, cancel, dismiss):
        assert client.post(path).status_code == 302, path
    assert not Copy.objects.exists() and not Transfer.objects.exists()


@pytest.mark.parametrize(
    ("role", "change", "delete", "push"),
    [(Role.READER, False, False, False), (Role.WRITER, False, False, True), (Role.MAINTAINER, True, True, True)],
)
def test_what_pages_offer(client, ann, app, role, change, delete, push):
    by_namespace(app, ann, role)
    Copy.objects.create(image=app, tag="c", source="x/y", digest="d", state="failed", requested_by="1")
    failures.give_up(Kind.INDEX, app.repository, "odd", sentence="It cannot be read.")
    overview, tags, tag, settings, commands = (
        text_of(client.get(address(app, *name)))
        for name in (["image"], ["image-tags"], ["tag", "v1"], ["image-settings"], ["image-commands"])
    )
    for page in (overview, settings):
        assert (address(app, "image-describe") in page) == change
    assert (address(app, "image-visibility") in settings) == change
    assert (f'href="{address(app, "image-delete")}"' in settings) == delete
    assert ("can delete images of payments" in settings) != delete
    for page in (tags, tag):
        assert (address(app, "tags-delete") in page) == delete
        assert address(app, "tag-copy", "v1") in page
    assert ('type="checkbox"' in tags) == delete
    assert ("failure-retry" in tags or "/retry/" in tags) == delete
    assert ("docker push" in commands) == push
    assert ("can push to images of payments" in commands) != push
    assert "docker pull" in commands
    assert ("/copies/" in tags) == push or "Dismiss" in tags


def test_an_image_without_tags(client, ann, app):
    by_namespace(app, ann, Role.READER)
    empty = ImageFactory(namespace=app.namespace, name="empty")
    for name in ("image", "image-tags"):
        page = text_of(client.get(address(empty, name)))
        assert "docker push" not in page and "can push to images of payments" in page


def test_the_head_names_the_role_and_the_owner(client, ann, app):
    by_team(app, ann, Role.READER)
    page = text_of(client.get(address(app, "image")))
    assert "Your role: Reader, through team deployers" in page and "Owner of the namespace: Olga Owner" in page
    client.force_login(app.namespace.owner)
    assert "Owner of the namespace" not in text_of(client.get(address(app, "image")))


def test_the_highest_role_counts(client, ann, app):
    by_namespace(app, ann, Role.READER)
    by_image(app, ann, Role.MAINTAINER)
    assert client.get(address(app, "image-delete")).status_code == 200
    assert "Your role: Maintainer" in text_of(client.get(address(app, "image")))


@pytest.mark.parametrize("way", WAYS)
def test_one_query_more_than_the_owners(client, ann, app, way):
    way(app, ann, Role.MAINTAINER)

    def count(path):
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    paths = [path for path, _verb in pages(app).items() if "/row/" not in path and "/copy/" not in path]
    shared = [count(path) for path in paths]
    for _more in range(3):
        by_namespace(ImageFactory(), ann, Role.READER)
    assert [count(path) for path in paths] == shared
    client.force_login(app.namespace.owner)
    assert [one - count(path) for one, path in zip(shared, paths, strict=True)] == [1] * len(paths)


def test_the_role_ends_between_form_and_answer(client, ann, app):
    grant = GrantFactory(namespace=app.namespace, account=ann, role=Role.MAINTAINER)
    assert client.get(address(app, "image-delete")).status_code == 200
    type(grant).objects.update(role=Role.READER)
    assert "Only a Maintainer or an Owner can delete" in text_of(client.post(address(app, "image-delete")))
    grant.delete()
    assert client.post(address(app, "image-delete")).status_code == 404
    assert not ImageDeletion.objects.exists()


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
def test_services_refuse_with_the_same_sentence(ann, app, role):
    by_namespace(app, ann, role)
    for verb, call in (
        ("image.edit", lambda: update_image(ann, app, description="x")),
        ("image.edit", lambda: set_visibility(ann, app, "public")),
        ("image.delete", lambda: mark_image_for_deletion(ann, app)),
    ):
        with pytest.raises(ValidationError) as refused:
            call()
        assert refused.value.messages == [refusal(ann, verb, app)]


class TestCreate:
    def form(self, **changes):
        return {"name": "new", "namespace": "payments", "visibility": "private", "description": "", **changes}

    @pytest.mark.parametrize("role", ABOVE_READER)
    def test_public_needs_a_maintainer(self, client, ann, app, role):
        by_namespace(app, ann, role)
        answer = client.post("/images/-/create/", self.form(visibility="public"))
        assert Image.objects.filter(name="new", visibility="public").exists() == (role > Role.WRITER)
        if role == Role.WRITER:
            assert "Only a Maintainer or an Owner can make images of payments public." in text_of(answer)
            with pytest.raises(ValidationError):
                create_image(ann, app.namespace, "new", "public")
            assert client.post("/images/-/create/", self.form()).status_code == 302

    def test_a_reader_cannot(self, client, ann, app):
        by_namespace(app, ann, Role.READER)
        assert client.post("/images/-/create/", self.form()).status_code == 422
        assert not Image.objects.filter(name="new").exists()
        with pytest.raises(ValidationError, match="Only a Writer, a Maintainer or an Owner can create images"):
            create_image(ann, app.namespace, "new")

    def test_the_owners_quota(self, client, ann, app):
        by_namespace(app, ann, Role.WRITER)
        app.namespace.owner.image_quota = 1
        app.namespace.owner.save()
        sentence = "The owner’s account has reached its image limit (1)"
        assert sentence in text_of(client.get("/images/-/create/?namespace=payments"))
        assert sentence in text_of(client.post("/images/-/create/", self.form()))

    def test_ones_own_quota_does_not_count_elsewhere(self, client, ann, team, app):
        by_namespace(app, ann, Role.WRITER)
        ann.image_quota = 0
        ann.save()
        assert "has reached its image limit" not in text_of(client.get("/images/-/create/"))
        assert client.post("/images/-/create/", self.form()).status_code == 302

    def test_the_quota_of_tags_is_the_owners(self, client, ann, app):
        by_namespace(app, ann, Role.READER)
        app.namespace.owner.tag_quota = 7
        app.namespace.owner.save()
        assert "1 of 7 tags used" in text_of(client.get(address(app, "image-tags")))


class TestCopies:
    def copy(self, client, image, **target):
        return client.post(address(image, "tag-copy", "v1"), {"tag": "v2", "attached": "on", **target})

    def test_from_an_image_that_one_may_only_read(self, client, ann, team, app):
        by_image(app, ann, Role.READER)
        assert self.copy(client, app, namespace="team", name="mine").status_code == 302
        assert Copy.objects.get().image.repository == "team/mine"

    def test_to_a_single_image(self, client, ann, team, app):
        source = ImageFactory(namespace=team, name="source")
        TagFactory(image=source, manifest=ManifestFactory(image=source), name="v1")
        by_image(app, ann, Role.WRITER)
        answer = self.copy(client, source, namespace="payments", name="other")
        assert "In payments you can push to these images only: payments/app." in text_of(answer)
        assert self.copy(client, source, namespace="payments", name="app").status_code == 302
        assert Copy.objects.get().image == app

    def test_not_to_an_image_that_one_may_only_read(self, client, ann, team, app):
        by_image(app, ann, Role.READER)
        assert "a namespace that you may push to" in text_of(self.copy(client, app, namespace="payments", name="app"))
        assert not Copy.objects.exists()

    @pytest.mark.parametrize(("lost", "sentence"), [("source", "may no longer see"), ("target", "may no longer push")])
    def test_demoted_before_the_job_runs(self, ann, app, lost, sentence):
        target = ImageFactory(name="target")
        grants = {
            "source": GrantFactory(namespace=app.namespace, account=ann, role=Role.READER),
            "target": GrantFactory(namespace=target.namespace, account=ann, role=Role.WRITER),
        }
        copy = copy_tag(ann, app.tags.get(), target.namespace, "target", "v2")
        if lost == "source":
            grants[lost].delete()
        else:
            type(grants[lost]).objects.filter(pk=grants[lost].pk).update(role=Role.READER)
        copying.run(copy.pk)
        copy.refresh_from_db()
        assert copy.state == Copy.State.FAILED and sentence in copy.problem


def test_images_that_one_may_not_delete_are_left_out(client, ann, team, app):
    by_namespace(app, ann, Role.WRITER)
    own = ImageFactory(namespace=team, name="own")
    page = text_of(client.get(f"/images/-/delete/?image={own.pk}&image={app.pk}"))
    assert "team/own" in page and "payments/app" not in page


def test_the_storage_of_a_namespace_needs_a_role_on_it(client, ann, app):
    by_image(app, ann, Role.OWNER)
    assert client.get(reverse("namespace-storage", args=["payments"])).status_code == 404
    by_namespace(app, ann, Role.READER)
    assert client.get(reverse("namespace-storage", args=["payments"])).status_code == 200


def test_each_verb_has_a_sentence(ann, app):
    by_namespace(app, ann, Role.READER)
    for verb in VERBS[Role.OWNER]:
        target = app.namespace if verb.startswith("namespace.") or verb == "image.create" else app
        facts = target.facts_for(ann.pk)
        assert isinstance(facts, NamespaceFacts | ImageFacts)
        sentence = refusal(ann, verb, target)
        assert bool(sentence) != may(ann.actor, verb, facts), verb
        if sentence:
            assert least_role(verb).name.title() in sentence and "payments" in sentence
