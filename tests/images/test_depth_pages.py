"""The pages that show an image in depth: tags with platforms and attachments, one manifest, storage, copies."""

import json

import pytest

from console.repositories.models import Copy, DailyActivity, Document, Image, Tag
from console.repositories.totals import refresh_totals
from tests.support.factories import ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.responses import HTMX, text_of

pytestmark = pytest.mark.django_db

INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def app(team):
    return ImageFactory(namespace=team, name="app")


def document(manifest, content, **config):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Document.objects.create(
        digest=manifest.digest, media_type=manifest.media_type, content=content, config=config
    )


def layer(number, size):
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{number:064x}", "size": size}


@pytest.fixture
def multi(app):
    """An index of two platforms, one with an attestation, with a signature beside it."""
    children = [
        ManifestFactory(image=app, kind="image", platforms=[f"linux/{one}"], size=1024, media_type=IMAGE, is_child=True)
        for one in ("amd64", "arm64")
    ]
    attestation = ManifestFactory(image=app, kind="artifact", size=10, is_child=True)
    index = ManifestFactory(
        image=app,
        kind="index",
        media_type=INDEX,
        size=2058,
        platforms=["linux/amd64", "linux/arm64"],
        children=[
            *({"digest": child.digest, "platform": child.platforms[0]} for child in children),
            {"digest": attestation.digest, "platform": "", "about": children[0].digest},
            {"digest": f"sha256:{'f' * 64}", "platform": "linux/s390x"},
        ],
    )
    tag = TagFactory(image=app, manifest=index, name="multi")
    signature = ManifestFactory(image=app, kind="artifact", artifact_type="application/x-sig", subject=index.digest)
    TagFactory(image=app, manifest=signature, name=f"{index.digest.replace(':', '-')}.sig", subject=index.digest)
    refresh_totals(app.pk)
    return tag


class TestTags:
    def test_it_works(self, client, app, multi):
        text = text_of(client.get("/images/team/app/-/tags/"))
        assert "linux/arm64" in text
        assert "1 attached" in text
        assert "1 in total" in text
        assert ".sig" not in text
        assert "not in the registry" in text  # the platform that the index names and nobody pushed

    def test_the_signature_of_something_that_is_not_here_is_a_tag_like_any(self, client, app):
        TagFactory(image=app, name="lonely.sig", subject=f"sha256:{'a' * 64}")
        refresh_totals(app.pk)
        assert "lonely.sig" in text_of(client.get("/images/team/app/-/tags/"))
        app.refresh_from_db()
        assert (app.tag_count, app.attachment_count) == (1, 0)

    def test_what_is_attached_counts_towards_the_quota_of_tags(self, client, app, multi):
        TagFactory(image=app, name="v1")
        refresh_totals(app.pk)
        text = text_of(client.get("/images/team/app/-/tags/"))
        assert "3 of 1,000 tags used" in text
        assert "2 in total" in text

    @pytest.mark.parametrize(
        ("artifact_type", "tag", "kind"),
        [
            ("", "sha256-0.sig", "signature"),
            ("", "sha256-0.sbom", "SBOM"),
            ("application/spdx+json", "sha256-0", "SBOM"),
            ("application/spdx+json", "sig", "SBOM"),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", "sha256-0", "signature"),
            ("application/vnd.example", "sha256-0", "application/vnd.example"),
            ("", "sha256-0", "artifact"),
        ],
    )
    def test_what_an_attachment_is(self, client, app, multi, artifact_type, tag, kind):
        Tag.objects.exclude(pk=multi.pk).delete()
        manifest = ManifestFactory(image=app, media_type=IMAGE, artifact_type=artifact_type)
        TagFactory(image=app, manifest=manifest, name=tag, subject=multi.manifest.digest)
        assert f">{kind}</a>" in text_of(client.get("/images/team/app/-/tags/"))

    def test_pulls_by_tag_and_by_its_digest_stand_together(self, client, app):
        manifest = ManifestFactory(image=app, pull_count=30)
        TagFactory(image=app, manifest=manifest, name="v1", pull_count=1204)
        assert "1,234" in text_of(client.get("/images/team/app/-/tags/"))
        assert "1,234" in text_of(client.get("/images/team/app/-/tags/v1/"))

    @pytest.mark.parametrize("sort", ["name", "size", "pushed", "pulls", "last-pull"])
    def test_sorted(self, client, app, sort):
        for number in range(3):
            TagFactory(
                image=app, name=f"v{number}", manifest=ManifestFactory(image=app, size=number), pull_count=number
            )
        refresh_totals(app.pk)
        for order in (sort, f"-{sort}"):
            text = text_of(client.get(f"/images/team/app/-/tags/?sort={order}"))
            assert f'aria-sort="{"descending" if order[0] == "-" else "ascending"}"' in text
            assert text.index('value="v0"') != text.index('value="v2"')
        assert text_of(client.get("/images/team/app/-/tags/?sort=-size")).index('value="v2"') < text_of(
            client.get("/images/team/app/-/tags/?sort=-size")
        ).index('value="v0"')

    @pytest.mark.parametrize(
        "query",
        ["?after=x", "?before=%00", "?after=bnVsbA", "?sort=secret", "?last=1", "?q=%00", "?size=1e9", "?after=W10"],
    )
    def test_garbage(self, client, app, query):
        TagFactory(image=app)
        assert client.get(f"/images/team/app/-/tags/{query}").status_code == 200


class TestTag:
    def test_it_works(self, client, app, settings):
        manifest = ManifestFactory(image=app, kind="image", media_type=IMAGE, platforms=["linux/amd64"])
        tag = TagFactory(image=app, manifest=manifest, name="v1", pushed_by="ann")
        TagFactory(image=app, manifest=manifest, name="same")
        document(
            manifest,
            {
                "schemaVersion": 2,
                "mediaType": IMAGE,
                "layers": [layer(1, 2048), layer(2, 10)],
                "annotations": {"a": "b"},
            },
            created="2026-01-02T03:04:05Z",
            author="Ann <a@b>",
            entrypoint=["/start"],
            environment=["PATH", "SECRET"],
            labels={"team": "<b>payments</b>"},
            history=[
                {"created_by": "COPY app /", "comment": "", "empty": False, "created": ""},
                {"created_by": "CMD x", "comment": "", "empty": True, "created": ""},
            ],
        )
        text = text_of(client.get("/images/team/app/-/tags/v1/"))
        assert f"{settings.REGISTRY_ADDRESS}/team/app:v1" in text
        assert manifest.digest in text
        assert "by ann" in text
        assert "<span>same</span></a>" in text
        for word in ("Ann &lt;a@b&gt;", "/start", "SECRET", "&lt;b&gt;payments&lt;/b&gt;", "COPY app /", "2.0 KiB"):
            assert word in text
        assert text.count('class="nowrap layer"') == 3, "two steps, and a layer that no step explains"
        assert tag.manifest.media_type in text

    def test_keys_that_mean_something_to_a_template(self, client, app):
        manifest = TagFactory(image=app, name="v1").manifest
        names = {"items": "one", "keys": "two", "": "three"}
        document(manifest, {"schemaVersion": 2, "mediaType": IMAGE, "layers": [], "annotations": names}, labels=names)
        text = text_of(client.get("/images/team/app/-/tags/v1/"))
        assert text.count("<dt><code>items</code></dt><dd>one</dd>") == 2

    def test_a_multi_platform_image(self, client, app, multi):
        first, second = (child["digest"] for child in multi.manifest.children[:2])
        for digest, name in ((first, "app-a"), (second, "app-b")):
            child = app.manifests.get(digest=digest)
            document(child, {"schemaVersion": 2, "mediaType": IMAGE, "layers": []}, author=name)
        document(multi.manifest, {"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
        text = text_of(client.get("/images/team/app/-/tags/multi/"))
        assert "app-a" in text
        assert "app-b" not in text
        assert "attestation" in text
        assert "signature" in text
        assert "Raw index" in text
        assert "app-b" in text_of(client.get(f"/images/team/app/-/tags/multi/?platform={second}"))
        missing = multi.manifest.children[3]["digest"]
        assert "does not have this platform" in text_of(
            client.get(f"/images/team/app/-/tags/multi/?platform={missing}")
        )
        assert client.get("/images/team/app/-/tags/multi/?platform=%00").status_code == 200

    def test_an_attachment_leads_to_what_it_is_about(self, client, app, multi):
        signature = app.manifests.get(artifact_type="application/x-sig")
        text = text_of(client.get(f"/images/team/app/-/manifests/{signature.digest}/"))
        assert "application/x-sig" in text
        assert f"/-/manifests/{multi.manifest.digest}/" in text

    def test_one_that_was_not_read_yet(self, client, app):
        TagFactory(image=app, name="v1")
        assert "has not been read yet" in text_of(client.get("/images/team/app/-/tags/v1/"))

    @pytest.mark.parametrize(
        "content", [b"", b"\xff\xfe", b"[" * 5000, b'{"layers": 5}', b'"\\ud800"', b"{" + b" " * 70_000]
    )
    def test_one_that_cannot_be_understood(self, client, app, content):
        tag = TagFactory(image=app, name="v1")
        document(tag.manifest, content)
        response = client.get("/images/team/app/-/tags/v1/")
        assert response.status_code == 200
        assert "This manifest can’t be read." in text_of(response)
        raw = client.get(f"/images/team/app/-/manifests/{tag.manifest.digest}/raw/")
        assert raw.content == content

    def test_raw(self, client, app):
        tag = TagFactory(image=app, name="v1")
        path = f"/images/team/app/-/manifests/{tag.manifest.digest}/raw/"
        assert client.get(path).status_code == 404
        document(tag.manifest, {"x": 1})
        response = client.get(path)
        assert response.content == b'{"x": 1}'
        assert response["Content-Disposition"].startswith("attachment")
        other = TagFactory()  # somebody else's image with a document of its own
        document(other.manifest, {"y": 2})
        assert client.get(f"/images/team/app/-/manifests/{other.manifest.digest}/raw/").status_code == 404

    @pytest.mark.parametrize(
        "verb", ["-/tags/none/", f"-/manifests/sha256:{'0' * 64}/", "-/tags/a%20b/", "-/manifests/x/"]
    )
    def test_what_is_not_there(self, client, app, verb):
        assert client.get(f"/images/team/app/{verb}").status_code == 404

    def test_a_tag_whose_name_looks_like_a_verb(self, client, app):
        TagFactory(image=app, name="copy")
        TagFactory(image=app, name="delete")
        for name in ("copy", "delete"):
            assert f"app:{name}" in text_of(client.get(f"/images/team/app/-/tags/{name}/"))


class TestVisibility:
    PATH = "/images/team/app/-/visibility/"

    def test_it_works(self, client, app):
        assert "without logging in" in text_of(client.get(self.PATH, headers=HTMX))
        assert client.post(self.PATH, {"visibility": "public"}, headers=HTMX)["HX-Redirect"].endswith("/-/settings/")
        assert Image.objects.get().visibility == "public"
        assert "Only people with a role on it or on its namespace can pull it" in text_of(
            client.get(self.PATH, headers=HTMX)
        )
        assert client.post(self.PATH, {"visibility": "private"}).status_code == 302
        assert Image.objects.get().visibility == "private"

    @pytest.mark.parametrize("visibility", ["", "secret", "\x00"])
    def test_bad_input(self, client, app, visibility):
        assert client.post(self.PATH, {"visibility": visibility}, headers=HTMX).status_code == 422
        assert Image.objects.get().visibility == "private"


class TestCopy:
    PATH = "/images/team/app/-/tags/v1/copy/"

    def form(self, **changes):
        return {"namespace": "team", "name": "other", "tag": "v2", "attached": "on", **changes}

    def test_it_works(self, client, app):
        TagFactory(image=app, name="v1")
        text = text_of(client.get(self.PATH, headers=HTMX))
        assert "All platforms are copied" in text
        response = client.post(self.PATH, self.form(), headers=HTMX)
        assert response["HX-Redirect"] == "/images/team/other/-/tags/"
        copy = Copy.objects.get()
        assert (copy.image.repository, copy.tag, copy.source) == ("team/other", "v2", "team/app")
        assert copy.image.visibility == "private"
        assert "is being copied from team/app" in text_of(client.get("/images/team/other/-/tags/"))

    def test_a_failed_one_says_why_until_it_is_dismissed(self, client, app, team):
        copy = Copy.objects.create(
            image=app, tag="v9", source="team/x", digest="d", requested_by="x", state="failed", problem="It is gone."
        )
        assert "It is gone." in text_of(client.get("/images/team/app/-/tags/"))
        path = f"/images/team/app/-/copies/{copy.pk}/dismiss/"
        assert client.get(path).status_code == 405
        assert client.post(path)["Location"] == "/images/team/app/-/tags/"
        assert not Copy.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"name": "app", "tag": "v1"}, "This is the same tag."),
            ({"tag": ""}, "Please enter a tag"),
            ({"tag": "-x"}, "beginning with a letter"),
            ({"tag": "x" * 129}, "up to 128"),
            ({"tag": "a\x00b"}, 'class="errors"'),
            ({"name": ""}, "Please enter a name"),
            ({"name": "UPPER"}, "Use lowercase letters"),
            ({"name": "x" * 300}, "2 to 200 characters"),
            ({"namespace": "theirs"}, "Please choose a namespace that you may push to"),
        ],
    )
    def test_bad_input(self, client, app, changes, sentence):
        NamespaceFactory(name="theirs")
        TagFactory(image=app, name="v1")
        response = client.post(self.PATH, self.form(**changes), headers=HTMX)
        assert response.status_code == 422
        assert sentence in text_of(response)
        assert not Copy.objects.exists()


class TestStorage:
    def test_it_works(self, client, team, app):
        Image.objects.filter(pk=app.pk).update(size=3 * 1024**2)
        for number in range(12):
            ImageFactory(namespace=team, name=f"small{number:02}", size=1024)
        DailyActivity.objects.create(image=app, day="2020-01-01", pushes=500, pulls=500)
        text = text_of(client.get("/images/-/storage/team/"))
        assert "13 images, 3.0 MiB" in text
        assert "3 others" in text
        assert "500" not in text

    def test_an_empty_one(self, client, team):
        assert "Nothing is stored" in text_of(client.get("/images/-/storage/team/"))

    def test_somebody_elses(self, client, ann):
        NamespaceFactory(name="theirs")
        assert client.get("/images/-/storage/theirs/").status_code == 404
        assert client.get("/images/-/storage/none/").status_code == 404


class TestVersion:
    """What an open page asks for every second."""

    def test_the_list(self, client, team, app):
        def version():
            return client.get("/images/-/version/").content

        before = version()
        assert version() == before
        TagFactory(image=app)
        refresh_totals(app.pk)
        after = version()
        assert after != before
        ImageFactory()
        assert version() == after, "somebody else's news"

    def test_an_image(self, client, app):
        before = client.get("/images/team/app/-/version/")
        assert before["Cache-Control"] == "no-store"
        refresh_totals(app.pk)
        assert client.get("/images/team/app/-/version/").content != before.content
        app.delete()
        assert client.get("/images/team/app/-/version/").status_code == 404


@pytest.mark.parametrize(
    "verb",
    [
        "-/tags/v1/", "-/tags/v1/copy/", "-/visibility/", "-/version/", "-/copies/1/dismiss/",
        "-/manifests/{digest}/", "-/manifests/{digest}/raw/", "-/manifests/{digest}/platforms/",
    ],
)  # fmt: skip
def test_somebody_elses(client, ann, verb):
    tag = TagFactory(name="v1")
    document(tag.manifest, {})
    path = f"/images/{tag.image.repository}/{verb.format(digest=tag.manifest.digest)}"
    assert client.get(path).status_code in {404, 405}
    form = {"visibility": "public", "namespace": "x", "name": "y", "tag": "z"}
    assert client.post(path, form).status_code in {404, 405}
    assert Image.objects.get().visibility == "private"
    assert Tag.objects.get().state == "active"
