"""Each kind of content is offered the commands that work for it, on every page that offers any."""

import re

import pytest
from django.utils import timezone

from console.images.commands import (
    Content,
    Reference,
    Registry,
    commands_for,
    content_of,
    helm_version,
    release_name,
    this_registry,
)
from console.repositories.media_types import BUILD_CACHE, HELM_CHART, NOTATION_SIGNATURE
from console.repositories.models import Document
from registry_client import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.support.factories import ActivatedAccountFactory, ImageFactory, ManifestFactory, NamespaceFactory, TagFactory
from tests.support.responses import HTMX, text_of

D, S = ("sha256:" + one * 64 for one in "ab")
TLS = Registry("images.example.com")
PLAIN = Registry("127.0.0.1:5000", plain_http=True)
SIGNATURE_TAG = f"sha256-{'b' * 64}.sig"

KINDS = [
    (("image", ""), {}, Content.IMAGE),
    (("index", ""), {"children": True}, Content.IMAGE),
    (("image", ""), {"tag": SIGNATURE_TAG}, Content.COSIGN_SIGNATURE),
    (("image", ""), {"tag": SIGNATURE_TAG.replace(".sig", ".att")}, Content.ATTACHMENT),
    (("image", ""), {"tag": "my.sig"}, Content.IMAGE),
    (("image", ""), {"layer_types": ["application/vnd.in-toto+json"] * 2}, Content.ATTACHMENT),
    (("artifact", HELM_CHART), {}, Content.CHART),
    (("artifact", BUILD_CACHE), {"children": True}, Content.BUILD_CACHE),
    (("artifact", "application/vnd.dev.sigstore.bundle.v0.3+json"), {}, Content.COSIGN_SIGNATURE),
    (("artifact", NOTATION_SIGNATURE), {}, Content.NOTATION_SIGNATURE),
    (("artifact", "application/vnd.example.policy"), {}, Content.ARTIFACT),
    (("artifact", ""), {"children": True}, Content.UNKNOWN),
    (("other", ""), {}, Content.UNKNOWN),
    (("", ""), {"media_type": DOCKER_MANIFEST}, Content.IMAGE),
    (("", ""), {"media_type": OCI_MANIFEST}, Content.UNKNOWN),
    (("", HELM_CHART), {"media_type": OCI_MANIFEST}, Content.CHART),
]


@pytest.mark.parametrize(("row", "more", "content"), KINDS)
def test_what_a_manifest_is(row, more, content):
    assert content_of(*row, **more) is content


def texts(content, registry=TLS, tag="1.0.0", subject="", repository="team/app"):
    return [one.text for one in commands_for(content, Reference(registry, repository, D, tag, subject))]


@pytest.mark.parametrize("content", Content)
@pytest.mark.parametrize("tag", ["", "1.0.0", "latest"])
@pytest.mark.parametrize("subject", ["", S])
def test_docker_pull_for_images_alone_and_always_some_command(content, tag, subject):
    found = texts(content, tag=tag, subject=subject)
    assert found
    assert any(text.startswith("docker pull") for text in found) == (content is Content.IMAGE)
    assert not any("--plain-http" in text or "insecure" in text for text in found), "it is served with TLS"


def test_commands():
    assert texts(Content.IMAGE) == ["docker pull images.example.com/team/app:1.0.0"]
    assert texts(Content.IMAGE, tag="") == [f"docker pull images.example.com/team/app@{D}"]
    chart = "oci://images.example.com/team/charts/app --version 1.0.0+build.5"
    assert texts(Content.CHART, tag="1.0.0_build.5", repository="team/charts/app") == [
        f"helm pull {chart}", f"helm install app {chart}",
    ]  # fmt: skip
    for tag in ("", "latest"):
        assert texts(Content.CHART, tag=tag)[0] == f"helm pull oci://images.example.com/team/app@{D}"
    assert texts(Content.BUILD_CACHE, tag="cache") == [
        "docker buildx build --cache-from type=registry,ref=images.example.com/team/app:cache ."
    ]
    assert texts(Content.ARTIFACT) == [
        "oras pull images.example.com/team/app:1.0.0",
        "oras copy images.example.com/team/app:1.0.0 --to-oci-layout [folder]",
    ]
    verify = f"cosign verify --key cosign.pub images.example.com/team/app@{S}"
    assert texts(Content.COSIGN_SIGNATURE, subject=S)[0] == verify
    assert texts(Content.NOTATION_SIGNATURE, subject=S)[0] == f"notation verify images.example.com/team/app@{S}"
    assert texts(Content.UNKNOWN) == ["oras manifest fetch images.example.com/team/app:1.0.0"]


def test_options_for_plain_http():
    assert texts(Content.CHART, PLAIN)[0] == "helm pull oci://127.0.0.1:5000/team/app --version 1.0.0 --plain-http"
    assert texts(Content.ARTIFACT, PLAIN) == [
        "oras pull 127.0.0.1:5000/team/app:1.0.0 --plain-http",
        "oras copy 127.0.0.1:5000/team/app:1.0.0 --from-plain-http --to-oci-layout [folder]",
    ]
    assert texts(Content.IMAGE, PLAIN) == ["docker pull 127.0.0.1:5000/team/app:1.0.0"]


@pytest.mark.parametrize(
    ("address", "url", "plain"),
    [
        ("127.0.0.1:5000", "http://127.0.0.1:5000", True),
        ("localhost:5000", "http://127.0.0.1:5000", True),
        ("[::1]:5000", "http://[::1]:5000", True),
        ("10.0.0.5:5000", "http://10.0.0.5:5000", True),
        ("images.example.com", "http://10.0.0.5:5000", False),
        ("images.example.com", "https://images.example.com", False),
        ("127.0.0.1:5443", "https://127.0.0.1:5443", False),
    ],
)
def test_whether_the_registry_speaks_plain_http(settings, address, url, plain):
    settings.REGISTRY_ADDRESS, settings.REGISTRY_URL = address, url
    assert this_registry() == Registry(address, plain)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.0.0", "1.0.0"), ("v1.2", "v1.2"), ("1.0.0-rc.1_b.5", "1.0.0-rc.1+b.5"), ("1.0.0_build", "1.0.0+build"),
        # Helm takes these for constraints, and does not find them.
        ("latest", ""), ("1.0.0_a_b", ""), ("01.0.0", ""), ("1.0.0-01", ""), ("1.0.0.0", ""), ("9" * 19, ""),
    ],
)  # fmt: skip
def test_versions_of_helm(tag, version):
    assert helm_version(tag) == version


def test_names_of_releases():
    assert release_name("team/charts/my-app") == "my-app"
    for name in ("team/my_app", "team/my.app", f"team/{'a' * 54}"):
        assert release_name(name) == "my-release"


@pytest.mark.django_db
class TestPages:
    @pytest.fixture
    def ann(self):
        return ActivatedAccountFactory()

    @pytest.fixture
    def client(self, client, ann, settings):
        settings.REGISTRY_ADDRESS, settings.REGISTRY_URL = TLS.address, f"https://{TLS.address}"
        client.force_login(ann)
        return client

    @pytest.fixture
    def image(self, ann):
        return ImageFactory(namespace=NamespaceFactory(owner=ann, name="team"), name="app", visibility="public")

    def add(self, image, name, kind, artifact_type="", config=None, **more):
        manifest = ManifestFactory(
            image=image,
            kind=kind,
            artifact_type=artifact_type,
            media_type=OCI_INDEX if kind == "index" else OCI_MANIFEST,
            **more,
        )
        if config is not None:
            Document.objects.create(
                digest=manifest.digest, media_type=OCI_MANIFEST, content=b'{"schemaVersion": 2}', config=config
            )
        return TagFactory(image=image, manifest=manifest, name=name)

    def copied(self, html):
        return [text for text in re.findall(r'data-copy="([^"]*)"', html) if " " in text]

    FIRST = {
        "v1": ("image", "", "docker pull images.example.com/team/app:v1"),
        "multi": ("index", "", "docker pull images.example.com/team/app:multi"),
        "1.0.0_b": ("artifact", HELM_CHART, "helm pull oci://images.example.com/team/app --version 1.0.0+b"),
        "policy": ("artifact", "application/vnd.example", "oras pull images.example.com/team/app:policy"),
        "cache": (
            "artifact", BUILD_CACHE,
            "docker buildx build --cache-from type=registry,ref=images.example.com/team/app:cache .",
        ),
        "odd": ("other", "", "oras manifest fetch images.example.com/team/app:odd"),
    }  # fmt: skip

    def test_each_row_and_each_tags_page(self, client, image):
        for name, (kind, artifact_type, _text) in self.FIRST.items():
            self.add(image, name, kind, artifact_type)
        expected = {text for _kind, _type, text in self.FIRST.values()}
        for path in ("/images/team/app/-/tags/", "/public-images/team/app/"):
            html = text_of(client.get(path)).split("<tbody")[1]
            assert set(self.copied(html)) == expected
            assert "Helm chart</span>" in html
            assert "Build cache</span>" in html
        for name, (_kind, _type, text) in self.FIRST.items():
            assert self.copied(text_of(client.get(f"/images/team/app/-/tags/{name}/")))[0] == text

    def test_the_command_of_a_public_image(self, client, image):
        self.add(image, "1.0.0", "artifact", HELM_CHART)
        text = text_of(client.get("/public-images/team/app/")).split('id="tags"')[0]
        assert self.copied(text)[0] == "helm pull oci://images.example.com/team/app --version 1.0.0"
        assert "docker" not in text.replace("/docker-hub/", "")

    def test_a_manifest_by_its_digest(self, client, image):
        row = self.add(image, "1.0.0", "artifact", HELM_CHART)
        text = text_of(client.get(f"/images/team/app/-/manifests/{row.manifest.digest}/"))
        assert self.copied(text)[0] == f"helm pull oci://images.example.com/team/app@{row.manifest.digest}"

    def test_what_a_chart_says_of_itself(self, client, image):
        chart = {
            "name": "ledger", "version": "1.0.0", "app_version": "2.1", "description": "Keeps <b>books</b>.",
            "type": "application", "kube_version": ">=1.25", "keywords": ["books"], "home": "https://example.com/",
            "sources": ["javascript:alert(1)"], "maintainers": [{"name": "Ann", "email": "ann@example.com"}],
            "dependencies": [{"name": "postgresql", "version": "15.x", "repository": "oci://example.com/charts"}],
            "deprecated": True,
        }  # fmt: skip
        self.add(image, "1.0.0", "artifact", HELM_CHART, config={"chart": chart})
        html = text_of(client.get("/images/team/app/-/tags/1.0.0/"))
        for shown in (
            "<dd>ledger</dd>", "<dd>1.0.0</dd>", "<dd>2.1</dd>", "<dd>Keeps &lt;b&gt;books&lt;/b&gt;.</dd>",
            "&gt;=1.25", ">books<", 'href="https://example.com/"', "ann@example.com", "postgresql 15.x", "deprecated",
        ):  # fmt: skip
            assert shown in html, shown
        assert 'href="javascript' not in html

    def clients(self, html):
        return re.findall(r'<a id="client-(\w+)"[^>]*?(aria-current="true")?>', html)

    def test_the_clients_that_fit_come_first(self, client, image):
        path = "/images/team/app/-/commands/"
        assert self.clients(text_of(client.get(path)))[0] == ("docker", 'aria-current="true"')
        self.add(image, "policy", "artifact", "application/vnd.example")
        assert self.clients(text_of(client.get(path)))[0] == ("oras", 'aria-current="true"')
        self.add(image, "1.0.0", "artifact", HELM_CHART)
        assert self.clients(text_of(client.get(path)))[0] == ("helm", 'aria-current="true"')
        asked = text_of(client.get(f"{path}?client=docker"))
        assert ("docker", 'aria-current="true"') in self.clients(asked)
        assert "No tag of this image is a container image yet." in asked
        self.add(image, "v1", "image")
        text = text_of(client.get(path))
        assert self.clients(text)[0] == ("docker", 'aria-current="true"')
        assert "docker pull images.example.com/team/app:v1<" in text

    def test_tags_that_commands_name_are_there(self, client, image):
        path = "/images/team/app/-/commands/?client="
        for name in ("v2", "latest", "v3"):
            self.add(image, name, "image")
        for name in ("1.0.0", "edge"):
            self.add(image, name, "artifact", HELM_CHART)
        assert "podman pull images.example.com/team/app:latest<" in text_of(client.get(f"{path}podman"))
        assert "oci://images.example.com/team/app --version 1.0.0<" in text_of(client.get(f"{path}helm"))
        image.tags.filter(name="latest").update(state="deleting")
        image.tags.filter(name="v3").update(missing_at=timezone.now())
        image.tags.filter(name="1.0.0").update(state="deleting")
        assert "podman pull images.example.com/team/app:v2<" in text_of(client.get(f"{path}podman"))
        edge = image.tags.get(name="edge").manifest.digest
        assert f"helm pull oci://images.example.com/team/app@{edge}<" in text_of(client.get(f"{path}helm"))

    @pytest.mark.parametrize("key", ["docker", "podman", "skopeo", "kubernetes", "helm", "oras"])
    def test_every_command_has_a_button_that_copies_it(self, client, image, key):
        html = client.get(f"/images/team/app/-/commands/?client={key}").content.decode()
        commands = re.findall(r'(?s)<code tabindex="0">(.*?)</code>', html)
        shown = [re.sub(r"<wbr>|</?span[^>]*>", "", text) for text in commands]
        buttons = re.findall(r'class="command">.*?data-copy="([^"]*)"', html, re.DOTALL)
        assert shown == buttons
        assert len(shown) >= 3
        assert any(f"{ActivatedAccountFactory._meta.model.objects.get().credential.username}" in one for one in shown)

    def test_the_guide_renews_its_commands_alone(self, client, image):
        whole = text_of(client.get("/images/-/guide/?client=podman", headers=HTMX))
        assert "<dialog" in whole
        assert 'hx-get="/images/-/guide/?client=oras"' in whole
        part = text_of(client.get("/images/-/guide/?client=oras", headers={**HTMX, "HX-Target": "commands"}))
        assert "<dialog" not in part
        assert "oras login" in part
