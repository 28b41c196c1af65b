"""A repository's name in an address."""

from console.images.models import NAME_PATTERN as IMAGE
from console.namespaces.models import NAME_PATTERN as NAMESPACE


class RepositoryConverter:
    """``namespace/name``, nested as deep as it likes. No component can be ``-``: what follows ``/-/`` is a verb."""

    regex = f"{NAMESPACE.strip('^$')}/{IMAGE.strip('^$')}"

    def to_python(self, value: str) -> str:
        """The name as it is."""
        return value

    def to_url(self, value: str) -> str:
        """The name as it is."""
        return value
