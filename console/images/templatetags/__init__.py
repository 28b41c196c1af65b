"""Template tags of the images."""
