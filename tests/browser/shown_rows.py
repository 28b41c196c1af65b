"""The rows of which ``make screenshots`` takes pictures: nothing, what is usual, and as much as the product allows.

Each is a ``Site`` of the security tests, so that the addresses of all pages come from their rows.
"""

from __future__ import annotations

import datetime
import json

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts import email_changes, email_links
from console.accounts.models import AccessToken, RegistryCredential
from console.accounts.password_reset_email import reset_tokens
from console.audit.services import record
from console.imports.models import Transfer
from console.namespaces.models import NamespaceHold
from console.official_images.models import Catalogue, OfficialImage, OfficialTag
from console.registry.index.models import Reconcile, UnusableEvents
from console.repositories import failures
from console.repositories.models import Copy, Image, Manifest, Tag, WorkFailure
from console.repositories.totals import refresh_totals
from console.service_accounts import services as service_accounts
from console.stars.models import Star
from console.token_server.models import Login
from tests.browser.longest import LongestSite
from tests.browser.shown_members import make_members
from tests.browser.usual_images import ACCOUNT_ID, OCI_IMAGE, PLATFORMS, UsualImages
from tests.security.site import Site, Words
from tests.support.factories import PASSWORD, ActivatedAccountFactory, ImageFactory, NamespaceFactory
from tests.support.pushed_images import digest_of

OFFICIAL = {
    "alpine": "A minimal Docker image based on Alpine Linux with a complete package index and only 5 MB in size!",
    "busybox": "Busybox base image.",
    "caddy": "Caddy 2 is a powerful, enterprise-ready, open source web server with automatic HTTPS written in Go.",
    "debian": "Debian is a Linux distribution that's composed entirely of free and open-source software.",
    "eclipse-temurin": "Official Images for OpenJDK binaries built by Eclipse Temurin.",
    "golang": "Go (golang) is a general purpose, higher-level, imperative programming language.",
    "httpd": "The Apache HTTP Server Project",
    "mariadb": "MariaDB Server is a high performing open source relational database, forked from MySQL.",
    "nginx": "Official build of Nginx.",
    "node": "Node.js is a JavaScript-based platform for server-side and networking applications.",
    "postgres": "The PostgreSQL object-relational database system provides reliability and data integrity.",
    "python": "Python is an interpreted, interactive, object-oriented, open-source programming language.",
    "redis": "Redis is the world’s fastest data platform for caching, vector search, and NoSQL databases.",
    "ruby": "Ruby is a dynamic, reflective, object-oriented, general-purpose programming language.",
    "rust": "Rust is a systems programming language focused on safety, speed, and concurrency.",
    "traefik": "Traefik, The Cloud Native Edge Router",
    "ubuntu": "Ubuntu is a Debian-based Linux operating system based on free software.",
}
EVENTS = (
    ("account.sign_in", ACCOUNT_ID), ("namespace.create", "payments"), ("image.create", "payments/card-vault"),
    ("image.describe", "payments/ledger"), ("image.visibility", "web/storefront"), ("tag.delete", "infra/edge-proxy"),
    ("access_token.create", "ci-deploy"), ("image.deleted", "web/landing-2023"), ("password.wrong", ACCOUNT_ID),
    ("tag.copied", "web/checkout:2.4.0"),
)  # fmt: skip


class UsualSite(UsualImages):
    """A team's repository: forty images, one of them with three hundred tags."""

    def _things(self) -> None:
        self._people()
        super()._things()
        self._work()
        self._docker_hub()
        self._signing_in()
        self._administration()
        self._words()
        people = ("Gil Haddad", "auditors", "Hana Sato")
        self.words.update(make_members(self.spaces["payments"], self.image, people, "billing"))

    def _people(self) -> None:
        names = {
            "owner": "Ann Müller", "other": "Ben Okafor", "new": "Chen Wei", "superuser": "Dora Lind",
            "staff": "Eli Stone", "clerk": "Fay Moreau",
        }  # fmt: skip
        for role, name in names.items():
            account = self.accounts[role]
            account.name, account.email = name, f"{name.split()[0].lower()}@example.com"
            if role == "owner":
                account.account_id = ACCOUNT_ID
                RegistryCredential.objects.filter(account=account).update(username=ACCOUNT_ID)
            if role == "new":
                account.account_id = "402195873316"
            account.save()
        self.owner.refresh_from_db()
        for number in range(6):
            ActivatedAccountFactory(name=f"Member {number + 1}", is_active=number != 3)

    def _work(self) -> None:
        """A copy and imports, in progress and failed."""
        image = Image.objects.get(full_name="infra/edge-proxy")
        source = {"repository": "library/nginx", "reference": "1.27", "requested_by": ACCOUNT_ID}
        sizes = {"bytes_total": 190_000_000, "bytes_done": 71_000_000}
        self.transfer = Transfer.objects.create(image=image, tag="1.27", **source, **sizes)
        self.failed = Transfer.objects.create(
            image=image, tag="1.26", state="failed", problem="registry.example.com does not have this image.",
            **{**source, "source": "https://registry.example.com", "repository": "edge/nginx"},
        )  # fmt: skip
        self.copy = Copy.objects.create(
            image=image, tag="stable", source="payments/ledger", digest=digest_of(b"gone"), state="failed",
            problem="The registry no longer has this tag.", requested_by=ACCOUNT_ID,
        )  # fmt: skip
        failures.give_up(failures.Kind.INDEX, image.repository, "odd", sentence="The manifest is not valid JSON.")
        self.worked_on = image

    def _docker_hub(self) -> None:
        Catalogue.objects.create(pk=1, refreshed_at=self._ago(hours=3), tried_at=self._ago(hours=3))
        for number, (name, text) in enumerate(OFFICIAL.items()):
            OfficialImage.objects.create(
                name=name, description=text, stars=13_000 - 611 * number, pulls=10**9 * (20 - number),
                updated_at=self._ago(days=number), tags_known_at=self.now, tags_tried_at=self.now, tags_total=40,
            )  # fmt: skip
        self.official = OfficialImage.objects.get(name="postgres")
        for number in range(40):
            OfficialTag.objects.create(
                image=self.official, name=f"{18 - number // 8}.{7 - number % 8}",
                digest=digest_of(str(number).encode()), size=160_000_000, pushed_at=self._ago(days=number),
                platforms=[{"name": one, "digest": digest_of(one.encode()), "size": 10**8} for one in PLATFORMS],
            )  # fmt: skip
        Star.objects.create(account=self.owner, official_image=self.official)

    def _signing_in(self) -> None:
        spaces, make = self.spaces, access_tokens.create
        self.token, _secret = make(self.owner, "ci-deploy", can_push=True, namespaces=[spaces["payments"]])
        self.token.last_used_at, self.token.last_used_from = self._ago(minutes=4), "192.0.2.14"
        self.token.save()
        make(self.owner, "kubernetes-pull", can_push=False, expires_at=self.now + datetime.timedelta(days=60))
        make(self.owner, "nightly-cleanup", can_push=True, can_delete=True, namespaces=[spaces["infra"], spaces["ml"]])
        make(
            self.owner, "release-notes", can_push=False, images=[self.image],
            expires_at=self.now + datetime.timedelta(days=2, hours=8),
        )  # fmt: skip
        self._service_accounts()
        for number, client in enumerate(("docker", "docker", "podman", "skopeo")):
            self.login = Login.objects.create(
                account=self.owner, version=1, client=client, created_at=self._ago(days=3 * number + 1),
                created_from=f"192.0.2.{number + 10}", last_used_at=self._ago(hours=number * 5 + 1),
                last_used_from=f"192.0.2.{number + 10}",
            )  # fmt: skip
        Authenticator.objects.create(user=self.owner, type="webauthn", data={"name": "Laptop"})
        SocialAccount.objects.create(
            user=self.owner, provider="https://sso.example.com", uid="ann", extra_data={"email": "ann@example.com"}
        )

    def _service_accounts(self) -> None:
        make, payments = service_accounts.create, self.spaces["payments"]
        self.robot = make(self.owner, payments, "gitlab-ci", "Builds and pushes each merge", Role.WRITER)
        make(self.owner, payments, "kubernetes", "Pulls in the clusters eu-1 and eu-2", Role.READER)
        make(self.owner, payments, "nightly-cleanup", "", Role.MAINTAINER)
        chosen = {"images": [self.image], "expires_at": self.now + datetime.timedelta(days=6)}
        create = service_accounts.create_token
        self.robot_token, _secret = create(self.owner, self.robot, "runner-1", can_push=True, **chosen)
        self.robot_token.last_used_at, self.robot_token.last_used_from = self._ago(minutes=11), "192.0.2.41"
        self.robot_token.save()
        create(self.owner, self.robot, "runner-2", can_push=True, expires_at=self.now + datetime.timedelta(days=80))
        AccessToken.objects.filter(account__in=(self.owner, self.robot.account)).update(created_at=self._ago(days=40))

    def _administration(self) -> None:
        NamespaceHold.objects.create(name="old-team", last_owner=self.owner, until=self._ago(days=-20))
        Reconcile.objects.create(
            whole=True, state="done", total=45, done=45, ended_at=self._ago(hours=5), counts={"same": 45}
        )
        UnusableEvents.objects.create(day=self.now.date(), reason="unknown", count=3)
        for number in range(24):
            action, target = EVENTS[number % len(EVENTS)]
            record(action, target, actor=ACCOUNT_ID)
        jobs = [("todo", "indexing.follow_hints"), ("failed", "transfers.fetch"), ("doing", "images.delete_tags")]
        with connection.cursor() as cursor:  # the model refuses to be written to
            for status, task in jobs * 3:
                cursor.execute(
                    "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) VALUES ('index', %s, %s, %s)",
                    [task, json.dumps({"repository": "payments/ledger"}), status],
                )

    def _words(self) -> None:
        uid = urlsafe_base64_encode(force_bytes(self.owner.pk))
        repository = self.image.repository
        newest = self.image.tags.get(name="latest").manifest
        self.words = Words(
            {
                "int:pk": str(self.token.pk),
                "uuid:pk": str(self.login.pk),
                "uidb64": uid,
                "token": reset_tokens.make_token(self.owner),
                "letter": f"/account/reset/{uid}/set-password/",
                "namespace:namespace": "payments",
                "namespace:service": self.robot.name,
                "service_token": str(self.robot_token.pk),
                "namespace:name": "sandbox",
                "repository:repository": repository,
                "image_at": f"/images/{repository}/",
                "tag:tag": "latest",
                "digest:digest": newest.digest,
                "official:name": "postgres",
                "public": self.public.repository,
                "password": PASSWORD,
                "account_id": self.owner.account_id,
                "str:token": "no-link",
                "email_token": email_links.make_token(email_changes.request(self.owner, "ann.mueller@example.com")),
                "factor": str(Authenticator.objects.filter(user=self.owner).first().pk),
                "identity": str(SocialAccount.objects.get(user=self.owner).pk),
                "image": str(self.image.pk),
                "copy": str(self.copy.pk),
                "failure": str(WorkFailure.objects.first().pk),
                "running_transfer": str(self.transfer.pk),
                "failed_transfer": str(self.failed.pk),
                "other": str(self.accounts["other"].pk),
                "owner": str(self.owner.pk),
                "row_accounts_account": str(self.owner.pk),
                "row_images_image": str(self.image.pk),
                "row_namespaces_namespace": str(self.spaces["payments"].pk),
            }
        )

    def _things_of(self, other) -> None:
        """Others have only what is shared with everybody."""

    def path(self, row, words=None) -> str:
        """The address of a row; those of the namespace that may be deleted name it."""
        spare = {"namespace:name": "sandbox"} if row.words.get("namespace:name") == "spare" else {}
        return super().path(row, {**spare, **(words or {})})


class EmptySite(Site):
    """The owner has a namespace with an image that has no tags; everybody else has nothing."""

    def _things(self) -> None:
        self.image = ImageFactory(namespace=NamespaceFactory(owner=self.owner, name="payments"), name="ledger")
        uid = urlsafe_base64_encode(force_bytes(self.owner.pk))
        nothing = dict.fromkeys(
            (
                "int:pk",
                "image",
                "copy",
                "failure",
                "running_transfer",
                "failed_transfer",
                "factor",
                "identity",
                "member",
                "int:account",
                "team_pk",
                "invitation",
                "own_invitation",
                "somebody_pk",
            ),
            "0",
        )
        self.words = Words(
            {
                **nothing,
                **dict.fromkeys(("shared", "offered", "somebody", "namespace:team"), "payments"),
                "uuid:pk": "00000000-0000-0000-0000-000000000000",
                "uidb64": uid,
                "token": reset_tokens.make_token(self.owner),
                "letter": f"/account/reset/{uid}/set-password/",
                "namespace:namespace": "payments",
                "namespace:service": "ci",
                "service_token": "0",
                "namespace:name": "payments",
                "repository:repository": "payments/ledger",
                "image_at": "/images/payments/ledger/",
                "tag:tag": "latest",
                "digest:digest": digest_of(b"nothing"),
                "official:name": "postgres",
                "public": "shared/nothing",
                "password": PASSWORD,
                "account_id": self.owner.account_id,
                "str:token": "no-link",
                "email_token": "no-link",
                "other": str(self.accounts["other"].pk),
                "owner": str(self.owner.pk),
            }
        )

    def _things_of(self, other) -> None:
        """Others have nothing."""

    def fill(self, text, words=None):
        """Rows of a model that there is none of have no address."""
        try:
            return super().fill(text, words)
        except AttributeError:
            return "none"


class FullSite(LongestSite):
    """Names and texts at their longest, five hundred images, and ten thousand tags in one of them."""

    def _images(self) -> None:
        super()._images()
        self.many = ImageFactory(namespace=self.team, name="many-tags", description="Ten thousand tags")
        manifest = Manifest.objects.create(
            image=self.many, digest=digest_of(b"many"), kind="image", size=10**9, media_type=OCI_IMAGE,
            platforms=list(PLATFORMS[:1]),
        )  # fmt: skip
        Tag.objects.bulk_create(
            Tag(image=self.many, name=f"v{number // 100}.{number % 100}.0", manifest=manifest, pushed_at=self.now,
                pull_count=number, pushed_by="u" * 30)
            for number in range(10_000)
        )  # fmt: skip
        refresh_totals(self.many.pk)
        for number in range(500 - Image.objects.filter(namespace=self.team).count()):
            ImageFactory(namespace=self.team, name=f"component-{number}/{'service-' * (number % 12)}image")
