"""Template tags for imports."""
