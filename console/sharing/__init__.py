"""Give and take roles on namespaces and images, and say who has access and why."""
