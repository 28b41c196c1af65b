"""No list asks the database more often because it has more rows, and none asks it often."""

import datetime

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import timezone

from console.access_tokens import services as access_tokens
from console.audit.services import record
from console.imports.models import Transfer
from console.namespaces.models import NamespaceHold
from console.official_images.models import Catalogue, OfficialImage, OfficialTag
from console.registry.index.models import Reconcile, UnusableEvents
from console.repositories.failures import give_up
from console.repositories.models import Copy, DailyActivity, Document, Image, ImageDeletion, Manifest, Tag, WorkFailure
from console.repositories.totals import refresh_totals
from console.stars.models import Star
from console.token_server.models import Login
from tests.factories import ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.registry_tools import digest_of

pytestmark = pytest.mark.django_db

INDEX = digest_of(b"the index")
# What has rows: the name of its address, what is asked for, and the most queries that it may take. The session, the
# account and its credential are two of them.
LISTS = {
    "images": ("/images/?size=100", 8),
    "image": ("/images/team/app/?size=100", 10),
    "tag": ("/images/team/app/-/tags/multi/", 11),
    "manifest": (f"/images/team/app/-/manifests/{INDEX}/", 11),
    "manifest-part": (f"/images/team/app/-/manifests/{INDEX}/platforms/", 6),
    "image-info": ("/images/team/app/-/info/", 6),
    "image-create": ("/images/-/create/", 6),
    "image-delete-many": ("/images/-/delete/?{ticked}", 6),
    "image-delete": ("/images/team/app/-/delete/", 6),
    "tags-delete": ("/images/team/app/-/delete-tags/?{tags}", 8),
    "tag-copy": ("/images/team/app/-/tags/v0/copy/", 11),
    "import": ("/images/-/import/", 5),
    "official-image-copy": ("/docker-hub/official0/-/tags/v0/copy/", 6),
    "namespaces": ("/namespaces/?size=100", 6),
    "namespace-storage": ("/images/-/storage/team/", 7),
    "docker-hub": ("/docker-hub/?size=100", 6),
    "official-image": ("/docker-hub/official0/?size=100", 10),
    "public-images": ("/public-images/?size=100", 6),
    "public-image": ("/public-images/shop/app/?size=100", 10),
    "favorites": ("/favorites/?size=100", 4),
    "access-tokens": ("/account/tokens/?size=100", 6),
    "logins": ("/account/logins/?size=100", 5),
    "access-token-create": ("/account/tokens/-/create/", 5),
    "security": ("/account/security/", 7),
}
NO_LISTS = {
    "home", "healthz", "sign-in", "sign-out", "account", "password_change", "password_change_done", "password_reset",
    "password_reset_done", "password_reset_confirm", "password_reset_complete", "activate", "activation-steps",
    "registry-password", "registry-status", "images-version", "usage-guide", "image-commands", "image-row",
    "image-version", "image-describe", "image-visibility", "copy-dismiss", "manifest-raw", "namespace-create",
    "namespace-delete", "docker-hub-refresh", "docker-hub-version", "official-image-cached", "official-image-version",
    "transfer-cancel", "access-token-revoke", "transfer-retry", "transfer-dismiss", "star", "star-official", "token",
    "notifications", "login-revoke", "logins-revoke", "admin-sign-in", "admin-password-change",
    "second-factor", "sign-in-passkey", "sign-in-link", "sso", "sso-callback", "confirm", "app", "app-picture",
    "recovery-codes", "recovery-codes-file", "passkey-add", "passkey-rename", "factor-remove", "identity-connect",
    "identity-confirm", "identity-disconnect", "failure-retry", "failure-dismiss",
    "account-name", "email-change", "email-change-cancel", "email-confirm",
}  # fmt: skip
# Its filters ask for what there is to choose from.
MOST_IN_ADMIN = 11
ADMIN_LISTS = sorted(model._meta.label_lower for model in admin.site._registry)


def addresses(resolver):
    """The names of all addresses, less those of the administration."""
    for pattern in resolver.url_patterns:
        if not hasattr(pattern, "url_patterns"):
            yield pattern.name
        elif getattr(pattern, "namespace", None) != "admin":
            yield from addresses(pattern)


def test_each_address_is_known_to_be_a_list_or_none():
    known = set(LISTS) | NO_LISTS
    assert set(addresses(get_resolver())) == known, "name a new address in LISTS, or in NO_LISTS when it has no rows"
    assert not set(LISTS) & NO_LISTS


class World:
    """As many rows of everything as one likes, all of which ``ann`` sees in her lists."""

    def __init__(self, ann, team):
        self.ann, self.team, self.made = ann, team, 0
        now = timezone.now()
        Catalogue.objects.create(pk=1, refreshed_at=now, tried_at=now)
        self.app = ImageFactory(namespace=team, name="app")
        self.shop = NamespaceFactory(name="shop")
        self.public = ImageFactory(namespace=self.shop, name="app", visibility="public")
        self.official = OfficialImage.objects.create(name="official0", tags_known_at=now, tags_tried_at=now)

    def grow(self, number):
        numbers = range(self.made, self.made + number)
        self.made += number
        for one in numbers:
            self.images(one)
            self.official_images(one)
            self.access_tokens(one)
            self.signing_in(one)
            Login.objects.create(account=self.ann, version=1, client=f"docker{one}")
            self.administration(one)
        for image in (self.app, self.public):
            for one in numbers:
                self.tag(image, one)
            self.index(image)
            refresh_totals(image.pk)

    def images(self, one):
        moving = NamespaceFactory(owner=self.ann, new_owner=self.shop.owner, available_at=timezone.now())
        give_up("transfer", moving.name, sentence="It is not given to its new owner.")
        mine = ImageFactory(namespace=self.team, name=f"mine{one}", description="What *it* is")
        going = ImageFactory(namespace=self.team, name=f"going{one}", state="deleting")
        ImageDeletion.objects.create(image=going, requested_by="ann")
        now = timezone.now()
        WorkFailure.objects.create(
            kind=WorkFailure.Kind.INDEX, repository="team/app", reference=f"odd{one}", sentence="It cannot be read.",
            first_at=now, last_at=now, given_up_at=now,
        )  # fmt: skip
        public = ImageFactory(namespace=self.shop, name=f"public{one}", visibility="public", description="For all")
        Star.objects.bulk_create([Star(account=self.ann, image=mine), Star(account=self.ann, image=public)])
        day = timezone.now().date() - datetime.timedelta(days=one)
        DailyActivity.objects.create(image=mine, day=day, pushes=1, pulls=1)
        Copy.objects.create(image=self.app, tag=f"copy{one}", source="team/x", digest=INDEX, requested_by="ann")
        Transfer.objects.create(
            image=self.app, tag=f"transfer{one}", repository="library/debian", reference="12", requested_by="ann"
        )

    def manifest(self, image, digest, **fields):
        fields = {"kind": "image", "size": 10, "platforms": ["linux/amd64"], "media_type": "x/y", **fields}
        Document.objects.get_or_create(digest=digest, defaults={"media_type": "x/y", "content": b"{}", "config": {}})
        return Manifest.objects.create(image=image, digest=digest, **fields)

    def tag(self, image, one):
        """A tag, and a second one of the same digest; a signature of it; an index of two platforms."""
        now = timezone.now()
        plain = self.manifest(image, digest_of(f"plain {one}".encode()))
        signature = self.manifest(image, digest_of(f"signature {one}".encode()), kind="artifact", platforms=[])
        index = self.manifest(
            image, digest_of(f"index {one}".encode()), kind="index", children=self.children(image), is_child=False
        )
        names = [(f"v{one}", plain, ""), (f"again{one}", plain, ""), (f"index{one}", index, "")]
        names.append((f"{plain.digest.replace(':', '-')}.sig", signature, plain.digest))
        Tag.objects.bulk_create(
            Tag(image=image, name=name, manifest=manifest, subject=subject, pushed_at=now, pushed_by="ann")
            for name, manifest, subject in names
        )

    def children(self, image):
        plain = Manifest.objects.filter(image=image, kind="image").order_by("pk")
        return [{"digest": one.digest, "platform": f"linux/v{at}"} for at, one in enumerate(plain)]

    def index(self, image):
        """``multi`` points at an index of everything, and has as many other names."""
        fields = {"children": self.children(image), "platforms": ["linux/amd64"] * self.made}
        index = Manifest.objects.filter(image=image, digest=INDEX).first()
        if index is None:
            index = self.manifest(image, INDEX, kind="index", **fields)
            Tag.objects.create(image=image, name="multi", manifest=index, pushed_at=timezone.now())
        Manifest.objects.filter(pk=index.pk).update(**fields)
        Tag.objects.bulk_create(
            Tag(image=image, name=f"multi-{self.made}-{at}", manifest=index, pushed_at=timezone.now())
            for at in range(self.made)
        )

    def official_images(self, one):
        image = OfficialImage.objects.get_or_create(name=f"official{one}", defaults={"description": "A base"})[0]
        Star.objects.create(account=self.ann, official_image=image)
        OfficialTag.objects.create(
            image=self.official,
            name=f"v{one}",
            digest=INDEX,
            platforms=[{"name": f"linux/v{at}", "digest": INDEX, "size": 5} for at in range(one + 1)],
        )

    def signing_in(self, one):
        Authenticator.objects.create(user=self.ann, type="webauthn", data={"name": f"key {one}"})
        SocialAccount.objects.create(user=self.ann, provider="", uid=f"{one}", extra_data={"name": "Ann"})

    def access_tokens(self, one):
        token, _secret = access_tokens.create(self.ann, f"ci{one}", can_push=True, namespaces=[self.team])
        token.namespaces.add(NamespaceFactory(owner=self.ann))

    def administration(self, one):
        owner = ActivatedAccountFactory()
        NamespaceFactory(owner=owner, new_owner=self.ann, available_at=timezone.now())
        NamespaceHold.objects.create(name=f"held{one}", last_owner=owner, until=timezone.now())
        Reconcile.objects.create(whole=False, state="done")
        day = timezone.now().date() - datetime.timedelta(days=one)
        UnusableEvents.objects.create(day=day, reason="unknown", count=one)
        record("image.create", f"team/mine{one}")
        with connection.cursor() as cursor:  # the model refuses to be written to
            cursor.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('index', 'some.task')")


@pytest.fixture
def world(ann, team):
    return World(ann, team)


def count(client, path):
    """How many queries a page takes that is asked for a second time."""
    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)
    assert response.status_code == 200, path
    return len(queries), len(response.content)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_as_many_queries_with_many_rows_as_with_few(client, world, name):
    path, most = LISTS[name]

    def ask():
        ticked = "&".join(
            f"image={key}" for key in Image.objects.filter(namespace=world.team).values_list("pk", flat=True)
        )
        tags = "&".join(f"tag=v{one}" for one in range(world.made))
        return count(client, path.format(ticked=ticked, tags=tags))

    world.grow(2)
    few, short = ask()
    world.grow(10)
    many, long = ask()
    assert many == few <= most
    # The rows are there: a page that shows none of them would prove nothing.
    assert long > short or name in {"image-info"}


@pytest.mark.parametrize("label", ADMIN_LISTS)
def test_a_list_of_the_administration(client, world, label):
    world.ann.is_staff = world.ann.is_superuser = True
    world.ann.save()
    app, model = label.split(".")
    path = reverse(f"admin:{app}_{model}_changelist")
    world.grow(2)
    few, short = count(client, path)
    world.grow(10)
    many, long = count(client, path)
    assert many == few <= MOST_IN_ADMIN
    assert long > short or label == "dockerhub.catalogue"  # which has one row
