"""Ownership of namespaces: create, delete, hold and transfer."""
