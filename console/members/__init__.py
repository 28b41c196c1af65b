"""Pages of the members of a namespace, and of the people with access to an image."""
