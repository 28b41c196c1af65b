"""Template tags of images."""
