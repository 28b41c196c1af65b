"""Validators, addresses, the registry's client and the database judge a name alike, and as Distribution does."""

from __future__ import annotations

import pytest
from django.db import DataError, IntegrityError, transaction
from django.urls import Resolver404, resolve
from hypothesis import given

from console.access.names import split_repository
from console.namespaces.models import Namespace
from console.official_images.models import OfficialImage, OfficialTag
from console.repositories.models import Image
from tests.fuzz import grammar, wild
from tests.fuzz.budget import examples
from tests.fuzz.checks import check_name, check_reference_typed
from tests.support.factories import ActivatedAccountFactory, NamespaceFactory

REFERENCES = wild.around(
    "a0.:/@-[]",
    *("team/app", "https://R.example:5000/team/app:1", "http://[::1]:80/a/b", "localhost/a", "docker.io/a", "h:0/a"),
    *("h:65536/a", "h:" + "1" * 400 + "/a", "a@sha256:" + "0" * 64, "x." * 130 + "y/a", "https://a:b@c/d"),
)


@given(wild.NAMES | wild.DIGESTS)
@examples(800)
def test_names(cases, text):
    cases("names")
    check_name(text)


@given(REFERENCES)
@examples(500)
def test_references(cases, text):
    cases("names of images elsewhere")
    check_reference_typed(text)


def _stored(model, **values):
    """Whether the database takes the row; nothing of it stays."""
    try:
        with transaction.atomic():
            model.objects.bulk_create([model(**values)])  # no rules but the database's
            transaction.set_rollback(True)
    except (DataError, IntegrityError, ValueError):
        return False
    return True


@pytest.fixture
def owner(db):
    return ActivatedAccountFactory()


@given(wild.NAMES)
@examples(200)
def test_the_database_agrees(cases, owner, text):
    cases("names in the database")
    assert _stored(Namespace, owner=owner, name=text) == grammar.is_namespace(text)
    namespace = Namespace.objects.filter(name="fuzzed").first() or NamespaceFactory(owner=owner, name="fuzzed")
    assert _stored(Image, namespace=namespace, name=text) == grammar.is_image(text)
    assert _stored(OfficialImage, name=text) == (grammar.is_component(text) and len(text) <= 200)
    official = OfficialImage.objects.get_or_create(name="fuzzed")[0]
    assert _stored(OfficialTag, image=official, name=text) == grammar.is_tag(text)


@given(wild.NAMES, wild.NAMES)
@examples(400)
def test_addresses(cases, text, other):
    """What stands in an address is the name that the view is given, or there is no such address."""
    cases("names in addresses")
    for pattern, kind in (
        ("/images/team/app/-/tags/{}/", "tag"),
        ("/images/team/app/-/manifests/{}/", "digest"),
        ("/images/{}/", "repository"),
        ("/docker-hub/{}/", "name"),
        ("/namespaces/{}/-/delete/", "name"),
    ):
        try:
            match = resolve(pattern.format(text))
        except Resolver404:
            assert not (kind == "tag" and grammar.is_tag(text))
            assert not (kind == "digest" and grammar.is_digest(text))
            assert not (kind == "repository" and split_repository(text))
            continue
        if match.url_name == "manifest-part":
            continue  # the name of a list, which the view looks up among those that there are
        # An address that holds a verb (``-``) is another one.
        for given_name in match.kwargs.values():
            assert isinstance(given_name, int) or (
                grammar.is_tag(given_name)
                or ":" in given_name
                or all(grammar.is_component(part) for part in given_name.split("/"))
            )
            assert "\0" not in str(given_name) and "\n" not in str(given_name)
