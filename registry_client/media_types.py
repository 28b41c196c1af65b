"""Media types of manifests, of Docker and the OCI."""

from __future__ import annotations

from typing import Final

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"

DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
# Foreign layers, such as those of Windows base images.
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
_DOCKER_FOREIGN_LAYER_PLAIN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
_OCI_FOREIGN_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
FOREIGN_LAYERS: Final = (
    DOCKER_FOREIGN_LAYER,
    _DOCKER_FOREIGN_LAYER_PLAIN,
    *(f"{_OCI_FOREIGN_LAYER}{compression}" for compression in ("", "+gzip", "+zstd")),
)
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"

INDEX_MEDIA_TYPES: Final = (DOCKER_MANIFEST_LIST, OCI_INDEX)
IMAGE_MEDIA_TYPES: Final = (DOCKER_MANIFEST, OCI_MANIFEST)
MANIFEST_MEDIA_TYPES: Final = (DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_MANIFEST, OCI_INDEX)
