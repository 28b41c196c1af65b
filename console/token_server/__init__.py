"""The registry's token endpoint: scope grammar, policy, signed JWT."""
