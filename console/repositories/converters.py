"""URL path converters for repositories, tags and digests."""

from console.access.names import IMAGE_PATTERN as IMAGE
from console.access.names import NAMESPACE_PATTERN as NAMESPACE


class _AsItIs:
    """What stands in the address is what it means."""

    def to_python(self, value: str) -> str:
        """The name as it is."""
        return value

    def to_url(self, value: str) -> str:
        """The name as it is."""
        return value


class NamespaceConverter(_AsItIs):
    """A namespace."""

    regex = NAMESPACE.strip("^$")


class RepositoryConverter(_AsItIs):
    """``namespace/name``, nested as deep as it likes. No component can be ``-``: what follows ``/-/`` is a verb."""

    regex = f"{NAMESPACE.strip('^$')}/{IMAGE.strip('^$')}"


class TagConverter(_AsItIs):
    """A tag (Distribution, reference grammar)."""

    regex = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


class DigestConverter(_AsItIs):
    """A digest: its algorithm and its digits."""

    regex = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}"
