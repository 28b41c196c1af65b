"""Template tags about stars."""
