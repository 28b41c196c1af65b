"""Images, the index of what the registry holds of them, and the long work on them."""

from console.repositories.models.copying import Copy
from console.repositories.models.deletion import DoomedManifest, ImageDeletion
from console.repositories.models.failure import WorkFailure
from console.repositories.models.image import (
    NAMESPACE_PART,
    PUBLIC,
    Image,
    ImageAccess,
    ImagePieces,
    ImageWords,
    allowing,
    validate_image_name,
)
from console.repositories.models.index import DailyActivity, Document, KeptManifest, Manifest, PushedDigest, Tag

__all__ = [
    "NAMESPACE_PART",
    "PUBLIC",
    "Copy",
    "DailyActivity",
    "Document",
    "DoomedManifest",
    "Image",
    "ImageAccess",
    "ImageDeletion",
    "ImagePieces",
    "ImageWords",
    "KeptManifest",
    "Manifest",
    "PushedDigest",
    "Tag",
    "WorkFailure",
    "allowing",
    "validate_image_name",
]
