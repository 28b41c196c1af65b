"""Template tags of namespaces that change hands."""
