"""The search in the head of every page: images, namespaces, tags, public and official images, in one list."""
