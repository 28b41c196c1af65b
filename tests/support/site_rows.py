"""Rows of all models that pages show."""

import datetime

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.utils import timezone

from console.access.roles import Role
from console.access.token_secrets import hash_secret
from console.access_tokens import services as access_tokens
from console.audit.services import record
from console.imports.models import Transfer
from console.membership.models import Invitation, TeamGroup
from console.namespaces.models import NamespaceHold
from console.official_images.models import Catalogue, OfficialImage, OfficialTag
from console.registry.index.models import Reconcile, UnusableEvents
from console.repositories.failures import give_up
from console.repositories.models import Copy, DailyActivity, Document, ImageDeletion, Manifest, Tag, WorkFailure
from console.repositories.totals import refresh_totals
from console.service_accounts import services as service_accounts
from console.stars.models import Star
from console.token_server.models import Login
from tests.support.factories import (
    ActivatedAccountFactory,
    GrantFactory,
    ImageFactory,
    NamespaceFactory,
    TeamFactory,
    TeamMemberFactory,
)
from tests.support.pushed_images import digest_of

INDEX = digest_of(b"the index")


class World:
    """Creates any number of rows of all models, all visible to ``ann``."""

    def __init__(self, ann, team):
        self.ann, self.team, self.made, self.robot = ann, team, 0, None
        now = timezone.now()
        Catalogue.objects.create(pk=1, refreshed_at=now, tried_at=now)
        self.app = ImageFactory(namespace=team, name="app")
        self.shop = NamespaceFactory(name="shop")
        self.public = ImageFactory(namespace=self.shop, name="app", visibility="public")
        # The first member is no manager; one of the two managers may leave.
        self.crew = TeamFactory(name="team")
        TeamMemberFactory(team=self.crew)
        TeamMemberFactory(team=self.crew, account=ann, is_manager=True)
        TeamMemberFactory(team=self.crew, is_manager=True)
        self.official = OfficialImage.objects.create(name="official0", tags_known_at=now, tags_tried_at=now)

    def grow(self, number):
        numbers = range(self.made, self.made + number)
        self.made += number
        for one in numbers:
            self.images(one)
            self.official_images(one)
            self.access_tokens(one)
            self.members(one)
            self.service_accounts(one)
            self.signing_in(one)
            Login.objects.create(account=self.ann, version=1, client=f"docker{one}")
            self.invitations(one)
            self.administration(one)
            self.teams(one)
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
        """The tag ``multi`` of an index of all manifests, which has as many other tags."""
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

    def members(self, one):
        """An account, a team with a member, and somebody on the image ``app``."""
        giver = ActivatedAccountFactory()
        team = TeamMemberFactory(team__name=f"crew-{one}").team
        for holder in ({}, {"account": None, "team": team}, {"image": self.app}):
            GrantFactory(namespace=self.team, granted_by=giver, **holder)

    def invitations(self, one):
        """One to Ann, and one of hers by link."""
        later = timezone.now() + datetime.timedelta(days=7)
        Invitation.objects.create(
            namespace=self.shop, role=Role.READER, account=self.ann, invited_by=self.shop.owner, expires_at=later
        )
        Invitation.objects.create(
            namespace=self.team, role=Role.WRITER, secret_hash=hash_secret(f"{one}"), invited_by=self.ann,
            expires_at=later,
        )  # fmt: skip

    def access_tokens(self, one):
        token, _secret = access_tokens.create(self.ann, f"ci{one}", can_push=True, namespaces=[self.team])
        token.namespaces.add(NamespaceFactory(owner=self.ann))

    def teams(self, one):
        member = TeamMemberFactory(team=self.crew, source="group").account
        TeamMemberFactory(team=self.crew, account=member)
        TeamGroup.objects.create(team=self.crew, group=f"group {one}")
        held = {"name": "Member", "groups": [f"group {one}"]}
        SocialAccount.objects.create(user=member, provider="", uid=f"member {one}", extra_data=held)
        GrantFactory(team=self.crew, account=None, namespace__name=f"shared{one}")
        TeamMemberFactory(team=TeamFactory(name=f"crew{one}"), account=self.ann)

    def service_accounts(self, one):
        """One more of the team, and one more access token of the first one, ``team+team``."""
        made = service_accounts.create(
            self.ann, self.team, f"robot{one}" if one else "team", "What uses it", Role.WRITER
        )
        self.robot = self.robot or made
        chosen = {"namespaces": [self.team], "images": [self.app]}
        service_accounts.create_token(self.ann, self.robot, f"robots{one}", can_push=True, **chosen)

    def administration(self, one):
        owner = ActivatedAccountFactory()
        NamespaceFactory(owner=owner, new_owner=self.ann, available_at=timezone.now())
        NamespaceHold.objects.create(name=f"held{one}", last_owner=owner, until=timezone.now())
        Reconcile.objects.create(whole=False, state="done")
        day = timezone.now().date() - datetime.timedelta(days=one)
        UnusableEvents.objects.create(day=day, reason="unknown", count=one)
        record("image.create", f"team/mine{one}")
        with connection.cursor() as cursor:  # the model is read-only
            cursor.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('index', 'some.task')")
