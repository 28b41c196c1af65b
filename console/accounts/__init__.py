"""Accounts: who signs in, and the credential they use towards the registry."""
