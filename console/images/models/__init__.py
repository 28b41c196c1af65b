"""Images, the index of what the registry holds of them, and the long work on them."""

from console.images.models.copying import Copy
from console.images.models.deletion import DoomedManifest, ImageDeletion
from console.images.models.failure import WorkFailure
from console.images.models.image import NAME_PATTERN, NAMESPACE_PART, PUBLIC, Image, ImagePieces, validate_image_name
from console.images.models.index import DailyActivity, Document, KeptManifest, Manifest, PushedDigest, Tag

__all__ = [
    "NAMESPACE_PART",
    "NAME_PATTERN",
    "PUBLIC",
    "Copy",
    "DailyActivity",
    "Document",
    "DoomedManifest",
    "Image",
    "ImageDeletion",
    "ImagePieces",
    "KeptManifest",
    "Manifest",
    "PushedDigest",
    "Tag",
    "WorkFailure",
    "validate_image_name",
]
