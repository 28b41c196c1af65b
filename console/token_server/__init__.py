"""The registry's token endpoint: look up and verify the caller, and sign a JWT for the granted scopes."""
