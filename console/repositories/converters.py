"""URL path converters for repositories, tags and digests."""

from console.access.names import IMAGE_PATTERN as IMAGE
from console.access.names import NAMESPACE_PATTERN as NAMESPACE


class _Unchanged:
    """Base class: the text in the URL is the value."""

    def to_python(self, value: str) -> str:
        """The value, unchanged."""
        return value

    def to_url(self, value: str) -> str:
        """The value, unchanged."""
        return value


class NamespaceConverter(_Unchanged):
    """A namespace."""

    regex = NAMESPACE.strip("^$")


class RepositoryConverter(_Unchanged):
    """``namespace/name``, with any number of components. None can be ``-``, so ``/-/`` in a URL begins a verb."""

    regex = f"{NAMESPACE.strip('^$')}/{IMAGE.strip('^$')}"


class TagConverter(_Unchanged):
    """A tag (Distribution, reference grammar)."""

    regex = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


class DigestConverter(_Unchanged):
    """A digest: algorithm and hexadecimal digits."""

    regex = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,128}"
