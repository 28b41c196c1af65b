"""Access tokens: secrets for programs, in place of the registry password."""
