"""The index of the registry: notifications, sync of tags, reconcile."""
