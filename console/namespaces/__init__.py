"""Globally unique namespaces and who owns them."""
