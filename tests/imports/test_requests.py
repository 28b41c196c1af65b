"""Who may ask for what: quotas, limits, targets that exist or go, and two requests in one moment."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from console.imports import services
from console.imports.models import Credentials, Transfer
from console.imports.references import parse
from console.repositories.models import Image, Tag
from console.repositories.services import mark_image_for_deletion
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.import_requests import ask, bring, image

pytestmark = pytest.mark.django_db


def refused(call, *arguments, **options):
    with pytest.raises(ValidationError) as refusal:
        call(*arguments, **options)
    return " ".join(refusal.value.messages)


class TestBegin:
    def test_into_somebody_elses_namespace(self, namespace):
        theirs = ImageFactory(name="theirs")
        for name in ("theirs", "new"):
            sentence = refused(services.copy_official, namespace.owner, "nginx", "1", theirs.namespace, name, "v1", [])
            assert "You no longer have access to" in sentence
        assert not Transfer.objects.exists()

    @pytest.mark.parametrize("tag", ["", " ", "-x", "a/b", "ä", "a" * 129, "a\x00"])
    def test_a_tag_that_is_none(self, namespace, tag):
        assert "up to 128" in refused(ask, namespace, "nginx", tag=tag)
        assert not Image.objects.exists()

    def test_quotas(self, namespace):
        owner = namespace.owner
        owner.tag_quota, owner.image_quota = 2, 1
        owner.save()
        ask(namespace, "nginx", tag="v1")
        assert "This account has reached its image limit" in refused(ask, namespace, "nginx", target="other")
        ask(namespace, "nginx", tag="v2")
        assert "This image has reached its tag limit" in refused(ask, namespace, "nginx", tag="v3")
        assert Transfer.objects.count() == 2

    def test_replacing_needs_no_room(self, namespace):
        owner = namespace.owner
        owner.tag_quota = 1
        owner.save()
        made = ImageFactory(namespace=namespace, name="mine", tag_count=1)
        TagFactory(image=made, manifest=ManifestFactory(image=made), name="v1")
        ask(namespace, "nginx")
        assert Transfer.objects.count() == 1

    def test_a_limit_for_each_account(self, namespace, settings):
        settings.MOST_TRANSFERS = 1
        ask(namespace, "nginx")
        assert "1 import is already running" in refused(ask, namespace, "nginx", tag="v2")
        other = NamespaceFactory(owner=ActivatedAccountFactory())
        ask(other, "nginx")
        services.cancel(namespace.owner, Transfer.objects.get(image__namespace=namespace))
        ask(namespace, "nginx", tag="v2")

    def test_two_to_one_tag(self, namespace):
        ask(namespace, "nginx")
        assert "A copy to the tag" in refused(ask, namespace, "redis")
        assert "A copy to the tag" in refused(bring, namespace, "r.example.com/app")

    def test_a_copy_within_the_registry_to_the_same_tag(self, namespace):
        from console.registry.copy_requests import copy_tag

        source = ImageFactory(namespace=namespace, name="source")
        tag = TagFactory(image=source, manifest=ManifestFactory(image=source), name="v1")
        ask(namespace, "nginx")
        assert "A copy to the tag" in refused(copy_tag, namespace.owner, tag, namespace, "mine", "v1")

    def test_what_is_being_deleted(self, namespace):
        made = ImageFactory(namespace=namespace, name="mine")
        TagFactory(image=made, manifest=ManifestFactory(image=made), name="v1", state=Tag.State.DELETING)
        assert "tag “v1” is being deleted" in refused(ask, namespace, "nginx")
        mark_image_for_deletion(namespace.owner, made)
        assert "is being deleted" in refused(ask, namespace, "nginx", tag="v2")

    def test_switched_off(self, namespace, settings):
        settings.DOCKERHUB_ENABLED = False
        assert "turned off" in refused(ask, namespace, "nginx")

    def test_one_that_failed_makes_room(self, namespace):
        first = ask(namespace, "nginx")
        Transfer.objects.update(state=Transfer.State.FAILED)
        second = ask(namespace, "redis")
        assert list(Transfer.objects.all()) == [second]
        assert first.pk != second.pk

    @pytest.mark.parametrize("login", [("a" * 5000, "x"), ("ann", "x" * 5000), ("a\x00", "x")])
    def test_credentials_beyond_measure(self, namespace, login):
        assert "4,096" in refused(bring, namespace, "r.example.com/app", login=login)
        assert not Credentials.objects.exists()


class TestAfterwards:
    def test_somebody_elses(self, namespace):
        transfer = ask(namespace, "nginx")
        for verb in (services.cancel, services.retry, services.dismiss):
            assert "You no longer have access to" in refused(verb, ActivatedAccountFactory(), transfer)
        assert Transfer.objects.get().state == Transfer.State.RUNNING

    def test_cancelled_twice(self, namespace):
        transfer = ask(namespace, "nginx")
        services.cancel(namespace.owner, transfer)
        assert "Too late" in refused(services.cancel, namespace.owner, transfer)

    def test_retried_while_it_runs(self, namespace):
        transfer = ask(namespace, "nginx")
        assert "already running" in refused(services.retry, namespace.owner, transfer)

    def test_retried_by_the_quota_and_the_limit(self, namespace, settings):
        transfer = ask(namespace, "nginx")
        services.cancel(namespace.owner, transfer)
        owner = namespace.owner
        owner.tag_quota = 0
        owner.save()
        assert "tag limit" in refused(services.retry, owner, transfer)
        settings.MOST_TRANSFERS = 0
        assert "imports are already running" in refused(services.retry, owner, transfer)

    def test_dismissed(self, namespace):
        transfer = ask(namespace, "nginx")
        services.dismiss(namespace.owner, transfer)
        assert Transfer.objects.exists(), "not while it runs"
        services.cancel(namespace.owner, transfer)
        services.dismiss(namespace.owner, transfer)
        assert not Transfer.objects.exists()
        assert "Import the image again" in refused(services.retry, namespace.owner, transfer)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("quota", [10, 1])
def test_four_requests_in_the_same_moment(namespace, quota):
    """To one tag, or to four of which one has room: one of them is begun."""
    owner = namespace.owner
    owner.tag_quota = quota
    owner.save()
    start, outcomes = threading.Barrier(4), []

    def race(number):
        try:
            start.wait()
            tag = "v1" if quota == 10 else f"v{number}"
            services.import_image(owner, parse("r.example.com/app"), namespace, "mine", tag, [], None)
            outcomes.append("")
        except ValidationError as refusal:
            outcomes.append(refusal.messages[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("") == 1, outcomes
    assert Transfer.objects.count() == 1
    assert image(namespace)
