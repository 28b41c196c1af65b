"""Management commands of sign-in."""
