"""Pages of images, manifests and tags: list, create, show, delete."""
