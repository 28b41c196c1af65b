"""Template tags for copies from other registries."""
