"""The version of My Images (Semantic Versioning 2.0.0): its one place.

``pyproject.toml`` reads it here, the pages and ``manage.py version`` show it, and CHANGELOG.md says what is in it.
"""

VERSION = "0.9.0"
