"""The sections of the OCI distribution specification that checks refer to."""

from __future__ import annotations

from dataclasses import dataclass

SPECIFICATION = "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md"

PULL = "Pull"
PUSH = "Push"
DISCOVERY = "Content Discovery"
MANAGEMENT = "Content Management"
API = "API"
WORKFLOWS = (PULL, PUSH, DISCOVERY, MANAGEMENT, API)


@dataclass(frozen=True)
class Section:
    """A section of the specification.

    :param title: its heading.
    :param workflow: the workflow category that it belongs to.
    :param endpoints: the IDs in the specification's table of endpoints.
    """

    title: str
    workflow: str
    endpoints: str

    @property
    def url(self) -> str:
        """Where the section is published."""
        return f"{SPECIFICATION}#{self.title.lower().replace(' ', '-')}"

    def __str__(self) -> str:
        return f"{self.title} ({self.endpoints})"


PULLING_MANIFESTS = Section("Pulling manifests", PULL, "end-3")
PULLING_BLOBS = Section("Pulling blobs", PULL, "end-2")
CONTENT_EXISTS = Section("Checking if content exists in the registry", PULL, "end-2, end-3")

PUSHING_BLOBS = Section("Pushing blobs", PUSH, "end-4a, end-6")
POST_THEN_PUT = Section("POST then PUT", PUSH, "end-4a, end-6")
SINGLE_POST = Section("Single POST", PUSH, "end-4b")
CHUNKS = Section("Pushing a blob in chunks", PUSH, "end-5, end-6, end-13")
# Not in 1.1.1, whose table of endpoints has no DELETE of an upload: in the text after it.
CANCEL = Section("Cancel a blob upload", PUSH, "end-14")
MOUNTING = Section("Mounting a blob from another repository", PUSH, "end-11")
PUSHING_MANIFESTS = Section("Pushing Manifests", PUSH, "end-7")
SUBJECT = Section("Pushing Manifests with Subject", PUSH, "end-7")

LISTING_TAGS = Section("Listing Tags", DISCOVERY, "end-8a, end-8b")
LISTING_REFERRERS = Section("Listing Referrers", DISCOVERY, "end-12a, end-12b")
ENABLING_REFERRERS = Section("Enabling the Referrers API", DISCOVERY, "end-12a")

DELETING_TAGS = Section("Deleting tags", MANAGEMENT, "end-9")
DELETING_MANIFESTS = Section("Deleting Manifests", MANAGEMENT, "end-9")
DELETING_BLOBS = Section("Deleting Blobs", MANAGEMENT, "end-10")

SUPPORT = Section("Determining Support", API, "end-1")
ERROR_CODES = Section("Error Codes", API, "all")
