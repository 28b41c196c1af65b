"""Commands from login to pull, for each registry client (Docker, Podman, Skopeo, Helm, ORAS, Kubernetes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from console.images.commands import Command, Content, Reference, Registry, commands_for, helm_chart, release_name

# The name of the secret in Kubernetes.
_SECRET = "my-images"  # noqa: S105


@dataclass(frozen=True)
class Known:
    """Tags for the commands: for each kind of content an existing tag, or empty.

    :param digest: the digest of ``chart``, if its tag is not a version.
    """

    image: str = ""
    chart: str = ""
    artifact: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Use:
    """Parameters of the commands.

    :param username: for the login.
    :param repository: ``namespace/name``.
    """

    registry: Registry
    repository: str
    username: str
    known: Known = Known()

    @property
    def image(self) -> str:
        """The image reference without tag."""
        return f"{self.registry.address}/{self.repository}"

    @property
    def new(self) -> str:
        """The image reference to push to, with a placeholder as tag."""
        return f"{self.image}:[tag]"

    @property
    def pulled(self) -> str:
        """The image reference to pull from, with the tag of a container image."""
        return f"{self.image}:{self.known.image or '[tag]'}"


def _asks() -> str:
    return _("Enter the registry password or an access token when asked.")


def _no_image(use: Use) -> str:
    """A message for a repository that has tags, but no container image."""
    other = (use.known.chart or use.known.artifact) and not use.known.image
    return _("No tag of this image is a container image yet.") if other else ""


def push_commands(use: Use) -> list[Command]:
    """Docker's commands from login to push."""
    return [
        Command(
            f"docker login --username={use.username} {use.registry.address}",
            _("Log in"),
            _("Enter the registry password when asked. With sudo, the first prompt is for the machine’s own password."),
        ),
        Command(
            f"docker tag [ImageId] {use.new}",
            _("Tag"),
            _("[ImageId] is the local image, as listed by “docker images”; [tag] is any tag you choose."),
            pushes=True,
        ),
        Command(f"docker push {use.new}", _("Push"), pushes=True),
    ]


def _docker(use: Use) -> list[Command]:
    return [*push_commands(use), Command(f"docker pull {use.pulled}", _("Pull"), _no_image(use))]


def _podman(use: Use) -> list[Command]:
    plain = use.registry.option("--tls-verify=false")
    return [
        Command(f"podman login --username={use.username}{plain} {use.registry.address}", _("Log in"), _asks()),
        Command(
            f"podman tag [ImageId] {use.new}",
            _("Tag"),
            _("[ImageId] is the local image, as listed by “podman images”; [tag] is any tag you choose."),
            pushes=True,
        ),
        Command(f"podman push{plain} {use.new}", _("Push"), pushes=True),
        Command(f"podman pull{plain} {use.pulled}", _("Pull"), _no_image(use)),
    ]


def _skopeo(use: Use) -> list[Command]:
    plain = use.registry.option("--tls-verify=false")
    source, target = use.registry.option("--src-tls-verify=false"), use.registry.option("--dest-tls-verify=false")
    name = use.repository.rpartition("/")[2]
    return [
        Command(f"skopeo login --username={use.username}{plain} {use.registry.address}", _("Log in"), _asks()),
        Command(
            f"skopeo copy --all{target} docker://[Image] docker://{use.new}",
            _("Copy from another registry"),
            _("[Image] is an image in another registry, such as quay.io/team/app:1.0. You don’t need Docker Engine."),
            pushes=True,
        ),
        Command(f"skopeo inspect{plain} docker://{use.pulled}", _("Inspect"), _no_image(use)),
        Command(
            f"skopeo copy{source} docker://{use.pulled} oci:{name}",
            _("Download"),
            _("Saves the image to a folder, as an OCI image layout."),
        ),
    ]


def _helm(use: Use) -> list[Command]:
    plain = use.registry.option("--plain-http")
    folder, _slash, name = use.repository.rpartition("/")
    known = Reference(use.registry, use.repository, use.known.digest, use.known.chart)
    chart = helm_chart(known) if use.known.chart else f"oci://{use.image} --version [version]{plain}"
    return [
        Command(f"helm registry login {use.registry.address} --username {use.username}{plain}", _("Log in"), _asks()),
        Command(
            "helm package [ChartFolder]",
            _("Package"),
            _("The chart’s name in Chart.yaml must be “%s”: Helm pushes under that name.") % name,
            pushes=True,
        ),
        Command(f"helm push {name}-[version].tgz oci://{use.registry.address}/{folder}{plain}", _("Push"), pushes=True),
        Command(f"helm pull {chart}", _("Pull")),
        Command(f"helm install {release_name(use.repository)} {chart}", _("Install")),
    ]


def _oras(use: Use) -> list[Command]:
    plain = use.registry.option("--plain-http")
    pulled = Reference(use.registry, use.repository, "", use.known.artifact or "[tag]")
    return [
        Command(f"oras login {use.registry.address} --username {use.username}{plain}", _("Log in"), _asks()),
        Command(
            f"oras push {use.new}{plain} [file]",
            _("Push"),
            _("Any file: a model, a policy, an SBOM, documentation."),
            pushes=True,
        ),
        *commands_for(Content.ARTIFACT, pulled),
    ]


def _kubernetes(use: Use) -> list[Command]:
    local = use.registry.plain_http
    pod = "\n".join(
        (
            "apiVersion: v1",
            "kind: Pod",
            "metadata:",
            "  name: app",
            "spec:",
            "  imagePullSecrets:",
            f"    - name: {_SECRET}",
            "  containers:",
            "    - name: app",
            f"      image: {use.pulled}",
        )
    )
    patch = f'\'{{"imagePullSecrets": [{{"name": "{_SECRET}"}}]}}\''
    return [
        Command(
            f"kubectl create secret docker-registry {_SECRET} --docker-server={use.registry.address} "
            f"--docker-username={use.username} --docker-password='[AccessToken]'",
            _("Create the pull secret"),
            _(
                "[AccessToken] is an access token that may only pull: the secret can be read in the cluster, and a "
                "token can be revoked without changing the password."
            ),
        ),
        Command(
            pod,
            _("Use it in a pod"),
            _("Your nodes must be able to reach %s. On a node, localhost is the node itself.") % use.registry.address
            if local
            else _no_image(use),
        ),
        Command(
            f"kubectl patch serviceaccount default -p {patch}",
            _("Or use it in all pods of the namespace"),
        ),
    ]


_CLIENTS: dict[str, tuple[str, Callable[[Use], list[Command]]]] = {
    "docker": ("Docker", _docker),
    "podman": ("Podman", _podman),
    "skopeo": ("skopeo", _skopeo),
    "kubernetes": ("Kubernetes", _kubernetes),
    "helm": ("Helm", _helm),
    "oras": ("ORAS", _oras),
}


def clients(known: Known) -> list[tuple[str, str]]:
    """The clients as pairs of key and label; first the one for the image's kind of content."""
    first = "docker"
    if not known.image:
        first = "helm" if known.chart else "oras" if known.artifact else first
    keys = [first, *(key for key in _CLIENTS if key != first)]
    return [(key, _CLIENTS[key][0]) for key in keys]


def client_commands(client: str, use: Use) -> list[Command]:
    """The commands of a client, from login to pull.

    :param client: one of the keys from ``clients``.
    """
    return _CLIENTS[client][1](use)
