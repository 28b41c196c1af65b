"""Media types of artifacts that are no container images."""

# The configuration of a Helm chart: its Chart.yaml as JSON (Helm, "Use OCI-based registries", "Helm chart manifest").
HELM_CHART = "application/vnd.cncf.helm.config.v1+json"
# BuildKit's cache ("--cache-to type=registry"): an index of layers with this as its last entry.
BUILD_CACHE = "application/vnd.buildkit.cacheconfig.v0"
# A statement about an image: provenance, an SBOM (in-toto attestation framework).
IN_TOTO = "application/vnd.in-toto+json"
NOTATION_SIGNATURE = "application/vnd.cncf.notary.signature"
COSIGN_SIGNATURES = ("application/vnd.dev.cosign.artifact.sig.", "application/vnd.dev.sigstore.bundle")
