"""The version of My Images (Semantic Versioning 2.0.0).

``pyproject.toml`` reads it from here, pages and ``manage.py version`` show it, and CHANGELOG.md lists its changes.
"""

VERSION = "0.9.0"
