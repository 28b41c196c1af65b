"""A data set in which every name, value and sentence is as long as the product allows, without a space to break at.

It is one more ``Site`` of the security tests: the addresses of all pages come from their rows, so that a page which is
added there is measured here, too.
"""

from __future__ import annotations

import datetime
import json

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.db.models import Max
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from console.access.roles import Role
from console.access_tokens import services as access_tokens
from console.accounts import email_changes, email_links
from console.accounts.models import RegistryCredential
from console.accounts.password_reset_email import reset_tokens
from console.audit.services import record
from console.imports.models import Transfer
from console.namespaces.models import NamespaceHold
from console.official_images.models import Catalogue, OfficialImage, OfficialTag
from console.registry.index.models import Reconcile, UnusableEvents
from console.repositories import failures
from console.repositories.models import Copy, DailyActivity, Document, Image, ImageDeletion, Manifest, Tag
from console.repositories.totals import refresh_totals
from console.service_accounts import services as service_accounts
from console.stars.models import Star
from console.token_server.models import Login
from tests.browser.shown_members import make_members
from tests.security.site import Site, Words
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.pushed_images import OCI_INDEX, digest_of

LABEL = "l" * 63
# 253 characters, as long as a host's name may be, and the longest port.
HOST = f"{LABEL}.{LABEL}.{LABEL}.{'l' * 61}"
ADDRESS = f"{HOST}:65535"
PERSON = "W" * 100
NAMESPACE = "n" * 30
SPARE = "s" * 30
IMAGE = "i" * 200
NESTED = "/".join(["component"] * 20)
TAG = "T" * 128
DIGEST_TAG = "0123456789abcdef" * 4
WORD = "w" * 1000
PLATFORM = "linux/" + "p" * 94
SENTENCE = "P" * 300
MEDIA_TYPE = "application/vnd." + "m" * 184
INDEX, PLAIN, SIGNATURE, CHART = (digest_of(text) for text in (b"index", b"plain", b"signature", b"chart"))
ISSUER = "https://sso.example.com"
IPV6 = "2001:db8:1111:2222:3333:4444:5555:6666"

DESCRIPTION = f"""# {"H" * 60}

{"d" * 80}

| {"a" * 50} | {"b" * 50} | c |
|---|---|---|
| {"e" * 50} | {"f" * 50} | g |

```
{"q" * 100}
```

- [{"k" * 60}](https://{HOST[:80]}/)
- `{"v" * 60}` ![{"x" * 20}](https://example.com/x.png)

> {"r" * 60}
"""

CONFIG = {
    "created": "2024-01-01T00:00:00Z",
    "author": "A" * 300,
    "user": "u" * 200,
    "working_dir": "/" + "d" * 300,
    "entrypoint": ["/" + "e" * 300, "--" + "o" * 300],
    "command": ["c" * 500, "serve"],
    "environment": ["V" * 200, "PATH"],
    "ports": ["65535/" + "t" * 100],
    "volumes": ["/" + "v" * 300],
    "stop_signal": "SIG" + "S" * 100,
    "labels": {"label." + "k" * 300: "v" * 1000, "short": "x"},
    "history": [
        {"created_by": "RUN " + "r" * 1500, "created": "", "comment": "", "empty": False},
        {"created_by": "CMD serve", "created": "", "comment": "", "empty": True},
    ],
}


def settings_at_their_longest(settings) -> None:
    """The addresses of an installation, as long as they may be."""
    settings.REGISTRY_ADDRESS = ADDRESS
    settings.DOCKERHUB_ADDRESS = ADDRESS
    settings.CONSOLE_URL = f"https://{ADDRESS}"
    settings.OIDC_ISSUER, settings.OIDC_NAME = ISSUER, "Provider" + "O" * 60


class LongestSite(Site):
    """One of everything, at its longest; the owner sees all of it."""

    def _things(self) -> None:
        now = self.now
        owner = self.owner
        owner.email = f"{'e' * 64}@{LABEL}.{LABEL}.{'l' * 57}.org"
        for account in self.accounts.values():
            account.name = PERSON
            account.save()
        owner.refresh_from_db()
        RegistryCredential.objects.filter(account=owner).update(username="u" * 30)
        self.team = NamespaceFactory(owner=owner, name=NAMESPACE)
        self.spare = NamespaceFactory(owner=owner, name=SPARE)
        self.leaving = NamespaceFactory(
            owner=owner, name="t" * 30, new_owner=self.accounts["other"], available_at=now + datetime.timedelta(days=1)
        )
        self._images()
        self._work()
        self._docker_hub()
        self._signing_in()
        self._administration()
        self._words()
        self.words.update(make_members(self.team, self.image, (PERSON, "c" * 30, PERSON), "o" * 30))

    def _images(self) -> None:
        self.image = ImageFactory(namespace=self.team, name=IMAGE, description=DESCRIPTION)
        self.nested = ImageFactory(namespace=self.team, name=NESTED, description=WORD, visibility="public")
        self.going = ImageFactory(namespace=self.team, name="g" * 200, state="deleting")
        ImageDeletion.objects.create(image=self.going, requested_by="x" * 64, problem=SENTENCE, total=9, done=4)
        self.shop = NamespaceFactory(name="p" * 30)
        self.public = ImageFactory(namespace=self.shop, name="o" * 200, visibility="public", description=DESCRIPTION)
        for image in (self.image, self.public):
            self._manifests(image)
        for image in (self.image, self.nested, self.public):
            Star.objects.create(account=self.owner, image=image)
            DailyActivity.objects.create(image=image, day=self.now.date(), pushes=10**9, pulls=10**9)
        Image.objects.filter(pk__in=[self.image.pk, self.public.pk]).update(pull_count=10**9)

    def _document(self, digest: str, manifest: dict, config: dict | None = None) -> None:
        content = json.dumps({"schemaVersion": 2, "annotations": {"a" * 300: "b" * 1000}, **manifest}).encode()
        Document.objects.get_or_create(
            digest=digest,
            defaults={"media_type": manifest["mediaType"], "content": content, "config": config or {}},
        )

    def _manifests(self, image: Image) -> None:
        now = self.now
        layer = {"mediaType": MEDIA_TYPE, "digest": digest_of(b"layer"), "size": 10**15}
        oci = "application/vnd.oci.image.manifest.v1+json"
        self._document(PLAIN, {"mediaType": oci, "config": {**layer}, "layers": [layer]}, CONFIG)
        self._document(CHART, {"mediaType": oci, "config": {**layer}, "layers": [layer]})
        self._document(SIGNATURE, {"mediaType": oci, "config": {**layer}, "layers": [layer]})
        self._document(INDEX, {"mediaType": OCI_INDEX, "manifests": []})
        make = Manifest.objects.create
        plain = make(
            image=image, digest=PLAIN, kind="image", size=10**15, media_type=oci, platforms=[PLATFORM], created_at=now
        )
        chart = make(
            image=image, digest=CHART, kind="artifact", size=10**15, media_type=MEDIA_TYPE, artifact_type=MEDIA_TYPE
        )
        signature = make(
            image=image, digest=SIGNATURE, kind="artifact", size=10**15, media_type=MEDIA_TYPE,
            artifact_type=MEDIA_TYPE, subject=PLAIN,
        )  # fmt: skip
        children = [
            {"digest": PLAIN, "platform": PLATFORM},
            {"digest": digest_of(b"lost"), "platform": PLATFORM + "2"},
            *({"digest": digest_of(str(one).encode()), "platform": f"linux/v{one}"} for one in range(3)),
        ]
        index = make(
            image=image, digest=INDEX, kind="index", size=10**15, media_type=OCI_INDEX, children=children,
            platforms=[child["platform"] for child in children],
        )  # fmt: skip
        tags = [
            (TAG, index), ("t" * 127 + "2", index), (DIGEST_TAG, index), ("v1", index), ("plain-" + "t" * 122, plain),
            ("chart-" + "t" * 122, chart), ("going-" + "t" * 122, plain), ("missing-" + "t" * 120, plain),
            *((f"more-{one}-" + "t" * 120, plain) for one in range(9)),
        ]  # fmt: skip
        Tag.objects.bulk_create(
            Tag(image=image, name=name, manifest=manifest, pushed_at=now, pushed_by="y" * 64, pull_count=10**9,
                last_pull_at=now)
            for name, manifest in tags
        )  # fmt: skip
        about = f"{PLAIN.replace(':', '-')}.{'s' * 52}"
        Tag.objects.create(image=image, name=about, manifest=signature, subject=PLAIN, pushed_at=now)
        Tag.objects.filter(name__startswith="going").update(state="deleting", deleting_since=now, problem=SENTENCE)
        Tag.objects.filter(name__startswith="missing").update(missing_at=now)
        refresh_totals(image.pk)

    def _work(self) -> None:
        """Copies and transfers in every state."""
        self.copy = Copy.objects.create(
            image=self.image, tag="f" * 128, source=self.nested.repository, digest=INDEX, state="failed",
            problem=SENTENCE, requested_by="x",
        )  # fmt: skip
        Copy.objects.create(
            image=self.image, tag="r" * 128, source=self.nested.repository, digest=INDEX, problem=SENTENCE,
            requested_by="x",
        )  # fmt: skip
        source = {"source": f"https://{ADDRESS}", "repository": "r" * 255, "reference": INDEX, "requested_by": "x"}
        under_way = {"bytes_total": 10**15, "bytes_done": 10**14, "platforms": [PLATFORM, PLATFORM]}
        self.transfer = Transfer.objects.create(image=self.image, tag="u" * 128, **source, **under_way)
        self.failed = Transfer.objects.create(
            image=self.image, tag="f" * 128, state="failed", problem=SENTENCE, **source
        )
        states = [("w", "running", False), ("c", "cancelled", False), ("k", "failed", True)]
        for letter, state, with_credentials in states:
            Transfer.objects.create(
                image=self.image, tag=letter * 128, state=state, problem=SENTENCE, with_credentials=with_credentials,
                **source, **under_way,
            )  # fmt: skip

    def _docker_hub(self) -> None:
        now = self.now
        Catalogue.objects.create(pk=1, refreshed_at=now, tried_at=now, problem="busy", failures=10**6)
        self.official = OfficialImage.objects.create(
            name="o" * 200, description="d" * 500, stars=10**12, pulls=10**10, tags_known_at=now, tags_tried_at=now,
            updated_at=now, tags_problem="unexpected", tags_total=10**6,
        )  # fmt: skip
        OfficialTag.objects.create(
            image=self.official, name=TAG, digest=INDEX, size=10**15, pushed_at=now,
            platforms=[{"name": PLATFORM + str(one), "digest": INDEX, "size": 10**15} for one in range(4)],
        )  # fmt: skip
        OfficialTag.objects.create(
            image=self.official, name="v1", digest=INDEX, platforms=[{"name": PLATFORM, "digest": INDEX, "size": 5}]
        )
        Star.objects.create(account=self.owner, official_image=self.official)

    def _signing_in(self) -> None:
        token, _secret = access_tokens.create(self.owner, "C" * 40, can_push=True, namespaces=[self.team, self.spare])
        token.last_used_at, token.last_used_from = self.now, IPV6
        token.save()
        many, _secret = access_tokens.create(self.owner, "M" * 40, can_push=True, namespaces=[self.team])
        many.namespaces.add(*(NamespaceFactory(owner=self.owner, name=letter * 30) for letter in "abcd"))
        access_tokens.create(self.owner, "X" * 40, can_push=False, expires_at=self.now + datetime.timedelta(days=1))
        self.token = token
        self._service_accounts()
        self.login = Login.objects.create(
            account=self.owner, version=1, client="K" * 100, created_from=IPV6, last_used_from=IPV6,
            last_used_at=self.now,
        )  # fmt: skip
        # allauth allows any name; the form of a passkey takes a hundred characters.
        Authenticator.objects.create(user=self.owner, type="webauthn", data={"name": "K" * 100})
        SocialAccount.objects.create(
            user=self.owner, provider=ISSUER, uid="U" * 191, extra_data={"email": f"{'e' * 64}@{HOST[:180]}"}
        )

    def _administration(self) -> None:
        now = self.now
        NamespaceHold.objects.create(name="h" * 30, last_owner=self.owner, until=now)
        Reconcile.objects.create(
            whole=False, state="done", adopt_for="1" * 12, counts={"w" * 100: 10**9}, problem=SENTENCE
        )
        UnusableEvents.objects.create(day=now.date(), reason="unknown", count=10**15)
        record(
            "image." + "c" * 58, "T" * 400, actor="A" * 64, old="o" * 400, new="n" * 400,
            **{"f" * 100: "v" * 400, "tags": [TAG] * 20},
        )  # fmt: skip
        failures.give_up(failures.Kind.INDEX, self.image.repository, "t" * 128, sentence="s" * 300)
        record("image.describe", self.image.repository, changes={"c" * 60: ["o" * 400, "n" * 400]})
        with connection.cursor() as cursor:  # the model refuses to be written to
            cursor.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args) "
                "VALUES (%s, %s, %s, %s, %s)",
                ["index", "transfers.forget_credentials", "l" * 255, "k" * 255, json.dumps({"argument": "a" * 1000})],
            )

    def _service_accounts(self) -> None:
        """The longest name and description, with a token for the longest image."""
        self.robot = service_accounts.create(self.owner, self.team, "w" * 30, "D" * 200, Role.MAINTAINER)
        self.robot_token, _secret = service_accounts.create_token(
            self.owner, self.robot, "S" * 40, can_push=True, can_delete=True, images=[self.image],
            expires_at=self.now + datetime.timedelta(days=1),
        )  # fmt: skip
        self.robot_token.last_used_at, self.robot_token.last_used_from = self.now, IPV6
        self.robot_token.save()

    def _words(self) -> None:
        uid = urlsafe_base64_encode(force_bytes(self.owner.pk))
        repository = self.image.repository
        self.words = Words(
            {
                "int:pk": str(self.token.pk),
                "uuid:pk": str(self.login.pk),
                "uidb64": uid,
                "token": reset_tokens.make_token(self.owner),
                "letter": f"/account/reset/{uid}/set-password/",
                "namespace:namespace": NAMESPACE,
                "namespace:service": self.robot.name,
                "service_token": str(self.robot_token.pk),
                "namespace:name": SPARE,
                "repository:repository": repository,
                "image_at": f"/images/{repository}/",
                "tag:tag": TAG,
                "digest:digest": PLAIN,
                "official:name": self.official.name,
                "public": self.public.repository,
                "str:token": "no-link",
                "email_token": email_links.make_token(
                    email_changes.request(self.owner, f"{'n' * 64}@{'e' * 60}.example")
                ),
                "factor": str(Authenticator.objects.filter(user=self.owner).aggregate(Max("pk"))["pk__max"]),
                "identity": str(SocialAccount.objects.get(user=self.owner).pk),
                "image": str(self.image.pk),
                "copy": str(self.copy.pk),
                "running_transfer": str(self.transfer.pk),
                "failed_transfer": str(self.failed.pk),
                "other": str(self.accounts["other"].pk),
                "owner": str(self.owner.pk),
                "row_accounts_account": str(self.owner.pk),
                "row_images_image": str(self.image.pk),
                "row_namespaces_namespace": str(self.team.pk),
            }
        )

    def _things_of(self, other) -> None:
        """Others have nothing here."""

    def path(self, row, words=None) -> str:
        """The address of a row; those of the namespace that may be deleted name it."""
        spare = {"namespace:name": SPARE} if row.words.get("namespace:name") == "spare" else {}
        return super().path(row, {**spare, **(words or {})})
