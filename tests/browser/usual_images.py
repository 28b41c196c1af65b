"""A team's images with their tags, for the screenshots: the same at each run."""

from __future__ import annotations

import datetime
import json
import random

from console.namespaces.models import Namespace
from console.repositories.media_types import HELM_CHART
from console.repositories.models import DailyActivity, Document, Image, ImageDeletion, Manifest, Tag
from console.repositories.totals import refresh_totals
from console.stars.models import Star
from tests.security.site import Site
from tests.support.factories import ImageFactory, NamespaceFactory
from tests.support.pushed_images import OCI_INDEX, digest_of

# As the README has it.
ACCOUNT_ID = "536309693358"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
IMAGES = {
    "payments": [
        "ledger", "ledger/migration-scripts", "invoice-renderer", "fraud-detector", "payout-scheduler", "card-vault",
        "statement-export", "reconciliation",
    ],
    "infra": [
        "backup-agent", "edge-proxy", "observability/otel-collector", "cert-manager", "log-shipper", "dns-cache",
        "registry-mirror", "ci/runner", "ci/builder",
    ],
    "web": [
        "storefront", "storefront-admin", "search-api", "checkout", "image-resizer", "cdn-purge", "session-store",
        "old-storefront",
    ],
    "data": [
        "airflow-worker", "spark-runner", "feature-store/online-serving", "warehouse-loader", "dbt-docs",
        "kafka-connect", "metrics-rollup", "parquet-tools",
    ],
    "ml": [
        "recommender", "embedding-server", "notebook-gpu", "training/base-cuda", "label-studio", "model-registry",
        "batch-inference",
    ],
}  # fmt: skip
SUMMARIES = {
    "backup-agent": "Takes volumes to object storage every night.",
    "base-cuda": "Base image of all training jobs, with CUDA 12.",
    "checkout": "Basket, addresses and payment.",
    "ci/runner": "Runs the pipelines.",
    "cdn-purge": "Purges the CDN after a release.",
    "dns-cache": "Resolver for the clusters, with a cache.",
    "edge-proxy": "Terminates TLS and routes to the storefronts.",
    "feature-store/online-serving": "Serves features within 10 ms.",
    "fraud-detector": "Scores each payment before it is sent.",
    "invoice-renderer": "Renders invoices as PDF.",
    "model-registry": "Stores models with their evaluations.",
    "python-base": "Python with the company's certificates. Start here.",
    "reconciliation": "Compares the ledger with the banks' statements.",
    "search-api": "Search of the storefronts.",
    "toolbox": "What one needs while on call.",
}
README = """# Ledger

Double-entry bookkeeping for all payment providers, with **nightly** reconciliation.

## Run it

```
docker run --rm -p 8080:8080 -e LEDGER_DATABASE_URL=postgres://db/ledger payments/ledger:latest
```

| Variable | Meaning | Default |
|---|---|---|
| `LEDGER_DATABASE_URL` | PostgreSQL | none |
| `LEDGER_WORKERS` | Processes that post entries | 4 |

- [Runbook](https://wiki.example.com/ledger)
- Owned by the payments team
"""


class UsualImages(Site):
    """Forty images in five namespaces, one of them with three hundred tags; and the public images of somebody else."""

    def _things(self) -> None:
        self.random = random.Random(7)
        self._namespaces()
        self._many_tags(self.image, 300)
        self._many_tags(self.public, 12)

    def _ago(self, **span: float) -> datetime.datetime:
        return self.now - datetime.timedelta(**span)

    def _namespaces(self) -> None:
        self.spaces = {name: NamespaceFactory(owner=self.owner, name=name) for name in (*IMAGES, "sandbox")}
        NamespaceFactory(owner=self.owner, name="handover", new_owner=self.accounts["other"], available_at=self.now)
        for number, name in enumerate(self.spaces):
            Namespace.objects.filter(name=name).update(created_at=self._ago(days=400 - 60 * number))
        for namespace, names in IMAGES.items():
            for number, name in enumerate(names):
                self._image(self.spaces[namespace], name, number)
        self.image = Image.objects.get(full_name="payments/ledger")
        Image.objects.filter(pk=self.image.pk).update(pull_count=1_284_511, last_pull_at=self._ago(minutes=3))
        self.image.description = README
        self.image.save(update_fields=["description", "summary"])
        self.empty = ImageFactory(namespace=self.spaces["payments"], name="not-pushed-yet")
        self.going = Image.objects.get(full_name="web/old-storefront")
        Image.objects.filter(pk=self.going.pk).update(state="deleting")
        ImageDeletion.objects.create(image=self.going, requested_by="x", total=200, done=80, phase="tags")
        shop = NamespaceFactory(owner=self.accounts["other"], name="shared")
        for number, name in enumerate(("debian-base", "java-base", "node-base", "python-base", "toolbox")):
            self._image(shop, name, number, visibility="public")
        self.public = Image.objects.get(full_name="shared/python-base")
        starred = Image.objects.filter(name__in=["ledger", "edge-proxy", "recommender", "python-base"])
        Star.objects.bulk_create(Star(account=self.owner, image=image) for image in starred)

    def _image(self, namespace: Namespace, name: str, number: int, visibility: str = "") -> None:
        chance = self.random
        image = ImageFactory(
            namespace=namespace,
            name=name,
            description=SUMMARIES.get(name, ""),
            visibility=visibility or ("public" if number % 4 == 3 else "private"),
        )
        minutes = chance.choice([1, 12, 45, 300, 1700, 9000, 40_000, 200_000])
        Image.objects.filter(pk=image.pk).update(
            tag_count=chance.choice([1, 3, 8, 27, 43, 112]),
            size=int(10 ** chance.uniform(6.5, 10)),
            pull_count=chance.choice([0, 3, 57, 910, 12_408, 230_112]),
            last_push_at=self._ago(minutes=minutes),
            created_at=self._ago(days=chance.randrange(150, 400)),
        )

    def _layers(self, key: str, platform: str, number: int) -> list[dict]:
        """Layers of a version: the base is that of all, the last is its own."""
        names = ["base", "packages" if number < 280 else "packages 2", f"dependencies {number // 20}", f"app {number}"]
        return [
            {"mediaType": OCI_LAYER, "digest": digest_of(f"{key} {platform} {name}".encode()), "size": size}
            for name, size in zip(names, (29_150_000, 11_380_000, 4_210_000, 812_000 + 917 * number), strict=True)
        ]

    def _config(self, number: int) -> dict:
        commands = [
            "ADD rootfs.tar.xz / # buildkit", "RUN apt-get update && apt-get install -y libpq5 tini",
            "COPY requirements.txt . && pip install -r requirements.txt", "COPY . /srv/app",
            'ENTRYPOINT ["tini", "--"]',
        ]  # fmt: skip
        return {
            "created": "2026-11-01T08:12:44Z",
            "author": "Payments team <payments@example.com>",
            "user": "app",
            "working_dir": "/srv/app",
            "entrypoint": ["tini", "--"],
            "command": ["gunicorn", "ledger.wsgi"],
            "environment": [
                "PATH",
                "PYTHONUNBUFFERED",
                "LEDGER_WORKERS",
                *(["LEDGER_TRACING"] if number > 270 else []),
            ],
            "ports": ["8080/tcp"],
            "volumes": [],
            "stop_signal": "SIGTERM",
            "labels": {
                "org.opencontainers.image.source": "https://git.example.com/payments/ledger",
                "org.opencontainers.image.revision": digest_of(str(number).encode())[7:47],
                "org.opencontainers.image.version": f"1.{number // 10}.{number % 10}",
            },
            "history": [
                {"created_by": text, "created": "", "comment": "", "empty": text.startswith("ENTRYPOINT")}
                for text in commands
            ],
        }

    def _manifest(self, image: Image, key: str, content: dict, config: dict | None = None, **fields) -> Manifest:
        text = json.dumps({"schemaVersion": 2, **content}, indent=2).encode()
        digest = digest_of(f"{image.pk} {key}".encode())
        self.documents.append(
            Document(digest=digest, media_type=content["mediaType"], content=text, config=config or {})
        )
        return Manifest.objects.create(image=image, digest=digest, media_type=content["mediaType"], **fields)

    def _single(self, image: Image, number: int, platform: str) -> Manifest:
        layers = self._layers(image.name, platform, number)
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": layers[0]["digest"], "size": 7023}
        return self._manifest(
            image, f"{number} {platform}", {"mediaType": OCI_IMAGE, "config": config, "layers": layers},
            self._config(number), kind="image", platforms=[platform], size=sum(layer["size"] for layer in layers),
            created_at=self._ago(hours=7 * (300 - number)),
        )  # fmt: skip

    def _multi(self, image: Image, number: int) -> Manifest:
        children = [self._single(image, number, platform) for platform in PLATFORMS]
        named = [{"digest": child.digest, "platform": child.platforms[0]} for child in children]
        return self._manifest(
            image, f"{number} index", {"mediaType": OCI_INDEX, "manifests": named}, kind="index", children=named,
            platforms=list(PLATFORMS), size=sum(child.size for child in children),
        )  # fmt: skip

    def _artifact(self, image: Image, key: str, artifact_type: str, **fields) -> Manifest:
        content = {"mediaType": OCI_IMAGE, "config": {"mediaType": artifact_type}, "layers": []}
        return self._manifest(image, key, content, kind="artifact", artifact_type=artifact_type, **fields)

    def _many_tags(self, image: Image, number: int) -> None:
        """Versions of one and of three platforms, charts, builds by commit, and signatures of some."""
        self.documents: list[Document] = []
        tags = []
        for at in range(number):
            if at % 10 == 9:
                manifest, name = self._artifact(image, f"chart {at}", HELM_CHART, size=18_402), f"{at // 10}.0.0-chart"
            elif at % 4 == 1:
                manifest, name = self._single(image, at, PLATFORMS[0]), f"main-{digest_of(str(at).encode())[7:19]}"
            else:
                manifest, name = self._multi(image, at), f"v1.{at // 10}.{at % 10}"
            age = self._ago(hours=7.3 * (number - at - 1) + 0.2)
            pulled = self._ago(hours=self.random.uniform(0.1, 900)) if at % 3 else None
            username = "" if image is self.public else ACCOUNT_ID
            tags.append(
                Tag(
                    image=image,
                    name=name,
                    manifest=manifest,
                    pushed_at=age,
                    pushed_by=username,
                    last_pull_at=pulled,
                    pull_count=at * at // 7 if pulled else 0,
                )  # fmt: skip
            )
            if at == number - 2:
                tags.append(Tag(image=image, name="latest", manifest=manifest, pushed_at=age, pushed_by=username))
            if manifest.kind == "index" and at % 6 == 4:
                signature = self._artifact(image, f"signature {at}", "application/x", size=512, subject=manifest.digest)
                name = f"{manifest.digest.replace(':', '-')}.sig"
                tags.append(Tag(image=image, name=name, manifest=signature, subject=manifest.digest, pushed_at=age))
        Document.objects.bulk_create(self.documents)
        Tag.objects.bulk_create(tags)
        for day in range(29):
            pulls = int(self.random.uniform(200, 2400) * (0.3 if day % 7 in {2, 3} else 1))
            date = self.now.date() - datetime.timedelta(days=day)
            DailyActivity.objects.create(image=image, day=date, pushes=self.random.randrange(9), pulls=pulls)
        refresh_totals(image.pk)
