"""Docker Hub's official images: catalogue, tags, and the content of the cache."""
