"""Activation: the steps from a new account to one that can use ``docker login``."""
