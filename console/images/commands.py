"""Commands to pull or use a manifest, by its kind: image, Helm chart, build cache, signature, artifact.

Used by lists, pages of tags, public images and the Commands page. Does not read the database.
``console.images.clients`` has the commands from login to pull for each client.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from console.repositories.media_types import BUILD_CACHE, COSIGN_SIGNATURES, HELM_CHART, IN_TOTO, NOTATION_SIGNATURE
from console.repositories.models import Manifest
from registry_client import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST

# A version as Helm's library for Semantic Versioning parses it (optional "v", minor and patch). Helm treats any other
# text after --version as a constraint, and searches all tags.
_NUMBER = r"(?:0|[1-9][0-9]{0,17})"
_IDENTIFIER = r"(?:0|[1-9][0-9]{0,17}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_HELM_VERSION = re.compile(
    rf"v?{_NUMBER}(?:\.{_NUMBER}){{0,2}}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
# Helm, "helm install": names of releases.
_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,51}[a-z0-9])?")


class Content(enum.Enum):
    """The kind of a manifest's content, which decides which client can use it."""

    IMAGE = "image"
    CHART = "chart"
    BUILD_CACHE = "build cache"
    COSIGN_SIGNATURE = "signature by cosign"
    NOTATION_SIGNATURE = "signature by notation"
    ATTACHMENT = "attestation or SBOM"
    ARTIFACT = "artifact"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Command:
    """A command line.

    :param title: what it does, if there are several.
    :param help: a sentence below it.
    :param pushes: whether it needs the right to push, or is in preparation of that.
    """

    text: str
    title: str = ""
    help: str = ""
    pushes: bool = False


@dataclass(frozen=True)
class Registry:
    """The registry's address for clients.

    :param address: host and port, as in an image reference.
    :param plain_http: whether it is served without TLS. Docker accepts plain HTTP for loopback addresses without an
        option; all other clients need one.
    """

    address: str
    plain_http: bool = False

    def option(self, option: str) -> str:
        """``option`` with a space before it if plain HTTP is used; otherwise empty."""
        return f" {option}" if self.plain_http else ""


@dataclass(frozen=True)
class Reference:
    """A manifest in a repository, by its tag if it has one.

    :param subject: the digest of its subject, if it has one.
    """

    registry: Registry
    repository: str
    digest: str
    tag: str = ""
    subject: str = ""

    @property
    def image(self) -> str:
        """The image reference without tag."""
        return f"{self.registry.address}/{self.repository}"

    @property
    def address(self) -> str:
        """The image reference with the tag, or with the digest if there is no tag."""
        return f"{self.image}:{self.tag}" if self.tag else f"{self.image}@{self.digest}"


def this_registry() -> Registry:
    """The registry of this installation, as clients reach it."""
    address, url = settings.REGISTRY_ADDRESS, urlsplit(settings.REGISTRY_URL)
    if settings.SITE and settings.REGISTRY_HAS_GATE:
        return Registry(address)
    host = urlsplit(f"//{address}").hostname or ""
    local = host in {"localhost", "::1"} or host.startswith("127.")
    # The edge's own port has no TLS, whatever the registry behind it has.
    is_plain = url.scheme == "http" or (settings.REGISTRY_HAS_GATE and not settings.REGISTRY_IS_OURS)
    # If the address differs, there is a reverse proxy with TLS in front of it.
    return Registry(address, is_plain and (local or url.netloc == address))


def content_of(
    kind: str,
    artifact_type: str,
    *,
    media_type: str = "",
    tag: str = "",
    children: bool = False,
    layer_types: Collection[str] = (),
) -> Content:
    """The kind of a manifest's content.

    :param kind: the manifest's ``Manifest.Kind``; if it is not read yet, the media type decides.
    :param artifact_type: its artifact type, or its config's media type if it has none.
    :param tag: the tag: cosign's tags contain the kind.
    :param children: whether it is an index of other manifests.
    :param layer_types: the media types of its layers, if known.
    """
    if layer_types and set(layer_types) == {IN_TOTO}:
        return Content.ATTACHMENT
    if kind == Manifest.Kind.UNREAD:
        # Docker's own media types are only used for images.
        docker = media_type in (DOCKER_MANIFEST, DOCKER_MANIFEST_LIST)
        kind = Manifest.Kind.ARTIFACT if artifact_type else Manifest.Kind.IMAGE if docker else Manifest.Kind.OTHER
    if kind in (Manifest.Kind.IMAGE, Manifest.Kind.INDEX):
        return _by_tag(tag) or Content.IMAGE
    if kind != Manifest.Kind.ARTIFACT:
        return Content.UNKNOWN
    if artifact_type == BUILD_CACHE:
        return Content.BUILD_CACHE
    if children:
        return Content.UNKNOWN  # an index of artifacts: no client pulls all of them
    if artifact_type == HELM_CHART:
        return Content.CHART
    if artifact_type.startswith(COSIGN_SIGNATURES):
        return Content.COSIGN_SIGNATURE
    if artifact_type == NOTATION_SIGNATURE:
        return Content.NOTATION_SIGNATURE
    return Content.ARTIFACT


def _by_tag(tag: str) -> Content | None:
    """The kind of cosign's tags such as ``sha256-<hex>.sig``, whose manifests look like images."""
    if not re.fullmatch(r"sha256-[0-9a-f]{64}\.(sig|att|sbom)", tag):
        return None
    return Content.COSIGN_SIGNATURE if tag.endswith(".sig") else Content.ATTACHMENT


def commands_for(content: Content, reference: Reference) -> list[Command]:
    """The commands to pull or use a manifest, the usual one first; at least one."""
    address, option = reference.address, reference.registry.option
    copy = Command(
        f"oras copy {address}{option('--from-plain-http')} --to-oci-layout [folder]",
        _("Download everything"),
        _("Saves it to a folder, as an OCI image layout."),
    )
    match content:
        case Content.IMAGE:
            return [Command(f"docker pull {address}", _("Pull"))]
        case Content.CHART:
            chart = helm_chart(reference)
            return [
                Command(f"helm pull {chart}", _("Pull")),
                Command(f"helm install {release_name(reference.repository)} {chart}", _("Install")),
            ]
        case Content.BUILD_CACHE:
            text = f"docker buildx build --cache-from type=registry,ref={address} ."
            return [Command(text, _("Build with this cache"))]
        case Content.COSIGN_SIGNATURE if reference.subject:
            text = f"cosign verify --key cosign.pub {reference.image}@{reference.subject}"
            key = _("cosign.pub is the signer’s public key.")
            return [Command(f"{text}{option('--allow-http-registry')}", _("Verify"), key), copy]
        case Content.NOTATION_SIGNATURE if reference.subject:
            text = f"notation verify {reference.image}@{reference.subject}"
            return [Command(f"{text}{option('--insecure-registry')}", _("Verify")), copy]
        case Content.ARTIFACT:
            named = _("Downloads the files that have a name. If there are none, download everything.")
            return [Command(f"oras pull {address}{option('--plain-http')}", _("Pull"), named), copy]
        case Content.UNKNOWN:
            return [Command(f"oras manifest fetch {address}{option('--plain-http')}", _("Fetch the manifest"))]
    return [copy]


def helm_chart(reference: Reference) -> str:
    """The reference of a chart for Helm, with its options: the repository's last component is the chart's name.

    Helm writes the ``+`` of a version as ``_`` in the tag, and expects the version after ``--version``. A chart whose
    tag is not a version can only be pulled by its digest.
    """
    version = helm_version(reference.tag)
    option = reference.registry.option("--plain-http")
    if version:
        return f"oci://{reference.image} --version {version}{option}"
    return f"oci://{reference.image}@{reference.digest}{option}"


def helm_version(tag: str) -> str:
    """The chart's version for a tag; empty if Helm does not accept the tag as a version."""
    version = tag.replace("_", "+", 1)
    return version if _HELM_VERSION.fullmatch(version) else ""


def release_name(repository: str) -> str:
    """A release name for a chart: the chart's name, if Helm accepts it."""
    name = repository.rpartition("/")[2]
    return name if _RELEASE.fullmatch(name) else "my-release"


def manifest_commands(
    repository: str, manifest: Manifest, tag: str = "", subject: str = "", layer_types: Collection[str] = ()
) -> list[Command]:
    """The commands for a manifest in the index, by a tag or by its digest (see ``content_of``)."""
    content = content_of(
        manifest.kind,
        manifest.artifact_type,
        media_type=manifest.media_type,
        tag=tag,
        children=manifest.child_count > 0,
        layer_types=layer_types,
    )
    subject = subject or manifest.subject
    return commands_for(content, Reference(this_registry(), repository, manifest.digest, tag, subject))
