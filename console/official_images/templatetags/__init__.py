"""Template tags of the Docker Hub pages."""
