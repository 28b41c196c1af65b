"""Activation: from a fresh account to one that can docker login, step by step."""
