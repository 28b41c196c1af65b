"""Images, manifests and tags: list, create, look into, delete."""
