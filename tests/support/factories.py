"""Factories of rows for tests."""

from __future__ import annotations

import datetime
import functools

import factory
from django.contrib.auth.hashers import make_password
from factory.django import DjangoModelFactory

from console.access.roles import Role
from console.accounts.models import Account, RegistryCredential
from console.membership.models import Grant, Team, TeamMember
from console.namespaces.models import Namespace
from console.repositories.models import Image, Manifest, Tag

PASSWORD = "a good password 1"


@functools.cache
def hashed(password: str) -> str:
    """The hash of a password, computed once: hashing is slow by design."""
    return make_password(password, hasher="argon2")


class AccountFactory(DjangoModelFactory):
    class Meta:
        model = Account

    name = factory.Sequence(lambda number: f"Person {number}")
    password = factory.LazyFunction(lambda: hashed(PASSWORD))


class RegistryCredentialFactory(DjangoModelFactory):
    class Meta:
        model = RegistryCredential

    account = factory.SubFactory(AccountFactory)
    username = factory.SelfAttribute("account.account_id")
    password = factory.LazyFunction(lambda: hashed(PASSWORD))
    activated_at = factory.LazyFunction(lambda: datetime.datetime.now(datetime.UTC))


class ActivatedAccountFactory(AccountFactory):
    class Meta:
        skip_postgeneration_save = True

    credential = factory.RelatedFactory(RegistryCredentialFactory, factory_related_name="account")


class NamespaceFactory(DjangoModelFactory):
    class Meta:
        model = Namespace

    owner = factory.SubFactory(ActivatedAccountFactory)
    name = factory.Sequence(lambda number: f"team{number}-{datetime.datetime.now(datetime.UTC):%H%M%S%f}")


class ImageFactory(DjangoModelFactory):
    class Meta:
        model = Image

    namespace = factory.SubFactory(NamespaceFactory)
    name = factory.Sequence(lambda number: f"image{number}")


class ManifestFactory(DjangoModelFactory):
    class Meta:
        model = Manifest

    image = factory.SubFactory(ImageFactory)
    digest = factory.Sequence(lambda number: f"sha256:{number:064x}")
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    size = 1000


class TagFactory(DjangoModelFactory):
    class Meta:
        model = Tag

    image = factory.SubFactory(ImageFactory)
    manifest = factory.SubFactory(ManifestFactory, image=factory.SelfAttribute("..image"))
    name = factory.Sequence(lambda number: f"v{number}")
    pushed_at = factory.LazyFunction(lambda: datetime.datetime.now(datetime.UTC))


class GrantFactory(DjangoModelFactory):
    class Meta:
        model = Grant

    namespace = factory.SubFactory(NamespaceFactory)
    account = factory.SubFactory(ActivatedAccountFactory)
    role = Role.READER


class TeamFactory(DjangoModelFactory):
    class Meta:
        model = Team

    name = factory.Sequence(lambda number: f"crew{number}")


class TeamMemberFactory(DjangoModelFactory):
    class Meta:
        model = TeamMember

    team = factory.SubFactory(TeamFactory)
    account = factory.SubFactory(ActivatedAccountFactory)
